"""Does this text repeat one of those?

In: texts. Out: which of them say the same thing, exactly or nearly. Cleaning, the split of a data set
and the marks on drafts all ask here, so that "the same" means the same everywhere. Knows nothing about
posts, authors or models.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate

import regex

COPIED_WORDS = 8
"""A run of this many words in common makes a draft a copy; shorter runs are everyday phrases."""

COPIED_LETTERS = 16
"""And this many letters: eight words of English have more, eight signs of Japanese are an everyday phrase."""

NEAR_DUPLICATE = 0.7
"""Jaccard similarity of character 5-grams from which two posts count as nearly the same."""

_WORD_BOUNDARY = regex.compile(r"(?wV1)\b")


def _is_word(piece: str) -> bool:
    return any(map(str.isalnum, piece))


def words(text: str) -> list[str]:
    """Split a text into words by Unicode's default word boundaries (UAX #29), punctuation left out.

    Scripts that put no spaces between words come out as one word a character, or nearly: enough to
    see that a Japanese sentence is not "one word".
    """
    return [piece for piece in _WORD_BOUNDARY.split(text) if _is_word(piece)]


def first_words(text: str, count: int) -> str:
    """The beginning of a text: so many words, or half of a short text's, with the signs between them."""
    pieces = _WORD_BOUNDARY.split(text)
    ends = [index for index, piece in enumerate(pieces, 1) if _is_word(piece)]
    count = min(count, len(ends) // 2)
    return "".join(pieces[: ends[count - 1]]) if count else ""


def has_words(text: str, count: int) -> bool:
    """Whether a text has at least `count` of these words; looks no further than it must."""
    pieces = filter(_is_word, _WORD_BOUNDARY.splititer(text))
    return all(next(pieces, None) is not None for _ in range(count))


def fold(text: str) -> str:
    """The text without differences of case and white space; two posts that fold alike are the same."""
    return " ".join(text.casefold().split())


class CopyIndex:
    """Finds the post that a text repeats, in time that grows with the text and not with the posts."""

    def __init__(self, posts: Sequence[str]) -> None:
        self._posts = list(posts)
        self._by_fold = {fold(post): index for index, post in enumerate(self._posts)}
        self._by_run: dict[int, int] = {}
        for index, post in enumerate(self._posts):
            for run in _runs(post):
                self._by_run.setdefault(hash(run), index)

    def find(self, text: str) -> str | None:
        """The post with the same folded text, or with a run of eight words in common; None if new."""
        if (index := self._by_fold.get(fold(text))) is not None:
            return self._posts[index]
        for run in _runs(text):
            index = self._by_run.get(hash(run))
            if index is not None and run in _runs(self._posts[index]):
                return self._posts[index]
        return None


def _runs(text: str) -> list[tuple[str, ...]]:
    """From each word on, the shortest run of at least `COPIED_WORDS` words and `COPIED_LETTERS` letters."""
    tokens = words(text.casefold())
    before = [0, *accumulate(map(len, tokens))]
    runs = []
    for begin in range(len(tokens)):
        end = max(begin + COPIED_WORDS, bisect_left(before, before[begin] + COPIED_LETTERS))
        if end <= len(tokens):
            runs.append(tuple(tokens[begin:end]))
    return runs


def five_grams(text: str) -> set[str]:
    """The set of runs of five characters of the folded text; a shorter text is its own only member."""
    text = fold(text)
    return {text[i : i + 5] for i in range(len(text) - 4)} or {text}


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of the sets of 5-grams of two texts: 0 nothing in common, 1 the same."""
    grams, others = five_grams(one), five_grams(other)
    return len(grams & others) / len(grams | others)


def nearest(text: str, posts: Sequence[str]) -> tuple[str, float]:
    """The post that is most similar to a text, and how similar; raises `ValueError` where there are no posts."""
    return max(((post, similarity(text, post)) for post in posts), key=lambda found: found[1])


def near_duplicates(texts: Sequence[str], references: Sequence[str], threshold: float = NEAR_DUPLICATE) -> set[int]:
    """Indices of the texts that nearly repeat a reference: Jaccard of 5-grams at least `threshold`.

    Exact, and fast through prefix filtering (Bayardo, Ma and Srikant 2007, "Scaling up all pairs
    similarity search"): two sets that are similar enough must share one of their few rarest members,
    so only texts that do are compared in full.
    """
    reference_grams = [five_grams(reference) for reference in references]
    frequency = Counter(gram for grams in reference_grams for gram in grams)

    def rarest(grams: set[str]) -> list[str]:
        count = len(grams) - math.ceil(threshold * len(grams)) + 1
        return sorted(grams, key=lambda gram: (frequency[gram], gram))[:count]

    holders = defaultdict(list)
    for reference, grams in enumerate(reference_grams):
        for gram in rarest(grams):
            holders[gram].append(reference)

    found = set()
    for index, text in enumerate(texts):
        grams = five_grams(text)
        candidates = {reference for gram in rarest(grams) for reference in holders.get(gram, ())}
        if any(_similar(grams, reference_grams[reference], threshold) for reference in candidates):
            found.add(index)
    return found


def _similar(one: set[str], other: set[str], threshold: float) -> bool:
    """Whether the Jaccard similarity of two sets is at least the threshold."""
    if min(len(one), len(other)) < threshold * max(len(one), len(other)):
        return False
    common = len(one & other)
    return common >= threshold * (len(one) + len(other) - common)
