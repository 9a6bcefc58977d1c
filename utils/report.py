"""How a bot came about, and where the seconds went.

In: what the stages say of themselves. Out: a Report, which `train --json` prints. Knows nothing about how
any of it is done.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from utils.settings import TrainingSettings

SAVING_SECONDS = 3.0
"""Set aside for writing the bot: 270 MB took 1 to 2 s on the disks that were tried."""

EVALUATION_MARGIN = 1.1
"""The held-out posts are scored twice; the second time is given a tenth more time than the first took."""

EVALUATION_SHARE = 0.12
"""Of the minutes, what scoring the held-out posts may take, each time. Posts for which that is too short are left
out, before and after alike. Two cores with bfloat16 score the 131 of `sample:keeperfinch` in 3 s, a hundredth of five
minutes."""


@dataclass(frozen=True)
class Report:
    """How a bot came about: what `train --json` prints. Seconds are of wall clock, memory in bytes."""

    bot: str
    authors: list[str]
    model: str
    device: str
    precision: str
    posts: dict[str, int]
    changed: dict[str, int]
    parts: dict[str, int]
    held_out: dict[str, float]
    validation: list[tuple[float, float]]
    seconds: dict[str, float]
    steps: int
    tokens_trained: int
    peak_memory_bytes: int
    seed: int
    stopped: bool
    warnings: list[str]
    tracking: dict[str, Any] = field(default_factory=dict)
    learned: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class UpdateReport:
    """What came of looking for new posts: what `update --json` prints. Names as in `Report` mean the same.

    updated: whether the bot has changed; reason: why, or why not, in a sentence.
    before: the folder with the version before, None where there is none.
    new_posts: how many were `found`, and how many of these went into each part.
    posts, remarks: what the sources held this time, and what a reader should know of it, a sentence each.
    parts, held_out: of the bot as it is now.
    comparison: for `old_posts` and `new_posts`, held out before this update and by it, their `posts` and
        `characters`, and the bits per character of the `bot_before` and the `bot_after`; empty where nothing
        was trained.
    """

    bot: str
    updated: bool
    reason: str
    before: str | None
    authors: list[str]
    model: str
    posts: dict[str, int]
    remarks: list[str]
    new_posts: dict[str, int]
    parts: dict[str, int]
    held_out: dict[str, float]
    seconds: dict[str, float]
    seed: int
    comparison: dict[str, dict[str, float]] = field(default_factory=dict)
    device: str | None = None
    precision: str | None = None
    validation: list[tuple[float, float]] = field(default_factory=list)
    steps: int = 0
    tokens_trained: int = 0
    peak_memory_bytes: int = 0
    stopped: bool = False
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Clock:
    """Where the seconds went. Pauses count for nothing."""

    def __init__(self, started: float) -> None:
        self.started = self._last = started
        self._laps: Counter[str] = Counter()

    def lap(self, name: str) -> float:
        """Book the seconds since the last lap under a name, and return them."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._laps[name] += seconds
        return seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Seconds inside the block are left out, of the budget as well."""
        began = time.monotonic()
        try:
            yield
        finally:
            pause = time.monotonic() - began
            self.started += pause
            self._last += pause

    def ends(self, settings: TrainingSettings) -> float:
        """The moment of `time.monotonic` at which all has to be done; infinite where steps count and not minutes."""
        return math.inf if settings.steps else self.started + settings.minutes * 60

    def first_scoring_ends(self, settings: TrainingSettings) -> float:
        """The moment at which the held-out posts have to be scored for the first time, counted from now."""
        return math.inf if settings.steps else time.monotonic() + EVALUATION_SHARE * settings.minutes * 60

    def seconds(self) -> dict[str, float]:
        """Seconds by name, and `total`."""
        return {
            **{name: round(s, 2) for name, s in self._laps.items()},
            "total": round(time.monotonic() - self.started, 2),
        }


def added_up(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """The sums of several authors' counts, name by name."""
    return {name: sum(count[name] for count in counts) for name in counts[0]}
