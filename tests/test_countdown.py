import time

import pytest

from utils.countdown import Countdown

QUARTER = {"seconds": 10, "share": 0.25}
"""A round of 40 seconds, of which 30 are left."""


@pytest.mark.parametrize(
    ("rounds", "at_most", "left"),
    [
        (1, 500, 30),
        (1, 20, 20),
        (3, 500, 110),
        (3, 80, 70),  # a third one would not fit
        (3, 67, 67),  # a second one fits but for its last seconds
        (3, 60, 30),
        (3, 20, 20),
    ],
)
def test_what_is_left_is_this_round_and_those_that_fit_in_after_it(rounds: int, at_most: float, left: float) -> None:
    assert Countdown(rounds).note(**QUARTER, at_most=at_most) == pytest.approx(left)


def test_each_round_that_begins_is_one_less_to_come() -> None:
    countdown = Countdown(rounds=3)
    left = []
    for _ in range(3):
        left.append(countdown.note(**QUARTER, at_most=500))
        countdown.next_round()
    assert left == pytest.approx([110, 70, 30])


def test_a_round_that_just_does_not_fit_is_not_expected_again_by_the_next_step() -> None:
    countdown = Countdown(rounds=3)
    left = [countdown.note(**QUARTER, at_most=at_most) for at_most in (111, 105, 120)]
    assert left == pytest.approx([110, 70, 70])


def test_the_share_that_is_over_counts_all_rounds_and_never_goes_back() -> None:
    countdown = Countdown(rounds=2)
    time.sleep(0.02)
    countdown.note(0.02, 0.5, at_most=5)  # one half of two rounds
    first = countdown.share
    assert 0.2 < first < 0.5
    countdown.note(0.02, 0.1, at_most=5)  # the machine has become slower
    assert countdown.share == first
    countdown.next_round()
    countdown.note(0.02, 1.0, at_most=5)
    assert countdown.share == 1.0
