"""How long a post is by X's own counting, and the mark that says who wrote it.

In: a text. Out: its weighted length, and whether it can be posted with the mark behind it. Most letters
count 1, Chinese, Japanese, Korean and emoji count 2, a link counts 23, whatever its length.
"""

import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType

LIMIT = 280
"""Weighted characters in one post, the mark included (X's `twitter-text` configuration, version 3)."""

MARK = " 🤖 written by a bot"
"""Stands behind every generated post that leaves the program."""


def marked(text: str) -> str:
    """The text as it may leave the program: with the mark that a bot wrote it."""
    return text + MARK


def weighted_length(text: str) -> int:
    """X's weighted length of a text."""
    return _parser()(text).weightedLength


def fits(text: str) -> bool:
    """Whether X would take the text as one post, with the mark behind it."""
    parsed = _parser()(marked(text))
    return parsed.valid and parsed.weightedLength <= LIMIT


@cache
def _parser() -> Callable:
    """The function `parse_tweet` of twitter-text-parser.

    Its version 3.0.0 reads a table through `pkg_resources`, which setuptools removed in version 82. For
    the time of the import, a module with that one function stands in, so that any setuptools will do.
    """
    stand_in = ModuleType("pkg_resources")
    stand_in.resource_string = _resource_bytes
    before = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stand_in
    try:
        from twitter_text import parse_tweet
    finally:
        sys.modules.pop("pkg_resources")
        if before is not None:
            sys.modules["pkg_resources"] = before
    return parse_tweet


def _resource_bytes(module: str, name: str) -> bytes:
    from importlib.resources import files

    return files(module.rpartition(".")[0]).joinpath(name).read_bytes()
