import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from utils.errors import BadFile, BadReference
from utils.timelines import load, parse_date, write_json_lines

TWEETS = [
    {"tweet": {"id_str": "2", "created_at": "Fri Mar 06 13:02:05 +0000 2026", "full_text": "salt &amp; pepper"}},
    {"tweet": {"id_str": "1", "created_at": "Thu Mar 05 08:00:00 +0000 2026", "full_text": "RT @b: the words of b"}},
]


def javascript(name: str, value: object) -> str:
    return f"window.YTD.{name}.part0 = {json.dumps(value)}"


def archive(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, text in members.items():
            zipped.writestr(name, text)
    return path


def test_the_bundled_authors_are_as_their_networks_hand_them_out() -> None:
    for name, count in (("keeperfinch", 1400), ("unit7bakes", 700)):
        timeline = load(f"sample:{name}")
        assert (timeline.author, len(timeline.posts)) == (f"@{name}", count)
        assert all(post.created_at and post.id for post in timeline.posts)


def test_json_lines_are_read_with_dates_ids_and_text(write_posts) -> None:
    timeline = load(write_posts(["one &amp; two", "three"], name="diary.jsonl"))
    assert timeline.author == "diary"
    assert [post.text for post in timeline.posts] == ["one &amp; two", "three"]
    assert timeline.posts[0].created_at == datetime(2000, 1, 1, 12, tzinfo=UTC)


def test_a_line_needs_nothing_but_text(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('\ufeff{"text": "héllo"}\n\n{"text": "more", "id": 7, "created_at": "yesterday"}\n', "utf-8")
    assert [(post.id, post.created_at, post.text) for post in load(path).posts] == [
        ("1", None, "héllo"),
        ("7", None, "more"),
    ]


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    original = load("sample:unit7bakes")
    write_json_lines(tmp_path / "again.jsonl", [original])
    assert load(tmp_path / "again.jsonl").posts == original.posts


def test_an_archive_is_read_in_all_its_parts_under_its_owners_name(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "twitter-2026.zip",
        {
            "data/manifest.js": "window.__THAR_CONFIG = " + json.dumps({"userInfo": {"userName": "someone"}}),
            "data/tweets-part10.js": javascript("tweets", [{"tweet": {"id_str": "4", "full_text": "last"}}]),
            "data/tweets-part2.js": javascript("tweets", [{"tweet": {"id_str": "3", "full_text": "middle"}}]),
            "data/tweets.js": javascript("tweets", TWEETS),
            "data/direct-messages.js": "not even JavaScript, and never looked at",
            "data/deleted-tweets.js": javascript("deleted_tweets", [{"tweet": {"id_str": "9", "full_text": "gone"}}]),
        },
    )
    timeline = load(path)
    assert timeline.author == "@someone"
    assert [post.id for post in timeline.posts] == ["2", "1", "3", "4"]
    assert timeline.posts[0].created_at == datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC)


def test_a_member_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        for _ in range(2):
            zipped.writestr("data/tweets.js", javascript("tweets", TWEETS))
        zipped.writestr("../data/tweets.js", javascript("tweets", TWEETS))
    assert len(load(tmp_path / "x.zip").posts) == 2


def test_a_name_that_is_no_handle_is_not_taken_for_one(tmp_path: Path) -> None:
    manifest = "window.__THAR_CONFIG = " + json.dumps({"userInfo": {"userName": "x\n\u001b[2J"}})
    members = {"data/manifest.js": manifest, "data/tweets.js": javascript("tweets", TWEETS)}
    assert load(archive(tmp_path / "mine.zip", members)).author == "mine"


def test_half_a_character_is_written_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"id": "\\ud800", "text": "half \\ud83d of it"}\n')
    original = load(tmp_path / "odd.jsonl")
    write_json_lines(tmp_path / "again.jsonl", [original])
    assert load(tmp_path / "again.jsonl").posts == original.posts


def test_an_archive_in_a_wrapper_folder_without_a_manifest_is_named_after_its_file(tmp_path: Path) -> None:
    timeline = load(archive(tmp_path / "mine.zip", {"archive/data/tweets.js": javascript("tweets", TWEETS)}))
    assert timeline.author == "mine"


BAD_REFERENCES = [
    ("sample:nobody", "There is no sample called 'nobody'; the bundled authors are sample:keeperfinch or"),
    ("keeperfnch", "Did you mean sample:keeperfinch?"),
    ("@jack", "@jack is on a network"),
    ("https://x.com/jack", "on a network"),
    ("nowhere.jsonl", "There is no file nowhere.jsonl"),
    ("some/where", "There is no file some/where"),
    ("", "No author was given"),
    (".", "is a folder"),
]


@pytest.mark.parametrize(("reference", "sentence"), BAD_REFERENCES)
def test_a_reference_that_leads_nowhere_gets_a_sentence(reference: str, sentence: str) -> None:
    with pytest.raises(BadReference) as error:
        load(reference)
    assert sentence in str(error.value)


def test_an_existing_file_is_never_taken_for_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("@jack.jsonl").write_text('{"text": "mine"}\n')
    Path("sample:mine.jsonl").write_text('{"text": "mine"}\n')
    assert load("@jack.jsonl").posts[0].text == load("sample:mine.jsonl").posts[0].text == "mine"
    Path("notes.doc").write_text("no posts")
    with pytest.raises(BadReference, match="notes.doc is not a kind of file"):
        load("notes.doc")


BAD_FILES = [
    ("empty.jsonl", b"", "empty.jsonl is empty"),
    ("blank.jsonl", b"\n \n", "blank.jsonl is empty"),
    ("cut.jsonl", b'{"text": "one"}\n{"text": "tw', "line 2 is not a whole JSON object"),
    ("list.jsonl", b"[1, 2]\n", 'line 1 has no "text"'),
    ("number.jsonl", b'{"text": 5}\n', 'line 1 has no "text"'),
    ("deep.jsonl", b"[" * 100_000, "line 1 is not a whole JSON object"),
    ("latin.jsonl", '{"text": "café"}'.encode("cp1252"), "is not text in UTF-8"),
    ("not.zip", b"PK no zip at all", "not.zip is not a whole zip file"),
    ("empty.zip", b"", "empty.zip is not a whole zip file"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BAD_FILES, ids=[row[0] for row in BAD_FILES])
def test_a_bad_file_gets_a_sentence_and_stays_as_it_was(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadFile) as error:
        load(path)
    assert sentence in str(error.value)
    assert path.read_bytes() == content


BAD_ARCHIVES = [
    ("no posts in it", {"photos/cat.jpg": "meow"}, "holds no posts"),
    ("cut in the middle", {"data/tweets.js": javascript("tweets", TWEETS)[:-20]}, "damaged or cut off"),
    ("no list", {"data/tweets.js": "window.YTD.tweets.part0 = 5"}, "holds no list of posts"),
    ("a post without text", {"data/tweets.js": javascript("tweets", [{"tweet": {}}])}, "post without text"),
    ("not a single post", {"data/tweets.js": javascript("tweets", [])}, "without a single post"),
]


@pytest.mark.parametrize(("members", "sentence"), [row[1:] for row in BAD_ARCHIVES], ids=[r[0] for r in BAD_ARCHIVES])
def test_a_bad_archive_gets_a_sentence(tmp_path: Path, members: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence):
        load(archive(tmp_path / "x.zip", members))


def test_an_archive_whose_download_broke_off_gets_a_sentence(tmp_path: Path) -> None:
    whole = archive(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", TWEETS * 100)}).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BadFile, match="not a whole zip file"):
            load(tmp_path / "cut.zip")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-06T13:02:05Z", datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC)),
        ("2026-03-06T15:02:05+02:00", datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC)),
        ("Fri Mar 06 13:02:05 +0000 2026", datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC)),
        ("2026-03-06", datetime(2026, 3, 6, tzinfo=UTC)),
        ("Fri Foo 06 13:02:05 +0000 2026", None),
        ("0001-01-01T00:00:00+23:00", None),
        (5, None),
        (None, None),
    ],
)
def test_dates_are_read_as_networks_write_them(written: object, read: datetime | None) -> None:
    assert parse_date(written) == read


def test_the_newest_posts_are_those_with_the_latest_dates(write_posts) -> None:
    timeline = load(write_posts(["first", "second", "third"]))
    assert [post.text for post in timeline.newest(2).posts] == ["second", "third"]
