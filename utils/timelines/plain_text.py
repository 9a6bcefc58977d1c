"""The posts in a plain text, which says nothing about itself.

In: the text of a `.txt` file. Out: posts, and what was taken for one. Knows nothing about files.
"""

import re
from collections.abc import Sequence

LINES_A_BLOCK = 8
"""Blocks between blank lines are posts if they are shorter than this on average; a file of a post a line
has a blank line here and there."""

START, END = "<|startoftext|>", "<|endoftext|>"
"""Between these stand the posts in files that were made for other programs that train GPT-2."""

_CHAT = re.compile(r"\W?\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4},? \d{1,2}:\d\d\S*(?: [AaPp]\.?[Mm]\.?)?\]?(?: -)? [^:]{1,60}: ")
"""How a line of an exported chat begins: "12/31/20, 10:02 - Bob: ", "[31.12.20, 10:02:11] Bob: "."""


def posts_in(text: str) -> tuple[list[str], str]:
    """The posts, and what was taken for one, in words: a line, a block between blank lines, or what `END` ends."""
    if END in text:
        return [post for part in text.split(END) if (post := part.replace(START, "").strip())], f"what ends with {END}"
    lines = lines_of(text)
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    blocks = [block for block in blocks if block]
    written = sum(map(len, blocks))
    if len(blocks) > 2 and written > len(blocks) and written <= LINES_A_BLOCK * len(blocks):
        return ["\n".join(block) for block in blocks], "each block between blank lines"
    return [line for line in lines if line], "each line"


def lines_of(text: str) -> list[str]:
    """The lines, without white space at their ends."""
    return [line.strip() for line in text.split("\n")]


def is_chat(lines: Sequence[str]) -> bool:
    """Whether most lines begin with a time and a name, as in the export of a messenger."""
    return sum(bool(_CHAT.match(line)) for line in lines) > sum(map(bool, lines)) / 2
