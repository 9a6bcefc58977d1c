"""The plain truth about a Bot.

In: a Bot, texts that it should know how to write, and drafts of its own. Out: how surprised it is by the
texts, how often its drafts repeat a training post or each other, and whether a classifier takes them for the
author's. Knows nothing about how the bot was trained or how the drafts were written.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from utils import environment
from utils.bot import Bot
from utils.cleaning import CleanTimeline
from utils.copies import fold, near_duplicates
from utils.errors import BadBot, TooFewPosts
from utils.events import Event, OnEvent, ignore
from utils.generation import Draft
from utils.language_model import LanguageModel
from utils.scoring import Score, score_in_batches, total
from utils.settings import MAXIMUM_HELD_OUT

FOLDS, ROUNDS = 5, 3
"""Each text is judged by classifiers that learned from four fifths of the others, in three divisions into fifths."""

FEWEST_TEXTS = 20
"""Under this many texts of a kind nothing is told apart. At 20 posts against 20 others of the same author, 40 times
over, the figure strayed from 0.5 by 0.11 (standard deviation); at 50 by 0.07, at 100 by 0.05."""


@dataclass(frozen=True)
class Originality:
    """How many drafts were looked at, and which shares of them were copies and were distinct.

    copies: share of the drafts that repeat a training post; None if the bot came without its posts.
    distinct: number of different drafts over the number of drafts.
    """

    drafts: int
    copies: float | None
    distinct: float | None


@dataclass(frozen=True)
class Separation:
    """How well a classifier tells two kinds of texts apart by their letters.

    texts: of how many texts of a kind the figure is.
    auc: the share of all pairs, one text of each kind, that it ranks rightly (the area under the ROC curve). At 0.5
        it cannot tell them apart, at 1 it always can; more texts teach it more, so compare figures of as many.
    spread: the standard error of `auc`. At 0.5 it comes out a fifth too small, at 0.9 a tenth too large.
    """

    texts: int
    auc: float
    spread: float


@dataclass(frozen=True)
class Style:
    """Whether drafts sound like the author, or in `remark`, why that cannot be said.

    drafts_against_posts: how well drafts are told from the author's posts; low is good.
    posts_recognised: how well posts that are new to it are told from others' by whoever knows the author's.
    drafts_recognised: how well drafts are, in the place of these posts; as high is good.
    """

    drafts_against_posts: Separation | None = None
    posts_recognised: Separation | None = None
    drafts_recognised: Separation | None = None
    remark: str | None = None


def measure(
    language_model: LanguageModel,
    texts: Sequence[str],
    sentence: str,
    on_event: OnEvent = ignore,
    until: float = math.inf,
) -> Score:
    """Score texts in the precision of the device; `sentence` says what for, while it runs.

    until: the moment of `time.monotonic` at which to be done; the texts for which there is no time are left out.
    """
    return total(_measure(language_model, texts, sentence, on_event, until))


def measure_held_out(
    language_model: LanguageModel,
    texts: Sequence[str],
    when: str,
    on_event: OnEvent,
    what: str = "held-out posts",
    until: float = math.inf,
    batches: int | None = None,
) -> list[Score]:
    """Score the held-out posts, or what else is meant, and tell the figure; returns the score of each batch.

    until: the moment of `time.monotonic` at which to be done; the posts for which there is no time are left
        out, but for the first batch. batches: the number of batches to score, at most.
    """
    scores = _measure(language_model, texts, f"Scoring the {what} {when}", on_event, until, batches)
    figure = total(scores).bits_per_character
    sentence = f"{what.capitalize()} {when}: {figure:.3f} bits per character"
    on_event(Event("held-out", sentence, data={"when": when, "bits_per_character": figure}))
    return scores


def comparable(*measurements: Sequence[Score]) -> list[Score]:
    """Several measurements of the same texts, each reduced to the posts that all of them had time for."""
    batches = min(map(len, measurements))
    return [total(scores[:batches]) for scores in measurements]


def _measure(
    language_model: LanguageModel,
    texts: Sequence[str],
    sentence: str,
    on_event: OnEvent,
    until: float = math.inf,
    batches: int | None = None,
) -> list[Score]:
    def tell(fraction: float) -> None:
        on_event(Event("stage", sentence, fraction))

    tell(0.0)
    scores: list[Score] = []
    longest, began = 0.0, time.monotonic()
    precision = environment.precision(language_model.device)
    with environment.memory_errors_in_words("scoring"):
        for score in score_in_batches(language_model, texts, precision, tell):
            scores.append(score)
            now = time.monotonic()
            longest, began = max(longest, now - began), now
            if len(scores) == batches or now + longest > until:
                break
    return scores


def unseen_texts(bot: Bot, timeline: CleanTimeline | None = None) -> tuple[list[str], int]:
    """Texts to score a bot on, and how many posts were left out because it has learned from them.

    The bot's own held-out posts, or the newest of another timeline. Raises `BadBot` if it came without
    its held-out posts and no timeline is given, `TooFewPosts` if it has seen them all.
    """
    if timeline is None:
        if not bot.held_out:
            raise BadBot("This bot came without its held-out posts. Name posts to evaluate it on, like a file.")
        return bot.held_out, 0
    seen = [*(bot.training or ()), *(bot.validation or ())]
    repeated = near_duplicates([post.text for post in timeline.posts], seen)
    texts = [post.text for index, post in enumerate(timeline.posts) if index not in repeated]
    if not texts:
        raise TooFewPosts(
            f"{timeline.author} has no post that this bot has not learned from, so there is nothing to test it on. "
            "Name other posts."
        )
    return texts[-MAXIMUM_HELD_OUT:], len(timeline.posts) - len(texts)


def originality(bot: Bot, drafts: Sequence[Draft]) -> Originality:
    """Judge drafts that were written by this bot."""
    if not drafts:
        return Originality(0, None, None)
    copied = sum(draft.copied_from is not None for draft in drafts)
    return Originality(
        drafts=len(drafts),
        copies=None if bot.training is None else copied / len(drafts),
        distinct=len({fold(draft.text) for draft in drafts}) / len(drafts),
    )


def style(drafts: Sequence[str], posts: Sequence[str], others: Sequence[str], seed: int = 0) -> Style:
    """Judge drafts beside posts of the author that the bot has not learned from, and posts of other authors."""
    try:
        apart = tell_apart(drafts, posts, seed)
        if not others:
            return Style(apart, remark="There are no posts of another author to compare with.")
        return Style(apart, *recognise(posts, others, drafts, seed))
    except TooFewPosts as error:
        return Style(remark=str(error))


def tell_apart(texts: Sequence[str], others: Sequence[str], seed: int = 0) -> Separation:
    """Can a plain classifier tell these texts from the others? Both sides are cut to the same number.

    seed: decides which texts are taken and how they are divided. Raises `TooFewPosts` for fewer than `FEWEST_TEXTS`.
    """
    return _separations([others, texts], seed)[0]


def recognise(
    posts: Sequence[str], others: Sequence[str], drafts: Sequence[str], seed: int = 0
) -> tuple[Separation, Separation]:
    """Does whoever knows an author's posts, and those of others, take drafts for the author's?

    A classifier learns to tell the posts from the others, both cut to the same number. The first answer says how well
    it does with those that it has not met; the second, how well with drafts in the place of posts. Where the others
    write in another language, it is too easy. Raises `TooFewPosts` for fewer than `FEWEST_TEXTS` of a kind.
    """
    return tuple(_separations([others, posts, drafts], seed))


def _separations(kinds: Sequence[Sequence[str]], seed: int) -> list[Separation]:
    """How well each kind of texts but the first is told from the first, by classifiers that learn the first two.

    They see which runs of one to four characters a text has within its words (tf-idf), and none has learned from a
    text that nearly repeats one it is asked about. Each fold gives a figure. The spread of their mean is Nadeau and
    Bengio's (2003, "Inference for the generalization error"), for folds that share what they learn from.
    """
    if (fewest := min(map(len, kinds))) < FEWEST_TEXTS:
        raise TooFewPosts(f"Telling texts apart takes {FEWEST_TEXTS} of each kind; of one there were {fewest}.")
    import numpy
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import RepeatedStratifiedKFold

    chance, count = random.Random(seed), min(map(len, kinds[:2]))
    chosen = [chance.sample(list(kind), min(len(kind), count)) for kind in kinds]
    texts, kind = sum(chosen, []), numpy.repeat(range(len(chosen)), [len(texts) for texts in chosen])
    runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False, sublinear_tf=True)
    features = runs.fit_transform(texts)  # for all folds at once, since it looks at no kinds
    areas = []
    for known, asked in RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=ROUNDS, random_state=seed).split(texts, kind):
        known = known[kind[known] < 2]
        repeated = near_duplicates([texts[index] for index in known], [texts[index] for index in asked])
        known = numpy.delete(known, sorted(repeated))
        if len(set(kind[known])) < 2:
            raise TooFewPosts("Of one kind nearly all texts are the same, so nothing can be learned from them.")
        scores = LogisticRegression().fit(features[known], kind[known]).decision_function(features[asked])
        pairs = [numpy.isin(kind[asked], (0, number)) for number in range(1, len(chosen))]
        areas.append([roc_auc_score(kind[asked][pair] > 0, scores[pair]) for pair in pairs])
    spread = numpy.std(areas, axis=0, ddof=1) * math.sqrt(1 / len(areas) + 1 / (FOLDS - 1))
    return [
        Separation(len(texts), round(float(auc), 4), round(float(error), 4))
        for texts, auc, error in zip(chosen[1:], numpy.mean(areas, axis=0), spread, strict=True)
    ]
