import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.cleaning import check_enough, clean
from utils.errors import TooFewPosts
from utils.settings import CleaningSettings
from utils.timelines import Post, Timeline, load
from utils.timelines.dates import parse_date


def timeline(*texts: str, dates: list[str | None] | None = None) -> Timeline:
    dates = dates or [None] * len(texts)
    posts = (Post(str(n), parse_date(date), text) for n, (text, date) in enumerate(zip(texts, dates, strict=True)))
    return Timeline("@someone", "a test", tuple(posts))


def kept(*texts: str, **settings: bool | int) -> list[str]:
    return [post.text for post in clean(timeline(*texts), CleaningSettings(**settings)).posts]


MENDED = [
    ("what looks like an escape was written so: readers undo escapes", "write &lt; for <", "write &lt; for <"),
    ("a link goes, with the space before it", "look at this https://t.co/aBc123", "look at this"),
    ("a link in the middle", "look https://t.co/aBc123 at this", "look at this"),
    ("a link on a line of its own", "look at this\n\nhttps://t.co/aBc123", "look at this"),
    ("the bracket around a link is not the link's", "read it (here https://t.co/abc).", "read it (here)."),
    ("quotation marks around a link alone go too", "read “https://t.co/abc” to me", "read to me"),
    ("a link in capitals, or without a scheme", "one two HTTPS://X.com/a www.example.com/b three", "one two three"),
    ("a link cut by its network", "one two three https://t.co/ab…", "one two three"),
    ("a link before Japanese, which has no spaces", "これを見てhttps://t.co/abc すごい", "これを見て すごい"),
    ("a picture's link without a scheme", "my cat today pic.twitter.com/XyZ", "my cat today"),
    ("the names that open a reply", "@a @b_c you are right", "you are right"),
    ("names of Mastodon and Bluesky too", "@a@b.social @c.bsky.social: so it is", "so it is"),
    ("a name inside a sentence stays", "ask @a about it", "ask @a about it"),
    ("a dot before a name is not a reply", ".@a says no more", ".@a says no more"),
    ("an address is not a name", "write to a@b.org please", "write to a@b.org please"),
    ("spaces are tidied", "  one \t two\u00a0three  ", "one two three"),
    ("line breaks stay, empty lines at most one", "one\r\n\r\n\r\n\r\ntwo\nthree", "one\n\ntwo\nthree"),
    ("emoji stay whole", "well done 👩‍👩‍👧 ❤️ friend", "well done 👩‍👩‍👧 ❤️ friend"),
    ("quotation marks stay as written", "“so” 'it' «is» \"now\"", "“so” 'it' «is» \"now\""),
    ("hashtags stay", "the lamp is lit #LampLog", "the lamp is lit #LampLog"),
    ("control characters go", "one\x00 two\u200b three\ufeff", "one two three"),
    ("halves of a character are joined, lone ones go", "a \ud83d\ude00 b \ud83d c d", "a 😀 b c d"),
]


@pytest.mark.parametrize(("raw", "expected"), [row[1:] for row in MENDED], ids=[row[0] for row in MENDED])
def test_a_post_is_mended(raw: str, expected: str) -> None:
    assert kept(raw) == [expected]


DROPPED = [
    ("a repost", "RT @other: what they said before", "reposts"),
    ("a picture alone", "https://t.co/aBc123", "media_only"),
    ("a picture as a reply", "@other https://t.co/aBc123", "media_only"),
    ("nothing at all", "", "media_only"),
    ("two words", "Good morning", "short"),
    ("a name is not a word of one's own", "thanks so @other", "short"),
    ("emoji are not words", "🌊 🌊 🌊 🌊", "short"),
    ("punctuation is not words", "? ! … — :", "short"),
    ("nothing but a name", "@other", "short"),
    ("a book", "chapter and verse " * 2000, "long"),
]


@pytest.mark.parametrize(("raw", "reason"), [row[1:] for row in DROPPED], ids=[row[0] for row in DROPPED])
def test_a_post_is_dropped_and_counted(raw: str, reason: str) -> None:
    counts = clean(timeline(raw)).counts()
    assert counts == {**dict.fromkeys(counts, 0), "fetched": 1, reason: 1}


@pytest.mark.parametrize(
    "text", ["今日はいい天気", "วันนี้อากาศดี", "Это не так", "RT is not a repost", "it's three words"]
)
def test_short_is_judged_by_unicode_words_in_any_script(text: str) -> None:
    assert kept(text) == [text]


def test_duplicates_are_found_across_case_and_space_and_the_oldest_stays() -> None:
    cleaned = clean(
        timeline("Lamp  lit at DUSK", "lamp lit at dusk", dates=["2024-05-02T00:00:00Z", "2024-05-01T00:00:00Z"])
    )
    assert [post.text for post in cleaned.posts] == ["lamp lit at dusk"]
    assert cleaned.dropped["duplicates"] == 1


def test_posts_come_out_oldest_first_and_undated_ones_before_all_others() -> None:
    texts = ["the newest of all", "the oldest of all", "no date at all"]
    cleaned = clean(timeline(*texts, dates=["2025-01-01T00:00:00Z", "2020-01-01T00:00:00Z", None]))
    assert [post.text for post in cleaned.posts] == [texts[2], texts[1], texts[0]]


def test_settings_fold_line_breaks_and_keep_links_and_ask_for_more_words() -> None:
    assert kept("one\ntwo\nthree", fold_line_breaks=True) == ["one two three"]
    assert kept("one two three https://t.co/a", keep_links=True) == ["one two three https://t.co/a"]
    assert kept("one two three", min_words=4) == []


@pytest.mark.parametrize("name", ["keeperfinch", "unit7bakes"])
def test_the_counts_of_a_bundled_author_add_up(name: str) -> None:
    raw = load(f"sample:{name}")
    counts = clean(raw).counts()
    assert counts["fetched"] == len(raw.posts) == sum(counts.values()) - counts["fetched"]
    assert counts["reposts"] > 0


def test_too_little_text_is_an_error_that_says_how_much_there_is() -> None:
    cleaned = clean(timeline(*(f"this is post number {n} of mine" for n in range(30))))
    with pytest.raises(TooFewPosts) as error:
        check_enough([cleaned])
    assert str(error.value) == (
        f"@someone has {cleaned.characters:,} characters of usable text; training needs at least 6,000. "
        "Add a second author, or try one who posts more."
    )


def test_an_author_of_a_few_long_posts_is_told_so_at_once() -> None:
    few = clean(timeline(*(f"this is number {n}, and " + "it goes on and on " * 30 for n in range(23))))
    many = clean(timeline(*(f"this is post number {n} of mine" for n in range(400))))
    for timelines in ([few], [many, few]):
        with pytest.raises(TooFewPosts, match="@someone has 23 usable posts; training needs at least 24"):
            check_enough(timelines)


def test_a_second_author_makes_up_for_a_quiet_one_with_a_warning() -> None:
    quiet = clean(timeline(*(f"this is post number {n} of mine" for n in range(200))))
    quiet_pair = check_enough([quiet, quiet])
    assert any("40,000" in warning for warning in quiet_pair)
    assert any("no dates" in warning for warning in quiet_pair)


def test_enough_text_with_dates_needs_no_warning() -> None:
    assert check_enough([clean(load("sample:keeperfinch"))]) == []


@pytest.mark.parametrize("line", ["BONG BONG BONG BONG", "BONG"])
def test_a_clock_that_chimes_gets_a_sentence_about_its_line(line: str) -> None:
    with pytest.raises(TooFewPosts, match=f"same line again and again: 1,000 of 1,000 posts are “{line}”"):
        check_enough([clean(timeline(*[line] * 1000))])


def test_an_author_of_nothing_but_reposts_gets_the_counts() -> None:
    with pytest.raises(TooFewPosts, match="no post worth learning from .*20 reposts"):
        check_enough([clean(timeline(*(f"RT @a: words of another {n}" for n in range(20))))])


@pytest.mark.parametrize("text", ["a" * 200_000, " " * 200_000, "@a" * 100_000, "http://" * 50_000, "&amp;" * 50_000])
def test_a_huge_post_is_cleaned_in_time_that_grows_with_its_length(text: str) -> None:
    began = time.process_time()
    clean(timeline(text))
    assert time.process_time() - began < 10, "it would be hours if a pattern went back and forth over it"


PIECES = st.sampled_from(
    ["@a", "@b.c.social", "RT @d:", "https://t.co/x", "www.e.com/f", "pic.twitter.com/g", "&amp;lt;", "&", "<", "(",
     ")", "“", "”", "one two", "три слова", "今日は", " ", "  ", "\n", "\r\n\n\n", "\t", "\u2028", "\u200b", "\ufeff",
     "\x00", "\xa0", "\ud83d", "\ude00", "🦊", "❤️", ",", ":", ".", "…"]
)  # fmt: skip
"""What the rules look at; hypothesis puts them together in ways that nobody thinks of."""


@given(st.lists(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join), max_size=8))
def test_cleaning_twice_changes_nothing_and_the_counts_add_up(texts: list[str]) -> None:
    raw = timeline(*texts)
    once = clean(raw)
    counts = once.counts()
    assert counts["fetched"] == len(texts) == sum(counts.values()) - counts["fetched"]
    twice = clean(replace(raw, posts=once.posts))
    assert twice.posts == once.posts
    assert sum(twice.dropped.values()) == 0
