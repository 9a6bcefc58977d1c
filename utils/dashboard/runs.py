"""The page's child processes: a training or an update, which outlives the page; a bot that writes; and errands.

In: references and settings, or a bot's folder. Out: events, as `--events` prints them. A training keeps
its events in a file, so that a page that was reloaded finds it again and sees all of it. Knows nothing
about widgets.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils import environment
from utils.errors import UserError

PROJECT = Path(__file__).parents[2]
APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
"""How a process is started that a Ctrl-C to the page's server does not reach."""

POLL = 0.15
"""Seconds between two looks at what a training has said."""

CLOCK_SET = 60.0
"""Seconds by which a process may seem to have begun at another time, since the computer's clock was set meanwhile."""

STOP = "asked-to-stop"
"""The file in a run's folder that ends it."""

SECONDS_TO_LEAVE = 5.0

WITHOUT_A_WORD = "It ended without a word; it may have been killed."


class ChildFailed(Exception):
    """A child process ended with something that is no problem of the user's; holds its last words."""


class Problem(UserError):
    """What a child process said that the user can mend."""


@dataclass(frozen=True)
class Record:
    """How to keep a record of a training with W&B.

    mode: "off", "offline" or "online"; None for the command line's own default. folder: where W&B's files go.
    key: for this training only; it goes to the child through its environment, and is written nowhere.
    posts: whether they may be part of the record.
    """

    mode: str | None = None
    folder: Path | None = None
    key: str = field(default="", repr=False)
    posts: bool = False

    def options(self) -> list[str]:
        """For the command line."""
        return [*(["--track", self.mode] if self.mode else []), *(["--track-posts"] if self.posts else [])]

    def environment(self) -> dict[str, str]:
        """For the child. A page for others does not lend them the key of whoever serves it."""
        values = {"WANDB_DIR": str(self.folder)} if self.folder else {}
        if self.key or environment.is_public():
            values |= {"WANDB_API_KEY": self.key, "NETRC": os.devnull, "WANDB_IDENTITY_TOKEN_FILE": ""}
        return values


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _queue() -> Path:
    """The lock file that lets one training at a time run on this machine, whoever asked for it."""
    return environment.cache_folder() / "training.lock"


def unused(path: Path) -> Path:
    """The path, with a number behind it if it is taken."""
    taken = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 10_000))]
    return next(candidate for candidate in taken if not candidate.exists())


@dataclass(frozen=True)
class Run:
    """A training in a folder of its own: what was asked, what it said, and what came of it."""

    folder: Path

    @classmethod
    def start(
        cls,
        folder: Path,
        references: Sequence[str],
        bot: Path,
        minutes: float,
        model: str,
        seed: int,
        record: Record = Record(),
    ) -> "Run":
        """Start a training whose bot will be written to `bot`."""
        options = ["--apart", "--minutes", str(minutes), "--model", model, "--seed", str(seed), "--out", str(bot)]
        return cls._launch(folder, ["train", *references, *options, "--watch", *record.options()], bot, minutes, record)

    @classmethod
    def start_update(cls, folder: Path, bot: Path, references: Sequence[str], minutes: float) -> "Run":
        """Start to look for new posts where the bot's came from, or in references, and to train it on them."""
        named = [*references, "--apart"] if references else []
        return cls._launch(folder, ["update", str(bot), *named, "--minutes", str(minutes)], bot, minutes)

    @classmethod
    def _launch(
        cls, folder: Path, arguments: Sequence[str], bot: Path, minutes: float, record: Record = Record()
    ) -> "Run":
        folder.mkdir(mode=0o700, parents=True)
        command = [sys.executable, "-m", "utils", *arguments, "--queue", str(_queue())]
        command += ["--stop-file", str(folder / STOP), "--events", "--json"]
        with open(folder / "events.jsonl", "wb") as events, open(folder / "report.json", "wb") as report:
            process = subprocess.Popen(
                command, cwd=folder, env={**_environment(), **record.environment()}, stdin=subprocess.DEVNULL,
                stdout=report, stderr=events, **APART,
            )  # fmt: skip
        threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay behind as a zombie
        began = environment.process_began(process.pid)
        about = {"pid": process.pid, "began": began, "bot": str(bot), "minutes": minutes}
        (folder / "run.json").write_text(json.dumps(about), "utf-8")
        return cls(folder)

    @classmethod
    def newest(cls, folder: Path) -> "Run | None":
        """The last run among those in a folder, None where there is none."""
        runs = sorted(path.parent for path in folder.glob("*/run.json"))
        return cls(runs[-1]) if runs else None

    @property
    def about(self) -> dict[str, Any]:
        """What was asked: `bot` and `minutes`; and the number of the process."""
        return json.loads((self.folder / "run.json").read_text("utf-8"))

    def is_going(self) -> bool:
        """Whether the process is still there; a number that another process has now is not it."""
        try:
            about = self.about
        except (OSError, ValueError):
            return False  # its folder was deleted
        began = environment.process_began(about["pid"])
        return began is not None and abs(began - about["began"]) < CLOCK_SET

    @property
    def seen(self) -> bool:
        """Whether a page has shown how it ended."""
        return (self.folder / "seen").exists()

    def mark_as_seen(self) -> None:
        """Remember that a page has shown how it ended."""
        if not self.is_going() and self.folder.exists():
            (self.folder / "seen").touch()

    def stop(self) -> None:
        """Ask it to end and keep what it has learned. Asking twice is asking once: a second signal would kill it.

        The file is looked at between steps; the signal is heard at once, and on Windows it would kill.
        """
        asked = self.folder / STOP
        if self.is_going() and not asked.exists():
            asked.touch()
            if os.name != "nt":
                os.kill(self.about["pid"], signal.SIGINT)

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, from the beginning, until it has ended. Raises `Problem` or `ChildFailed` if it failed."""
        words: list[str] = []
        problem = None
        with open(self.folder / "events.jsonl", encoding="utf-8", errors="replace") as lines:
            line = ""
            while True:
                going = self.is_going()
                while part := lines.readline():
                    line += part
                    if not line.endswith("\n"):
                        continue
                    event = _as_event(line)
                    if event is None:
                        words.append(line)
                    elif event["event"] == "error":
                        problem = event["sentence"]
                    else:
                        yield event
                    line = ""
                if not going:
                    break
                time.sleep(POLL)
        if self.report() is None:
            if problem:
                raise Problem(problem)
            raise ChildFailed("".join(words[-40:]) or WITHOUT_A_WORD)

    def report(self) -> dict[str, Any] | None:
        """What `train --json` or `update --json` printed, None if it has not."""
        try:
            return json.loads((self.folder / "report.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None


def _as_event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


class Writer:
    """A bot in a process of its own, which writes when it is asked and stays for the next time."""

    def __init__(self, bot: Path) -> None:
        self.bot = bot
        self._number = 0
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._one_at_a_time = threading.Lock()
        self._last_words: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "utils", "listen", str(bot)], cwd=PROJECT, env=_environment(), text=True,
            encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._keep_last_words, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            if event := _as_event(line):
                self._answers.put(event)
        self._answers.put(None)

    def _keep_last_words(self) -> None:
        for line in self._process.stderr:
            self._last_words = [*self._last_words[-40:], line]

    def is_going(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def write(self, opening: str, count: int, temperature: float) -> Iterator[dict[str, Any]]:
        """Ask for drafts; yields events until it is done. Raises `Problem` or `ChildFailed`.

        Whoever asks while it writes waits until it is done.
        """
        with self._one_at_a_time:
            self._number += 1
            self._send({"request": self._number, "opening": opening, "count": count, "temperature": temperature})
            while True:
                event = self._answers.get()
                if event is None:
                    self._answers.put(None)  # the next to ask is to know it too
                    raise ChildFailed("".join(self._last_words) or "The bot stopped without a word.")
                if event.get("request") not in (None, str(self._number)):
                    continue
                if event["event"] == "error":
                    raise Problem(event["sentence"])
                yield event
                if event["event"] == "done":
                    return

    def stop(self) -> None:
        """Ask it to end the drafts that it is writing."""
        self._send({"stop": self._number})

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # it has ended; whoever reads the answers is told so

    def close(self) -> None:
        """Let it go, and give its memory back."""
        try:
            self._process.stdin.close()
            self._process.wait(SECONDS_TO_LEAVE)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()


class Errand:
    """A command in a child process that the page waits for: its events while it works, and what it printed.

    secrets: environment variables for the child alone; unlike arguments, nobody else on the machine can read them.
    """

    def __init__(self, arguments: Sequence[str], secrets: Mapping[str, str]) -> None:
        self.result: dict[str, Any] = {}
        self._stopped = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "utils", *arguments, "--events", "--json"], env={**_environment(), **secrets},
            text=True, encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, to its end. Raises `Problem` or `ChildFailed` if it failed; stops without a word if told to."""
        words: list[str] = []
        problem = None
        for line in self._process.stderr:
            event = _as_event(line)
            if event is None:
                words = [*words[-40:], line]
            elif event["event"] == "error":
                problem = event["sentence"]
            else:
                yield event
        printed = self._process.stdout.read()  # one line; it fits into the pipe
        if self._process.wait() == 0:
            self.result = json.loads(printed)
        elif not self._stopped:
            if problem:
                raise Problem(problem)
            raise ChildFailed("".join(words) or WITHOUT_A_WORD)

    def stop(self) -> None:
        """Have it leave at once. A child of a notebook's kernel may have been born deaf to SIGINT."""
        self._stopped = True
        self._process.terminate()
