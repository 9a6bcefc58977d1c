"""Who competes, at which settings, and why at these.

In: nothing. Out: for each recipe its settings, as they are written beside its results; a result holds only for
the settings that it was measured with. Knows nothing about how a recipe is run.
"""

from dataclasses import asdict
from typing import Any

from utils.bot import LONGEST_POST
from utils.language_model import OPENING_MARK
from utils.settings import TrainingSettings, WritingSettings

MODEL = "smollm2-135m"
"""The weights that all of them start from."""

BLOCK = 1024
"""Tokens in a block: the context of the ancestor's GPT-2, the most that run_clm takes unless told otherwise, and the
default `max_length` of TRL. A model with a shorter context gets blocks of that."""

ANCESTOR = {
    "learning_rate": 1.372e-4,
    "schedule": "cosine",
    "epochs": 4,
    "batch": 1,
    "block": BLOCK,
    "precision": "float32",
}
"""The first huggingtweets: its `huggingtweets-demo.ipynb`, version 0.6 of its settings. The file that it learns from
holds all posts four times, shuffled anew each time, an end token between them; it is read once, block after block in
random order; all weights learn, with the Trainer's AdamW of the time: no weight decay, gradients clipped at 1."""

RUN_CLM = {
    "learning_rate": 5e-5,
    "schedule": "linear",
    "epochs": 3,
    "batch": 8,
    "block": BLOCK,
    "precision": "float32",
}
"""`examples/pytorch/language-modeling/run_clm.py` of transformers, whose settings are the Trainer's defaults
(transformers 5.23, `TrainingArguments`); the batch of 8 is the default, too, and what the example's README shows.
It is computed a block at a time and added up to eight: the same step, in a fraction of the memory."""

TRL = {
    "learning_rate": 3e-4,
    "schedule": "cosine",
    "warmup": 0.1,
    "batch": 1,
    "block": BLOCK,
    "packing": "bfd",
    "precision": "auto",
}
"""TRL's SFTTrainer (1.16). Schedule and warm-up are those of the recipe with which the makers of these models taught
SmolLM to chat, `recipes/smollm/sft/config.yaml` of huggingface/alignment-handbook. That file names two rates, 1e-3 and
3e-4, for batches 256 times as large, and TRL's own default is 2e-5; see `TRIED`. Packing, best-fit decreasing, into the
default `max_length` of 1,024, as TRL's page "Reducing Memory Usage" advises; bfloat16 where the processor has it, which
is its default, too. One packed sequence a step, since five minutes hold only few steps, and no gradient checkpointing,
which gives speed away for memory."""

TRIED = {f"trl-{rate}": {**TRL, "learning_rate": float(rate)} for rate in ("2e-5", "1e-3")}
"""The other documented rates, to be measured by name (`--only trl-2e-5,trl-1e-3,trl --seeds 0`): `trl` has the best."""

WRITING = {
    "steps": 20,
    "drafts": 10,
    "commands": 3,
    "rounds": 5,
    "many": 100,
    "temperature": WritingSettings.temperature,
    "top_p": WritingSettings.top_p,
    "longest": LONGEST_POST,
}
"""Drafts of a bot that learned for so many steps: from so many cold commands, so many calls of a loaded bot after its
first one, and one call for many. longest: new tokens after which plain `generate()` stops, as a bot's own
generation_config.json has it; ours stops where no post can come of a text any more."""

READING = {"posts": [1000, 2000, 4000, 8000, 16000], "repeats": 3, "exchanged": 0.5}
"""Numbers of posts that are read, how often each, and the share of words that are exchanged in them."""

BESIDES: dict[str, dict[str, Any]] = {"writing": WRITING, "reading": READING}
"""What is measured besides training: of ours alone, once, with the first author."""

SETTINGS: dict[str, dict[str, Any]] = {"ancestor": ANCESTOR, "run_clm": RUN_CLM, "trl": TRL, **TRIED, **BESIDES}

NAMES = {
    "ancestor": "huggingtweets of 2020",
    "run_clm": "run_clm",
    "trl": "TRL, packing",
    **{name: f"TRL, rate {name.removeprefix('trl-')}" for name in TRIED},
    "ours": "HuggingTweets",
}
"""What a reader sees."""


def settings(recipe: str, minutes: float | None) -> dict[str, Any]:
    """The settings of a recipe; of ours they are the defaults of the command line, whatever they are today, what stands
    before each post, and what learns beside the layers."""
    if recipe == "ours":
        return {**asdict(TrainingSettings(minutes=minutes or 5.0)), "opening_mark": OPENING_MARK, "besides": "head"}
    return SETTINGS[recipe]


def is_trl(recipe: str) -> bool:
    """Whether TRL's trainer runs it, at whatever rate."""
    return recipe == "trl" or recipe in TRIED
