"""What a person at a terminal sees while a command works, and what happens on Ctrl-C.

In: Events. Out: on standard error, a progress bar that names the step and the time left, plain lines
where there is no terminal, or JSON Lines for programs. Knows nothing about what is being done.
"""

import gc
import json
import os
import re
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from utils.errors import UserError
from utils.events import Event
from utils.locks import held

INTERRUPTED = 130
"""The exit status of a process that SIGINT ended: 128 + 2."""

LINES_APART = 10.0
"""Seconds between two lines about the same step where there is no terminal to redraw."""


class Screen:
    """Standard error for the time of one command.

    Leaving the block through a `UserError` prints its sentence and ends the process with status 1;
    through Ctrl-C, with status 130. interrupted: what is said then.
    """

    def __init__(self, events: bool) -> None:
        self._events = events
        self.interrupted = ", before there was anything to keep"
        self._bar = None
        self._last_sentence, self._last_line, self._last_time = "", "", 0.0

    def __enter__(self) -> "Screen":
        if not self._events and sys.stderr and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                SpinnerColumn,
                TaskProgressColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=Console(file=sys.stderr),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._bar and self._bar.stop()
        self._bar = None
        if isinstance(error, UserError):
            self.tell(Event("error", str(error)))
            raise SystemExit(1) from error
        if isinstance(error, KeyboardInterrupt):
            self.tell(Event("error", f"Interrupted{self.interrupted}."))
            raise SystemExit(INTERRUPTED) from error

    def tell(self, event: Event) -> None:
        """Show an event."""
        with suppress(OSError):  # nobody looks any more, or the terminal is gone; the work goes on
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if self._events:
            click.echo(json.dumps(event.as_dict(), ensure_ascii=False), err=True)
        elif self._bar:
            self._show(event)
        elif event.kind != "draft" and self._is_news(event):
            click.echo(event.sentence, err=True)

    def print(self, text: str) -> None:
        """Write to standard output, wrapped at words on a terminal, without tearing the bar."""
        if sys.stdout and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            text = "\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in text.split("\n"))
        if self._bar:
            self._bar.stop()
        click.echo(text)
        if self._bar:
            self._bar.start()

    def _show(self, event: Event) -> None:
        if event.kind in ("warning", "validation", "held-out", "tracked", "error") or event.data.get("posts"):
            self._bar.console.print(event.sentence, markup=False, highlight=False)
        if event.kind in ("stage", "loss", "draft"):
            total = None if event.fraction is None else 1.0
            # A finished task would stop the clock; this one goes on until the command ends.
            completed = min(event.fraction or 0.0, 0.999)
            self._bar.update(self._task, description=event.sentence, completed=completed, total=total)

    def _is_news(self, event: Event) -> bool:
        """Whether a line is worth printing: another sentence, and not the same step's again at once."""
        now, line = time.monotonic(), re.sub(r"\d[\d.,]*", "0", event.sentence)
        is_same_step = line == self._last_line and event.kind in ("stage", "loss")
        if event.sentence == self._last_sentence or is_same_step and now - self._last_time < LINES_APART:
            return False
        self._last_sentence, self._last_line, self._last_time = event.sentence, line, now
        return True


@contextmanager
def in_turn(lock: Path | None, screen: Screen, interrupt: "Interrupt") -> Iterator[float | None]:
    """Wait until no other process is in a block with the same lock file; gives the moment at which the turn came.

    Raises `KeyboardInterrupt` where it is asked to stop meanwhile.

    Two trainings at once on two cores would not share them but spin while they wait for each other's threads:
    together they made a tenth of the steps. Without a lock file there is no waiting and no moment.
    """
    if lock is None:
        yield None
        return
    waiting = Event("stage", "Waiting: another training is going on here, and this one comes after it")

    def on_wait() -> None:
        if interrupt.is_set():
            raise KeyboardInterrupt
        screen.tell(waiting)

    with held(lock, on_wait):
        yield time.monotonic()


def as_card(draft: dict[str, Any]) -> str:
    """A draft for people: with its mark, and a line below where it repeats a training post."""
    copied = draft["copied_from"]
    return draft["post"] + (f"\n  (repeats a post: {copied})" if copied else "") + "\n"


def prepare_process() -> None:
    """Set up a process that is to run one command.

    Importing torch and transformers makes a million objects that stay. Looking through them for garbage
    again and again, and once more at the end, took 1.8 of the 14 s of `tweet`; so it is done rarely. What `train` has
    to import took two faster cores 3.9 s by Python's defaults, 3.1 with 200,000 objects in between, 2.7 with so many.
    """
    gc.set_threshold(1_000_000)
    # Has PyTorch ask Linux for large pages, of which a gigabyte takes fewer: 1 s less for `tweet`.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


class Interrupt:
    """The first Ctrl-C (or SIGTERM) asks to stop and keep what there is, the second leaves at once.

    Until `something_to_keep` is set, the first one leaves at once too. A file asks as well, once it is there:
    Windows sends no signal to another process but one that kills it.
    """

    def __init__(self, screen: Screen, file: Path | None = None) -> None:
        self.something_to_keep = False
        self._screen, self._file = screen, file
        self._asked = False

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._asked or bool(self._file and self._file.exists())

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._asked or not self.something_to_keep:
            if self._asked:
                self._screen.interrupted = "; what had not been saved by then is lost"
            raise KeyboardInterrupt
        self._asked = True
        self._screen.tell(Event("warning", "Stopping; what there is will be kept. Ctrl-C once more leaves at once."))
