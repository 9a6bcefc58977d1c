"""JSON from a stream, one entry of a list after the other.

In: a stream of bytes, perhaps with the `window.YTD.tweets.part0 =` before it that makes a script of X's
JSON. Out: Python values. A list is never held as a whole, so that 300 MB of posts take no more memory
than their texts. Knows nothing about posts.

Written here because the well-known ijson notes the path to each value: 100,000 opening brackets, which
are 100 KB, make it take all memory there is. The json module refuses them, and is faster besides.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from utils.errors import BadFile

CHUNK = 1 << 18

LONGEST_ENTRY = 1 << 26
"""Characters of one entry, after which something is broken: a post of 10 MB is a sixth of it."""

LARGEST_WHOLE = 1 << 29
"""Bytes of a value that has to be held as a whole: about 200,000 posts of Mastodon."""

_ASSIGNMENT = re.compile(r"\s*(?:var\s+)?[\w.]{1,100}\s*=\s*")
_SPACE = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


class _Window:
    """The part of a stream's text that has not been used up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # A byte that is no UTF-8 spoils its own post and no other.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self.text, self.at, self.ended = "", 0, False
        self.more()

    def more(self) -> None:
        """Let go of what is used up, and read at least as much as is left: so nothing is looked at too often."""
        self.text, self.at = self.text[self.at :], 0
        content = self._stream.read(max(CHUNK, len(self.text)))
        self.ended = not content
        self.text += self._decoder.decode(content, final=self.ended)

    def next(self) -> str:
        """The next character that is not white space, "" at the end; it is not used up."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()

    def value(self) -> Any:
        """The value that begins here. Raises ValueError or RecursionError where there is none, or it is cut off."""
        while True:
            try:
                value, end = _decode(self.text, self.at)
                if end < len(self.text) or self.ended:  # 12 may be the beginning of 123
                    self.at = end
                    return value
            except ValueError:
                if self.ended or len(self.text) - self.at > LONGEST_ENTRY:
                    raise
            self.more()


def starts_with(stream: BinaryIO) -> str:
    """The first character of the JSON in a stream, "[" for a list; "" where there is nothing. Uses the stream up."""
    window = _Window(stream)
    _skip_assignment(window)
    return window.next()


def entries(stream: BinaryIO, name: str) -> Iterator[Any]:
    """The entries of the list in a stream, one by one; `name` is what an error calls the stream.

    Raises `BadFile` where there is no list, or where it is damaged: at the damage, not before.
    """
    window = _Window(stream)
    _skip_assignment(window)
    if window.next() != "[":
        raise BadFile(f"{name} holds no list of posts. Was another file meant?")
    try:
        while window.next() == "[":  # nearly always one list; some tools write one behind the other
            window.at += 1
            yield from _entries(window)
            while window.next() == ";":
                window.at += 1
            _skip_assignment(window)
        if window.next():
            raise ValueError("something behind the list")
    except (ValueError, RecursionError):
        raise _damaged(name) from None


def _entries(window: _Window) -> Iterator[Any]:
    """The entries up to the end of the list, which is used up."""
    mark = window.next()
    if mark == "]":
        window.at += 1
    while mark != "]":
        yield window.value()
        mark = window.next()
        window.at += 1
        if mark == ",":
            window.next()
        elif mark != "]":
            raise ValueError("neither another entry nor the end")


def whole(stream: BinaryIO, name: str, limit: int = LARGEST_WHOLE) -> Any:
    """The one value in a stream of at most `limit` bytes. Raises `BadFile` where it is damaged or larger."""
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise BadFile(f"{name} has more than {limit >> 20} MB, which is too much to be read at once.")
    text = content.decode("utf-8-sig", "replace")
    try:
        return json.loads(_ASSIGNMENT.sub("", text, count=1) if _ASSIGNMENT.match(text) else text)
    except (ValueError, RecursionError):
        raise _damaged(name) from None


def _skip_assignment(window: _Window) -> None:
    if match := _ASSIGNMENT.match(window.text, window.at):
        window.at = match.end()


def _damaged(name: str) -> BadFile:
    return BadFile(f"{name} is damaged or cut off. Download it again.")
