"""Links that put a draft into the box of a network: what is in them, and that it fits there."""

from urllib.parse import parse_qs, urlsplit

import pytest
import regex

from utils.errors import BadSetting
from utils.post_length import MARK, weighted_length
from utils.settings import PROJECT_URL
from utils.sharing.links import HASHTAG, NETWORKS, post_for, server_name, share_links

X, BLUESKY, MASTODON = NETWORKS
MARKED, TAGGED, WHOLE = MARK, f"{MARK} {HASHTAG}", f"{MARK} {HASHTAG} {PROJECT_URL}"
FAMILY, FLAG, THUMB = "👩‍👩‍👧‍👦", "🇳🇴", "👍🏽"
LINK = "https://example.org/" + "long/" * 20
RIGHT_TO_LEFT = "הים שקט הלילה והמגדלור דולק. "

# In X's counting the mark takes 20, with a blank and the hashtag 35, with the link 59; a link there is 23.
ENDINGS = [
    (X, "The goat is back.", WHOLE),
    (X, "a" * 221, WHOLE),
    (X, "a" * 222, TAGGED),
    (X, "a" * 245, TAGGED),
    (X, "a" * 246, MARKED),
    (X, "a" * 260, MARKED),
    (X, FAMILY * 110, WHOLE),
    (X, FAMILY * 111, TAGGED),
    (X, FLAG * 130, MARKED),
    (X, f"{LINK} {'a' * 197}", WHOLE),
    (X, f"{LINK} {'a' * 198}", TAGGED),
    (X, "海" * 110, WHOLE),
    (X, RIGHT_TO_LEFT * 7, WHOLE),
    (BLUESKY, "a" * (300 - len(WHOLE)), WHOLE),
    (BLUESKY, "a" * (301 - len(WHOLE)), TAGGED),
    (BLUESKY, "a" * 280, MARKED),
    (BLUESKY, FLAG * (300 - len(WHOLE)), WHOLE),
    (BLUESKY, THUMB * 280, MARKED),
    (BLUESKY, FAMILY * 119, MARKED),  # 25 bytes each: here the bytes decide, not the letters
    (BLUESKY, RIGHT_TO_LEFT * 7, WHOLE),
    (MASTODON, "a" * 280, WHOLE),
    (MASTODON, "a" * (500 - len(TAGGED) - 24), WHOLE),
    (MASTODON, "a" * (501 - len(TAGGED) - 24), TAGGED),
    (MASTODON, FAMILY * (500 - len(TAGGED) - 24), WHOLE),
    (MASTODON, f"{LINK} " * 17, WHOLE),
    (MASTODON, "@bob@a.very.long.name.of.a.server.example " * 80, WHOLE),
    (MASTODON, "a" * 480, MARKED),
]


@pytest.mark.parametrize(
    ("network", "text", "ending"), ENDINGS, ids=[f"{n} {row[0].name} {row[1][:8]}" for n, row in enumerate(ENDINGS)]
)
def test_the_link_goes_first_then_the_hashtag_and_the_mark_never(network, text: str, ending: str) -> None:
    post = post_for(network, text)
    assert post == text + ending
    assert network.fits(post)


TOO_LONG = [
    "a" * 600,
    FAMILY * 600,
    FLAG * 600,
    "海" * 600,
    RIGHT_TO_LEFT * 40,
    f"{LINK} words and " * 40,
    "e\u0301" * 600,
]


@pytest.mark.parametrize("network", NETWORKS, ids=[network.name for network in NETWORKS])
@pytest.mark.parametrize("text", TOO_LONG, ids=[text[:8] for text in TOO_LONG])
def test_a_text_that_is_too_long_is_shortened_last_and_never_inside_a_letter(network, text: str) -> None:
    post = post_for(network, text)
    assert network.fits(post) and post.endswith("…" + MARK)
    kept = post.removesuffix("…" + MARK)
    assert text.startswith(kept)
    assert regex.findall(r"\X", text)[: len(regex.findall(r"\X", kept))] == regex.findall(r"\X", kept)
    assert len(kept) > 50, "as much as there is room for"


def test_a_post_of_280_keeps_its_text_and_its_mark_on_x() -> None:
    text = "a" * (280 - weighted_length("a" + MARK) + 1)
    assert weighted_length(text + MARK) == 280
    assert post_for(X, text) == text + MARK


def test_every_link_carries_the_text_as_it_is() -> None:
    hostile = "50% & more? <b>#1</b> \"quoted\" 'so' +plus\nnext line " + RIGHT_TO_LEFT
    links = share_links(hostile, "Fosstodon.org")
    assert list(links) == ["X", "Bluesky", "Mastodon"]
    addresses = [urlsplit(link) for link in links.values()]
    assert [(address.scheme, address.netloc, address.path) for address in addresses] == [
        ("https", "x.com", "/intent/post"),
        ("https", "bsky.app", "/intent/compose"),
        ("https", "fosstodon.org", "/share"),
    ]
    for address in addresses:
        assert parse_qs(address.query)["text"][0] == hostile + WHOLE
        assert not address.fragment


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("", "mastodon.social"),
        ("  fosstodon.org ", "fosstodon.org"),
        ("https://fosstodon.org/@bob", "fosstodon.org"),
        ("@bob@Fosstodon.org", "fosstodon.org"),
        ("bob@fosstodon.org", "fosstodon.org"),
        ("social.bücher.example", "social.xn--bcher-kva.example"),
    ],
)
def test_a_server_is_understood_however_it_is_written(typed: str, host: str) -> None:
    assert server_name(typed) == host


@pytest.mark.parametrize(
    "typed", ["nowhere", "a b.org", "javascript:alert(1)", "evil.org\\@x", "http://", "..", "x" * 300 + ".org"]
)
def test_what_is_no_server_is_refused(typed: str) -> None:
    with pytest.raises(BadSetting, match="is no Mastodon server"):
        server_name(typed)
