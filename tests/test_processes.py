"""Two real processes over loopback, started by the real launchers: they make the bot that one makes, or none."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from utils.dataset import Example
from utils.training import _share_of

PYTHON = [sys.executable, "-m"]
TORCHRUN = [*PYTHON, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
ACCELERATE = [*PYTHON, "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
              "--main_process_port", "0", "-m"]  # fmt: skip
STEPS = 20
LONG = 600
"""Seconds that no test takes, however busy the machine; one that hangs ends then."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun wants a libuv there that PyTorch lacks")


def start(launcher: list[str], *arguments: object) -> subprocess.Popen:
    command = [*launcher, "utils", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train(launcher: list[str], model: Path, out: Path) -> tuple[dict, list[dict]]:
    """A bot of a few steps: its report, and the events on its way."""
    options = ["--steps", STEPS, "--model", model, "--out", out, "--json", "--events"]
    process = start(launcher, "train", "sample:unit7bakes", *options)
    printed, said = process.communicate(timeout=LONG)
    assert process.returncode == 0, said
    return json.loads(printed), [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def wait_for(process: subprocess.Popen, kind: str) -> None:
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["event"] == kind:
            return


def test_two_processes_make_the_bot_that_one_makes(taught_model: Path, tmp_path: Path) -> None:
    one, told_by_one = train(PYTHON, taught_model, tmp_path / "one")
    two, told_by_two = train(ACCELERATE, taught_model, tmp_path / "two")
    assert two["device"] == f"{one['device']}, 2 processes"
    assert (two["steps"], two["tokens_trained"]) == (STEPS, one["tokens_trained"])
    assert two["held_out"] == pytest.approx(one["held_out"], abs=0.002)
    assert one["held_out"]["bits_per_character"] < one["held_out"]["bits_per_character_before"] - 0.01

    kinds = [event["event"] for event in told_by_two]
    assert kinds == [event["event"] for event in told_by_one], "only one of them speaks"
    exact = 1e-3 if one["precision"] == "float32" else 0.1  # in bfloat16 a loss is right to about a hundredth
    for first, second in zip(told_by_one, told_by_two, strict=True):
        if first["event"] == "loss":
            assert second["learning_rate"] == first["learning_rate"]
            assert second["loss"] == pytest.approx(first["loss"], abs=exact), f"step {first['step']}"


@pytest.mark.parametrize("lengths", [[9, 9, 9, 9], [3, 12, 30], [7]])
def test_each_learns_from_its_share_and_counts_as_much_as_it_has_tokens(
    lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [Example("", 0, tuple(range(length + 1))) for length in lengths]
    monkeypatch.setenv("WORLD_SIZE", "2")
    learned = 0.0
    for number in "01":
        monkeypatch.setenv("RANK", number)
        share = _share_of(posts, given=1)
        own = (share["labels"] >= 0).sum().item()
        assert share["tokens"] == sum(lengths)
        assert share["share"] in (0, pytest.approx(2 * own / sum(lengths)))
        learned += own * (share["share"] > 0)
    assert learned == sum(lengths), "every post once, also where there are fewer posts than processes"


def test_a_mistake_ends_all_with_one_sentence(tmp_path: Path) -> None:
    process = start(TORCHRUN, "train", "sample:nobody", "--out", tmp_path / "bot")
    printed, said = process.communicate(timeout=LONG)
    assert (process.returncode, printed) == (1, "")
    assert said.count("There is no sample called 'nobody'") == 1
    assert "utils/__main__.py" not in said, "the traceback is the launcher's own"


def test_ctrl_c_keeps_the_best_bot_so_far(taught_model: Path, tmp_path: Path) -> None:
    options = ["--steps", 2000, "--model", taught_model, "--out", tmp_path / "bot", "--json", "--events"]
    process = start(TORCHRUN, "train", "sample:unit7bakes", *options)
    wait_for(process, "loss")
    process.send_signal(signal.SIGINT)  # a terminal's reaches the launcher alone: it has put the others into sessions
    printed, said = process.communicate(timeout=LONG)
    assert json.loads(printed)["stopped"] is True, said
    assert (tmp_path / "bot" / "bot.json").exists()


def test_where_one_process_dies_the_other_ends_with_a_sentence(taught_model: Path, tmp_path: Path) -> None:
    options = ["--steps", 2000, "--model", taught_model, "--out", tmp_path / "bot", "--json", "--events"]
    process = start(TORCHRUN, "train", "sample:unit7bakes", *options)
    wait_for(process, "loss")
    both = psutil.Process(process.pid).children()
    next(child for child in both if child.environ()["RANK"] == "1").kill()
    began = time.monotonic()
    printed, said = process.communicate(timeout=LONG)
    assert time.monotonic() - began < 25, "before the launcher loses its patience"
    assert (process.returncode, printed) == (1, "")
    assert said.count("One of the 2 processes that were making this bot has ended") == 1
    assert "utils/__main__.py" not in said, "the traceback is the launcher's own"
    assert not (tmp_path / "bot").exists()
    assert not any(psutil.pid_exists(child.pid) for child in both)


@pytest.mark.slow
@pytest.mark.usefixtures("real_weights")
def test_two_processes_keep_the_minutes(tmp_path: Path) -> None:
    began = time.monotonic()
    options = ["--minutes", 1, "--track", "off", "--out", tmp_path / "bot", "--json"]
    process = start(TORCHRUN, "train", "sample:keeperfinch", *options)
    printed, said = process.communicate(timeout=300)
    assert time.monotonic() - began < 60 * 1.03 + 2
    report = json.loads(printed)
    assert report["held_out"]["bits_per_character"] < report["held_out"]["bits_per_character_before"], said
