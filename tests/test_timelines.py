import html
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archives import TWEETS, javascript, write_folder, write_zip

from utils.errors import BadReference
from utils.timelines import authors, load, load_together, understand
from utils.timelines.json_lines import write_json_lines


def test_the_bundled_authors_are_as_their_networks_hand_them_out() -> None:
    for name, count in (("keeperfinch", 1400), ("unit7bakes", 700)):
        timeline = load(f"sample:{name}")
        assert (timeline.author, len(timeline.posts)) == (f"@{name}", count)
        assert all(post.created_at and post.id for post in timeline.posts)


def test_json_lines_are_read_with_dates_ids_and_text(write_posts) -> None:
    timeline = load(write_posts(["one & two", "three"], name="diary.jsonl"))
    assert timeline.author == "diary"
    assert [post.text for post in timeline.posts] == ["one & two", "three"]
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


def test_half_a_character_is_written_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"id": "\\ud800", "text": "half \\ud83d of it"}\n')
    original = load(tmp_path / "odd.jsonl")
    write_json_lines(tmp_path / "again.jsonl", [original])
    assert load(tmp_path / "again.jsonl").posts == original.posts


BAD_REFERENCES = [
    ("sample:nobody", "There is no sample called 'nobody'; the bundled authors are sample:keeperfinch or"),
    ("keeperfnch", "Did you mean sample:keeperfinch?"),
    ("jack", "Did you mean @jack, on X?"),
    ("https://x.com/home", "no handle and no link to a profile"),
    ("@far_too_long_for_any_name", "no handle and no link to a profile"),
    ("https://www.threads.net/@somebody", "Posts on Threads cannot be read here"),
    ("nowhere.jsonl", "There is no file nowhere.jsonl"),
    ("some/where", "There is no file some/where"),
    ("", "No author was given"),
    (".", "is a folder without posts"),
]


@pytest.mark.parametrize(("reference", "sentence"), BAD_REFERENCES)
def test_a_reference_that_leads_nowhere_gets_a_sentence(reference: str, sentence: str) -> None:
    with pytest.raises(BadReference) as error:
        load(reference)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("reference", "known", "sentence"),
    [
        ("@jack", True, "@jack on X, with your own key; X takes money for each post"),
        ("https://bsky.app/profile/alice.bsky.social", True, "@alice.bsky.social on Bluesky, free to read"),
        ("@bob@fosstodon.org", True, "@bob@fosstodon.org on Mastodon, free to read"),
        ("sample:keeperfinch", True, "A bundled author"),
        ("https://www.threads.net/@somebody", False, "Posts on Threads cannot be read here"),
        ("jack", False, "Did you mean @jack, on X?"),
    ],
)
def test_one_is_told_what_a_reference_means_before_anything_is_read(reference: str, known: bool, sentence: str) -> None:
    assert understand(reference)[0] == known
    assert sentence in understand(reference)[1]


def test_an_existing_file_is_never_taken_for_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("@jack.jsonl").write_text('{"text": "mine"}\n')
    Path("sample:mine.jsonl").write_text('{"text": "mine"}\n')
    assert load("@jack.jsonl").posts[0].text == load("sample:mine.jsonl").posts[0].text == "mine"
    Path("notes.doc").write_text("no posts")
    with pytest.raises(BadReference, match="notes.doc is not a kind of file"):
        load("notes.doc")


def test_the_newest_posts_are_those_with_the_latest_dates(write_posts) -> None:
    timeline = load(write_posts(["first", "second", "third"]))
    assert [post.text for post in timeline.newest(2).posts] == ["second", "third"]


def test_files_given_at_once_are_one_author_and_others_stay_apart(write_posts) -> None:
    one, two = str(write_posts(["a"], "one.jsonl")), str(write_posts(["b"], "two.jsonl"))
    assert authors(["sample:keeperfinch", one, two]) == [["sample:keeperfinch"], [one, two]]
    assert authors(["sample:keeperfinch", one, two], apart=True) == [["sample:keeperfinch"], [one], [two]]


def test_several_files_and_folders_become_one_timeline(tmp_path: Path, write_posts) -> None:
    archive = write_zip(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", TWEETS)})
    folder = write_folder(tmp_path / "more", {"a.txt": "first line\nsecond line", "b.csv": "text\nthird"})
    timeline = load_together([write_posts(["zeroth"]), archive, folder])
    assert [post.text for post in timeline.posts] == [
        "zeroth", "salt & pepper", "RT @b: the words of b", "first line", "second line", "third",
    ]  # fmt: skip
    assert timeline.author == "posts and 2 more"
    assert timeline.source == "posts.jsonl and X archive x.zip and folder more"


def test_an_author_of_several_files_takes_the_name_that_one_of_them_knows(tmp_path: Path, write_posts) -> None:
    (tmp_path / "mine.csv").write_text("text,user\none,finch\n")
    assert load_together([write_posts(["zeroth"]), tmp_path / "mine.csv"]).author == "@finch"


def test_a_file_in_a_folder_that_is_no_good_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mixed", {"a.csv": "a,b\n1,2\n", "b.txt": "one\ntwo", ".c.txt": "hidden"})
    timeline = load(folder)
    assert [post.text for post in timeline.posts] == ["one", "two"]
    assert timeline.remarks[-1].startswith("Left out: a.csv has no column for the text of posts")
    with pytest.raises(BadReference, match="no column"):
        load(write_folder(tmp_path / "bad", {"a.csv": "a,b\n1,2\n"}))


def test_what_is_written_about_the_files_of_a_folder_is_not_learned(tmp_path: Path) -> None:
    about = "- createdVia: Client application used when the account was created.\n"
    timeline = load(write_folder(tmp_path / "x", {"posts.txt": "one of mine\ntwo of mine", "README.txt": about}))
    assert [post.text for post in timeline.posts] == ["one of mine", "two of mine"]
    assert "Left out: README.txt, which by its name holds no posts" in " ".join(timeline.remarks)


def test_of_a_download_from_reddit_only_what_its_owner_wrote_is_read(tmp_path: Path) -> None:
    written = {"comments": "one of mine", "posts": "two of mine", "announcements": "not mine"}
    folder = write_folder(tmp_path / "x", {f"{name}.csv": f"id,body\n1,{text}\n" for name, text in written.items()})
    assert {post.text for post in load(folder).posts} == {"one of mine", "two of mine"}


@pytest.mark.parametrize(
    ("name", "advice"), [("archive.tar.gz", "Unpack it, and give the folder"), ("posts.xls", "Save it as .csv")]
)
def test_what_posts_may_be_in_and_is_not_opened_gets_advice(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(BadReference, match=advice):
        load(tmp_path / name)


def test_a_folder_without_posts_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadReference, match="is a folder without posts"):
        load(write_folder(tmp_path / "photos", {"cat.jpg": "meow"}))


def test_reading_tells_how_far_it_is(tmp_path: Path) -> None:
    script = javascript("tweets", [{"tweet": {"id_str": str(n), "full_text": "word " * 200}} for n in range(3000)])
    events = []
    load(write_zip(tmp_path / "x.zip", {"data/tweets.js": script}), events.append)
    assert events[0].sentence == "Reading data/tweets.js"
    assert all(0 < event.fraction <= 1 for event in events)


def test_what_was_read_from_an_escaped_file_is_written_and_read_back_the_same(tmp_path: Path) -> None:
    (tmp_path / "posts.json").write_text(json.dumps(["write &amp;lt; for &lt;", "R&amp;D", "a &lt; b &gt; c"]))
    original = load(tmp_path / "posts.json")
    write_json_lines(tmp_path / "again.jsonl", [original])
    assert load(tmp_path / "again.jsonl").posts == original.posts


def test_a_folder_gives_all_archives_and_files_in_it_but_never_messages(tmp_path: Path) -> None:
    def script(text: str) -> str:
        return javascript("tweets", [{"tweet": {"full_text": text}}])

    members = {
        "2019/data/tweets.js": script("of 2019"),
        "2026/data/tweets.js": script("of 2026"),
        "mine.csv": "text\nof a table\n",
        "messages.csv": "from,body\na,a secret\n",
        "chat_history.csv": "message\nanother secret\n",
    }
    timeline = load(write_folder(tmp_path / "all", members))
    assert sorted(post.text for post in timeline.posts) == ["of 2019", "of 2026", "of a table"]
    left_out = [remark.partition(",")[0] for remark in timeline.remarks if remark.startswith("Left out")]
    assert left_out == ["Left out: chat_history.csv", "Left out: messages.csv"]


def test_plain_text_is_written_and_read_back_without_another_look(tmp_path: Path) -> None:
    texts = ["&lt;br&gt;", "<p> is my favourite tag", "Ω≈ç√∫", "â€™ is what went wrong"]
    script = javascript("tweets", [{"tweet": {"full_text": html.escape(text, quote=False)}} for text in texts])
    original = load(write_zip(tmp_path / "x.zip", {"data/tweets.js": script}))
    assert [post.text for post in original.posts] == texts
    write_json_lines(tmp_path / "again.jsonl", [original])
    assert load(tmp_path / "again.jsonl").posts == original.posts
