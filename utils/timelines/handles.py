"""Which account on which network is meant.

In: what a user typed, "@jack" or a link to a profile. Out: a `Handle`, or None. Knows nothing about what
can be read there; no network is asked.
"""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import urlsplit

X, BLUESKY, MASTODON = "X", "Bluesky", "Mastodon"

# Names of hosts alone: no addresses of numbers, no ports, nothing without a dot.
_DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DID = r"did:(?:plc:[a-z2-7]{24}|web:[a-z0-9.-]{1,200})"
_AS_ASCII = re.IGNORECASE | re.ASCII  # else "ſ" would count as an "s"
_ON_X = re.compile(r"@?(?P<name>[a-z0-9_]{1,15})", _AS_ASCII)
_ON_BLUESKY = re.compile(rf"@(?P<name>{_DOMAIN})|(?P<bare>[a-z0-9-]+\.bsky\.social|{_DID})", _AS_ASCII)
_ON_MASTODON = re.compile(rf"@?(?P<name>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)@(?P<host>{_DOMAIN})", _AS_ASCII)

_X_HOSTS = ("x.com", "twitter.com")
_X_PAGES = {"home", "explore", "search", "i", "intent", "share", "hashtag", "notifications", "messages", "settings",
            "compose", "login", "tos", "privacy", "about"}  # fmt: skip
"""Addresses on x.com that are no account's."""

OTHER_NETWORKS = {
    "threads.net": "Threads",
    "threads.com": "Threads",
    "instagram.com": "Instagram",
    "facebook.com": "Facebook",
    "tiktok.com": "TikTok",
    "youtube.com": "YouTube",
    "medium.com": "Medium",
    "substack.com": "Substack",
    "linkedin.com": "LinkedIn",
    "t.me": "Telegram",
}
"""Networks whose posts cannot be read without an account, but whose links look like a Mastodon server's."""


@dataclass(frozen=True)
class Handle:
    """An account on a network, not yet looked up.

    name: without "@"; on Bluesky a domain or a DID, on Mastodon "name@server".
    """

    network: str
    name: str

    def __str__(self) -> str:
        return self.name if self.name.startswith("did:") else f"@{self.name}"

    @property
    def server(self) -> str:
        """The host of a Mastodon account."""
        return self.name.rpartition("@")[2]


def parse(text: str) -> Handle | None:
    """The account that a handle or a link to a profile names; None where it names none."""
    text = _bare(text).replace("＠", "@")
    if re.match(r"(?i)[a-z0-9.-]+\.[a-z]+/", text):
        text = f"https://{text}"
    if re.match(r"(?i)https?://", text):
        return _from_link(text)
    if text.startswith("at://"):
        return _bluesky(text.removeprefix("at://").partition("/")[0], bare=True)
    if match := _ON_MASTODON.fullmatch(text):
        return Handle(MASTODON, f"{match['name']}@{match['host'].lower()}")
    if text.startswith("@") and (match := _ON_X.fullmatch(text)):
        return Handle(X, match["name"])
    return _bluesky(text)


def _bare(text: str) -> str:
    """The text without what clings to it when it is copied: blanks, marks of direction, a slash at the end."""
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf").strip().rstrip("/")


def other_network(text: str) -> str | None:
    """The name of a network that is not read here, where a link or a handle leads to it."""
    text = _bare(text)
    link = re.match(r"(?i)https?://", text)
    try:
        host = (urlsplit(text).hostname or "") if link else text.rpartition("@")[2]
    except ValueError:
        return None
    return next((name for domain, name in OTHER_NETWORKS.items() if f".{host.lower()}".endswith(f".{domain}")), None)


def _bluesky(text: str, bare: bool = False) -> Handle | None:
    match = _ON_BLUESKY.fullmatch(f"@{text}" if bare and not text.startswith("did:") else text)
    return Handle(BLUESKY, (match["name"] or match["bare"]).lower()) if match else None


def _from_link(text: str) -> Handle | None:
    try:
        parts = urlsplit(text)
        host, is_plain = (parts.hostname or "").lower(), parts.port in (None, 80, 443) and not parts.username
    except ValueError:
        return None
    path = [step for step in parts.path.split("/") if step]
    if not path or not is_plain or other_network(text):
        return None
    if re.sub(r"^(www|mobile|m)\.", "", host) in _X_HOSTS:
        match = _ON_X.fullmatch(path[0])
        return Handle(X, match["name"]) if match and path[0].lower() not in _X_PAGES else None
    if host == "bsky.app":
        return _bluesky(path[1], bare=True) if path[0] == "profile" and len(path) > 1 else None
    if path[0] == "users" and len(path) > 1:  # the address of an account between servers
        path = [f"@{path[1]}"]
    if not path[0].startswith("@"):
        return None
    # A server shows accounts of others as /@name@their.server.
    match = _ON_MASTODON.fullmatch(path[0]) or _ON_MASTODON.fullmatch(f"{path[0]}@{host}")
    return Handle(MASTODON, f"{match['name']}@{match['host'].lower()}") if match else None
