"""What this machine is, and how fast its matrix products are.

In: nothing. Out: its names, and operations a second by precision. `python -m benchmarks.machine` prints the
latter as JSON (standard input may name the size of the matrices); it is a process of its own, before each run and
after it, because a shared machine is not always equally fast.
"""

import json
import os
import platform
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.recipes import is_trl
from utils import environment

SIZE = 2048
"""Rows and columns of the matrices: large enough that the product does not wait for memory."""

REPEATS = 7
"""Products, of which the median counts; the first one warms up and does not."""

PACKAGES = {"trl": ("accelerate", "trl", "datasets"), **dict.fromkeys(("ours", "writing"), ("accelerate", "peft"))}
"""What a recipe's results depend on besides `environment.versions`; the others', on accelerate alone."""


def identity() -> dict[str, object]:
    """What has to be equal for two results to stand in one table."""
    return {"processor": _processor(), "cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", "all")}


def name(machine: dict[str, object]) -> str:
    """A machine in a few words."""
    threads = "" if machine["threads"] == "all" else f", {machine['threads']} of them used"
    return f"{machine['processor']}, {machine['cores']} cores{threads}"


def describe(machine: dict[str, object], rates: dict[str, float]) -> str:
    """The machine in words, with the rate of its matrix products."""
    speeds = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in rates.items())
    memory = psutil.virtual_memory().total / 2**30
    return f"{name(machine)}, {memory:.0f} GiB; matrix products: {speeds}"


def versions(recipe: str) -> dict[str, str]:
    """Python and the packages that compute; without the operating system's, whose updates change no result."""
    found = {name: value for name, value in environment.versions().items() if name != "platform"}
    for package in PACKAGES.get("trl" if is_trl(recipe) else recipe, ("accelerate",)):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def matrix_rates(size: int = SIZE, repeats: int = REPEATS) -> dict[str, float]:
    """Floating-point operations a second of a square matrix product, a multiplication and an addition being two.

    Of float32, and of the precision in which the program computes here, if that is another one.
    """
    import torch

    device = environment.device()
    rates = {}
    for precision in dict.fromkeys((torch.float32, environment.precision(device))):
        left, right = (torch.randn(size, size, device=device).to(precision) for _ in range(2))
        seconds = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            torch.mm(left, right)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
        rates[str(precision).removeprefix("torch.")] = 2 * size**3 / statistics.median(seconds[1:])
    return rates


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    numbers = _model_numbers() if names and not any(letter.isdigit() for letter in names[0]) else ""
    return (names[0] if names else platform.processor() or platform.machine()) + numbers


def _model_numbers() -> str:
    """Family and model, for virtual machines whose processors are all called the same."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines[:10] if ":" in line)
    values = {name.strip(): value.strip() for name, value in values.items()}
    return f" (family {values.get('cpu family')}, model {values.get('model')})"


if __name__ == "__main__":
    json.dump(matrix_rates(int(sys.stdin.read() or SIZE)), sys.stdout)
