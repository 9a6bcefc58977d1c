"""The other recipes, as a reader of their documentation would run them.

In: what to run, as JSON on standard input. Out: its curve of held-out bits per character over seconds of training, and
what it took, in the file that is named there. The clock runs from the first step to the last and stands still while the
held-out posts are scored; loading, tokenising and packing are not counted. So the rivals are spared what ours has to
pay. `python -m benchmarks.rivals` is one run in a process of its own.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from benchmarks import material
from benchmarks.arithmetic import EVERYTHING
from benchmarks.recipes import is_trl
from utils import environment, evaluation
from utils.dataset import Example
from utils.language_model import LanguageModel, load_folder

POINTS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""After which shares of its steps a rival's held-out posts are scored."""

TRIAL_STEPS, TRIAL_SECONDS = 6, 20.0
"""Throw-away steps by which a rival's speed is measured: so many after a first one that warms up, or fewer when they
take this long together; the median counts."""


class Blocks(Dataset):
    """Token ids cut into blocks of equal length; what is left at the end is too short and not used, as in 2020."""

    def __init__(self, tokens: Sequence[int], block: int) -> None:
        self.blocks = [tokens[begin : begin + block] for begin in range(0, len(tokens) - block + 1, block)]

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {"input_ids": self.blocks[index], "labels": self.blocks[index]}


def joined(examples: Sequence[Example]) -> list[int]:
    """Posts one after another: an end token before the first one, and behind each.

    Start and end token are the same in every model whose vocabulary has `<|endoftext|>`.
    """
    return [examples[0].tokens[0], *(token for example in examples for token in example.tokens[1:])]


def shuffled_epochs(examples: Sequence[Example], epochs: int, seed: int) -> list[int]:
    """The ancestor's file: all posts, shuffled anew for each of its epochs, one epoch behind the other."""
    rng = random.Random(seed)
    return joined([example for _ in range(epochs) for example in rng.sample(examples, len(examples))])


@dataclass
class Stopwatch(TrainerCallback):
    """Counts seconds of training, and measures at the `POINTS`, with the clock stopped.

    measure: gives the figure of the network as it is. Without it this is a trial, which is over as soon as it can be.
    last: the step after which training is broken off; None for its planned end.
    """

    measure: Callable[[], float] | None = None
    last: int | None = None
    curve: list[tuple[float, float]] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    seconds: float = 0.0
    _running_since: float = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self._note(state, rest["model"])
        self._running_since = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took = time.perf_counter() - self._running_since
        self.seconds += took
        self.steps.append(took)
        self._note(state, rest["model"])
        tried = self.measure is None and len(self.steps) > 1 and self.seconds > TRIAL_SECONDS
        if tried or state.global_step == self.last:
            control.should_training_stop = True
        self._running_since = time.perf_counter()

    def step_seconds(self) -> float:
        """The median of a step, the first one left out."""
        return statistics.median(self.steps[1:] or self.steps)

    def _note(self, state: Any, network: torch.nn.Module) -> None:
        last = min(self.last or state.max_steps, state.max_steps)
        if self.measure is None or state.global_step not in {round(share * last) for share in POINTS}:
            return
        self.curve.append((round(self.seconds, 2), round(self.measure(), 4)))
        network.train()
        done = f"{state.global_step} of {last} steps, {self.seconds:.0f} s"
        print(f"      {done}: {self.curve[-1][1]:.3f} bits per character", file=sys.stderr, flush=True)


def arguments(settings: dict[str, Any], device: torch.device, steps: int, seed: int, folder: str) -> dict[str, Any]:
    """What every Trainer is told; all else stays at its default."""
    return {
        "output_dir": folder,
        "max_steps": steps,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": settings["batch"],
        "learning_rate": settings["learning_rate"],
        "lr_scheduler_type": settings["schedule"],
        "warmup_steps": round(settings.get("warmup", 0.0) * steps),
        "seed": seed,
        "bf16": precision(settings, device) == torch.bfloat16,
        "fp16": precision(settings, device) == torch.float16,
        "use_cpu": device.type == "cpu",
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def precision(settings: dict[str, Any], device: torch.device) -> torch.dtype:
    """What a recipe computes in: float32, or whatever is fastest here."""
    return environment.precision(device) if settings["precision"] == "auto" else torch.float32


def trainer(recipe: str, model: LanguageModel, examples: Sequence[Example], settings: dict, **told: Any) -> Trainer:
    """The Trainer of a recipe, before its first step. told: `steps`, `seed` and `folder`."""
    common = arguments(settings, model.device, **told)
    block = min(settings["block"], model.context)
    if is_trl(recipe):
        return _packed(model, examples, block, settings["packing"], common)
    once = recipe != "ancestor"
    tokens = joined(examples) if once else shuffled_epochs(examples, settings["epochs"], told["seed"])
    return Trainer(
        model=model.network,
        args=TrainingArguments(**common),
        train_dataset=Blocks(tokens, block),
        data_collator=lambda rows: {name: torch.tensor([row[name] for row in rows]) for name in rows[0]},
    )


def _packed(model: LanguageModel, examples: Sequence[Example], block: int, packing: str, common: dict) -> Trainer:
    """TRL's trainer on the tokens that ours reads, so that it, too, sees where a post begins and ends."""
    import datasets
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    if model.tokenizer.pad_token is None:
        model.tokenizer.pad_token = model.tokenizer.convert_ids_to_tokens(model.end)
    rows = datasets.Dataset.from_dict({"input_ids": [list(example.tokens) for example in examples]})
    config = SFTConfig(**common, packing=True, packing_strategy=packing, max_length=block, gradient_checkpointing=False)
    return SFTTrainer(model=model.network, args=config, train_dataset=rows, processing_class=model.tokenizer)


def count_tokens(made: Trainer) -> list[int]:
    """Make a trainer note how many tokens each of its batches asks to predict; the list grows as it trains."""
    collate, counts = made.data_collator, []

    def counting(rows: list[Any]) -> dict[str, torch.Tensor]:
        batch = collate(rows)
        counts.append(int((batch["labels"][:, 1:] >= 0).sum()))
        return batch

    made.data_collator = counting
    return counts


def steps_of(recipe: str, rows: int, settings: dict[str, Any], minutes: float | None, step: float) -> int:
    """How many steps there are: the ancestor's file to its end; of others as many as the minutes hold.

    run_clm ends after its epochs, if that is earlier. rows: in the training set. step: seconds that one takes.
    """
    if recipe == "ancestor":
        return rows
    fitting = max(1, round(minutes * 60 / step))
    return min(fitting, settings["epochs"] * -(-rows // settings["batch"])) if recipe == "run_clm" else fitting


def load(folder: Path, device: torch.device) -> LanguageModel:
    """The model, for posts with a start token alone before them: more is no part of these recipes."""
    model = load_folder(folder, device)
    return replace(model, beginning=model.beginning[:1])


class Contest:
    """One run of one rival: `job` says which, as `benchmarks.__main__` writes it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.recipe, self.settings, self.seed = job["recipe"], job["settings"], job["seed"]
        self.minutes, self.blocks = job["minutes"], job["blocks"]
        self.folder, self.device = Path(job["model"]), environment.device()
        self.author = material.author(job["author"], self.folder)
        self.notes: list[str] = []

    def run(self) -> dict[str, Any]:
        """Try how fast it is, then train with a schedule that ends when the minutes do."""
        began = time.perf_counter()
        step = 0.0 if self.recipe == "ancestor" else self._train(TRIAL_STEPS + 1, Stopwatch())[0].step_seconds()
        model = load(self.folder, self.device)
        parts = material.parts(self.author, model, self.seed)
        held_out = [example.text for example in parts.held_out]

        def measure() -> float:
            return evaluation.measure(model, held_out, "").bits_per_character

        watch, tokens, steps = self._train(None, Stopwatch(measure, self.blocks), step, model)
        return {
            "curve": watch.curve,
            "bits_per_character": watch.curve[-1][1],
            "bits_per_character_before": watch.curve[0][1],
            "held_out": {"posts": len(held_out), "characters": sum(map(len, held_out))},
            "seconds": {"train": round(watch.seconds, 2), "total": round(time.perf_counter() - began, 2)},
            "steps": len(watch.steps),
            "planned_steps": steps,
            "tokens": tokens,
            "peak_memory_bytes": environment.peak_memory(self.device),
            "precision": str(precision(self.settings, self.device)).removeprefix("torch."),
            "learned": {"kind": EVERYTHING, "parameters": sum(weight.numel() for weight in model.network.parameters())},
            "notes": self.notes,
        }

    def _train(
        self, steps: int | None, watch: Stopwatch, step: float = 0.0, model: LanguageModel | None = None
    ) -> tuple[Stopwatch, int, int]:
        """Train so many steps, or as many as there are; returns the watch, tokens predicted, and the steps planned."""
        model = model or load(self.folder, self.device)
        examples = material.to_learn(material.parts(self.author, model, self.seed))
        with tempfile.TemporaryDirectory() as folder:
            made = trainer(self.recipe, model, examples, self.settings, steps=steps or 1, seed=self.seed, folder=folder)
            if steps is None:
                steps = steps_of(self.recipe, len(made.train_dataset), self.settings, self.minutes, step)
                made.args.max_steps = steps
                made.args.warmup_steps = round(self.settings.get("warmup", 0.0) * steps)
                self._tell(steps)
            counts = count_tokens(made)
            made.remove_callback(PrinterCallback)
            made.add_callback(watch)
            made.train()
        batches = len(watch.steps) * self.settings["batch"]
        return watch, round(statistics.mean(counts) * batches), steps

    def _tell(self, steps: int) -> None:
        """Note what a reader of the figure should know."""
        if self.blocks and self.blocks < steps:
            self.notes.append(f"cut off after {self.blocks} of {steps} blocks, long before its end")
        if self.recipe == "run_clm":
            self.notes.append(f"{steps} steps of {self.settings['batch']} blocks")


def main() -> None:
    """Read a job, do it, write what came of it."""
    job = json.load(sys.stdin)
    Path(job["out"]).write_text(json.dumps(Contest(job).run()))


if __name__ == "__main__":
    main()
