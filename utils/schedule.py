"""How large the steps are, and how far each of them goes.

In: the settings, the posts, and the time that there is. Out: the settings with the tokens in a step and the learning
rate that suit it; how far back AdamW looks; and, while the model learns, how that rate rises and falls. Knows nothing
about gradients.
"""

import math
import time
from dataclasses import replace

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils import processes
from utils.course import Conditions, Course, enough_tokens
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

SHORT_ROUND = 55
"""A round of fewer steps than this, as reckoned before the first, has `SHORT_BETAS`. Where the time decides, it turns
out to have up to a quarter fewer."""

SHORT_BETAS, BETAS = (0.6, 0.9), (0.9, 0.99)
"""AdamW's: how much each step keeps of the direction so far, and of how large gradients were. With the usual 0.9 a step
follows the ten before it, and where there are only dozens, most of those knew less. `sample:keeperfinch`, LoRA at
2.5e-3, steps of 512 tokens, seed 0, validation posts' bits per character by the first beta, the second one 0.99:

    steps                             0.9    0.7    0.6    0.5    0.3    0.0
    10                              1.685  1.659  1.646  1.642  1.658
    20                              1.605  1.578  1.575  1.571  1.572  1.580
    40                              1.530  1.506         1.504
    75                              1.465  1.460  1.462  1.464
    the mean of two such rounds     1.453  1.449         1.450

So a long round would gain little, and it has much to lose: the largest step that is stable at all is 38 over the
curvature with 0.9, and 8 with 0.6 (Cohen et al. 2022, arXiv:2207.14484: (2 + 2 beta) / (1 - beta)). With 0.6, a round
of 76 steps broke down ten steps after its rate was highest, to 2.336 bits, and came no further than 1.488. In a short
one the rate falls before: of 25 rounds of 14 to 53 steps none was seen to, nor any of six of 15 at 6e-3, and of four
of 30 at 4e-3. With a second beta of 0.99 one of 15 steps did, and one of the six: a gradient out of the ordinary moves
a weight by up to 4 rates then, and not by 1.3 (the share of it that is new, over the root of the other).

Tried with 20 steps and not taken: Nesterov's way (NAdam), with 0.9, 0.8 and 0.7 1.575, 1.577 and 1.574; with 0.5, where
it is 1.571 otherwise, rates of 3.5e-3 and 5e-3 1.569 and 1.572, and gradients held to a norm of 0.2, or not at all,
1.570 and 1.574; and LoRA's first matrix beginning in the directions of the first gradient (as LoRA-GA, Wang et al.
2024, arXiv:2407.05000), 1.567 with 0.5, and 1.604 with 0.9."""

TUNED_WIDTH = 576
"""The width, numbers in a hidden state, of the model with which the learning rate was chosen: the default one."""


def planned(settings: TrainingSettings, width: int, dataset: PostDataset, conditions: Conditions) -> TrainingSettings:
    """The settings with the batches and the learning rate that suit the model and the time.

    width: of the model. The rate is lower by as much as that is larger than `TUNED_WIDTH` (for Adam, Yang et al. 2022,
    arXiv:2203.03466; of LoRA, Schulman et al. 2025, "LoRA Without Regret", fitted a power of 0.78 to Llama models), and
    not raised for a smaller one. That is theirs; no wider model was measured here.
    Batches are smaller where the machine is slow or the time short, at the same rate: lower by the root of their share
    (the square-root rule for Adam, Malladi et al. 2022, arXiv:2205.10287) it was worse, 14 steps of 256 tokens 1.677 on
    validation posts and not 1.657, 20 of 128 1.681 and not 1.673 (means of three seeds). Asked for steps, batches are
    as they are.
    """
    settings = replace(settings, learning_rate=settings.learning_rate * min(TUNED_WIDTH / width, 1.0))
    if settings.steps:
        return settings
    fitting = min(STEP_TIME * _tokens_in_time(dataset, conditions), settings.tokens_per_batch)
    batch = max(round(fitting), min(FEWEST_TOKENS, settings.tokens_per_batch))
    return replace(settings, tokens_per_batch=batch)


def betas(settings: TrainingSettings, dataset: PostDataset, conditions: Conditions) -> tuple[float, float]:
    """AdamW's, for as many steps as were asked for; or as fit into the time, but no more than suit the posts."""
    steps = settings.steps
    if not steps:  # packed examples, which have no texts of their own, learn in as many steps as were asked for
        steps = min(_tokens_in_time(dataset, conditions), enough_tokens(dataset)) / settings.tokens_per_batch
    return SHORT_BETAS if steps < SHORT_ROUND else BETAS


def _tokens_in_time(dataset: PostDataset, conditions: Conditions) -> float:
    """How many tokens can be learned from before the time is up, as reckoned before the first step."""
    seconds = max(conditions.ends - conditions.afterwards - time.monotonic(), 0.0)
    characters_a_token = sum(len(example.text) for example in dataset.training) / dataset.training_tokens()
    return seconds * processes.count() * conditions.scoring_speed / characters_a_token / SCORING_GAIN


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
