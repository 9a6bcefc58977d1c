import pytest

from utils.pace import MOST, Pace


def pace_of(*seconds: float) -> Pace:
    pace = Pace()
    for each in seconds:
        pace.note(each, amount=100)
    return pace


@pytest.mark.parametrize(
    ("seconds", "slowdown"),
    [
        ([], 1),
        ([1, 2], 3 / 2),
        ([1, 4], 4),
        ([1] * 10, 1),
        ([9, 1, 1, 1], 1),  # the first step is often slow
        ([1, 1, 1, 3], 3),  # long enough to go by
        ([0.5] * 6 + [1], 3 / 2.5),  # one short step is looked at with those before it
        ([1, 1, 1, 3, 3, 3], 3),
        ([1, 1, 1, 3, 3, 3, 1, 1, 1], 1),
        ([1, 1, 1, 99, 99, 99], MOST),
    ],
)
def test_the_slowdown_is_the_latest_steps_against_the_fastest(seconds: list[float], slowdown: float) -> None:
    assert pace_of(*seconds).slowdown == pytest.approx(slowdown)


def test_a_larger_step_may_take_longer() -> None:
    pace = pace_of(1, 1, 1)
    for _ in range(3):
        pace.note(4, amount=400)
    assert pace.slowdown == pytest.approx(1)
