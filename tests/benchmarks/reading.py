"""How the time to read, clean and split posts grows with their number.

In: an author, a model's folder and some numbers of posts, as JSON on standard input. Out: seconds of each stage for
each number, as JSON. There are never enough posts of one author, so they are made: those of the author, with words
exchanged among each other, until no two are alike. Loading the tokenizer is not counted, importing neither.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch

from benchmarks import material
from utils.cleaning import clean
from utils.dataset import build
from utils.language_model import LanguageModel, load_folder
from utils.terminal import prepare_process
from utils.timelines import load

STAGES = ("read", "clean", "build")


def varied(texts: Sequence[str], count: int, exchanged: float, seed: int) -> list[str]:
    """So many posts: each one of `texts`, this share of its words exchanged for any words of any of them."""
    rng = random.Random(seed)
    words = [word for text in texts for word in text.split()]
    made = []
    for _ in range(count):
        own = rng.choice(texts).split()
        made.append(" ".join(rng.choice(words) if rng.random() < exchanged else word for word in own))
    return made


def save(texts: Sequence[str], path: Path) -> None:
    """Write posts as JSON Lines, an hour apart."""
    began = datetime(2010, 1, 1, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            date = (began + timedelta(hours=number)).isoformat()
            file.write(json.dumps({"id": str(number), "created_at": date, "text": text}, ensure_ascii=False) + "\n")


def once(path: Path, model: LanguageModel, seed: int) -> tuple[list[float], dict[str, int]]:
    """Seconds of each of `STAGES`, and how many posts are kept and nearly repeat a held-out one."""
    clock = [time.perf_counter()]
    timeline = load(path)
    clock.append(time.perf_counter())
    cleaned = clean(timeline)
    clock.append(time.perf_counter())
    parts = build([cleaned], model.encode, seed)
    clock.append(time.perf_counter())
    seconds = [after - before for before, after in zip(clock[:-1], clock[1:], strict=True)]
    return seconds, {"kept": len(cleaned.posts), "near_duplicates": parts.near_duplicates}


def measure(told: dict[str, Any]) -> dict[str, Any]:
    """The median of several times for each number of posts, all numbers in turn, so that none has the quiet minutes."""
    model = load_folder(Path(told["model"]), torch.device("cpu"))
    texts = material.author(told["author"], Path(told["model"])).texts
    with tempfile.TemporaryDirectory() as folder:
        paths = {count: Path(folder) / f"{count}.jsonl" for count in told["posts"]}
        for count, path in paths.items():
            save(varied(texts, count, told["exchanged"], told["seed"]), path)
        once(paths[told["posts"][0]], model, told["seed"])  # patterns are compiled on first use
        rounds = [{count: once(path, model, told["seed"]) for count, path in paths.items()}
                  for _ in range(told["repeats"])]  # fmt: skip
    return {"sizes": [_size(count, [done[count] for done in rounds]) for count in told["posts"]]}


def _size(count: int, found: Sequence[tuple[list[float], dict[str, int]]]) -> dict[str, Any]:
    medians = map(statistics.median, zip(*(seconds for seconds, _ in found), strict=True))
    seconds = {stage: round(value, 3) for stage, value in zip(STAGES, medians, strict=True)}
    return {"posts": count, **found[0][1], "seconds": seconds}


if __name__ == "__main__":
    prepare_process()  # as the command line does
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
