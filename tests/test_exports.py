"""What Mastodon and Bluesky let everybody download."""

import hashlib
import json
from pathlib import Path

import libipld
import pytest
from archives import write_folder, write_zip

from utils.cleaning import clean
from utils.errors import BadFile
from utils.timelines import load

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


def create(content: str, to: str = PUBLIC, **more: object) -> dict:
    note = {
        "id": "https://example.social/users/finch/statuses/1", "type": "Note", "published": "2026-03-06T13:02:05Z",
        "attributedTo": "https://example.social/users/finch", "to": [to], "cc": [], "summary": None, "content": content,
    }  # fmt: skip
    return {"type": "Create", "object": {**note, **more}}


OUTBOX = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "type": "OrderedCollection",
    "orderedItems": [
        create(
            '<p><span class="h-card"><a href="https://example.social/@bob">@<span>bob</span></a></span> first line'
            '<br />second &amp; last</p><p>see <a href="https://example.com/x"><span class="invisible">https://</span>'
            '<span>example.com/x</span></a></p>'
        ),
        create("<p>between the two of us</p>", to="https://example.social/users/bob"),
        create("<p>the ending of the film</p>", summary="spoiler"),
        create("<p>for followers and everybody</p>", to="https://example.social/users/finch/followers", cc=[PUBLIC]),
        {"type": "Announce", "object": "https://elsewhere.social/users/a/statuses/2"},
        {"type": "Create", "object": "https://example.social/gone"},
    ],
}  # fmt: skip
ACTOR = {"id": "https://example.social/users/finch", "preferredUsername": "finch"}
MEMBERS = {"outbox.json": json.dumps(OUTBOX), "actor.json": json.dumps(ACTOR), "likes.json": "{}"}


@pytest.mark.parametrize("form", ["zip", "folder", "file"])
def test_a_mastodon_archive_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    path = {
        "zip": lambda: write_zip(tmp_path / "archive.zip", MEMBERS),
        "folder": lambda: write_folder(tmp_path / "archive", MEMBERS),
        "file": lambda: write_folder(tmp_path, MEMBERS) / "outbox.json",
    }[form]()
    timeline = load(path)
    assert timeline.author == "@finch@example.social"
    assert [post.text for post in timeline.posts] == [
        "@bob first line\nsecond & last\n\nsee https://example.com/x",
        "for followers and everybody",
    ]
    assert timeline.left_out == {"private": 1, "warned": 1, "reposts": 1, "unreadable": 1}
    counts = clean(timeline).counts()
    assert counts["fetched"] == 6 == sum(counts.values()) - 6


def test_an_outbox_that_is_none_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="is no outbox of Mastodon"):
        load(write_zip(tmp_path / "x.zip", {"outbox.json": "[]"}))
    with pytest.raises(BadFile, match=r"outbox\.json in x\.zip is damaged"):
        load(write_zip(tmp_path / "x.zip", {"outbox.json": "{"}))


def identifier(block: bytes) -> bytes:
    """The CID of a block: version 1, DAG-CBOR, SHA-256."""
    return bytes([1, 0x71, 0x12, 32]) + hashlib.sha256(block).digest()


def link(block: bytes) -> bytes:
    return b"\xd8\x2a\x58\x25\x00" + identifier(block)


def repository(records: dict[str, dict]) -> bytes:
    """A repository as https://atproto.com/specs/repository describes it, in one node, without its signature."""
    blocks = [libipld.encode_dag_cbor(record) for record in records.values()]
    entries, before = [], b""
    for key, block in sorted(zip(records, blocks, strict=True)):
        shared = 0
        while shared < len(before) and before[shared] == key.encode()[shared]:
            shared += 1
        rest = key.encode()[shared:]
        entry = b"\xa4\x61k\x58" + bytes([len(rest)]) + rest + b"\x61p\x18" + bytes([shared]) if shared > 23 else (
            b"\xa4\x61k\x58" + bytes([len(rest)]) + rest + b"\x61p" + bytes([shared]))  # fmt: skip
        entries.append(entry + b"\x61t\xf6\x61v" + link(block))
        before = key.encode()
    node = b"\xa2\x61e" + bytes([0x80 + len(entries)]) + b"".join(entries) + b"\x61l\xf6"
    header = b"\xa2\x65roots\x81" + link(node) + b"\x67version\x01"

    def length(number: int) -> bytes:
        return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + length(number >> 7)

    framed = (length(36 + len(block)) + identifier(block) + block for block in (*blocks, node))
    return length(len(header)) + header + b"".join(framed)


REPOSITORY = repository(
    {
        "app.bsky.feed.post/3kaaa": {
            "$type": "app.bsky.feed.post",
            "text": "é see example.com/the-begi… there",
            "createdAt": "2026-03-06T13:02:05Z",
            "facets": [
                {
                    "index": {"byteStart": 7, "byteEnd": 30},
                    "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com/the-beginning"}],
                }
            ],
        },
        "app.bsky.feed.post/3kbbb": {"$type": "app.bsky.feed.post", "text": "and one more", "createdAt": "later"},
        "app.bsky.feed.post/3keee": {
            "$type": "app.bsky.feed.post",
            "text": "not for everybody",
            "createdAt": "2026-03-06T13:02:05Z",
            "labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "graphic-media"}]},
        },
        "app.bsky.feed.repost/3kccc": {"$type": "app.bsky.feed.repost", "createdAt": "2026-03-06T13:02:05Z"},
        "app.bsky.feed.like/3kddd": {"$type": "app.bsky.feed.like", "createdAt": "2026-03-06T13:02:05Z"},
    }
)


def test_a_bluesky_repository_is_read_with_its_links_in_full(tmp_path: Path) -> None:
    (tmp_path / "repo.car").write_bytes(REPOSITORY)
    timeline = load(tmp_path / "repo.car")
    posts = {post.id: post.text for post in timeline.posts}
    assert posts == {"3kaaa": "é see https://example.com/the-beginning there", "3kbbb": "and one more"}
    assert timeline.left_out == {"reposts": 1, "warned": 1}
    assert {post.text for post in clean(timeline).posts} == {"é see there", "and one more"}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_bluesky_repository_that_broke_off_gets_a_sentence(tmp_path: Path, share: float) -> None:
    (tmp_path / "repo.car").write_bytes(REPOSITORY[: int(len(REPOSITORY) * share)])
    with pytest.raises(BadFile, match=r"repo\.car is not a whole Bluesky repository"):
        load(tmp_path / "repo.car")
