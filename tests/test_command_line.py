import json
import os
import signal
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from utils.commands.bots import _in_words
from utils.timelines import load


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """The command line in a process of its own, as a user starts it."""
    command = [sys.executable, "-m", "utils", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


Trained = tuple[Path, subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def trained(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A bot that the command line trained, and what it said."""
    out = tmp_path_factory.mktemp("bots") / "robot"
    options = ["--steps", 10, "--model", taught_model, "--out", out, "--seed", 3]
    return out, run("train", "sample:unit7bakes", *options, "--json", "--events")


def events(done: subprocess.CompletedProcess) -> list[dict]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_train_prints_one_json_object_with_all_that_is_promised(trained: Trained) -> None:
    out, done = trained
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {"bot", "authors", "model", "device", "precision", "posts", "held_out", "seconds", "tokens_trained",
            "peak_memory_bytes", "seed", "stopped", "tracking"} <= report.keys()  # fmt: skip
    assert (report["bot"], report["authors"], report["seed"]) == (str(out), ["@unit7bakes"], 3)
    assert (report["steps"], report["stopped"]) == (10, False)
    posts = report["posts"]
    assert posts["fetched"] == 700 == sum(posts.values()) - posts["fetched"]
    assert {"posts", "characters", "bits_per_character_before", "bits_per_character"} <= report["held_out"].keys()
    assert {"load", "train", "evaluate", "total"} <= report["seconds"].keys()
    total = report["seconds"].pop("total")
    assert total == pytest.approx(sum(report["seconds"].values()), abs=0.5), "every second is accounted for"
    assert report["tokens_trained"] > 1000
    assert report["peak_memory_bytes"] > 1e8


def test_events_are_json_lines_that_tell_the_whole_story(trained: Trained) -> None:
    told = events(trained[1])
    assert all({"event", "fraction", "sentence"} <= event.keys() for event in told)
    kinds = [event["event"] for event in told]
    assert {"stage", "loss", "validation", "held-out", "done"} <= set(kinds)
    assert kinds.count("loss") == 10
    assert kinds.count("held-out") == 2
    assert kinds[-1] == "done"


def test_tweet_prints_drafts_as_promised(trained: Trained) -> None:
    done = run("tweet", trained[0], "--start", "The oven", "-n", 3, "--seed", 1, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert len(answer["drafts"]) + answer["dropped"] == 3
    assert answer["seconds"] > 0
    for draft in answer["drafts"]:
        assert {"text", "start", "copied_from", "bits_per_character"} <= draft.keys()
        assert draft["start"] == "The oven"
        assert draft["post"].endswith("written by a bot")


def test_drafts_for_people_carry_the_mark(trained: Trained) -> None:
    done = run("tweet", trained[0], "-n", 4, "--seed", 1)
    answer = json.loads(run("tweet", trained[0], "-n", 4, "--seed", 1, "--json").stdout)
    assert answer["drafts"]
    assert done.stdout.count("🤖 written by a bot") == len(answer["drafts"])
    assert all(draft["post"] in done.stdout for draft in answer["drafts"])


def test_evaluate_agrees_with_what_training_reported(trained: Trained) -> None:
    done = run("evaluate", trained[0], "--drafts", 5, "--json")
    figures, report = json.loads(done.stdout), json.loads(trained[1].stdout)["held_out"]
    assert (figures["posts"], figures["characters"]) == (report["posts"], report["characters"])
    assert figures["bits_per_character"] == pytest.approx(report["bits_per_character"], abs=2e-4)
    assert figures["bits_per_character_before"] == report["bits_per_character_before"]
    assert 0 <= figures["copies"] <= 1 and 0 < figures["distinct"] <= 1


def test_evaluate_on_another_author_compares_with_the_untrained_model(trained: Trained) -> None:
    figures = json.loads(run("evaluate", trained[0], "sample:keeperfinch", "--drafts", 0, "--json").stdout)
    assert figures["posts"] == 400
    assert figures["bits_per_character"] != figures["bits_per_character_before"]
    assert figures["copies"] is None


def test_evaluate_leaves_out_what_the_bot_has_learned(trained: Trained) -> None:
    figures = json.loads(run("evaluate", trained[0], "sample:unit7bakes", "--drafts", 0, "--json").stdout)
    parts = json.loads(trained[1].stdout)["parts"]
    assert figures["left_out"] == parts["training"] + parts["validation"]
    assert figures["posts"] == parts["held_out"]


def test_fetch_counts_posts_and_writes_a_file_that_can_be_fetched_again(tmp_path: Path) -> None:
    done = run("fetch", "sample:unit7bakes", "--limit", 100, "--out", tmp_path / "posts.jsonl", "--json")
    author = json.loads(done.stdout)["authors"][0]
    assert author["posts"]["fetched"] == 100
    newest = sorted(load("sample:unit7bakes").posts, key=lambda post: post.created_at)[-100:]
    assert [post.id for post in load(tmp_path / "posts.jsonl").posts] == [post.id for post in newest]


def test_models_lists_the_catalogue() -> None:
    names = [entry["name"] for entry in json.loads(run("models", "--json").stdout)["models"]]
    assert names[0] == "smollm2-135m"
    assert {"gpt2", "qwen3-0.6b"} <= set(names)


WRONG_USAGE = [
    (["train", "sample:unit7bakes", "--minutes", "0"], "minutes above 0, like 5 or 0.5, and got '0'"),
    (["train", "sample:unit7bakes", "--minutes", "-1"], "minutes above 0, like 5 or 0.5, and got '-1'"),
    (["train", "sample:unit7bakes", "--minutes", "five"], "minutes above 0, like 5 or 0.5, and got 'five'"),
    (["train", "sample:unit7bakes", "--minutes", "nan"], "minutes above 0, like 5 or 0.5, and got 'nan'"),
    (["train", "sample:unit7bakes", "--steps", "0"], "--steps"),
    (["train"], "Missing argument 'REFERENCE...'"),
    (["train", "a", "b", "c", "d"], "At most 3 authors"),
    (["tweet", "bot", "-n", "0"], "-n"),
    (["tweet", "bot", "--temperature", "0"], "--temperature"),
    (["sing"], "No such command 'sing'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG_USAGE, ids=[" ".join(row[0]) for row in WRONG_USAGE])
def test_wrong_usage_ends_with_status_2(arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_problems_that_can_be_mended_end_with_status_1_and_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "cut.jsonl").write_text('{"text": "on')
    (tmp_path / "not.zip").write_text("no zip")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").write_text("something else")
    rows = [
        (["train", "sample:nobody"], "There is no sample called 'nobody'"),
        (["train", tmp_path / "empty.jsonl"], "empty.jsonl holds not a single post"),
        (["train", tmp_path / "cut.jsonl"], "is damaged or cut off: line 1"),
        (["fetch", tmp_path / "not.zip"], "is not a whole zip file"),
        (["train", "sample:unit7bakes", "--out", tmp_path / "full"], "holds something that is not a bot"),
        (["train", "sample:unit7bakes", "--out", tmp_path / "cut.jsonl"], "is a file; choose another --out"),
        (["train", "sample:unit7bakes", "--model", tmp_path / "full"], "it lacks a config.json"),
        (["train", "sample:unit7bakes", "sample:unit7bakes"], "given twice"),
        (["train", "sample:unit7bakes", "--model", "x" * 5000], "There is no model called 'xxx"),
        (["fetch", "x" * 5000], "is neither a file nor an author"),
        (["fetch", "~nosuchuser"], "is neither a file nor an author"),
        (["fetch", "sample:unit7bakes", "--out", tmp_path / "README.md"], "not named .jsonl"),
        (["tweet", tmp_path / "nowhere"], "There is no bot in"),
        (["tweet", "x" * 5000], "bot"),
        (["evaluate", tmp_path / "full"], "is not a bot"),
    ]
    for arguments, sentence in rows:
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        last_line = done.stderr.strip().splitlines()[-1]
        assert sentence in last_line
        assert "Traceback" not in done.stderr
    assert (tmp_path / "full" / "thing").read_text() == "something else"


def test_a_file_that_appears_stops_the_training_where_no_signal_can(taught_model: Path, tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    options = ["--steps", 500, "--model", taught_model, "--out", tmp_path / "bot", "--stop-file", tmp_path / "stop"]
    done = run("train", "sample:unit7bakes", *options, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["stopped"] and report["steps"] == 1
    assert (tmp_path / "bot" / "bot.json").is_file()


def test_training_says_on_what_it_computes_and_when_a_gpu_lies_idle(taught_model: Path, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n", "utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    options = ["--steps", 1, "--model", taught_model, "--out", tmp_path / "bot", "--json", "--events"]
    done = run("train", "sample:unit7bakes", *options, env={**os.environ, "PATH": path})
    report = json.loads(done.stdout)
    assert any(event["sentence"].endswith(f", on {report['device']}") for event in events(done))
    assert report["device"].startswith("cuda") or any("NVIDIA GPU" in sentence for sentence in report["warnings"])


LEAVING = """
import time
from utils.terminal import Interrupt, Screen
with Screen(events=True) as screen, Interrupt(screen) as interrupt:
    interrupt.something_to_keep = True
    print("ready", flush=True)
    time.sleep(60)
"""
"""A command that does not heed the first Ctrl-C soon."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to a child")
class TestInterrupt:
    def start(self, model: Path, out: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "utils", "train", "sample:unit7bakes", "--steps", "2000", "--model", str(model),
             "--out", str(out), "--json", "--events"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_for(self, process: subprocess.Popen, kind: str) -> None:
        while json.loads(process.stderr.readline())["event"] != kind:
            pass

    def test_the_first_keeps_the_best_bot_so_far(self, taught_model: Path, tmp_path: Path) -> None:
        process = self.start(taught_model, tmp_path / "bot")
        self.wait_for(process, "loss")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert json.loads(out)["stopped"] is True
        assert (tmp_path / "bot" / "bot.json").exists()

    def test_a_reader_who_leaves_costs_no_bot(self, taught_model: Path, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "utils", "train", "sample:unit7bakes", "--steps", "40", "--watch", "--out",
                   str(tmp_path / "bot"), "--model", str(taught_model)]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "What the untrained model writes" in process.stdout.readline()
        for stream in (process.stdout, process.stderr):
            stream.close()
        process.wait(60)
        assert (tmp_path / "bot" / "bot.json").exists()

    def test_a_second_one_leaves_at_once(self) -> None:
        command = [sys.executable, "-c", LEAVING]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert json.loads(process.stderr.readline())["event"] == "warning"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert json.loads(err)["sentence"] == "Interrupted; what had not been saved by then is lost."

    def test_before_there_is_something_to_keep_it_leaves_with_130(self, taught_model: Path, tmp_path: Path) -> None:
        process = self.start(taught_model, tmp_path / "bot")
        self.wait_for(process, "stage")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert json.loads(err.splitlines()[-1])["sentence"] == "Interrupted, before there was anything to keep."
        assert not (tmp_path / "bot").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_on_a_terminal_a_bar_names_the_step_and_drafts_stay_whole(trained: Trained) -> None:
    ours, its = os.openpty()
    command = [sys.executable, "-m", "utils", "tweet", str(trained[0]), "-n", "3", "--seed", "1"]
    surroundings = {**os.environ, "TERM": "xterm", "COLUMNS": "300"}
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=surroundings)
    os.close(its)
    shown = b""
    with suppress(OSError):  # so Linux says that nobody writes there any more
        while piece := os.read(ours, 1 << 16):
            shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    told = shown.decode()
    drafts = json.loads(run("tweet", trained[0], "-n", 3, "--seed", 1, "--json").stdout)["drafts"]
    assert "\x1b[" in told and "Loading the bot" in told
    assert told.count("written by a bot") == len(drafts)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count the time of children")
def test_help_appears_at_once() -> None:
    import resource

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def taken() -> float:
        before = seconds()
        assert run("--help").returncode == 0
        return seconds() - before

    assert statistics.median(taken() for _ in range(5)) < 0.5


def test_evaluate_says_in_words_how_well_drafts_are_told_apart() -> None:
    told = {
        "drafts_against_posts": {"texts": 50, "auc": 0.81, "spread": 0.03},
        "posts_recognised": {"texts": 90, "auc": 0.92, "spread": 0.02},
        "drafts_recognised": {"texts": 50, "auc": 0.7, "spread": 0.04},
        "remark": None,
    }
    first, second = _in_words(told, None)
    assert "real posts in 81 of 100 pairs (give or take 6); 50 would be chance" in first
    assert "others in 70 of 100 pairs (give or take 8); real posts of the author in 92" in second


@pytest.mark.parametrize("command", ["fetch", "train", "tweet", "evaluate", "update", "models"])
def test_every_command_has_a_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout


def test_without_a_terminal_progress_is_plain_lines(taught_model: Path, tmp_path: Path) -> None:
    done = run("train", "sample:unit7bakes", "--steps", 3, "--model", taught_model, "--out", tmp_path / "bot")
    assert done.returncode == 0
    assert "\x1b" not in done.stderr
    assert "Held-out posts after training" in done.stderr
    assert f"python -m utils tweet {tmp_path / 'bot'}" in done.stdout


def test_a_reader_who_leaves_early_is_no_error(trained: Trained) -> None:
    command = f"{sys.executable} -m utils tweet {trained[0]} -n 5 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=os.environ, timeout=60)
    assert "Traceback" not in done.stderr
