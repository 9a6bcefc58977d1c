from collections.abc import Callable, Iterator
from itertools import count

import pytest
import torch

from utils import threads
from utils.threads import Trials

CORES = 2


def quiet(number: int) -> tuple[float, float]:
    """Seconds of a step, and of its processor time, as they were measured for so many threads of two."""
    return {1: (2.7, 2.7), 2: (1.9, 3.8)}[number]


def busy(number: int) -> tuple[float, float]:
    """The same, while another program keeps one of the two cores busy."""
    return {1: (3.2, 3.1), 2: (6.3, 6.9)}[number]


def starved_but_faster_with_all(number: int) -> tuple[float, float]:
    return {1: (4.0, 2.0), 2: (3.0, 3.0)}[number]


def held_to_four_cores(number: int) -> tuple[float, float]:
    """A container that may use four of sixteen cores: more threads than that only wait."""
    return 8 / min(number, 4) + 0.2 * max(number - 4, 0), 8.0


def work(trials: Trials, machine: Callable[[int], tuple[float, float]], steps: int) -> list[int]:
    """The numbers of threads that so many steps were done with."""
    numbers = []
    for _ in range(steps):
        numbers.append(trials.number)
        trials.note("learning", *machine(trials.number), amount=256)
    return numbers


def test_on_a_quiet_machine_all_threads_work_all_the_time() -> None:
    assert set(work(Trials(CORES), quiet, 50)) == {2}


def test_beside_a_busy_program_half_of_them_go_on_alone_and_all_come_back_when_it_ends() -> None:
    trials = Trials(CORES)
    numbers = work(trials, busy, 50)
    assert numbers[:3] == [2, 1, 1]
    assert numbers.count(2) <= 5, "now and then it is tried whether all would be faster again"
    assert work(trials, quiet, 50)[-30:] == [2] * 30


def test_trials_that_do_not_help_cost_less_than_a_tenth() -> None:
    numbers = work(Trials(CORES), starved_but_faster_with_all, 200)
    assert 1 in numbers
    seconds = sum(starved_but_faster_with_all(number)[0] for number in numbers)
    assert seconds < 1.1 * 200 * starved_but_faster_with_all(2)[0]


def test_a_container_with_few_of_many_cores_gets_as_many_threads_as_pay() -> None:
    assert work(Trials(16), held_to_four_cores, 20)[-1] == 4


def test_pieces_too_short_to_judge_are_judged_together() -> None:
    trials = Trials(CORES)
    for _ in range(9):
        trials.note("learning", 0.05, 0.05, amount=1)
    assert not trials.trying
    trials.note("learning", 0.06, 0.05, amount=1)
    assert (trials.trying, trials.number) == (True, 1)


def test_work_of_another_kind_is_not_compared() -> None:
    trials = Trials(CORES)
    trials.note("scoring", 6.3, 6.9, amount=1)
    assert (trials.trying, trials.number) == (True, 1)
    trials.note("learning", 1.0, 1.0, amount=1)
    assert (trials.trying, trials.number) == (False, 2)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads of PyTorch's, whatever this machine has, and no memory of earlier trials."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    trials = Trials(2)
    monkeypatch.setattr(threads, "trials", lambda: trials)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def starving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that says that every piece of work took a second, in which no thread got any time."""
    seconds = count()
    monkeypatch.setattr("utils.threads.time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("utils.threads.time.process_time", lambda: 0.0)


def do_work(device: str = "cpu") -> None:
    with threads.watched("learning", 1, torch.device(device)):
        pass


@pytest.mark.usefixtures("two_threads", "starving")
def test_pytorch_computes_with_the_number_on_trial() -> None:
    do_work()
    assert torch.get_num_threads() == 1
    do_work()
    assert torch.get_num_threads() == 2, "it took as long, so it is no better"


@pytest.mark.usefixtures("two_threads", "starving")
def test_where_sums_have_to_be_the_same_all_threads_work() -> None:
    do_work()
    with threads.trials().held():
        for _ in range(5):
            do_work()
            assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads", "starving")
def test_a_gpu_and_several_processes_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    do_work("cuda")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    do_work()
    assert torch.get_num_threads() == 2
