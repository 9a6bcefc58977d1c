"""Links that put a draft into the box for a new post on X, Bluesky or Mastodon.

In: a generated text. Out: an address for each network, with the text, the mark of a bot, a hashtag and
where all this comes from, within what that network takes. Nothing is sent: who follows a link still has
to press the button there. Knows nothing about bots.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import regex

from utils.errors import BadSetting
from utils.post_length import LIMIT, MARK, weighted_length
from utils.settings import PROJECT_URL

HASHTAG = "#huggingtweets"

MASTODON = "mastodon.social"
"""The server whose box opens unless another is named: the one that most people are on."""

BLUESKY_LETTERS, BLUESKY_BYTES = 300, 3000
"""What Bluesky takes, in graphemes and in bytes of UTF-8 (its lexicon app.bsky.feed.post). Links count in full here;
its own box shortens what it shows of them, so that there is room to spare."""

MASTODON_LETTERS, MASTODON_LINK = 500, 23
"""What Mastodon takes, in graphemes, and what each link counts (its StatusLengthValidator)."""

_LINK = regex.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?'’”)\]]")
_REMOTE_NAME = regex.compile(r"(?<![\w/])(@\w+)@[\w.-]+\w")
_GRAPHEME = regex.compile(r"\X")
_SERVER = re.compile(r"(?:https?://)?(?:@?[^@/\s]+@)?(?P<host>[^@/:?#\s]+\.[^@/:?#\s]+)(?:[/?#].*)?")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Network:
    """One network: `compose` is the address of its box, up to the text, `fits` its own way of counting."""

    name: str
    compose: str
    fits: Callable[[str], bool]


def _fits_bluesky(text: str) -> bool:
    return len(_GRAPHEME.findall(text)) <= BLUESKY_LETTERS and len(text.encode()) <= BLUESKY_BYTES


def _fits_mastodon(text: str) -> bool:
    counted = _REMOTE_NAME.sub(r"\1", _LINK.sub("x" * MASTODON_LINK, text))  # of @name@server, the name counts
    return len(_GRAPHEME.findall(counted)) <= MASTODON_LETTERS


NETWORKS = (
    Network("X", "https://x.com/intent/post?text=", lambda text: weighted_length(text) <= LIMIT),
    Network("Bluesky", "https://bsky.app/intent/compose?text=", _fits_bluesky),
    Network("Mastodon", "https://{server}/share?text=", _fits_mastodon),
)


def share_links(text: str, server: str = MASTODON) -> dict[str, str]:
    """An address for each network, by its name, for a draft without its mark.

    server: the Mastodon server that the reader is on, however they write it. Raises `BadSetting` for what is none.
    """
    host = server_name(server)
    return {
        network.name: network.compose.format(server=host) + quote(post_for(network, text), safe="")
        for network in NETWORKS
    }


def post_for(network: Network, text: str) -> str:
    """What stands in the box: the text and its mark always, hashtag and link as far as there is room.

    A text that is too long even so is shortened at its end.
    """
    for ending in (f"{MARK} {HASHTAG} {PROJECT_URL}", f"{MARK} {HASHTAG}", MARK):
        if network.fits(text + ending):
            return text + ending
    letters = _GRAPHEME.findall(text)

    def shortened(count: int) -> str:
        return "".join(letters[:count]).rstrip() + "…" + MARK

    fitting, too_many = 0, len(letters)
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        fitting, too_many = (middle, too_many) if network.fits(shortened(middle)) else (fitting, middle)
    return shortened(fitting)


def server_name(text: str) -> str:
    """The host that somebody means by "fosstodon.org", "https://fosstodon.org/@bob" or "@bob@fosstodon.org".

    Raises `BadSetting` for what is no host of the internet; an empty text means the default.
    """
    found = _SERVER.fullmatch(text.strip() or MASTODON)
    try:
        host = found["host"].encode("idna").decode().lower() if found else ""
    except UnicodeError:
        host = ""
    if not _HOST.fullmatch(host):
        raise BadSetting(f"'{text.strip()[:60]}' is no Mastodon server. Expected its name, like {MASTODON}.")
    return host
