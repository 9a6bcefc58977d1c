"""The record of a training: W&B for real, offline and before a server on loopback that is well, ill or gone."""

import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_wandb import FakeWandb, nobody, serving

from utils import tracking
from utils.bot import read_story

ROOT = Path(__file__).parent.parent
KEY = "0123456789abcdef0123456789abcdef01234567"
WANDB = str(Path(sys.executable).parent / "wandb")

Train = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(autouse=True)
def tracked_as_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is off for all other tests."""
    monkeypatch.delenv("WANDB_MODE")


def command(model: Path, home: Path, *options: object, reference: object = "sample:unit7bakes") -> list[str]:
    """The command that trains a tiny bot in a test's own home."""
    return [sys.executable, "-m", "utils", "train", str(reference), "--model", str(model), "--out", str(home / "bot"),
            *map(str, options)]  # fmt: skip


@pytest.fixture
def train(taught_model: Path, own_home: Path) -> Train:
    """A function that trains a tiny bot by the command line, in the test's own home."""

    def run(*options: object, reference: object = "sample:unit7bakes", **environment: str) -> Any:
        arguments = command(taught_model, own_home, "--json", *(options or ("--steps", 5)), reference=reference)
        return subprocess.run(
            arguments, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=True
        )

    return run


@pytest.fixture
def begin(taught_model: Path, own_home: Path, server: FakeWandb) -> Callable[..., subprocess.Popen]:
    """A function that begins such a training, tracked by the server."""

    def run(*options: object) -> subprocess.Popen:
        environment = {**os.environ, "WANDB_BASE_URL": server.address, "WANDB_API_KEY": KEY}
        arguments = command(taught_model, own_home, *options)
        return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run


@pytest.fixture
def server() -> Iterator[FakeWandb]:
    with serving() as wandb:
        yield wandb


def report_of(done: subprocess.CompletedProcess) -> dict[str, Any]:
    return json.loads(done.stdout)


def records(folder: Path) -> list[Any]:
    """The records in a run's own file: W&B's messages in blocks of LevelDB's log format, of 32 KiB each.

    The format: https://github.com/google/leveldb/blob/main/doc/log_format.md, after seven bytes of W&B's.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts, found = next(folder.glob("*.wandb")).read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts, at = parts + data[at + 7 : at + 7 + length], at + 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(parts))
            parts = b""
    return found


class Recorded:
    """What a run's file says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.history, self.summary, self.artifacts = folder, [], {}, {}
        for record in records(folder):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.name, self.host, self.project = record.run.display_name, record.run.host, record.run.project
                self.config = {entry.key: json.loads(entry.value_json) for entry in record.run.config.update}
                self.sweep, self.id = record.run.sweep_id, record.run.run_id
            elif kind == "history":
                self.history.append(_plain(record.history.item))
            elif kind == "summary":
                self.summary |= _plain(record.summary.update)
            elif kind == "artifact":
                self.artifacts[record.artifact.type] = record.artifact

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.history if name in row]

    def table(self, name: str) -> list[list[Any]]:
        path = self.folder / "files" / self.column(f"{name}/path")[-1]
        return json.loads(path.read_text("utf-8"))["data"]


def _plain(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def both_runs(home: Path) -> tuple[Recorded, Recorded]:
    """The runs that a training left: of the preparation, and of the training."""
    runs = [Recorded(folder) for folder in sorted((home / "cache" / "wandb").glob("*run-*"))]
    by_end = {run.name.rpartition("-")[2]: run for run in runs if hasattr(run, "name")}
    return by_end["preprocess"], by_end["train"]


def everything_under(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_training_of_somebody_who_is_not_logged_in_is_recorded_in_files(train: Train, own_home: Path) -> None:
    done = train("--steps", 40, "--watch", "--seed", 3)
    report, (before, run) = report_of(done), both_runs(own_home)
    assert (before.name, run.name) == ("@unit7bakes-preprocess", "@unit7bakes-train")
    assert {before.project, run.project} == {"huggingtweets"}

    assert run.column("train/global_step")[-1] == 40
    assert len(run.column("train/loss")) == len(run.column("train/learning_rate")) == 40
    assert min(run.column("train/learning_rate")) < 0.1 * max(run.column("train/learning_rate"))
    assert run.column("train/tokens")[-1] == report["tokens_trained"]
    assert min(run.column("train/tokens_per_second")) > 0 and min(run.column("train/peak_memory_bytes")) > 1e8
    validated = [row for row in run.history if "eval/bits_per_character" in row]
    assert [round(row["eval/bits_per_character"], 4) for row in validated] == [bits for _, bits in report["validation"]]
    assert all({"train/seconds", "train/tokens"} <= row.keys() for row in validated)
    assert run.column("eval/best_bits_per_character")[-1] == min(run.column("eval/bits_per_character"))
    assert run.summary["held_out/bits_per_character"] == report["held_out"]["bits_per_character"]

    assert [row[0] for row in run.table("drafts/on_the_way")][:2] == [
        "What the untrained model writes", "After 20% of the training",
    ]  # fmt: skip
    finished = run.table("drafts/finished_bot")
    assert finished and all(draft.endswith("written by a bot") and copy in (True, False) for draft, copy, _ in finished)

    assert (run.config["learning_rate"], run.config["seed"], run.config["steps"]) == (2.5e-3, 3, 40)
    assert run.config["versions"]["torch"] and run.config["device"].startswith("cpu")
    raw = before.config["inputs"]["raw-dataset"]
    assert (raw["fetched"], raw["kept"], before.config["seed"]) == (700, 658, 3)
    made = before.artifacts["train-dataset"]
    assert json.loads(made.metadata)["digest"] == run.config["inputs"]["train-dataset"]["digest"]
    assert re.fullmatch("[0-9a-f]{64}", run.config["inputs"]["pretrained-model"]["digest"])
    bot = run.artifacts["finetuned-model"]
    assert [entry.path for entry in bot.manifest.contents] == ["card.json"], "no weights, unless they are asked for"

    told = report["tracking"]
    assert (told["mode"], told["url"], told["folder"]) == ("offline", None, str(run.folder))
    assert told["sync"] == shlex.join(["wandb", "sync", str(before.folder), str(run.folder)])
    assert told["sync"] in done.stderr
    assert read_story(own_home / "bot").tracking == {}
    assert {path.name for path in own_home.iterdir()} <= {"cache", "bot", ".cache", ".config"}


def test_of_ones_own_posts_only_numbers_are_recorded_unless_one_says_so(
    train: Train, own_home: Path, write_posts: Callable[..., Path]
) -> None:
    posts = write_posts([f"word{number} of mine, number {number}, that nobody else is to see" for number in range(300)])
    train(reference=posts)
    kept = own_home / "cache" / "wandb"
    recorded, secrets = everything_under(kept), [str(posts), str(posts.parent), KEY]
    assert b"nobody else is to see" not in recorded
    before, run = both_runs(own_home)
    for one in (before, run):
        said = json.dumps([one.config, one.summary, one.history, [a.metadata for a in one.artifacts.values()]])
        assert not [secret for secret in (*secrets, str(own_home)) if secret in said]
        assert one.host == "-"
    assert before.config["inputs"]["raw-dataset"]["fetched"] == 300

    train("--steps", 5, "--track-posts", reference=posts)
    assert b"nobody else is to see" in everything_under(kept)


def test_the_weights_are_part_of_the_record_if_they_are_asked_for(train: Train, own_home: Path) -> None:
    train(WANDB_LOG_MODEL="end")
    _, run = both_runs(own_home)
    files = {entry.path for entry in run.artifacts["finetuned-model"].manifest.contents}
    assert {"model.safetensors", "tokenizer.json", "card.json"} <= files
    assert not [name for name in files if "private" in name or name == "bot.json"]


MODES = [
    ([], {"WANDB_MODE": "disabled"}, "off"),
    ([], {"WANDB_MODE": "off", "WANDB_API_KEY": KEY}, "off"),
    ([], {"WANDB_DISABLED": "true", "WANDB_API_KEY": KEY}, "off"),
    ([], {"WANDB_MODE": "a slip of the finger", "WANDB_API_KEY": KEY}, "offline"),
    (["--track", "off"], {"WANDB_API_KEY": KEY}, "off"),
    ([], {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "offline"),
    (["--track", "online"], {}, "offline"),
]


@pytest.mark.parametrize(("options", "environment", "mode"), MODES, ids=[f"{row[0]}{[*row[1]]}" for row in MODES])
def test_who_asks_decides_then_the_environment_then_whether_one_is_logged_in(
    train: Train, own_home: Path, options: list[str], environment: dict[str, str], mode: str
) -> None:
    done = train("--steps", 3, *options, **environment)
    told = report_of(done)["tracking"]
    assert told["mode"] == mode
    assert (own_home / "cache" / "wandb").exists() == (mode == "offline")
    assert ("Nobody is logged in" in done.stderr) == ("online" in options)
    assert KEY.encode() not in everything_under(own_home / "cache")


def test_one_is_logged_in_by_the_environment_or_by_netrc_for_this_very_server(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (tracking.logged_in(), tracking.default_mode()) == (False, "offline")
    netrc = own_home / ".netrc"
    netrc.write_text(f"machine example.org\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    assert not tracking.logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://example.org")
    assert (tracking.logged_in(), tracking.default_mode()) == (True, "online")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracking.default_mode() == "off"
    netrc.write_text("this is no netrc at all {")
    assert not tracking.logged_in()


def test_online_both_runs_arrive_with_what_they_used_and_made(train: Train, server: FakeWandb, own_home: Path) -> None:
    done = train(WANDB_BASE_URL=server.address, WANDB_API_KEY=KEY)
    report = report_of(done)
    told = report["tracking"]
    assert (told["mode"], told["problem"], told["sync"]) == ("online", "", None)
    assert told["url"].startswith(f"{server.address}/me/huggingtweets/runs/")
    assert f"Tracked with W&B: {told['url']}" in done.stderr
    assert read_story(own_home / "bot").tracking == {"url": told["url"]}
    assert [row["train/global_step"] for row in server.history() if "train/loss" in row] == [1, 2, 3, 4, 5]
    assert server.artifacts() == {
        "unit7bakes-posts": "raw-dataset", "unit7bakes-dataset": "train-dataset", "model": "pretrained-model",
        "unit7bakes-bot": "finetuned-model",
    }  # fmt: skip
    used = [asked for name, asked in server.asked if name == "UseArtifact"]
    assert len(used) == 3, "the raw posts, the data set, the model"
    assert KEY not in done.stdout + done.stderr
    assert KEY.encode() not in everything_under(own_home)


def test_a_wandb_that_refuses_costs_a_sentence_and_the_record_can_be_sent_when_it_is_back(
    train: Train, server: FakeWandb, own_home: Path
) -> None:
    began = time.monotonic()
    done = train(WANDB_BASE_URL=nobody(), WANDB_API_KEY=KEY)
    assert time.monotonic() - began < 40, "two tries of five seconds at most, beside a training of ten"
    report = report_of(done)
    assert report["warnings"] == ["W&B could not be reached; the training was tracked on this machine."]
    assert (own_home / "bot" / "bot.json").exists()
    assert report["tracking"]["mode"] == "offline"

    command = shlex.split(report["tracking"]["sync"])
    assert command[:2] == ["wandb", "sync"]
    back = {**os.environ, "WANDB_BASE_URL": server.address, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false"}
    subprocess.run([WANDB, *command[1:]], env=back, capture_output=True, timeout=60, check=True)
    assert [row["train/global_step"] for row in server.history() if "train/loss" in row] == [1, 2, 3, 4, 5]
    assert {"train-dataset", "finetuned-model"} <= set(server.artifacts().values())


def test_a_wandb_that_never_answers_costs_a_sentence(train: Train, server: FakeWandb, own_home: Path) -> None:
    server.answers.clear()
    began = time.monotonic()
    report = report_of(train(WANDB_BASE_URL=server.address, WANDB_API_KEY=KEY))
    assert time.monotonic() - began < 40
    assert report["warnings"] == ["W&B could not be reached; the training was tracked on this machine."]
    assert report["seconds"]["track"] < tracking.END_SECONDS + 2
    assert both_runs(own_home)[1].column("train/global_step")[-1] == 5


def test_a_wandb_that_falls_silent_in_the_middle_costs_a_sentence(
    begin: Callable[..., subprocess.Popen], server: FakeWandb
) -> None:
    process = begin("--json", "--steps", 200)
    while sum(name == "UpsertBucket" for name, _ in server.asked) < 2 and process.poll() is None:
        time.sleep(0.05)
    server.answers.clear()
    for line in process.stderr:
        if "Saving the bot" in line:
            break
    saving = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - saving < 25, "the drafts, what is waited for at the end, and W&B's own last try"
    report = json.loads(out)
    assert "W&B did not take all of it in time." in report["warnings"]
    assert report["tracking"]["sync"] in err
    assert report["steps"] == 200


def test_whoever_does_not_wait_for_wandb_has_the_bot_all_the_same(
    begin: Callable[..., subprocess.Popen], server: FakeWandb, own_home: Path
) -> None:
    server.answers.clear()
    process = begin("--json", "--steps", 5)
    while not (own_home / "bot").exists() and process.poll() is None:
        time.sleep(0.02)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert read_story(own_home / "bot").tokens_trained
    (warning,) = json.loads(out)["warnings"]
    assert re.search(r"W&B did not take all of it in time|W&B: it did not start in time", warning)


def test_a_key_that_is_none_costs_a_sentence(train: Train, server: FakeWandb) -> None:
    done = train(WANDB_BASE_URL=server.address, WANDB_API_KEY="no key at all")
    assert report_of(done)["warnings"] == ["W&B did not accept the key; the training was tracked on this machine."]
    assert "no key at all" not in done.stdout + done.stderr


def test_leaving_at_once_is_not_held_up_by_a_wandb_that_never_answers(
    begin: Callable[..., subprocess.Popen], server: FakeWandb
) -> None:
    server.answers.clear()
    process = begin("--events", "--minutes", 2)
    while json.loads(process.stderr.readline())["event"] != "held-out":
        pass
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    assert time.monotonic() - began < 20


@pytest.fixture
def sweep() -> dict[str, Any]:
    """The sweep as `wandb sweep` reads it."""
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    return load_sweep_config(str(ROOT / "sweep.yaml"))


def chosen(sweep: dict[str, Any], last: bool) -> dict[str, Any]:
    """One choice of each parameter, as W&B hands it to an agent."""
    values = {}
    for name, parameter in sweep["parameters"].items():
        choices = parameter.get("values") or [parameter.get("value", parameter.get("min")), parameter.get("max")]
        values[name] = {"value": choices[-1 if last and choices[-1] is not None else 0]}
    return values


def test_the_sweep_searches_what_training_can_turn_for_the_figure_that_it_logs(sweep: dict[str, Any]) -> None:
    from utils.settings import TrainingSettings

    assert sweep["metric"] == {"name": "eval/best_bits_per_character", "goal": "minimize"}
    assert sweep["method"] in ("bayes", "grid", "random")
    assert {"model", "learning_rate", "learned_share", "tokens_per_batch", "schedule"} <= sweep["parameters"].keys()
    assert "value" in sweep["parameters"]["minutes"], "the same minutes for all"
    for last in (False, True):
        TrainingSettings(**{name: choice["value"] for name, choice in chosen(sweep, last).items()})
    assert yaml.safe_load((ROOT / "sweep.yaml").read_text()) == sweep


def test_wandb_takes_the_sweep_and_an_agent_trains_and_logs_to_the_run_that_it_was_given(
    sweep: dict[str, Any], taught_model: Path, own_home: Path, server: FakeWandb
) -> None:
    def wandb(*arguments: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.address, "PATH": path}
        done = subprocess.run(
            [WANDB, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "wandb agent me/huggingtweets/abc" in wandb("sweep", str(ROOT / "sweep.yaml"))
    asked_for = {**chosen(sweep, last=True), "model": {"value": str(taught_model)}, "minutes": {"value": 0.5}}
    server.for_agents = [{"type": "run", "run_id": "run1", "program": sweep["program"], "args": asked_for}]
    wandb("agent", "--count", "1", "me/huggingtweets/abc")

    opened = [asked for name, asked in server.asked if name == "UpsertBucket"]
    assert {one["name"] for one in opened} == {"run1"}, "the run that the agent was given, and no other"
    assert opened[0]["sweep"] == "abc"
    assert json.loads(opened[0]["config"])["learned_share"]["value"] == 1.0
    assert [row for row in server.history() if sweep["metric"]["name"] in row]
    assert read_story(own_home / "bots" / "sweep").settings["schedule"] == "linear"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--learning_rate=0", "above 0"),
        ("--learned-share=1.5", "at most 1"),
        ("--tokens_per_batch=1", "from 64"),
        ("--schedule=sine", "cosine"),
        ("--warmup=1", "to 0.5"),
    ],
)
def test_a_setting_that_cannot_be_is_wrong_usage(option: str, sentence: str) -> None:
    command = [sys.executable, "-m", "utils", "train", "sample:unit7bakes", option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert sentence in done.stderr
