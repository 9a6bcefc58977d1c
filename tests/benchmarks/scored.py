"""The held-out posts, all of them, under a bot and under the model that it came from.

In: a bot's folder, a model's, an author and a seed, as JSON on standard input. Out: the figures, as JSON. A short
training leaves most of its held-out posts unscored to save time, and no two samples of posts are equally hard; so every
bot is scored once more on the posts that the rivals are scored on, after its time is up.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import material
from utils import environment, evaluation
from utils.language_model import load_folder


def score(job: dict[str, Any]) -> dict[str, Any]:
    """What a result says of the held-out posts."""
    environment.quiet_libraries()
    device = environment.device()
    untrained = load_folder(Path(job["model"]), device)
    parts = material.parts(material.author(job["author"], Path(job["model"])), untrained, job["seed"])
    texts = [example.text for example in parts.held_out]
    before = evaluation.measure(untrained, texts, "")
    after = evaluation.measure(load_folder(Path(job["bot"]), device), texts, "")
    return {
        "bits_per_character": round(after.bits_per_character, 4),
        "bits_per_character_before": round(before.bits_per_character, 4),
        "held_out": {"posts": after.posts, "characters": after.characters},
    }


if __name__ == "__main__":
    json.dump(score(json.load(sys.stdin)), sys.stdout)
