"""Bytes to text, whatever wrote them; and text that was once decoded wrongly, mended.

In: a file, or the texts of its posts. Out: the encoding that the file is in, or the texts as their
authors wrote them, None for each that cannot be mended. Knows nothing about what a text says: HTML
escapes, quotation marks and the rest of ftfy's repairs are left alone.
"""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

CHUNK = 1 << 20

MOST_OFTEN_REDONE = 2
"""Times that a text is taken through Windows-1252 and Mac Roman and back. Twice is what the posts of
@BarackObama in FiveThirtyEight's `twitter-ratio` need, whose dashes read äóî; once is @realDonaldTrump's."""

SHARE_REDONE = 0.1
"""The share of doubtful places that must become valid UTF-8 that way: 28 % do in the worse of those two files,
and hardly one in a text that was never damaged."""

FEWEST_DAMAGED = 3
"""Posts that had to be mended in a file before what is merely odd in it counts as damage too."""

FEWEST_REDONE = 5
"""And so many different ones: a single place can come out as valid by chance."""

MOST_JUDGED = 2000
"""Different doubtful places that decide how often; more tell nothing new."""

# What UTF-8 looks like when it is read as an encoding of one byte a letter: at least two letters outside
# ASCII in a row, none of which is beyond the symbols of Mac Roman and of DOS; or Ã before a space that
# was a no-break space. With the letters around, because ftfy judges by them.
_DOUBTFUL = re.compile(".?[\x80-\u25ff\uf8ff\ufb01\ufb02]{2,12}.?|[\u00c2\u00c3] |\ufffd")
_LOST = "\ufffd"
# What no healthy text holds: the first letters of an accent, a dash or an emoji that were decoded wrongly.
_UNMISTAKABLE = re.compile("[ÂÃ][\x80-\xbf]|â[€œž†]|ðŸ|ï¿½")
# In a file that was damaged, more than that is suspect: such a letter before any sign, and a lost byte's "_".
_LEFT_OVER = re.compile("[âðôÂÃ][^\x00-\x7f]|_[^\x00-\x7f]|[^\x00-\x7f]_")


def encoding_of(path: Path) -> str:
    """The name of the encoding in which a file can be opened. Raises OSError.

    A byte-order mark says it; without one it is UTF-8 where the file is valid in it, UTF-16 where every
    other byte is nearly always zero, and else Windows-1252, in which no byte is invalid here.
    """
    with open(path, "rb") as file:
        start = file.read(4096)
        for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
                           (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
                           (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip
            if start.startswith(mark):
                return name
        for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            every_other = start[offset::2]
            if len(start) > 3 and every_other.count(0) > 0.7 * len(every_other) and 0 not in start[1 - offset :: 2]:
                return name
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(start)
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            import ftfy.bad_codecs  # noqa: F401  registers the encoding: Windows-1252 without its five gaps

            return "sloppy-windows-1252"
    return "utf-8"


def mend(texts: Sequence[str]) -> list[str | None]:
    """The texts without the traces of wrong decoding; None for those in which letters were lost for good.

    ftfy repairs what was decoded wrongly, once or more. What passed through Mac Roman as well, as files
    saved by old spreadsheets on a Mac did, is first taken back through it, if that helps ftfy: text
    becomes valid UTF-8 by chance so rarely that the way on which it most often does is the right one.
    ftfy takes 40 microseconds a post, so it judges each different place once, and then only mends posts.
    What it merely finds odd, like Ω≈ç√∫, is given up only in a file of which something was mended.
    """
    doubtful = {index: found for index, text in enumerate(texts)
                if not text.isascii() and (found := _DOUBTFUL.findall(text))}  # fmt: skip
    if not doubtful:
        return list(texts)
    places = dict.fromkeys(place for found in doubtful.values() for place in found)
    times = _times_redone(list(places)[:MOST_JUDGED])
    bad = {place for place in places if _is_bad(place)}
    chosen = [i for i, text in enumerate(texts) if not text.isascii()] if times else [
        index for index, found in doubtful.items() if not bad.isdisjoint(found)]  # fmt: skip
    repaired = {index: _repair(texts[index], times) for index in chosen}
    damaged = sum(text != texts[index] for index, text in repaired.items()) >= FEWEST_DAMAGED
    mended: list[str | None] = list(texts)
    for index, text in repaired.items():
        mended[index] = None if _is_lost(text, damaged, times > 0) else text
    return mended


def _times_redone(places: Sequence[str]) -> int:
    """How often the texts with these places went through Mac Roman: as often as repairs most of them."""
    repaired = [_repaired(places, times) for times in range(MOST_OFTEN_REDONE + 1)]
    best = max(range(len(repaired)), key=lambda times: (repaired[times], -times))
    return best if repaired[best] >= max(FEWEST_REDONE, SHARE_REDONE * len(places)) else 0


def _repaired(places: Sequence[str], times: int) -> int:
    """How many of the places ftfy finds something to repair in, after `times` steps back."""
    from ftfy import fix_encoding

    return sum(fix_encoding(redone) != redone for place in places if (redone := _redo(place, times)))


def _is_bad(place: str) -> bool:
    from ftfy import fix_encoding, is_bad

    return _LOST in place or is_bad(place) or fix_encoding(place) != place


def _redo(text: str, times: int) -> str | None:
    """The text as it was before it was read as Windows-1252 when it was Mac Roman, `times` times over."""
    import ftfy.bad_codecs  # noqa: F401

    try:
        for _ in range(times):
            text = text.encode("sloppy-windows-1252").decode("mac_roman")
    except UnicodeEncodeError:
        return None
    return text


def _repair(text: str, times: int) -> str:
    from ftfy import fix_encoding

    redone = _redo(text, times)
    return fix_encoding(text if redone is None else redone)


def _is_lost(text: str, damaged: bool, redone: bool) -> bool:
    from ftfy import is_bad

    if _LOST in text or _UNMISTAKABLE.search(text):
        return True
    return damaged and is_bad(text) or redone and bool(_LEFT_OVER.search(text))
