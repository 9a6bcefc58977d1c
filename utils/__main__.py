"""The command line: python -m utils fetch | shelf | train | tweet | evaluate | update | share | models.

A contract that scripts and the dashboard depend on. `--json` prints one JSON object on standard output
and nothing else there; progress and words go to standard error, as JSON Lines with `--events`. Exit
status 0: done. 1: a problem that the user can mend, in one sentence. 2: wrong usage. 130: interrupted
with nothing to keep. Everything that takes time to import waits until a command needs it.
"""

import gc
import os
import sys
from typing import NoReturn

import click

from utils import processes
from utils.commands import bots, posts, share, train, update
from utils.terminal import INTERRUPTED, prepare_process


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Turn somebody's posts into a bot that writes in their voice.

    \b
    Try:  python -m utils train sample:keeperfinch
          python -m utils tweet bots/keeperfinch

    A REFERENCE is a bundled author (sample:keeperfinch, sample:unit7bakes); a handle on Bluesky
    (@name.bsky.social), Mastodon (@name@server) or X (@name, with your own key), or the link of its profile;
    the archive of X, Mastodon or Bluesky as it was downloaded, or its folder; or a file of posts (.csv, .json,
    .jsonl, .txt). Several files and folders are one author's, unless --apart says otherwise.
    """


for command in (
    posts.fetch,
    posts.shelf,
    train.train,
    bots.tweet,
    bots.evaluate,
    update.update,
    share.share,
    bots.listen,
    bots.models,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line, and end the process with the status that the contract promises."""
    prepare_process()
    with processes.together(_import_what_learns):
        _run()


def _import_what_learns() -> None:
    from utils import training  # noqa: F401  it takes seconds, in which the leader reads the posts


def _run() -> NoReturn:
    try:
        status = cli.main(prog_name="python -m utils", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left
        status = 1
    finally:
        gc.freeze()
    sys.exit(status)


if __name__ == "__main__":
    main()
