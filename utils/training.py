"""Fine-tune within a budget of time.

In: a LanguageModel, a PostDataset, and the conditions, above all when it has to be over. Out: the same
network with the best weights that were met on the way, and a Training that says how it went. The loop
is the Trainer of transformers; ours are the batches, the loss, the schedule and the Course, which decides
when to stop. Knows nothing about files, drafts or the held-out posts.

Of several processes, each learns from its share of every batch; the steps, and what comes of them, are those of one
process. The leader alone has a Course, and the helpers take from it how far the training is, and whether it is over.
"""

import gc
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from utils import adapters, environment, memory, processes, threads
from utils.course import Conditions, Course, Training, enough_tokens
from utils.dataset import Example, PostDataset
from utils.events import Event
from utils.language_model import LanguageModel
from utils.scoring import collate, cross_entropy
from utils.settings import TrainingSettings

STEP_TIME = 0.04
"""The share of the training time that one step may take: a step that has begun is finished, however slow the machine
has become meanwhile, and the schedule of the learning rate wants dozens of them."""

SHORT_RATE = 2.0
"""How many times as high the learning rate gets in a training that is over after few posts; in between, the more of
them are read the lower. The longer a training, the lower the best rate (Bjorck et al. 2024, arXiv:2409.19913)."""

SCORING_GAIN = 2.0
"""A text is scored in half the time that it takes to learn from it: forwards alone, and not backwards as well."""

SHORT = 128
"""Tokens up to which a CPU computes attention in bfloat16 the plain way, with all weights in memory: forwards and
backwards took 2 ms for 14 posts of 37 tokens and 4 ms for 4 of 128, PyTorch's flash attention 8 ms and 6 ms."""

BYTES_A_ROUND = 12
"""For each parameter that learns, in float32: its value until all rounds are over (4), its part in their mean (4), and
as much as a Trainer may leave behind."""

FEWEST_TOKENS = 128
"""Smaller batches hardly take less time: the optimiser and the reading of the weights are the same for all."""


def fine_tune(
    language_model: LanguageModel,
    dataset: PostDataset,
    settings: TrainingSettings,
    conditions: Conditions,
) -> Training:
    """Train as long as the conditions allow, in one round or several; or for `settings.steps` steps."""
    network = language_model.network
    with threads.trials().held() if settings.steps else nullcontext():  # as many steps are to give the same bot
        settings = _planned(settings, dataset, conditions)
        learner, course, training = _round(language_model, dataset, settings, conditions)
        training.learned = learner.learned.as_dict()
        rounds, again = [adapters.learned_by(network)], None
        while _may_begin_again(settings, conditions, course, training, len(rounds)):
            learner.remove()
            gc.collect()  # a Trainer refers to itself, and to the moments of its optimiser
            other = replace(settings, seed=(settings.seed + len(rounds)) % 2**32)
            learner, _, again = _round(language_model, dataset, other, _again(conditions, course, len(rounds) + 1))
            training.add(again)
            if again.stopped or not again.improved:
                break
            rounds.append(adapters.learned_by(network))
        if is_mean := len(rounds) > 1:
            learner.remove()
            gc.collect()
            learner = adapters.Learner(network, settings, rounds=len(rounds))
            adapters.put(network, adapters.mean(rounds))
            is_mean = course.is_best(f"with the mean of {len(rounds)} rounds")
        if again and not is_mean:
            learner.remove()
            learner = adapters.Learner(network, settings)
            adapters.put(network, rounds[0])
        learner.finish()
    return training


def _round(
    language_model: LanguageModel, dataset: PostDataset, settings: TrainingSettings, conditions: Conditions
) -> tuple[adapters.Learner, Course, Training]:
    """Train once from the weights that are there; the learner still has to finish."""
    course = Course(language_model, dataset, settings, conditions)
    at_once = conditions.tokens_at_once if processes.count() == 1 else None  # all have to take as many pieces
    task = _Task(_beginnings(dataset, at_once), settings, conditions.precision, at_once)
    processes.call_helpers(_help_out, language_model.network.config, task)
    learner = _learn(language_model.network, task, course)
    return learner, course, course.finish()


def _may_begin_again(
    settings: TrainingSettings, conditions: Conditions, course: Course, training: Training, rounds: int
) -> bool:
    """Whether one round more is wanted, and fits. What has changed the weights themselves cannot begin again."""
    wanted = settings.rank > 0 and not settings.steps and rounds < settings.rounds and not conditions.tokens_at_once
    is_over = training.stopped or not training.improved or conditions.should_stop()
    fits = memory.available() > BYTES_A_ROUND * (rounds + 1) * training.learned["parameters"]
    return wanted and not is_over and fits and course.seconds_left() > course.takes_again()


def _again(conditions: Conditions, course: Course, number: int) -> Conditions:
    """The conditions of a later round: time is left to look at the mean of all, and it tells only how far it is."""

    def on_event(event: Event) -> None:
        if event.kind == "loss":
            sentence = f"Round {number}, the same posts in another order: {event.sentence.partition(': ')[2]}"
            conditions.on_event(Event("stage", sentence, event.fraction))

    return replace(conditions, ends=conditions.ends - course.seconds_a_look(), on_event=on_event, interlude=None)


@dataclass(frozen=True)
class _Task:
    """What the leader and its helpers have in common.

    settings: as they were planned; a batch is that of all processes together. tokens_at_once: see `Conditions`.
    """

    dataset: PostDataset
    settings: TrainingSettings
    precision: torch.dtype
    tokens_at_once: int | None


def _help_out(config: PreTrainedConfig, task: _Task) -> None:
    """What a helper does of `fine_tune`. Its network is made from the configuration alone; the weights in it, and
    what is learned, come from the leader, to whom the result is left."""
    environment.quiet_libraries()
    with environment.memory_errors_in_words("training"):
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        _learn(network.to(environment.device()), task, None)


def _learn(network: PreTrainedModel, task: _Task, course: Course | None) -> adapters.Learner:
    """Run the Trainer, in the leader with its course."""
    settings = task.settings
    learner = adapters.Learner(network, settings)
    optimiser = torch.optim.AdamW(learner.parameters, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    with tempfile.TemporaryDirectory() as scratch, processes.losses_in_words():
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=settings.steps or 10**9,
            seed=settings.seed,
            max_grad_norm=1.0,
            use_cpu=network.device.type == "cpu",
            bf16=task.precision == torch.bfloat16,
            fp16=task.precision == torch.float16,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            ddp_find_unused_parameters=False,
            ddp_broadcast_buffers=False,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # the Trainer would split batches among all GPUs of one process
        trainer = _PostTrainer(
            course=course,
            model=_Loss(network, task.precision),
            args=arguments,
            train_dataset=task.dataset.training,
            callbacks=[*([course] if course else []), _EndTogether()],
            batches=_Batches(task.dataset, settings.tokens_per_batch, settings.seed),
            tokens_at_once=task.tokens_at_once,
            optimizers=(optimiser, _Schedule(optimiser, course, settings)),
        )
        trainer.remove_callback(PrinterCallback)
        with learner.learning():
            trainer.train()
    return learner


def _beginnings(dataset: PostDataset, tokens: int | None) -> PostDataset:
    """The same data set; where only so many tokens are computed together, no more of a post is learned from."""
    if tokens is None:
        return dataset
    return replace(
        dataset, training=tuple(replace(post, tokens=post.tokens[: tokens + 1]) for post in dataset.training)
    )


class _EndTogether(TrainerCallback):
    """The leader's course says when training is over; it is over in all processes then."""

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = processes.share(control.should_training_stop)


class _Loss(torch.nn.Module):
    """The network with its loss, in the form that the Trainer calls: the mean over the batch's real tokens.

    share: what turns the mean of a piece, or of this process's part, into its part of the mean of the whole batch.
    """

    def __init__(self, network: torch.nn.Module, precision: torch.dtype) -> None:
        super().__init__()
        self.network = network
        # In float16 the head's small probabilities would be lost.
        self._head = torch.bfloat16 if precision == torch.bfloat16 else torch.float32

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor, share: float) -> dict[str, torch.Tensor]:
        plain = input_ids.device.type == "cpu" and self._head == torch.bfloat16 and labels.shape[1] <= SHORT
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            loss = cross_entropy(self.network, input_ids, labels, head_precision=self._head)
        return {"loss": loss * share}


def _planned(settings: TrainingSettings, dataset: PostDataset, conditions: Conditions) -> TrainingSettings:
    """The settings with the batches and the learning rate that suit the time. Asked for steps, they are as they are.

    Batches are smaller where the machine is slow or the time short, and the rate is lower by the root of their share
    (the square-root rule for Adam, Malladi et al. 2022, arXiv:2205.10287). It is higher where the time ends before the
    posts have given what they have.
    """
    if settings.steps:
        return settings
    seconds = max(conditions.ends - conditions.afterwards - time.monotonic(), 0.0)
    characters_a_token = sum(len(example.text) for example in dataset.training) / dataset.training_tokens()
    tokens_a_second = processes.count() * conditions.scoring_speed / characters_a_token / SCORING_GAIN
    fitting = min(STEP_TIME * seconds * tokens_a_second, settings.tokens_per_batch)
    batch = max(round(fitting), min(FEWEST_TOKENS, settings.tokens_per_batch))
    read = min(seconds * tokens_a_second / enough_tokens(dataset), 1.0)
    higher = SHORT_RATE + (1.0 - SHORT_RATE) * read
    rate = settings.learning_rate * higher * math.sqrt(batch / settings.tokens_per_batch)
    return replace(settings, tokens_per_batch=batch, learning_rate=min(rate, 1.0))


class _Batches:
    """The endless batches of a data set, as a PyTorch batch sampler."""

    def __init__(self, dataset: PostDataset, tokens_per_batch: int, seed: int) -> None:
        self._dataset, self._tokens_per_batch, self._seed = dataset, tokens_per_batch, seed

    def __iter__(self) -> Iterator[list[int]]:
        return self._dataset.training_batches(self._tokens_per_batch, self._seed)


class _PostTrainer(Trainer):
    """The Trainer with our batches, which tells the course about every batch that it learns from."""

    def __init__(
        self, *, course: Course | None, batches: _Batches, tokens_at_once: int | None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self._course, self._batches, self._tokens_at_once = course, batches, tokens_at_once

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_dataset, batch_sampler=self._batches, collate_fn=_share_of)

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        tokens = inputs.pop("tokens")
        with threads.watched("learning", tokens, self.args.device):
            if self._tokens_at_once is None:
                loss = processes.average(super().training_step(model, inputs, *rest))
            else:
                pieces = _pieces(inputs, self._tokens_at_once, tokens)
                loss = sum(super(_PostTrainer, self).training_step(model, piece, *rest) for piece in pieces)
                memory.give_back()
        if self._course:
            self._course.note(loss, tokens)
        return loss


def _pieces(inputs: dict[str, torch.Tensor], tokens_at_once: int, tokens: int) -> Iterator[dict[str, Any]]:
    """A batch of so many real tokens, some of its rows at a time, each piece with its share of them."""
    rows = max(tokens_at_once // inputs["labels"].shape[1], 1)
    for input_ids, labels in zip(inputs["input_ids"].split(rows), inputs["labels"].split(rows), strict=True):
        yield {"input_ids": input_ids, "labels": labels, "share": int((labels >= 0).sum()) / tokens}


def _share_of(examples: Sequence[Example]) -> dict[str, Any]:
    """What this process learns of a batch: every other post, if there are two.

    tokens: to predict in the whole batch. share: how many of them are this process's, times the number of processes,
    over which gradients are averaged; 1 for one that is alone. A process for which there is no post learns from all of
    them, and that counts for nothing.
    """
    mine = examples[processes.number() :: processes.count()]
    tokens, own = (sum(len(example.tokens) - 1 for example in some) for some in (examples, mine))
    # What stands before a post is asked for as well: who prompts a bot with the start token alone gets a post, too.
    batch = collate([example.tokens for example in mine or examples])
    return {**batch, "tokens": tokens, "share": processes.count() * own / tokens}


class _Schedule(LRScheduler):
    """Warm-up, then a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983) or a line down to zero.

    Both follow the course's progress, of time or of steps.

    The warm-up starts at a fifth of the peak and not at zero: on a slow machine there are only dozens of steps.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, course: Course | None, settings: TrainingSettings) -> None:
        self._course, self._warmup, self._schedule = course, settings.warmup, settings.schedule
        super().__init__(optimiser)

    def get_lr(self) -> list[float]:
        progress = processes.share(self._course.progress() if self._course else 0.0)
        if progress < self._warmup:
            factor = 0.2 + 0.8 * progress / self._warmup
        else:
            done = (progress - self._warmup) / (1 - self._warmup)
            factor = 0.5 * (1 + math.cos(math.pi * done)) if self._schedule == "cosine" else 1 - done
        return [base * factor for base in self.base_lrs]
