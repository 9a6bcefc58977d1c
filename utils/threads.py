"""How many threads compute: one for each core, or fewer while other programs keep the cores busy.

In: how long each piece of work took, how much processor time it got, and how much work it was. Out: PyTorch's number
of threads, as many as pay. Knows nothing about what the work is.

The threads of a matrix product wait for each other, and they do so at full speed. Where another program takes one of
two cores from them, most of what they get goes into waiting. On two cores of an EPYC, a training step of 256 tokens
took 1.9 s with two threads and 2.7 s with one; beside one other busy process 6.3 and 3.2 s, beside two 6.8 and 4.8.
Ten drafts took 11 s and 12 s; beside one process 34 and 12 s, beside two 38 and 20. A training of two minutes learned
from 2,014 tokens beside one and 1,101 beside two when all threads always worked, and from 5,000 and 3,422 with trials.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from utils import processes

STARVED = 0.8
"""A thread that gets less of its core than this may do better with fewer beside it. With nothing else running, threads
got 0.93 to 0.97, beside one busy process 0.6."""

PERIOD = 0.5
"""Seconds of work, at least, by which a number of threads is judged."""

GAIN = 0.9
"""Another number is kept where the same work takes no more than this share of the time."""

REST = 10
"""After a trial that did not help there is none for so many times as long as it took, so trials cost little."""


class Trials:
    """Which number of threads pays, found by trying: half of them where they starve, twice as many where not.

    number: of threads to work with from now on; at most `most`.
    """

    def __init__(self, most: int) -> None:
        self.number = self.most = most
        self._held = False
        self._kind = ""
        self._before: tuple[int, float] | None = None  # during a trial: the number, and the seconds for an amount of 1
        self._rest = 0.0
        self._begin()

    @property
    def trying(self) -> bool:
        """Whether this number of threads is on trial, so that its pace says little about the machine's."""
        return self._before is not None

    def note(self, kind: str, seconds: float, processor_seconds: float, amount: float) -> None:
        """Work of this kind and amount took so many seconds, and so many of all threads together.

        Only work of one kind is compared; a trial during which the kind changes ends without a verdict.
        """
        if kind != self._kind:
            self._kind = kind
            self._begin()
            if self.trying:
                self._go_back()
                return
        self._seconds += seconds
        self._processor_seconds += processor_seconds
        self._amount += amount
        if self._seconds < PERIOD or self._held:
            return
        if self._before:
            self._judge(self._before[1])
        else:
            self._rest -= self._seconds
            self._try_another()
        self._begin()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside the block, all threads work and none is tried without."""
        self.number, self._before, self._held = self.most, None, True
        try:
            yield
        finally:
            self._held = False

    def _begin(self) -> None:
        self._seconds = self._processor_seconds = self._amount = 0.0

    def _judge(self, pace: float) -> None:
        if self._seconds / self._amount > GAIN * pace:
            self._rest = REST * self._seconds
            self._go_back()
        else:
            self._before = None

    def _go_back(self) -> None:
        self.number, self._before = self._before[0], None

    def _try_another(self) -> None:
        starved = self._processor_seconds < STARVED * self._seconds * self.number
        other = max(self.number // 2, 1) if starved else min(self.number * 2, self.most)
        if other != self.number and self._rest <= 0:
            self._before = self.number, self._seconds / self._amount
            self.number = other


@cache
def trials() -> Trials:
    """The trials of this process, for which the number of threads is one."""
    return Trials(torch.get_num_threads())


@contextmanager
def watched(kind: str, amount: float, device: torch.device) -> Iterator[None]:
    """A piece of work, by which the number of threads is judged; amount: in any unit, of one kind always the same.

    Other devices than the CPU are left alone, and so are several processes, among which a launcher divided the cores.
    """
    if device.type != "cpu" or processes.count() > 1:
        yield
        return
    _apply()
    began, processor_began = time.monotonic(), time.process_time()
    yield
    trials().note(kind, time.monotonic() - began, time.process_time() - processor_began, amount)
    _apply()


def _apply() -> None:
    """Each thread of Python has a number of its own, so what was set in another one does not count."""
    if torch.get_num_threads() != trials().number:
        torch.set_num_threads(trials().number)
