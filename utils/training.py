"""Fine-tune within a budget of time.

In: a LanguageModel, a PostDataset, and the moment at which training has to be over. Out: the same
network, changed to the best weights that were met on the way, and a Training that says how it went. The loop is
the Trainer of transformers; ours are the batches, the loss, the schedule and the decision to stop.
Knows nothing about files, drafts or the held-out posts.

The upper layers learn, all of their weights; embeddings and lower layers stay. That costs a third less
per token than training everything, and overfits less.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from utils.dataset import PostDataset
from utils.events import Event, OnEvent
from utils.language_model import LanguageModel
from utils.scoring import collate, cross_entropy, score
from utils.settings import TrainingSettings

VALIDATIONS = 5
"""At most so many validations after the start, evenly spaced; one always at the end."""

STEPS_A_VALIDATION = 20
"""Where steps were asked for, at least so many lie between two validations."""

VALIDATION_TIME = 0.03
"""The share of the training time that one validation may take; where all validation posts would take longer,
only some are looked at. All after the start may take twice that; on a slow machine there are fewer."""

FEWEST_VALIDATION_POSTS = 10

PASSES = 1.5
"""Training ends after so many passes over the posts, if the time has not ended it before; the learning
rate reaches zero then. `sample:keeperfinch`, held-out bits per character (2.135 untrained): 1.544 after
1.3 passes, 1.608 after 2.6, when the posts are known by heart."""

PATIENCE = 2
"""Training ends when so many validations in a row were no better than the best."""


@dataclass
class Training:
    """How it went.

    validation: (seconds since the start of training, bits per character) at each validation; the
        first one is the untrained model's.
    improved: False if no trained weights beat the untrained ones, which were then kept.
    """

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stopped: bool = False
    improved: bool = False
    validation: list[tuple[float, float]] = field(default_factory=list)


def fine_tune(
    language_model: LanguageModel,
    dataset: PostDataset,
    settings: TrainingSettings,
    deadline: float,
    precision: torch.dtype,
    on_event: OnEvent,
    should_stop: Callable[[], bool] = lambda: False,
    scoring_speed: float = math.inf,
) -> Training:
    """Train until `deadline` (a moment of `time.monotonic`), or for `settings.steps` steps.

    scoring_speed: characters of posts that this machine scores in a second, as far as is known.
    should_stop: asked after every step; once it says True, training ends and the best weights are kept.
    """
    network = language_model.network
    learning = _choose_what_learns(network, settings.learned_share)
    course = _Course(language_model, dataset, settings, deadline, precision, on_event, should_stop, scoring_speed)
    optimiser = torch.optim.AdamW(learning, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _PostTrainer(
            course=course,
            model=_Loss(network),
            args=TrainingArguments(
                output_dir=scratch,
                max_steps=settings.steps or 10**9,
                seed=settings.seed,
                max_grad_norm=1.0,
                use_cpu=language_model.device.type == "cpu",
                bf16=precision == torch.bfloat16,
                fp16=precision == torch.float16,
                logging_strategy="no",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                remove_unused_columns=False,
            ),
            train_dataset=dataset.training,
            callbacks=[course],
            optimizers=(optimiser, _Schedule(optimiser, course, settings.warmup)),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return course.finish()


def _choose_what_learns(network: torch.nn.Module, share: float) -> list[torch.nn.Parameter]:
    """Freeze everything but the upper `share` of the layers; returns the parameters that learn."""
    count = network.config.num_hidden_layers
    layers = next(
        module
        for module in network.base_model.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    )
    network.requires_grad_(False)
    learning = [
        parameter for layer in layers[count - max(1, round(count * share)) :] for parameter in layer.parameters()
    ]
    for parameter in learning:
        parameter.requires_grad_(True)
    return learning


class _Loss(torch.nn.Module):
    """The network with its loss, in the form that the Trainer calls: the mean over the batch's real tokens."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": cross_entropy(self.network, input_ids, labels)}


class _Batches:
    """The endless batches of a data set, as a PyTorch batch sampler."""

    def __init__(self, dataset: PostDataset, settings: TrainingSettings) -> None:
        self._dataset, self._settings = dataset, settings

    def __iter__(self) -> Iterator[list[int]]:
        return self._dataset.training_batches(self._settings.tokens_per_batch, self._settings.seed)


class _PostTrainer(Trainer):
    """The Trainer with our batches, which tells the course about every batch that it learns from."""

    def __init__(self, *, course: "_Course", **arguments: Any) -> None:
        super().__init__(**arguments)
        self._course = course

    def get_train_dataloader(self) -> DataLoader:
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=_Batches(self._course.dataset, self._course.settings),
            collate_fn=lambda examples: collate([example.tokens for example in examples]),
        )
        return self.accelerator.prepare(loader)

    def training_step(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], *rest: Any) -> torch.Tensor:
        loss = super().training_step(model, inputs, *rest)
        self._course.note(loss, tokens=int((inputs["labels"] >= 0).sum()))
        return loss


class _Schedule(LRScheduler):
    """Warm-up, then cosine to zero (Loshchilov and Hutter 2017, arXiv:1608.03983), on the course's progress.

    The warm-up starts at a fifth of the peak and not at zero: on a slow machine there are only dozens of steps.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, course: "_Course", warmup: float) -> None:
        self._course, self._warmup = course, warmup
        super().__init__(optimiser)

    def get_lr(self) -> list[float]:
        progress = self._course.progress()
        if progress < self._warmup:
            factor = 0.2 + 0.8 * progress / self._warmup
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (progress - self._warmup) / (1 - self._warmup)))
        return [base * factor for base in self.base_lrs]


class _Course(TrainerCallback):
    """Keeps time, validates, remembers the best weights and decides when it is over."""

    def __init__(
        self,
        language_model: LanguageModel,
        dataset: PostDataset,
        settings: TrainingSettings,
        deadline: float,
        precision: torch.dtype,
        on_event: OnEvent,
        should_stop: Callable[[], bool],
        scoring_speed: float,
    ) -> None:
        self.dataset, self.settings = dataset, settings
        self._language_model, self._precision = language_model, precision
        self._deadline, self._on_event, self._should_stop = deadline, on_event, should_stop
        self._tokens_a_pass = dataset.training_tokens()
        self._validation_texts = [example.text for example in dataset.validation]
        if not settings.steps:  # counting seconds would make two runs with the same number of steps differ
            seconds = VALIDATION_TIME * max(deadline - time.monotonic(), 0)
            self._validation_texts = _sample_of(self._validation_texts, int(seconds * min(scoring_speed, 1e9)))
        self._start = time.monotonic()
        self._training = Training()
        self._best: dict[str, torch.Tensor] = {}
        self._best_figure = math.inf
        self._worse_in_a_row = 0
        self._longest_step = 0.0
        self._loss = torch.tensor(math.nan)

    def progress(self) -> float:
        """How much of the training is over, 0 to 1: by steps if they were asked for, else by time or by passes."""
        if self.settings.steps:
            return min(self._training.steps / self.settings.steps, 1.0)
        by_time = self._elapsed() / max(self._deadline - self._start, 1e-9)
        by_passes = self._training.tokens / (PASSES * self._tokens_a_pass)
        return min(max(by_time, by_passes), 1.0)

    def note(self, loss: torch.Tensor, tokens: int) -> None:
        """A batch has been learned from."""
        self._loss = loss.detach()
        self._training.tokens += tokens

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        began = time.monotonic()
        self._validate("before training")
        self._validation_seconds = time.monotonic() - began
        if self.settings.steps:
            affordable = self.settings.steps // STEPS_A_VALIDATION
        else:
            training_seconds = max(self._deadline - self._start, 0)
            affordable = int(2 * VALIDATION_TIME * training_seconds / max(self._validation_seconds, 1e-9))
        self._validations = min(max(affordable, 1), VALIDATIONS)
        self._step_began = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        training = self._training
        training.steps += 1
        now = time.monotonic()
        self._longest_step = max(self._longest_step * 0.9, now - self._step_began)
        self._tell()
        done = sum(1 for _ in training.validation) - 1  # the first one was before training
        if self._over():
            control.should_training_stop = True
        elif self.progress() >= (done + 1) / self._validations:
            self._validate("so far")
            control.should_training_stop = self._worse_in_a_row >= PATIENCE or self._over()
        self._step_began = time.monotonic()

    def _over(self) -> bool:
        if self._should_stop():
            self._training.stopped = True
            return True
        if self.progress() >= 1.0:
            return True
        if self.settings.steps:
            return False
        return time.monotonic() + self._longest_step + self._validation_seconds > self._deadline

    def finish(self) -> Training:
        """Validate the last weights, put the best ones back, and round them as they will be saved."""
        if self._validated_step != self._training.steps:
            self._validate("at the end")
        network = self._language_model.network
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in self._best:
                    parameter.copy_(self._best[name].half())
        network.requires_grad_(False).eval()
        self._training.seconds = self._elapsed()
        return self._training

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _validate(self, when: str) -> None:
        """Measure the validation posts, and remember these weights if none were better."""
        network = self._language_model.network
        self._say("stage", "Scoring the validation posts")
        figure = score(self._language_model, self._validation_texts, self._precision).bits_per_character
        first = not self._training.validation
        self._validated_step = self._training.steps
        self._training.validation.append((self._elapsed(), figure))
        if figure < self._best_figure or first:
            self._best_figure, self._worse_in_a_row = figure, 0
            self._training.improved = not first
            self._best = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}
        else:
            self._worse_in_a_row += 1
        sentence = f"Validation posts {when}: {figure:.3f} bits per character"
        self._say("validation", sentence, bits_per_character=figure)

    def _tell(self) -> None:
        training, elapsed = self._training, self._elapsed()
        loss = self._loss.item()
        left = self._deadline - time.monotonic()
        after = f"{training.steps} of {self.settings.steps} steps" if self.settings.steps else _time_left(left)
        self._say("loss", f"Learning: {after}", step=training.steps, loss=loss, tokens=training.tokens,
                  tokens_per_second=training.tokens / elapsed)  # fmt: skip

    def _say(self, kind: str, sentence: str, **data: Any) -> None:
        self._on_event(Event(kind, sentence, self.progress(), {"seconds": round(self._elapsed(), 2), **data}))


def _sample_of(texts: list[str], characters: int) -> list[str]:
    """Evenly spaced texts with about so many characters, but not fewer than `FEWEST_VALIDATION_POSTS`."""
    average = sum(map(len, texts)) / max(len(texts), 1)
    wanted = min(max(int(characters / max(average, 1)), FEWEST_VALIDATION_POSTS), len(texts))
    return [texts[index * len(texts) // wanted] for index in range(wanted)]


def _time_left(seconds: float) -> str:
    minutes, seconds = divmod(max(round(seconds), 0), 60)
    return f"{minutes} min {seconds:02d} s left to train" if minutes else f"{seconds} s left to train"
