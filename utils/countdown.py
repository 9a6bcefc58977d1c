"""How long will a training still go on?

In: how far a round is, and how long that took. Out: the seconds that are left, with the rounds that will fit in after
it, and the share of the whole training that is over. Knows nothing about what is learned.
"""

import time

ROOM_FOR_A_ROUND = 1.1
"""Another round begins where this many times the seconds of the first are left; cut short, it would only disturb."""


class Countdown:
    """The clock of one training, through all its rounds. It says at once what a look at each round alone would not:
    that the next ones come, too."""

    def __init__(self, rounds: int = 1) -> None:
        """rounds: how many there may be, at most."""
        self.share = 0.0
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
            self._expected = min(self._expected, int((at_most - left) / (ROOM_FOR_A_ROUND * whole)))
            left += whole * self._expected
        over = time.monotonic() - self._began
        self.share = max(self.share, over / (over + left))
        return left
