"""The posts that all recipes get.

In: a reference, and a model's folder. Out: an `Author`, which is read without torch and says how much there is; and
`parts`, the same split into held-out and other posts that the program itself makes.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cleaning import CleanTimeline
from utils.pipeline import read

if TYPE_CHECKING:
    from utils.dataset import Example, PostDataset
    from utils.language_model import LanguageModel


@dataclass(frozen=True)
class Author:
    """One author's cleaned posts, and how a model's tokenizer sees them. model: its folder."""

    reference: str
    timelines: tuple[CleanTimeline, ...]
    model: Path

    @property
    def texts(self) -> list[str]:
        return [post.text for timeline in self.timelines for post in timeline.posts]

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens to predict in each post, its end token included."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.model / "tokenizer.json"))
        return [len(tokenizer.encode(text, add_special_tokens=False).ids) + 1 for text in self.texts]

    @property
    def tokens(self) -> int:
        """Tokens to predict in all posts."""
        return sum(self.lengths)

    @property
    def token_length(self) -> float:
        """The mean length of the post in which a token stands; longer posts have more tokens, and count for more."""
        return sum(length**2 for length in self.lengths) / sum(self.lengths)

    @property
    def digest(self) -> str:
        """Changes when a single letter of the cleaned posts does."""
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()[:16]


def author(reference: str, model: Path) -> Author:
    """Read and clean an author's posts. Raises a `UserError` for a reference that names none."""
    return Author(reference, tuple(read([reference])), model)


def parts(author: Author, language_model: "LanguageModel", seed: int) -> "PostDataset":
    """The split that `train --seed` makes."""
    from utils.dataset import build

    return build(author.timelines, language_model.encode, seed)


def to_learn(dataset: "PostDataset") -> "list[Example]":
    """What a rival learns from: everything that is not held out. It needs no validation posts, so it gets them too."""
    return [*dataset.training, *dataset.validation]
