"""Is the machine as fast as it was? Others may have begun to use it.

In: how long each step took, and how much it did. Out: by how much the machine has slowed down since it was
at its fastest. Knows nothing about what the steps are.
"""

from collections import deque

PERIOD = 3.0
"""Seconds of steps that are looked at together: one short step alone may have been unlucky, a long one says enough."""

MOST = 5.0
"""No slowdown is believed beyond this: the reserve that is multiplied by it would eat up the training."""


class Pace:
    """The slowdown of a machine, from the time that its steps take."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()
        self._fastest = 0.0

    def note(self, seconds: float, amount: float) -> None:
        """A step did so much, tokens say, in so many seconds."""
        if seconds <= 0 or amount <= 0:
            return
        self._recent.append((seconds, amount))
        while self._seconds() - self._recent[0][0] >= PERIOD:
            self._recent.popleft()
        self._fastest = min(self._fastest or self._average(), self._average())

    @property
    def slowdown(self) -> float:
        """1 at the fastest pace so far, 3 where the same work takes three times as long by now; at most `MOST`."""
        return min(self._average() / self._fastest, MOST) if self._fastest else 1.0

    def _seconds(self) -> float:
        return sum(seconds for seconds, _ in self._recent)

    def _average(self) -> float:
        return self._seconds() / sum(amount for _, amount in self._recent)
