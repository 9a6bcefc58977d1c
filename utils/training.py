"""Fine-tune within a budget of time.

In: a LanguageModel, a PostDataset, and the conditions, above all when it has to be over. Out: the same
network with the best weights that were met on the way, and a Training that says how it went. The loop
is the Trainer of transformers; ours are the batches, the loss, the Schedule and the Course, which decides
when to stop. Knows nothing about files, drafts or the held-out posts.

Of several processes, each learns from its share of every batch; the steps, and what comes of them, are those of one
process. The leader alone has a Course, and the helpers take from it how far the training is, and whether it is over.
"""

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
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
from utils.countdown import Countdown
from utils.course import Conditions, Course, Training
from utils.dataset import Example, PostDataset
from utils.events import Event
from utils.language_model import LanguageModel
from utils.schedule import Schedule, betas, planned
from utils.scoring import collate, cross_entropy
from utils.settings import TrainingSettings

SHORT = 128
"""Tokens up to which a CPU computes attention in bfloat16 the plain way, with all weights in memory: forwards and
backwards took 2 ms for 14 posts of 37 tokens and 4 ms for 4 of 128, PyTorch's flash attention 8 ms and 6 ms."""

BYTES_A_ROUND = 12
"""For each parameter that learns, in float32: its value until all rounds are over (4), its part in their mean (4), and
as much as a Trainer may leave behind."""


def fine_tune(
    language_model: LanguageModel,
    dataset: PostDataset,
    settings: TrainingSettings,
    conditions: Conditions,
) -> Training:
    """Train as long as the conditions allow, in one round or several; or for `settings.steps` steps."""
    network = language_model.network
    with threads.trials().held() if settings.steps else nullcontext():  # as many steps are to give the same bot
        width = network.get_input_embeddings().weight.shape[1]
        settings = planned(settings, width, dataset, conditions)
        moments = betas(settings, dataset, conditions)
        most = _most_rounds(settings, conditions)
        countdown = Countdown(most)
        learner, course, training = _round(language_model, dataset, settings, moments, conditions, countdown)
        training.learned = learner.learned.as_dict()
        rounds, again = [adapters.learned_by(network)], None
        while len(rounds) < most and _may_begin_again(conditions, course, training, len(rounds)):
            countdown.next_round()
            learner.remove()
            gc.collect()  # a Trainer refers to itself, and to the moments of its optimiser
            other = replace(settings, seed=(settings.seed + len(rounds)) % 2**32)
            limits = _again(conditions, course, len(rounds) + 1)
            learner, _, again = _round(language_model, dataset, other, moments, limits, countdown)
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
    language_model: LanguageModel,
    dataset: PostDataset,
    settings: TrainingSettings,
    moments: tuple[float, float],
    conditions: Conditions,
    countdown: Countdown,
) -> tuple[adapters.Learner, Course, Training]:
    """Train once from the weights that are there; the learner still has to finish."""
    course = Course(language_model, dataset, settings, conditions, countdown)
    at_once = conditions.tokens_at_once if processes.count() == 1 else None  # all have to take as many pieces
    given = len(language_model.beginning)
    task = _Task(_beginnings(dataset, at_once), given, settings, moments, conditions.precision, at_once)
    processes.call_helpers(_help_out, language_model.network.config, task)
    learner = _learn(language_model.network, task, course)
    return learner, course, course.finish()


def _most_rounds(settings: TrainingSettings, conditions: Conditions) -> int:
    """How many rounds there may be, at most. What changes the weights themselves cannot begin again."""
    return 1 if settings.steps or settings.rank == 0 or conditions.tokens_at_once else settings.rounds


def _may_begin_again(conditions: Conditions, course: Course, training: Training, rounds: int) -> bool:
    """Whether one round more makes sense, and fits."""
    is_over = training.stopped or not training.improved or conditions.should_stop()
    fits = memory.available() > BYTES_A_ROUND * (rounds + 1) * training.learned["parameters"]
    return not is_over and fits and course.seconds_left() > course.takes_again()


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

    given: how many tokens each post begins with that are not asked for. settings: as they were planned; a batch is that
    of all processes together. moments: AdamW's betas. tokens_at_once: see `Conditions`.
    """

    dataset: PostDataset
    given: int
    settings: TrainingSettings
    moments: tuple[float, float]
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
    optimiser = torch.optim.AdamW(
        learner.parameters, lr=settings.learning_rate, betas=task.moments, weight_decay=0.0, fused=True
    )
    loss = _Loss(network, task.precision)
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
            model=loss,
            args=arguments,
            train_dataset=task.dataset.training,
            callbacks=[*([course] if course else []), _EndTogether()],
            batches=_Batches(task.dataset, settings.tokens_per_batch, settings.seed),
            data_collator=partial(_share_of, given=task.given),
            tokens_at_once=task.tokens_at_once,
            optimizers=(optimiser, Schedule(optimiser, course, settings)),
        )
        trainer.remove_callback(PrinterCallback)
        with learner.learning():
            trainer.train()
        loss.forget()
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

    def __init__(self, network: PreTrainedModel, precision: torch.dtype) -> None:
        super().__init__()
        # In float16 the head's small probabilities would be lost.
        head_precision = torch.bfloat16 if precision == torch.bfloat16 else torch.float32
        self._cross_entropy, self._precision = _CrossEntropy(network, head_precision), precision

    def forget(self) -> None:
        """Let go of what was rounded; a Trainer, which refers to itself, would keep it for a while."""
        vars(self).pop("_rounded", None)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor, share: float) -> dict[str, torch.Tensor]:
        # Weights that are tied are not replaced together: embeddings stay as exact as they are.
        loss = functional_call(self._cross_entropy, self._rounded, (input_ids, labels), tie_weights=False)
        return {"loss": loss * share}

    @cached_property
    def _rounded(self) -> dict[str, torch.Tensor]:
        """The matrices that stay, in the number format in which they are multiplied: autocast would round all of them
        anew at every step. A step of 512 tokens took two cores with bfloat16 0.81 s so, and 0.87 s otherwise. Made when
        the first step begins: a helper's weights come from the leader just before."""
        network, head_precision = self._cross_entropy.network, self._cross_entropy.head_precision
        last = network.get_output_embeddings().weight
        return {
            f"network.{name}": matrix.to(head_precision if matrix is last else self._precision)
            for name, matrix in adapters.frozen_matrices(network)
        }


class _CrossEntropy(torch.nn.Module):
    """What a network's loss is made of. head_precision: the number format in which its head computes."""

    def __init__(self, network: PreTrainedModel, head_precision: torch.dtype) -> None:
        super().__init__()
        self.network, self.head_precision = network, head_precision

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        is_short = labels.shape[1] <= SHORT
        plain = input_ids.device.type == "cpu" and self.head_precision == torch.bfloat16 and is_short
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            return cross_entropy(self.network, input_ids, labels, head_precision=self.head_precision)


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
        return DataLoader(self.train_dataset, batch_sampler=self._batches, collate_fn=self.data_collator)

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        tokens = inputs.pop("tokens")
        with threads.watched("learning", tokens, self.args.device):
            if self._tokens_at_once is None:
                loss = processes.average(super().training_step(model, inputs, *rest))
            else:
                pieces = _pieces(inputs, self._tokens_at_once)
                loss = sum(super(_PostTrainer, self).training_step(model, piece, *rest) for piece in pieces)
                memory.give_back()
        if self._course:
            self._course.note(loss, tokens)
        return loss


def _pieces(inputs: dict[str, torch.Tensor], tokens_at_once: int) -> Iterator[dict[str, Any]]:
    """A batch, some of its rows at a time, each piece with its share of what is asked for."""
    rows = max(tokens_at_once // inputs["labels"].shape[1], 1)
    asked = int((inputs["labels"] >= 0).sum())
    for input_ids, labels in zip(inputs["input_ids"].split(rows), inputs["labels"].split(rows), strict=True):
        yield {"input_ids": input_ids, "labels": labels, "share": int((labels >= 0).sum()) / asked}


def _share_of(examples: Sequence[Example], given: int) -> dict[str, Any]:
    """What this process learns of a batch: every other post, if there are two.

    given: how many tokens each post begins with that are not asked for. What comes after the very first one is better
    not asked: where it was, six trainings of twelve broke down at three times the learning rate of 2e-3, and of twelve
    others none (14 steps of 256 tokens, `sample:keeperfinch`).

    tokens: of the whole batch, but for the first of each post. share: how much of what is asked for is this process's,
    times the number of processes, over which gradients are averaged; 1 for one that is alone. A process for which there
    is no post learns from all of them, and that counts for nothing.
    """
    mine = examples[processes.number() :: processes.count()]
    asked, own = (sum(len(example.tokens) - given for example in some) for some in (examples, mine))
    batch = collate([example.tokens for example in mine or examples], [given] * len(mine or examples))
    tokens = sum(len(example.tokens) - 1 for example in examples)
    return {**batch, "tokens": tokens, "share": processes.count() * own / asked}
