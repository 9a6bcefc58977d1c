"""The real weights, the real command line: what the README promises, in a few minutes."""

import json
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_weights")]


def run(*arguments: object) -> dict:
    command = [sys.executable, "-m", "utils", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_twenty_steps_of_training_lower_the_held_out_figure_by_a_tenth_and_the_bot_writes(tmp_path: Path) -> None:
    # Twenty steps take about sixty seconds on two cores; counted, so that other work beside them changes nothing.
    report = run("train", "sample:keeperfinch", "--steps", 20, "--out", tmp_path / "bot")
    held_out = report["held_out"]
    assert held_out["bits_per_character"] <= 0.9 * held_out["bits_per_character_before"]
    assert report["peak_memory_bytes"] < 4e9
    assert sum(path.stat().st_size for path in (tmp_path / "bot").rglob("*")) < 300e6

    answer = run("tweet", tmp_path / "bot", "-n", 5, "--seed", 1)
    assert len(answer["drafts"]) + answer["dropped"] == 5
    assert answer["drafts"]
    assert all(draft["bits_per_character"] < 3 for draft in answer["drafts"]), "it knows its own voice"

    figures = run("evaluate", tmp_path / "bot", "--drafts", 10)
    assert figures["bits_per_character"] == pytest.approx(held_out["bits_per_character"], abs=0.002)
    assert figures["copies"] <= 0.2
    assert figures["distinct"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of memory")
def test_a_machine_with_too_little_memory_gets_a_sentence_and_keeps_its_old_bot(bot: Path) -> None:
    import resource

    before = (bot / "model.safetensors").read_bytes()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (800_000_000, 800_000_000))

    command = [sys.executable, "-m", "utils", "train", "sample:keeperfinch", "--out", str(bot)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=limit)
    assert (done.returncode, done.stdout) == (1, "")
    said = r"Loading smollm2-135m needs about 0\.\d GB of memory and 0\.\d GB is free\. Close other programs, or"
    assert re.match(said, done.stderr.splitlines()[-1]), done.stderr
    assert "Traceback" not in done.stderr
    assert (bot / "model.safetensors").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process and let it go on")
def test_the_minutes_are_kept_on_a_machine_that_slows_down_to_a_third(tmp_path: Path) -> None:
    minutes = 2
    command = [sys.executable, "-m", "utils", "train", "sample:keeperfinch", "--minutes", str(minutes)]
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, "--track", "off", "--events", "--json", "--out", tmp_path / "bot"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if json.loads(line)["event"] == "loss" and time.monotonic() - began > minutes * 60 / 2:
            break
    with ThreadPoolExecutor() as pool:
        output = pool.submit(process.communicate)
        while process.poll() is None:
            for signal_number, seconds in ((signal.SIGSTOP, 0.2), (signal.SIGCONT, 0.1)):
                process.send_signal(signal_number)
                time.sleep(seconds)
    report = json.loads(output.result()[0])
    assert time.monotonic() - began < minutes * 60 * 1.03 + 2
    assert report["held_out"]["bits_per_character"] < report["held_out"]["bits_per_character_before"]
