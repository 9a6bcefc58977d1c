"""How large the steps are, and how far each of them goes.

In: the settings, the posts, and the time that there is. Out: the settings with the tokens in a step and the learning
rate that suit it; and, while the model learns, how that rate rises and falls. Knows nothing about gradients.
"""

import math
import time
from dataclasses import replace

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils import processes
from utils.course import Conditions, Course
from utils.dataset import PostDataset
from utils.settings import TrainingSettings

STEP_TIME = 0.04
"""The share of the training time that one step may take: a step that has begun is finished, however slow the machine
has become meanwhile, and the schedule of the learning rate wants dozens of them."""

SCORING_GAIN = 2.0
"""Learning from a text is reckoned to take so many times as long as scoring it, which goes forwards alone. Two
cores took 3.5 times as long, with bfloat16 and without, so that a step may take 7 % and not 4: no harm was seen. Half a
minute of `sample:keeperfinch` came to 1.579 held-out bits per character with steps of up to 512 tokens, to 1.578 with
400 and to 1.579 with 320 (means of two seeds)."""

FEWEST_TOKENS = 128
"""Smaller batches hardly take less time: the optimiser and the reading of the weights are the same for all."""

TUNED_WIDTH = 576
"""The width, numbers in a hidden state, of the model with which the learning rate was chosen: the default one."""


def planned(settings: TrainingSettings, width: int, dataset: PostDataset, conditions: Conditions) -> TrainingSettings:
    """The settings with the batches and the learning rate that suit the model and the time.

    width: of the model. The rate is lower by as much as that is larger than `TUNED_WIDTH` (for Adam, Yang et al. 2022,
    arXiv:2203.03466; of LoRA, Schulman et al. 2025, "LoRA Without Regret", fitted a power of 0.78 to Llama models), and
    not raised for a smaller one. That is theirs; no wider model was measured here.
    Batches are smaller where the machine is slow or the time short, and the rate is lower by the root of their share
    (the square-root rule for Adam, Malladi et al. 2022, arXiv:2205.10287). Asked for steps, batches are as they are.
    """
    settings = replace(settings, learning_rate=settings.learning_rate * min(TUNED_WIDTH / width, 1.0))
    if settings.steps:
        return settings
    seconds = max(conditions.ends - conditions.afterwards - time.monotonic(), 0.0)
    characters_a_token = sum(len(example.text) for example in dataset.training) / dataset.training_tokens()
    tokens_a_second = processes.count() * conditions.scoring_speed / characters_a_token / SCORING_GAIN
    fitting = min(STEP_TIME * seconds * tokens_a_second, settings.tokens_per_batch)
    batch = max(round(fitting), min(FEWEST_TOKENS, settings.tokens_per_batch))
    rate = settings.learning_rate * math.sqrt(batch / settings.tokens_per_batch)
    return replace(settings, tokens_per_batch=batch, learning_rate=rate)


class Schedule(LRScheduler):
    """Warm-up, then a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983) or a line down to zero.

    Both follow the course's progress, of time or of steps.

    The warm-up starts at a fifth of the peak and not at zero: on a slow machine there are only dozens of steps.
    """

    def __init__(self, optimiser: Optimizer, course: Course | None, settings: TrainingSettings) -> None:
        self._course, self._warmup, self._schedule = course, settings.warmup, settings.schedule
        super().__init__(optimiser)

    def get_lr(self) -> list[float]:
        """The learning rate of each group of parameters now."""
        progress = processes.share(self._course.progress() if self._course else 0.0)
        if progress < self._warmup:
            factor = 0.2 + 0.8 * progress / self._warmup
        else:
            done = (progress - self._warmup) / (1 - self._warmup)
            factor = 0.5 * (1 + math.cos(math.pi * done)) if self._schedule == "cosine" else 1 - done
        return [base * factor for base in self.base_lrs]
