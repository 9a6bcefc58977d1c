"""What memory is left, how steps are made to fit, and the real command in a real group that holds it to its limit."""

import io
import json
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from containers import GIB, entering, group
from tiny import save_tiny_model

from utils import environment, footprint, memory
from utils.cleaning import clean
from utils.course import Conditions
from utils.dataset import Example, build
from utils.errors import OutOfMemory
from utils.footprint import SMALLEST, Footprint
from utils.language_model import LanguageModel, load_folder
from utils.listener import listen
from utils.pipeline import make_bot
from utils.settings import TrainingSettings
from utils.timelines import load
from utils.training import fine_tune

CPU = torch.device("cpu")
NO_LIMIT = 9223372036854771712


def lay_out(root: Path, files: dict[str, object]) -> Path:
    """A folder that looks like the uppermost of a machine."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def group_1(path: str, limit: int, usage: int, stat: str = "") -> dict[str, object]:
    """The files of a group of version 1."""
    folder = f"sys/fs/cgroup/memory/{path}"
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    return {f"{folder}/{name}": value for name, value in zip(names, (limit, usage, stat), strict=True)}


def group_2(path: str, limit: int | str, usage: int, stat: str = "") -> dict[str, object]:
    """The files of a group of version 2."""
    folder = f"sys/fs/cgroup/{path}"
    names = ("memory.max", "memory.current", "memory.stat")
    return {f"{folder}/{name}": value for name, value in zip(names, (limit, usage, stat), strict=True)}


FILES_1 = "cache 900\ninactive_file 1\ntotal_inactive_file 300\ntotal_active_file 200\ntotal_mapped_file 100"
FILES_2 = "anon 100\nfile 900\nfile_mapped 100\ninactive_file 300\nactive_file 200"


@pytest.mark.parametrize(
    ("own", "files", "left"),
    [
        ("0::/", group_2("", 2000, 500), 1500),
        ("0::/", group_2("", "max", 500), None),
        ("0::/", group_2("", 2000, 500) | {"sys/fs/cgroup/memory.high": 1200}, 700),
        ("0::/", group_2("", 2000, 1500, FILES_2), 900),
        ("0::/", group_2("", 2000, 2100), 0),
        ("0::/a/b", group_2("a/b", "max", 100) | group_2("a", 1000, 400), 600),
        ("0::/a/b", group_2("a/b", 800, 100) | group_2("a", 1000, 900) | group_2("c", 10, 9), 100),
        ("0::/kubepods/pod7", group_2("", 2000, 500), 1500),
        ("0::/../../pod7", group_2("", 2000, 500), 1500),
        ("4:memory:/a", group_1("a", NO_LIMIT, 100) | group_1("", NO_LIMIT, 900), None),
        ("4:memory:/a", group_1("a", 2000, 100) | group_1("", NO_LIMIT, 900), 1900),
        ("4:memory:/a/b", group_1("a/b", 2000, 100) | group_1("a", 1000, 300), 700),
        ("4:memory:/docker/7", group_1("", 2000, 1500, FILES_1), 900),
        ("2:cpu,memory:/a\n0::/x", group_1("a", 2000, 100), 1900),
        ("1:cpu:/a\n0::/", group_1("a", 2000, 100), None),
        ("0::/", {}, None),
    ],
)
def test_what_the_containers_limit_leaves(own: str, files: dict[str, object], left: int | None, tmp_path: Path) -> None:
    assert memory.left_in_container(lay_out(tmp_path, {"proc/self/cgroup": own, **files})) == left


def test_a_machine_without_groups_has_no_container(tmp_path: Path) -> None:
    assert memory.left_in_container(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of memory")
@pytest.mark.parametrize("option", ["-d", "-v"])
def test_a_limit_of_the_shell_counts_too(option: str) -> None:
    code = "from utils import memory; print(memory.available(), memory.left_by_ulimit())"
    command = f"ulimit {option} 1000000; {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    free, left = map(int, subprocess.check_output(["bash", "-c", command], text=True).split())
    assert 100_000_000 < left < 1_024_000_000
    assert abs(free - left) < 10_000_000, "asked one after the other"
    assert memory.left_by_ulimit() is None


def test_what_is_available_is_no_more_than_the_container_leaves() -> None:
    left = memory.left_in_container()
    assert 0 < memory.available() <= (math.inf if left is None else left + 50_000_000)


class TestSteps:
    """How steps are made to fit."""

    SETTINGS = TrainingSettings(tokens_per_batch=512)

    @staticmethod
    def fitting(model: LanguageModel, settings: TrainingSettings = SETTINGS, free: int | None = None) -> Footprint:
        return footprint.fitting(model, settings, torch.float32, free)

    def test_become_smaller_pieces_as_memory_gets_tighter(self, tmp_path: Path) -> None:
        model = load_folder(save_tiny_model(tmp_path / "model"), CPU)
        whole = self.fitting(model)
        assert (whole.tokens_at_once, whole.given_up()) == (None, [])
        assert self.fitting(model, free=whole.bytes) == whole
        half = self.fitting(model, free=whole.bytes - 1)
        quarter = self.fitting(model, free=half.bytes - 1)
        assert (half.tokens_at_once, quarter.tokens_at_once) == (256, 128)
        assert whole.bytes > half.bytes > quarter.bytes
        assert "in pieces of 128 tokens" in quarter.given_up()[0]
        with pytest.raises(OutOfMemory, match=r"Training this model needs about 0\.4 GB of memory and 0\.0 GB is free"):
            self.fitting(model, free=1000)

    def test_that_are_small_already_are_taken_whole_or_not_at_all(self, tmp_path: Path) -> None:
        model = load_folder(save_tiny_model(tmp_path / "model"), CPU)
        small = TrainingSettings(tokens_per_batch=SMALLEST)
        assert self.fitting(model, small).tokens_at_once is None
        with pytest.raises(OutOfMemory):
            self.fitting(model, small, self.fitting(model, small).bytes - 1)

    def test_are_computed_in_float32_where_bfloat16_would_take_too_much(self, tmp_path: Path) -> None:
        model = load_folder(save_tiny_model(tmp_path / "model"), CPU)
        small = TrainingSettings(tokens_per_batch=SMALLEST)
        fast = footprint.fitting(model, small, torch.bfloat16)
        assert (fast.precision, fast.given_up()) == (torch.bfloat16, [])
        slow = footprint.fitting(model, small, torch.bfloat16, fast.bytes - 1)
        assert (slow.precision, slow.tokens_at_once) == (torch.float32, None)
        assert slow.bytes == self.fitting(model, small).bytes < fast.bytes
        assert slow.given_up() == ["Memory is tight here, so the model learns with float32, which is slower."]
        whole = footprint.fitting(model, self.SETTINGS, torch.bfloat16)
        pieces = footprint.fitting(model, self.SETTINGS, torch.bfloat16, whole.bytes - 1)
        assert (pieces.precision, pieces.tokens_at_once) == (torch.bfloat16, 256), "smaller pieces are given up first"

    def test_of_larger_models_take_more(self, tmp_path: Path) -> None:
        two, four = (load_folder(save_tiny_model(tmp_path / str(n), layers=n), CPU) for n in (2, 4))
        assert self.fitting(four).bytes > self.fitting(two).bytes
        assert self.fitting(four, TrainingSettings(learned_share=0.5)).bytes < self.fitting(four).bytes, (
            "where fewer layers learn, less is kept for the backward pass"
        )

    def test_in_pieces_teach_the_same_as_whole_ones(self, tmp_path: Path) -> None:
        folder = save_tiny_model(tmp_path / "model")
        learned = []
        for tokens_at_once in (None, 128):
            model = load_folder(folder, CPU)
            dataset = build([clean(load("sample:unit7bakes"))], model.encode, seed=0)
            conditions = Conditions(math.inf, torch.float32, tokens_at_once=tokens_at_once)
            training = fine_tune(model, dataset, TrainingSettings(steps=5), conditions)
            learned.append((training, dict(model.network.named_parameters())))
        (whole, weights), (pieces, weights_of_pieces) = learned
        assert whole.tokens == pieces.tokens
        assert [bits for _, bits in pieces.validation] == pytest.approx(
            [bits for _, bits in whole.validation], abs=1e-4
        )
        for name, weight in weights.items():
            torch.testing.assert_close(weights_of_pieces[name], weight, rtol=1e-2, atol=1e-3)

    def test_in_pieces_take_only_the_beginning_of_a_post_that_is_longer(self, tmp_path: Path) -> None:
        model = load_folder(save_tiny_model(tmp_path / "model"), CPU)
        dataset = build([clean(load("sample:unit7bakes"))], model.encode, seed=0)
        long = Example("x", 0, tuple([*model.beginning, *[5] * 300]))
        dataset = type(dataset)(**{**vars(dataset), "training": (long,)})
        conditions = Conditions(math.inf, torch.float32, tokens_at_once=128)
        assert fine_tune(model, dataset, TrainingSettings(steps=2), conditions).tokens == 2 * 128


def test_what_was_given_up_is_said_and_kept_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save_tiny_model(tmp_path / "model")
    settings, events = TrainingSettings(steps=2, model=str(model)), []
    whole = footprint.fitting(load_folder(model, CPU), settings, environment.precision(CPU)).bytes
    monkeypatch.setattr(memory, "available", lambda: whole - 1)  # a machine with just too little
    _, report = make_bot(["sample:unit7bakes"], settings, events.append)
    (sentence,) = [
        event.sentence for event in events if event.kind == "warning" and "Memory is tight" in event.sentence
    ]
    assert sentence in report.warnings


def test_a_bot_is_not_woken_where_there_is_no_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 400_000_000)  # what a training may leave
    monkeypatch.setattr(memory, "end_first", lambda: None)  # it would hold for the tests' own process
    answers = io.StringIO()
    listen(save_tiny_model(tmp_path / "keeper"), io.StringIO(), answers)
    (event,) = map(json.loads, answers.getvalue().splitlines())
    assert event["event"] == "error"
    assert event["sentence"].startswith("Waking keeper needs about 0.5 GB of memory and 0.4 GB is free. Wait until")


def run_in(group: Path, *arguments: object) -> subprocess.CompletedProcess:
    """`python -m utils …` in a group, with one core's threads, as on Binder."""

    command = [sys.executable, "-m", "utils", *map(str, arguments)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    surroundings.pop("WANDB_MODE", None)  # the record of the training takes memory, too
    return subprocess.run(
        command, capture_output=True, text=True, timeout=3000, env=surroundings, preexec_fn=entering(group)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("real_weights")
class TestAContainer:
    """The real command with the real weights, where all that runs may take so much memory together."""

    def test_of_two_gigabytes_is_enough_to_train_write_and_evaluate(self, tmp_path: Path) -> None:
        with group(2 * GIB) as binder:
            done = run_in(binder, "train", "sample:keeperfinch", "--steps", 4, "--out", tmp_path / "bot", "--json")
            assert done.returncode == 0, done.stderr
            report = json.loads(done.stdout)
            assert "Memory is tight here" in report["warnings"][0]
            held_out = report["held_out"]
            assert held_out["bits_per_character"] < held_out["bits_per_character_before"]
            for command in (["tweet", "-n", 4], ["evaluate", "--drafts", 4]):
                done = run_in(binder, *command, tmp_path / "bot", "--json")
                assert done.returncode == 0, done.stderr

    def test_of_one_and_a_half_gets_a_sentence_and_is_not_killed(self, tmp_path: Path) -> None:
        with group(3 * GIB // 2) as small:
            done = run_in(small, "train", "sample:keeperfinch", "--steps", 20, "--out", tmp_path / "bot")
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "Training this model needs about" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "bot").exists()
