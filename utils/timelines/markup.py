"""The text of a post out of the markup around it.

In: text with HTML escapes, as X stores it, or HTML, as Mastodon does. Out: the text as its reader sees
it. Knows nothing about posts.
"""

import html
import re
from collections.abc import Sequence
from html.parser import HTMLParser

# Only what is closed by a semicolon: "R&D" and "&copy=1" are no escapes in a post.
_ESCAPE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_BARE = re.compile(r"[<>]|&(?!(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);)")


def unescape(text: str) -> str:
    """The text with its HTML escapes replaced, once: `&amp;lt;` was written `&lt;`."""
    return _ESCAPE.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def unescape_if_escaped(texts: Sequence[str]) -> list[str]:
    """The same for texts of one file of which nobody says whether it is escaped.

    Where a network escapes, it escapes every `&`, `<` and `>`; a file with more bare ones than escapes
    holds text as its author wrote it, and what looks like an escape there was meant to.
    """
    escapes = sum(len(_ESCAPE.findall(text)) for text in texts if "&" in text)
    bare = sum(len(_BARE.findall(text)) for text in texts if "&" in text or "<" in text or ">" in text)
    return [unescape(text) for text in texts] if escapes and escapes >= bare else list(texts)


class _Reader(HTMLParser):
    """Collects visible text; a paragraph becomes an empty line, a break a line break."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag == "br":
            self.pieces.append("\n")
        elif tag in ("p", "blockquote", "ul", "ol", "pre", "div"):
            self.pieces.append("\n\n")
        elif tag == "li":
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("p", "blockquote", "ul", "ol", "pre", "div"):
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def plain(content: str) -> str:
    """The text of a piece of HTML: paragraphs and line breaks kept, a link by its whole text.

    Mastodon hides the ends of a link's text by style; here they come along, so that it is a link still.
    """
    reader = _Reader()
    reader.feed(content)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.pieces)).strip()
