"""Keep time while a model learns: validate, remember the best weights, decide when it is over.

In: a PostDataset, the moment at which training has to be over, and word of every step. Out: a Training
that says how it went, and the network with the best weights that were met. Knows nothing about gradients.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback

from utils import adapters, environment, threads
from utils.countdown import ROOM_FOR_A_ROUND, Countdown
from utils.dataset import PostDataset
from utils.events import Event, OnEvent, ignore
from utils.language_model import LanguageModel
from utils.scoring import score
from utils.settings import TrainingSettings

VALIDATIONS = 5
"""At most so many validations after the start, evenly spaced; one always at the end."""

STEPS_A_VALIDATION = 20
"""Where steps were asked for, at least so many lie between two validations."""

VALIDATION_TIME = 0.03
"""The share of the training time that one validation may take; where all validation posts would take longer,
only some are looked at. All after the start may take twice that; on a slow machine there are fewer."""

FEWEST_VALIDATION_POSTS = 10
"""Fewer posts than this say more about themselves than about the model."""

PASSES, PASSES_OF_FEW, ENOUGH_TOKENS = 1.15, 1.5, 18_000
"""A round ends after the first of these passes over the posts. Where that would be fewer than so many tokens, those of
35 steps, it ends after so many, but after no more than the second of these passes. The time may end it before; the
learning rate reaches zero then. With more, the posts are known by heart: `sample:keeperfinch`, LoRA of rank 16,
held-out bits per character, 1.514 after 1.6 passes, 1.524 after 2.2 at half the learning rate, 1.549 after 3. At
today's rate, on validation posts, and the head as it was: 1.515 after 62 steps (1.0), 1.505 after 71 (1.15), 1.503
after 93 (1.5), of which fewer rounds fit in. With the head, every second post of it, the mean of two rounds on
validation and on held-out posts: 1.535 and 1.524 after 0.9 passes, 1.519 and 1.508 after 1.2, 1.519 and 1.518 after
1.4; every eighth: 1.681 and 1.671 after 1.1, 1.650 and 1.639 after 1.5, 1.687 and 1.685 after 2.3."""

MOST_PASSES = 4.5
"""No author of a mix is read more often than this, however few their posts; all have an equal say until then."""

PATIENCE = 2
"""Training ends when so many validations in a row were no better than the best."""


FEW_STEPS = 5
"""A training that gets no further than this was given too little time, and says so."""

DRAFTS = 5
"""Interludes: one before training, and one after each fifth of its first round but the last; enough to watch the voice
arrive."""


@dataclass(frozen=True)
class Conditions:
    """What training has to fit into.

    ends: the moment of `time.monotonic` at which everything has to be over; infinite where steps were asked for.
    afterwards: seconds that what comes after the training takes, at the speed that the machine had before it.
    precision: the number format to compute in.
    should_stop: asked after every step; once it says True, training ends and the best weights are kept.
    scoring_speed: characters of posts that this machine scores in a second; where that is not known, so many
        that it does not matter.
    tokens_at_once: where memory is tight, the tokens of a step that are computed together; None: all.
    interlude: called between steps, before training and after each fifth of its first round but the last, with the
        share of all training that is over; its time is part of the training's.
    """

    ends: float
    precision: torch.dtype
    afterwards: float = 0.0
    on_event: OnEvent = ignore
    should_stop: Callable[[], bool] = lambda: False
    scoring_speed: float = 1e9
    tokens_at_once: int | None = None
    interlude: Callable[[float], None] | None = None


@dataclass
class Training:
    """How it went.

    steps, tokens: of all rounds. seconds: until the last look at the validation posts.
    validation: (seconds since the start of training, bits per character) at each validation of the first round, and of
        the mean of all; the first one is the untrained model's.
    slowdown: by how much the machine was slower in the end than at its fastest.
    learned: which weights learned, as `adapters.Learned` says it.
    improved: False if no trained weights beat the untrained ones, which were then kept.
    """

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    slowdown: float = 1.0
    stopped: bool = False
    improved: bool = False
    validation: list[tuple[float, float]] = field(default_factory=list)
    learned: dict[str, Any] = field(default_factory=dict)

    def add(self, other: "Training") -> None:
        """Count another round of the same bot."""
        self.steps += other.steps
        self.tokens += other.tokens
        self.slowdown = other.slowdown
        self.stopped |= other.stopped

    def doubts(self, settings: TrainingSettings) -> list[str]:
        """Reasons to think that the training was not worth much, a sentence each."""
        doubts = []
        if self.steps < FEW_STEPS and not (settings.steps or self.stopped):
            doubts.append(
                f"Loading and scoring took nearly all of the time; only {self.steps} training "
                f"{'step' if self.steps == 1 else 'steps'} fitted in. Give it more minutes."
            )
        if not self.improved:
            doubts.append(
                "Training did not make the model better at the validation posts; the untrained weights were kept."
            )
        return doubts


class Course(TrainerCallback):
    """Keeps time, validates, remembers the best weights and decides when it is over."""

    def __init__(
        self,
        language_model: LanguageModel,
        dataset: PostDataset,
        settings: TrainingSettings,
        conditions: Conditions,
        countdown: Countdown | None = None,
    ) -> None:
        """countdown: that of the whole training, where this is not its only round."""
        self.dataset, self.settings = dataset, settings
        self._language_model, self._conditions = language_model, conditions
        self._countdown = countdown or Countdown()
        self._device = environment.device_name(language_model.device)
        self._pace = self._countdown.pace
        self._enough_tokens = enough_tokens(dataset)
        self._validation_texts = [example.text for example in dataset.validation]
        if not settings.steps:  # counting seconds would make two runs with the same number of steps differ
            characters = int(VALIDATION_TIME * self.seconds_left() * conditions.scoring_speed)
            self._validation_texts = _sample_of(self._validation_texts, characters)
        self._start = time.monotonic()
        self._learning_began = math.inf
        self._training = Training()
        self._best: adapters.Weights = {}
        self._best_figure = math.inf
        self._worse_in_a_row = 0
        self._longest_step = 0.0
        self._interludes = 0
        self._furthest = 0.0
        self._loss = torch.tensor(math.nan)

    def progress(self) -> float:
        """How much of this round is over, 0 to 1: by steps if they were asked for, else by time or by passes.

        It counts from the first step, so that what comes before takes nothing from the warm-up, and it never goes
        back, even where a machine that had slowed down is fast again.
        """
        if self.settings.steps:
            return min(self._training.steps / self.settings.steps, 1.0)
        by_time = (time.monotonic() - self._learning_began) / max(self._end() - self._learning_began, 1e-9)
        by_passes = self._training.tokens / self._enough_tokens
        self._furthest = min(max(self._furthest, by_time, by_passes), 1.0)
        return self._furthest

    def seconds_left(self) -> float:
        """How long training may still go on; infinite where steps were asked for."""
        return max(self._end() - time.monotonic(), 0.0)

    def note(self, loss: torch.Tensor, tokens: int) -> None:
        """A batch has been learned from."""
        self._loss = loss.detach()
        self._training.tokens += tokens
        self._step_tokens += tokens

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Measure the untrained model, and from the time that took plan how often to measure again."""
        began = time.monotonic()
        self._validate("before training")
        self._validation_seconds = time.monotonic() - began
        if self.settings.steps:
            affordable = self.settings.steps // STEPS_A_VALIDATION
        else:
            training_seconds = max(self._end() - self._start, 0)
            affordable = int(2 * VALIDATION_TIME * training_seconds / max(self._validation_seconds, 1e-9))
        self._validations = min(max(affordable, 1), VALIDATIONS)
        self._pause()
        self._learning_began = time.monotonic()
        self._begin_step()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Tell of the step; validate if it is time, and end the training if that is over."""
        training = self._training
        training.steps += 1
        now = time.monotonic()
        self._longest_step = max(self._longest_step * 0.9, now - self._step_began)
        if not self._step_on_trial:
            self._pace.note(now - self._step_began, self._step_tokens)
        self._tell(kwargs["lr_scheduler"].get_last_lr()[0])
        done = len(training.validation) - 1  # the first one was before training
        if self._over():
            control.should_training_stop = True
        elif self.progress() >= (done + 1) / self._validations:
            self._validate("so far")
            control.should_training_stop = self._worse_in_a_row >= PATIENCE or self._over()
        if not control.should_training_stop and self.progress() >= self._interludes / DRAFTS:
            self._pause()
        self._begin_step()

    def _begin_step(self) -> None:
        self._step_began, self._step_tokens = time.monotonic(), 0
        self._step_on_trial = threads.trials().trying  # its pace says little about the machine's then

    def _pause(self) -> None:
        if self._conditions.interlude:
            self._language_model.network.eval()
            self._conditions.interlude(self.progress() if self.settings.steps else self._countdown.share)
            self._language_model.network.train()
        self._interludes = int(self.progress() * DRAFTS) + 1

    def _over(self) -> bool:
        if self._conditions.should_stop():
            self._training.stopped = True
            return True
        if self.progress() >= 1.0:
            return True
        if self.settings.steps:
            return False
        last = self._longest_step + self._validation_seconds * self._pace.slowdown
        return time.monotonic() + last > self._end()

    def _end(self) -> float:
        """The moment at which training has to be over. It comes nearer when the machine slows down, because then
        what comes afterwards will take longer too."""
        return self._conditions.ends - self._conditions.afterwards * self._pace.slowdown

    def takes_again(self) -> float:
        """Seconds that have to be left for another round: nearly as many as this one took, and two looks at the
        validation posts, its last and the one at the mean, as long as one takes now."""
        return ROOM_FOR_A_ROUND * self._training.seconds + 2 * self.seconds_a_look()

    def seconds_a_look(self) -> float:
        """Seconds that one look at the validation posts takes now."""
        return self._validation_seconds * self._pace.slowdown

    def finish(self) -> Training:
        """Validate the last weights, and put the best ones back."""
        if self._validated_step != self._training.steps:
            self._validate("at the end")
        adapters.put(self._language_model.network, self._best)
        self._training.seconds, self._training.slowdown = self._elapsed(), self._pace.slowdown
        return self._training

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _validate(self, when: str) -> None:
        """Measure the validation posts, and remember these weights if none were better."""
        first = not self._training.validation
        self._validated_step = self._training.steps
        if self.is_best(when):
            self._worse_in_a_row = 0
            self._training.improved = not first
            self._best = adapters.learned_by(self._language_model.network)
        else:
            self._worse_in_a_row += 1

    def is_best(self, when: str) -> bool:
        """Measure the validation posts, and say whether no weights before were as good. when: for the sentence."""
        self._say("stage", "Scoring the validation posts")
        figure = score(self._language_model, self._validation_texts, self._conditions.precision).bits_per_character
        self._training.validation.append((self._elapsed(), figure))
        sentence = f"Validation posts {when}: {figure:.3f} bits per character"
        training = self._training
        self._say("validation", sentence, bits_per_character=figure, step=training.steps, tokens=training.tokens)
        best, self._best_figure = self._best_figure, min(self._best_figure, figure)
        self._training.seconds = self._elapsed()
        return figure < best or len(training.validation) == 1

    def _tell(self, learning_rate: float) -> None:
        training, elapsed = self._training, self._elapsed()
        loss = self._loss.item()
        learned_for = time.monotonic() - self._learning_began
        left = self._countdown.note(learned_for, self.progress(), self.seconds_left())
        after = f"{training.steps} of {self.settings.steps} steps" if self.settings.steps else _time_left(left)
        self._say("loss", f"Learning: {after}, on {self._device}", step=training.steps, loss=loss,
                  tokens=training.tokens, tokens_per_second=training.tokens / elapsed, seconds_left=round(left),
                  learning_rate=learning_rate,
                  peak_memory_bytes=environment.peak_memory(self._language_model.device))  # fmt: skip

    def _say(self, kind: str, sentence: str, **data: Any) -> None:
        self._conditions.on_event(
            Event(kind, sentence, self._countdown.share, {"seconds": round(self._elapsed(), 2), **data})
        )


def enough_tokens(dataset: PostDataset) -> float:
    """Tokens after which the posts have given what they have in one round."""
    volumes = Counter[int]()
    for example in dataset.training:
        volumes[example.author] += len(example.tokens) - 1
    volume = volumes.total()
    enough = max(PASSES * volume, min(PASSES_OF_FEW * volume, ENOUGH_TOKENS))
    return min(enough, MOST_PASSES * len(volumes) * min(volumes.values()))


def _sample_of(texts: list[str], characters: int) -> list[str]:
    """Evenly spaced texts with about so many characters, but not fewer than `FEWEST_VALIDATION_POSTS`."""
    average = sum(map(len, texts)) / max(len(texts), 1)
    wanted = min(max(int(characters / max(average, 1)), FEWEST_VALIDATION_POSTS), len(texts))
    return [texts[index * len(texts) // wanted] for index in range(wanted)]


def _time_left(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s left to train" if minutes else f"{seconds} s left to train"
