"""How long will a training still go on?

In: how far a round is, and how long that took. Out: the seconds that are left, with those of the rounds that will fit
in after it, and the share of the whole training that is over. Knows nothing about what is learned.
"""

import time

from utils.pace import Pace

ROOM_FOR_A_ROUND = 0.9
"""Another round begins where this share of the seconds of the first is left; its learning rate is down at zero when
they are over. Cut short by more, it disturbs more than it gives. `sample:keeperfinch`, validation and held-out posts,
after one round of 75 steps 1.465 and 1.480, and the mean of it and one more of 75 1.453 and 1.465, of 52 1.464 and
1.472, of 38 1.472 and 1.478; of two of 75 and one of 52 1.458 and 1.468, one of 38 1.461 and 1.468. The 0.9 lies
between."""


class Countdown:
    """The clock of one training, through all its rounds. It says at once what a look at each round alone would not:
    that the next ones come, too. pace: by how much the machine has slowed down since it was at its fastest."""

    def __init__(self, rounds: int = 1) -> None:
        """rounds: how many there may be, at most."""
        self.share = 0.0
        self.pace = Pace()
        self._rounds_to_come = self._expected = rounds - 1
        self._began = time.monotonic()

    def next_round(self) -> None:
        """A round is over, and another one begins."""
        self._rounds_to_come -= 1
        self._expected = self._rounds_to_come

    def note(self, seconds: float, share: float, at_most: float) -> float:
        """Seconds until training is over, as it looks now. `share` of it follows, and never goes back. A round that is
        not expected any more is not expected again until the next begins, or the seconds would leap to and fro.

        seconds: that this round has learned for. share: of this round that is over, above 0. at_most: seconds after
        which everything has to be over.
        """
        whole = seconds / share
        left = min(whole - seconds, at_most)
        if self._expected and whole:
            self._expected = min(self._expected, int((at_most - left) / whole + 1 - ROOM_FOR_A_ROUND))
            left = min(left + whole * self._expected, at_most)
        over = time.monotonic() - self._began
        self.share = max(self.share, over / (over + left))
        return left
