"""The text of a post out of the markup around it.

In: text with HTML escapes, as X stores it, or HTML, as Mastodon does. Out: the text as its reader sees
it. Knows nothing about posts.
"""

import html
import re
from collections.abc import Sequence

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


_APART = ("p", "blockquote", "ul", "ol", "pre", "div")
_HIDDEN = ("script", "style", "head")


def plain(content: str) -> str:
    """The text of a piece of HTML: paragraphs and line breaks kept, a link by its whole text.

    Mastodon hides the ends of a link's text by style; here they come along, so that it is a link still.
    """
    from selectolax.lexbor import LexborHTMLParser

    pieces = []
    for node in LexborHTMLParser(content).root.traverse(include_text=True):
        if node.tag == "-text" and node.parent.tag not in _HIDDEN:
            pieces.append(node.text_content or "")
        elif node.tag in ("br", "li"):
            pieces.append("\n")
        elif node.tag in _APART:
            pieces.append("\n\n")
    return re.sub(r"\n{3,}", "\n\n", "".join(pieces)).strip()
