"""The few knobs, each default beside its reason.

In: what a user chose. Out: frozen dataclasses that have checked themselves. Knows nothing about
where a value came from; the command line and a page build the same objects.
"""

from dataclasses import dataclass

from utils.errors import BadSetting

PROJECT_URL = "https://github.com/borisdayma/huggingtweets"
"""Where a reader of a shared bot or post learns what this is: the first huggingtweets, home of the idea. This
project has no public address of its own yet; when it gets one, it belongs here."""

NOTEBOOK = "huggingtweets-demo.ipynb"
"""The page."""

DEV_NOTEBOOK = "huggingtweets-dev.ipynb"
"""How it works, section by section."""

_ON_COLAB = f"{PROJECT_URL.replace('github.com', 'colab.research.google.com/github')}/blob/main"

COLAB_URL, DEV_COLAB_URL = f"{_ON_COLAB}/{NOTEBOOK}", f"{_ON_COLAB}/{DEV_NOTEBOOK}"
"""The page, and how it works, as notebooks on Google Colab, which lends a GPU."""

BINDER_URL = f"{PROJECT_URL.replace('github.com', 'mybinder.org/v2/gh')}/main?urlpath=voila/render/{NOTEBOOK}"
"""The page itself on Binder, where Jupyter's server shows it with Voilà."""

BINDER_MINUTES = 10.0
"""The minutes that the page proposes on Binder. A visitor gets one core there (mybinder.org's `cpu: limit: 1` of
August 2026), and this is reckoned, not measured: half the cores, twice the minutes that two cores have."""

SHARED_NAME = "huggingtweets"
"""What the name of a shared bot begins with, so that people find them all."""

CONSENT = {
    "mine": "The person who made this bot says that these are their own posts.",
    "consented": "The person who made this bot says that the author of the posts agreed to it.",
    "fictional": "The author is fictional: nobody lives behind this voice.",
}
"""What a maker can say about the author, and how the card passes it on."""

DRAFTS_TO_SHARE = 20
"""Drafts that are looked through for copies before a bot is shared: one is five points of a hundred, enough to
tell a bot that repeats from one that does not. A bot of the default model took 96 s for them on two busy cores."""

HUB_PATIENCE = 30.0
"""Seconds for which the Hub, or the way to it, may be silent before a request is given up: long for an answer, and
about as long as somebody watches a bar that stands still. The library itself would wait for ever."""

MINIMUM_CHARACTERS = 6_000
"""Under this much text nothing is trained: the threshold of the first huggingtweets (2020)."""

COMFORTABLE_CHARACTERS = 40_000
"""Under this much text a warning is shown: the threshold of the first huggingtweets (2020)."""

MAXIMUM_CHARACTERS = 25_000
"""The longest post that X takes from anybody; a longer text is no post, and would outweigh all others."""

MAXIMUM_MINUTES = 10_000
"""A week; more is a slip of the finger."""

SCHEDULES = ("cosine", "linear")

ENDS = ("upper", "lower")
"""Of the stack of layers. The upper ones are next to the words that come out, the lower ones to those that go in."""

MAXIMUM_RANK = 256
"""Beyond this two thin matrices are hardly fewer weights than the one that they change."""

MINIMUM_BATCH, MAXIMUM_BATCH = 64, 65_536
"""Tokens in one step: a post or two, and what a large GPU holds of a small model."""

MAXIMUM_ROUNDS = 8
"""Each gives less than the one before: see `TrainingSettings`."""

MAXIMUM_AUTHORS = 3
"""More voices than this in one small model are no longer told apart by a reader."""

MAXIMUM_DRAFTS = 1_000
"""More drafts than this from one command are a mistake, or spam."""


MINIMUM_POSTS = 20
"""Posts to learn from, at the least."""

FEWEST_POSTS = 24
"""Of which `MINIMUM_POSTS` are left to learn from when a tenth is held out, and a tenth of the rest chooses the best
weights."""

MAXIMUM_HELD_OUT = 400
"""Posts of one author that are scored before and after: more would take longer than they tell."""


@dataclass(frozen=True)
class CleaningSettings:
    """What counts as worth learning from.

    min_words: posts with fewer words of their own are dropped; three is the shortest that still
        shows how somebody builds a sentence.
    fold_line_breaks: turn line breaks into spaces. Off, because verse and lists are part of a voice.
    keep_links: leave links in. Off, because a model learns to write links that lead nowhere.
    """

    min_words: int = 3
    fold_line_breaks: bool = False
    keep_links: bool = False


@dataclass(frozen=True)
class TrainingSettings:
    """How a model learns.

    minutes: the whole wall clock from the command to the finished bot.
    steps: train so many optimiser steps instead of watching the clock, or fewer where validation posts have got
        worse; with the same seed on the same machine the weights are then the same.
    model: a name of the catalogue, a Hub id, a local folder, or "auto".
    seed: decides the split, the order of the posts, where LoRA's matrices begin, and nothing else.
    learned_share: the share of the layers that learn; the other layers stay as they were.
    learned_end: the end from which that share is counted, one of `ENDS`.
    rank: of the two thin matrices whose product LoRA adds to each weight matrix of these layers, and to the head; 0
        lets the weights of the layers themselves learn.
    learning_rate: the peak of AdamW's schedule, for a model as wide as the default. A wider one gets less
        (`schedule.planned`).
    schedule: how the learning rate falls from there to zero, one of `SCHEDULES`.
    warmup: the share of the budget during which the learning rate rises.
    tokens_per_batch: tokens in one step, padding included; fewer where a step would take too much of the minutes.
    rounds: where the posts are learned before the time is up, LoRA begins another round from the pre-trained weights,
        with the posts in another order, up to so many in all as fit in, the last of them nearly; the bot is their mean
        (model soups, Wortsman et al. 2022, arXiv:2203.05482). Asked for steps, it learns in one.

    What learns was chosen by single runs on `sample:keeperfinch`, held-out bits per character: 2.135 untrained. The
    learning rate rose for a twentieth of the time and fell to zero in so many passes over its 30,474 tokens, of 512 in
    a step unless it says otherwise:

        what learns                            rate  passes  bits per character
        LoRA, all layers, rank 32              1e-3     1.6               1.505
            256 tokens a step                  1e-3     1.6               1.513
        LoRA, all layers, rank 16              1e-3     1.6               1.514
            256 tokens a step                  1e-3     1.6               1.507
            half the rate, more passes         5e-4     2.2               1.524
            more passes                        1e-3     3.0               1.549
        whole upper half of the 30 layers      4e-4     1.5               1.552
            256 tokens a step                  3e-4     1.1               1.543
            1,024 tokens a step                4e-4     1.4               1.564
        whole upper third, 1,024 a step        5e-4     1.6               1.581

    The rate was chosen by validation posts, with as many steps each, and a head that stays as it was; seed 0 unless it
    says otherwise:

        steps of tokens  rate  warm-up  validation  held out
        20 of 512        2e-3     0.05       2.057     2.026   (the start token alone before a post)
                         2e-3     0.15       1.625     1.612   (the same)
        75 of 512        2e-3     0.15       1.498     1.503
            seed 1       2e-3     0.15       1.503     1.502
                         3e-3     0.15       1.493     1.499
            seed 1       3e-3     0.15       1.493     1.501
                         4e-3     0.15       1.512     1.516
        40 of 512        2e-3     0.15       1.561     1.543
                         3e-3     0.15       1.556     1.543
        20 of 384        2e-3     0.15       1.642     1.631
                         3e-3     0.15       1.617     1.608
                         4e-3     0.15       1.625     1.622
        27 of 256        2e-3     0.15       1.642     1.624
                         3e-3     0.15       1.641     1.623
                         4e-3     0.15       1.646     1.629
        40 of 128        1e-3     0.15       1.658     1.647
                         2e-3     0.15       1.645     1.633
                         3e-3     0.15       1.653     1.645

    But at 2.2e-3 to 3e-3, four trainings of 27 broke down that were over after 20 to 27 steps. Not one of twelve
    did at 6e-3 (14 steps of 256) once nothing was asked after the very first token, and six of twelve before. So it
    stands now, 75 steps of 512, seeds 0, 1, 2, and the mean of those named, validation and held out:

        2e-3    1.498 and 1.498    1.500 and 1.500                       the mean of the two    1.489 and 1.490
        3e-3    1.494 and 1.500    1.491 and 1.496    1.500 and 1.502    the mean of the two    1.477 and 1.482
                                                                         of all three           1.475 and 1.478
        4e-3    1.508 and 1.522    1.529 and 1.541                       the mean of the two    1.559 and 1.560

    The default keeps away from where the means go bad. What learns of the head, at 2.5e-3:

        steps of tokens                                        validation  held out
        40 of 512       nothing                                     1.556     1.541
                        LoRA, its gradient not the embeddings'      1.529     1.523
                        all of it, at 3e-4                          1.533     1.522
                            its gradient and the embeddings'        1.534     1.522
                            the embeddings' alone                   1.554     1.540
                        all of it, at 1e-3                          1.558     1.553
        27 of 256       nothing                                     1.645     1.623
                        all of it, at 2.1e-4                        1.628     1.610

    And how many rounds, 75 steps of 512 each with the head, seeds 0 to 4; one alone came to 1.465 to 1.470 on
    validation posts and to 1.474 to 1.483 on those held out:

        the mean of                     2       3       4       5
        validation                  1.453   1.448   1.444   1.442
        held out                    1.465   1.458   1.453   1.451

    Tried with 20 steps of 512, seed 0, and not taken, as it is worse or better by no more than seeds differ. Bits per
    character of the validation posts, against 1.625 with the defaults of then:

        twice the rate for LoRA's second matrix, and the same, half, a quarter for the first   1.615, 1.615, 1.616
        four times for the second, and half, a quarter for the first                           1.638, 1.647
        twice for the first matrix                                                             1.929
        beginning with the largest singular values (PiSSA), at 3e-4                            1.649
        Muon as torch has it, its steps as long as AdamW's, and four times as long             1.810, 1.633
        a dropout of 0.05 in LoRA                                                              1.625
        the moving average of the weights, a fifth of it the newest                            1.626

    Instead of several rounds, seed 0, before the quotation mark; validation and held out, where one round of 71 steps
    gave 1.505 and 1.496:

        100 steps, dropout 0.1          1.504                   1.516
        50 steps of 1,024               1.556                   1.560
        all weights, 3e-4, 45 of 1,024  1.528                   1.532

    Clipping and AdamW take 0.07 s of the 3.5 s of such a step, AdamW in one kernel (fused) 0.03 s: nothing to gain.
    Nor from having the C library keep freed memory (`mallopt`): 20 steps of 320 took 12.0 and 11.8 s, 11.8 and 11.7
    without.

    A step of 512 with bfloat16 on two cores came from 0.87 s to 0.72 (medians, by turns): to 0.81 when matrices that
    stay are rounded once for all steps, to 0.74 when LoRA's layers take fewer operations (low_rank.py), and to 0.72
    when the head changes its probabilities where they are (head.py; after the first alone, to 0.73). Matrix products
    are 0.51 s of it. Each norm's output rounded once for all matrices that it meets saved 0.006 s more, and bfloat16
    everywhere between the layers nothing. In oneDNN's own layout products are faster by a tenth to a quarter, but each
    matrix would be there a third time, and PyTorch has that only as a private function.

    A warm-up of one step made a high rate diverge, hence the long one; and so did twice what LoRA adds (`SCALE`), in
    one of two trainings of 75 steps at a first beta of 0.6. The tables here are of 0.9 and 0.99 (`schedule.BETAS`).

    Should less learn where the time is short? The same beginning, 256 tokens a step, and the rate at zero after so many
    tokens, bits per character of forty validation posts; two cores whose speed varied by a factor of two:

        LoRA, all layers, rank 32, rate 1e-3            5,753: 1.759    6,698: 1.720    13,882: 1.603
        whole upper half, rate 4e-4                     4,566: 1.757    7,658: 1.695    16,647: 1.598

    In 24 s, some 3,000 tokens, the upper half was ahead by 0.06 there; where two faster cores read 10,000 in that time,
    by no more than seeds differ (three seeds each, these in the dev notebook). With more time LoRA is ahead; so it
    learns always.

    By turns on two cores (float32), learning took 1 time unit a token with LoRA on all layers, 1 with the upper half
    whole and 1.5 with everything whole: LoRA passes gradients down to the lowest layer, but needs none of the large
    ones of the weights. In the short runs of the dev notebook, with smaller steps, the upper half read a third more.
    """

    minutes: float = 5.0
    steps: int | None = None
    model: str = "auto"
    seed: int = 0
    learned_share: float = 1.0
    learned_end: str = "upper"
    rank: int = 32
    learning_rate: float = 2.5e-3
    schedule: str = "cosine"
    warmup: float = 0.15
    tokens_per_batch: int = 512
    rounds: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= MAXIMUM_MINUTES:
            raise BadSetting(
                "The time to train must be a number of minutes above 0 and at most "
                f"{MAXIMUM_MINUTES:,}, like 5 or 0.5; it was {self.minutes:g}."
            )
        if self.steps is not None and self.steps < 1:
            raise BadSetting(f"The number of steps must be 1 or more; it was {self.steps}.")
        if not 0 <= self.seed < 2**32:
            raise BadSetting(f"The seed must be a whole number from 0 to {2**32 - 1}; it was {self.seed}.")
        if not 0 < self.learned_share <= 1:
            raise BadSetting(f"The share of layers that learn must be above 0, at most 1; it was {self.learned_share}.")
        if self.learned_end not in ENDS:
            raise BadSetting(
                f"The layers that learn must be the {' or the '.join(ENDS)} ones; it was {self.learned_end}."
            )
        if not 0 <= self.rank <= MAXIMUM_RANK:
            raise BadSetting(f"The rank must be from 0 to {MAXIMUM_RANK}; it was {self.rank}.")
        if not 0 < self.learning_rate <= 1:
            raise BadSetting(f"The learning rate must be above 0 and at most 1; it was {self.learning_rate}.")
        if self.schedule not in SCHEDULES:
            raise BadSetting(f"The schedule must be {' or '.join(SCHEDULES)}; it was {self.schedule}.")
        if not 0 <= self.warmup <= 0.5:
            raise BadSetting(f"The share of the warm-up must be from 0 to 0.5; it was {self.warmup}.")
        if not MINIMUM_BATCH <= self.tokens_per_batch <= MAXIMUM_BATCH:
            raise BadSetting(
                f"The tokens in a step must be from {MINIMUM_BATCH} to {MAXIMUM_BATCH:,}; "
                f"it was {self.tokens_per_batch}."
            )
        if not 1 <= self.rounds <= MAXIMUM_ROUNDS:
            raise BadSetting(f"The rounds must be from 1 to {MAXIMUM_ROUNDS}; it was {self.rounds}.")


UPDATE_SETTINGS = TrainingSettings(minutes=3.0, learning_rate=1e-3, warmup=0.05, rounds=1)
"""How a bot goes on learning.

minutes: on one core 30 steps took 87 s and scoring 92 held-out posts 14 s, so that 390 new posts, with the old ones
    mixed in, are read once and a bit more in about three. What the posts cannot use is not spent.
learning_rate: less than half of what a new bot gets. From a bot of the older 70 % of `sample:keeperfinch`, 30 steps of
    LoRA on its other posts and as many old ones, held-out bits per character, old and new: 1.524 and 1.580 before;
    1.513 and 1.562 at 3e-4, 1.511 and 1.555 at 6e-4, 1.507 and 1.551 at 1e-3, as validation posts like best, too.
"""


@dataclass(frozen=True)
class WritingSettings:
    """How a bot writes.

    temperature: how daring; the logits are divided by it. Near 0 the likeliest word always wins. At 0.7, 0.8, 0.9 and
        1.0 a five-minute bot of `sample:keeperfinch` was found out in 94, 84, 66 and 64 of 100 pairs of a draft and a
        post (as `evaluate` does it, 50 drafts with each of two seeds), and the same three words came twice in 16, 11, 6
        and 0 % of its drafts, and 6 % of the posts: less daring drafts make more sense, and are more alike. The
        untrained model finds drafts at 1.0 as surprising as the author's own posts, 2.09 and 2.13 bits per character.
    top_p: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751): only the likeliest tokens that
        together hold this much probability are drawn from; their paper's 0.95.
    seed: the same seed, bot and machine write the same drafts; None draws a new one.
    """

    temperature: float = 1.0
    top_p: float = 0.95
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0.01 <= self.temperature <= 5:
            raise BadSetting(f"The temperature must be from 0.01 to 5; it was {self.temperature:g}.")
        if not 0 < self.top_p <= 1:
            raise BadSetting(f"top-p must be above 0 and at most 1; it was {self.top_p:g}.")
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise BadSetting(f"The seed must be a whole number from 0 to {2**32 - 1}; it was {self.seed}.")
