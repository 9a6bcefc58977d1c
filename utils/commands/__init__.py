"""The command line, a module for each part of a bot's life; here is what they share.

In: options as typed. Out: checked settings, and one JSON object on standard output. Knows nothing about
posts or models.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from utils.errors import BadSetting
from utils.settings import TrainingSettings


def checked(make: Callable[..., Any], *given: Any, **values: Any) -> Any:
    """Settings made from options; a value out of range is wrong usage."""
    try:
        return make(*given, **values)
    except BadSetting as error:
        raise click.UsageError(str(error)) from None


class Minutes(click.ParamType):
    """An option that takes minutes: a number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The minutes, checked as the settings check them."""
        try:
            return TrainingSettings(minutes=float(value)).minutes
        except (ValueError, BadSetting):
            self.fail(f"expected a number of minutes above 0, like 5 or 0.5, and got '{value}'.", param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
events_option = click.option("--events", is_flag=True, help="Tell the progress as JSON Lines on standard error.")
references_argument = click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
apart_option = click.option("--apart", is_flag=True, help="Each file is an author of its own, not all of them one.")
x_terms_option = click.option(
    "--accept-x-terms",
    is_flag=True,
    help="You know that X takes money for each post, and that its terms restrict training on them.",
)
_path = click.Path(path_type=Path)
queue_option = click.option("--queue", type=_path, hidden=True, help="A lock file: one training at a time.")
stop_file_option = click.option("--stop-file", type=_path, hidden=True, help="Stop as on Ctrl-C once this file exists.")
SEED_RANGE = click.IntRange(0, 2**32 - 1)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object, on one line."""
    click.echo(json.dumps(value, ensure_ascii=False))
