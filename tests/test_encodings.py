"""Text in whatever encoding, and text that was decoded wrongly on its way here."""

from pathlib import Path

import ftfy.bad_codecs  # noqa: F401  registers Windows-1252 without gaps
import pytest

from utils.timelines import load
from utils.timelines.encodings import encoding_of, mend

TEXTS = [
    "the lamp is lit — and the goat’s asleep",
    "“so it goes”, said the café’s owner",
    "plain letters and nothing else",
    "naïve résumé, señor",
    "→ this way • or that way",
    "it’s ✔ done — really",
    "what’s next? “more rain”",
    "we’re here — still",
]


def saved_on_an_old_mac(text: str) -> str:
    """UTF-8 read as Windows-1252, saved in Mac Roman, and read as Windows-1252 again."""
    return text.encode().decode("sloppy-windows-1252").encode("mac_roman", "replace").decode("sloppy-windows-1252")


WRONGLY = {
    "once": lambda text: text.encode().decode("sloppy-windows-1252"),
    "twice": lambda text: text.encode().decode("sloppy-windows-1252").encode().decode("sloppy-windows-1252"),
    "by way of a Mac": saved_on_an_old_mac,
}


@pytest.mark.parametrize("way", WRONGLY)
def test_text_that_was_decoded_wrongly_is_mended(way: str) -> None:
    mended = mend([WRONGLY[way](text) for text in TEXTS])
    assert mended[2] == TEXTS[2]
    whole = [(found, text) for found, text in zip(mended, TEXTS, strict=True) if found is not None]
    assert all(found == text for found, text in whole)
    assert len(whole) >= 6


def test_text_that_lost_letters_for_good_is_given_up() -> None:
    assert mend(["it\ufffds lost", "itâ€_ broken", "fine — as ’ever’ — it is"]) == [
        None,
        None,
        "fine — as ’ever’ — it is",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "l’été à l’île — ça suffit", "Ünïcödé ÄÖÜ äöü ß", "Это не так, совсем не так", "今日はいい天気", "العربية",
        "Ελληνικά «ναι»", "emoji 🌊❤️👩‍👩‍👧 stay", "“quotes” ‘and’ „more“", "½ ¾ × ÷ ±°", "AT&amp;T &lt;3", "don't",
        "Ω≈ç√∫ maths is fun", "∑∏∆◊ signs of a Mac", "№1 ‰ ‡† notes",
    ],
)  # fmt: skip
def test_text_that_is_whole_stays_as_it_is_quotation_marks_and_escapes_too(text: str) -> None:
    assert mend([text] * 20) == [text] * 20


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "txt"])
def test_a_file_in_any_usual_encoding_is_read(tmp_path: Path, encoding: str, kind: str) -> None:
    texts = ["the café is shut — “again”", "and the lamp’s lit"]
    content = {
        "csv": "text\n" + "\n".join(f'"{text}"' for text in texts),
        "json": "[" + ", ".join(f'"{text}"' for text in texts) + "]",
        "jsonl": "\n".join(f'{{"text": "{text}"}}' for text in texts),
        "txt": "\n".join(texts),
    }[kind]
    path = tmp_path / f"posts.{kind}"
    path.write_bytes(content.encode(encoding))
    assert [post.text for post in load(path).posts] == texts


def test_a_file_of_nothing_but_ascii_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab")
    assert encoding_of(tmp_path / "a.txt") == "utf-8"
