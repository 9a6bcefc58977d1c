"""Posts from what Mastodon and Bluesky let everybody download from their own account.

In: Mastodon's archive (`.zip`, its folder, or the `outbox.json` in it), or Bluesky's repository
(`.car`). Out: the owner's Timeline. Of Mastodon's, only public posts are taken: the outbox holds direct
messages too. Knows nothing about the networks' own servers.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from utils.errors import BadFile
from utils.events import OnEvent, ignore
from utils.settings import MAXIMUM_CHARACTERS
from utils.timelines import Collector, Timeline, json_values
from utils.timelines.containers import Container, opened
from utils.timelines.dates import parse_date
from utils.timelines.fields import handle
from utils.timelines.markup import plain

PUBLIC = ("https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public")
"""The three ways in which ActivityPub writes that a post is addressed to everybody."""

LONGEST_KEY = 1024
"""Bytes of the path of a record, by the specification of repositories."""

_BLUESKY_POST, _BLUESKY_REPOST = "app.bsky.feed.post", "app.bsky.feed.repost"
_BLUESKY_LINK = "app.bsky.richtext.facet#link"


_OUTBOX = re.compile(r"((?:(?!\.|__)[^/]+/){0,3})outbox\.json")
_ACTOR = re.compile(r"((?:(?!\.|__)[^/]+/){0,3})actor\.json")
BESIDE = ("outbox.json", "actor.json", "likes.json", "bookmarks.json")
"""What lies beside an outbox, and is no file of posts."""
MEMBERS = (_OUTBOX, _ACTOR)
"""Names of all members of Mastodon's archive that are ever opened."""


def outboxes(container: Container) -> list[str]:
    """The members with Mastodon's posts."""
    return list(filter(_OUTBOX.fullmatch, container.names))


def read_mastodon(container: Container, member: str) -> Timeline:
    """Read the posts of a Mastodon archive that is open. Raises `BadFile`."""
    with container.open(member) as stream:
        outbox = json_values.whole(stream, f"{member} in {container.name}")
    if not is_outbox(outbox):
        raise BadFile(f"{member} in {container.name} is no outbox of Mastodon. Was another download meant?")
    actor = None
    if (beside := member.replace("outbox.json", "actor.json")) in container.names:
        with container.open(beside) as stream:
            actor = json_values.whole(stream, f"{beside} in {container.name}")
    return from_outbox(outbox, actor, container.stem, f"Mastodon archive {container.name}")


def is_outbox(value: Any) -> bool:
    """Whether a JSON value is a collection of activities, which is what Mastodon calls an outbox."""
    return isinstance(value, dict) and isinstance(value.get("orderedItems"), list)


def from_outbox(outbox: dict, actor: Any, name: str, source: str) -> Timeline:
    """The public posts of an outbox. Boosts, posts behind a warning and private ones are counted as such."""
    posts = Collector()
    address = None
    for activity in outbox["orderedItems"]:
        activity = activity if isinstance(activity, dict) else {}
        note = activity.get("object")
        if activity.get("type") == "Announce":
            posts.leave_out("reposts")
            continue
        if not isinstance(note, dict) or not isinstance(note.get("content"), str):
            posts.leave_out("unreadable")
        elif not _is_public(note):
            posts.leave_out("private")
        elif note.get("summary"):
            posts.leave_out("warned")
        else:
            address = address or note.get("attributedTo")
            content = note["content"]
            # Longer than any post, by far: cleaning leaves it out, and reading it as HTML takes long.
            text = plain(content) if len(content) < 4 * MAXIMUM_CHARACTERS else content
            posts.add(note.get("id"), parse_date(note.get("published")), text)
    return posts.finished(_address(actor, address) or name, source)


def _is_public(note: dict) -> bool:
    to = [receiver for key in ("to", "cc") for receiver in _listed(note.get(key))]
    return any(receiver in PUBLIC for receiver in to)


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _address(actor: Any, attributed_to: Any) -> str | None:
    """ "@name@server", from the description of the account or from where its posts say that they are from."""
    url = actor.get("id") if isinstance(actor, dict) else attributed_to
    try:
        parts = urlsplit(url)
        if not isinstance(url, str) or not parts.hostname:
            return None
    except (ValueError, AttributeError, TypeError):
        return None
    name = actor.get("preferredUsername") if isinstance(actor, dict) else None
    name = name if isinstance(name, str) else parts.path.rstrip("/").rpartition("/")[2].lstrip("@")
    return handle(f"@{name}@{parts.hostname}")


def load_bluesky(path: Path, on_event: OnEvent = ignore) -> Timeline:
    """Read the posts of a Bluesky repository. Raises `BadFile`."""
    import libipld

    with opened(path, on_event, single=True) as container, container.open(path.name) as stream:
        content = stream.read()
    try:
        _, blocks = libipld.decode_car(content)
    except ValueError as error:
        raise BadFile(
            f"{path.name} is not a whole Bluesky repository ({error}); the download may have broken off. "
            "Download it again."
        ) from None
    keys = _record_keys(blocks.values())
    posts = Collector()
    for link, block in blocks.items():
        kind = block.get("$type") if isinstance(block, dict) else None
        if kind == _BLUESKY_REPOST:
            posts.left_out["reposts"] += 1
        elif kind == _BLUESKY_POST and block.get("labels"):
            posts.leave_out("warned")
        elif kind == _BLUESKY_POST:
            posts.add(keys.get(link), parse_date(block.get("createdAt")), bluesky_text(block))
    return posts.finished(container.stem, f"Bluesky repository {path.name}")


def _record_keys(blocks: Any) -> dict[bytes, str]:
    """The key of each record, from the nodes of the tree that keeps them in order.

    An entry of a node says how many bytes its key shares with the one before it ("p"), the rest ("k")
    and which record it stands for ("v"): https://atproto.com/specs/repository.
    """
    keys: dict[bytes, str] = {}
    for block in blocks:
        entries = block.get("e") if isinstance(block, dict) else None
        key = b""
        for entry in entries if isinstance(entries, list) else ():
            try:
                key = (key[: entry["p"]] + entry["k"])[:LONGEST_KEY]
                keys[entry["v"]] = key.decode("ascii").rpartition("/")[2]
            except (LookupError, TypeError, ValueError):
                break
    return keys


def bluesky_text(record: dict) -> Any:
    """The text of a post with its links in full: what is shown of one is "example.com/the-begi…".

    Facets count in bytes of UTF-8 (https://docs.bsky.app/docs/advanced-guides/post-richtext).
    """
    text = record.get("text")
    if not isinstance(text, str) or not record.get("facets"):
        return text
    content = text.encode("utf-8", "replace")
    places = []
    try:
        for facet in record["facets"]:
            start, end = facet["index"]["byteStart"], facet["index"]["byteEnd"]
            links = [part["uri"] for part in facet["features"] if part.get("$type") == _BLUESKY_LINK]
            if links and 0 <= start < end <= len(content):
                places.append((start, end, links[0].encode("utf-8", "replace")))
    except (LookupError, TypeError, AttributeError):
        return text
    pieces, at = [], 0
    for start, end, link in sorted(places):
        if start >= at:
            pieces += [content[at:start], link]
            at = end
    return b"".join([*pieces, content[at:]]).decode("utf-8", "replace")
