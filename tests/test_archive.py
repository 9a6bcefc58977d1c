"""The archive of X in all its forms, whole, damaged and hostile."""

import io
import json
import random
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archives import POST, REPOST, TWEETS, javascript, manifest, note, write_folder, write_zip, zip_bytes
from hypothesis import given
from hypothesis import strategies as st

from utils.cleaning import clean
from utils.errors import BadFile, UserError
from utils.timelines import containers, load, load_together

WHOLE = {
    "data/manifest.js": manifest(tweets=["data/tweets.js", "data/tweets-part1.js"]),
    "data/tweets.js": javascript("tweets", TWEETS),
    "data/tweets-part1.js": javascript("tweets", [{"tweet": {"id_str": "3", "full_text": "and one more"}}]),
    "data/direct-messages.js": "not even JavaScript, and never looked at",
    "data/deleted-tweets.js": javascript("deleted_tweets", [{"tweet": {"id_str": "9", "full_text": "gone"}}]),
    "data/like.js": javascript("like", [{"like": {"tweetId": "8", "fullText": "somebody else's"}}]),
    "data/tweets_media/2-cat.jpg": b"\xff\xd8 a cat",
}
MONTH = [{"id": 7, "created_at": "2015-01-24 02:02:37 +0000", "text": "R&amp;D at night"}]

BOTH = ["salt & pepper", "RT @b: the words of b"]

FORMS = {
    "as downloaded": (WHOLE, "@someone", [*BOTH, "and one more"]),
    "in a wrapper folder": (
        {f"twitter-2026/{name}": content for name, content in WHOLE.items()},
        "@someone",
        [*BOTH, "and one more"],
    ),
    "without a manifest": ({"data/tweets.js": WHOLE["data/tweets.js"]}, "x", BOTH),
    "of 2019, posts not wrapped": ({"tweet.js": javascript("tweet", [POST, REPOST])}, "x", BOTH),
    "of 2015, a script a month": (
        {
            "index.html": "<html>",
            "data/js/tweets/2015_01.js": "Grailbird.data.tweets_2015_01 = \n" + json.dumps(MONTH),
            "data/js/user_details.js": 'var user_details = {"screen_name": "old_one", "id": "7"}',
            "tweets.csv": '"tweet_id","timestamp","text"\n"7","2015-01-24 02:02:37 +0000","R&amp;D at night"\n',
        },
        "@old_one",
        ["R&D at night"],
    ),
    "of 2015, the table alone": (
        {
            "data/js/user_details.js": 'var user_details = {"screen_name": "old_one", "id": "7"}',
            "tweets.csv": '"tweet_id","timestamp","text"\n"7","2015-01-24 02:02:37 +0000","R&amp;D at night"\n',
        },
        "@old_one",
        ["R&D at night"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unpacked", [False, True], ids=["zip", "folder"])
def test_every_form_of_archive_is_read(tmp_path: Path, form: str, unpacked: bool) -> None:
    members, author, texts = FORMS[form]
    path = write_folder(tmp_path / "x", members) if unpacked else write_zip(tmp_path / "x.zip", members)
    timeline = load(path)
    assert (timeline.author, [post.text for post in timeline.posts]) == (author, texts)
    assert timeline.remarks == ()


def test_dates_and_ids_come_along(tmp_path: Path) -> None:
    post = load(write_zip(tmp_path / "x.zip", WHOLE)).posts[0]
    assert (post.id, post.created_at) == ("2", datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC))
    old = load(write_zip(tmp_path / "old.zip", FORMS["of 2015, a script a month"][0])).posts[0]
    assert (old.id, old.created_at) == ("7", datetime(2015, 1, 24, 2, 2, 37, tzinfo=UTC))


@pytest.mark.parametrize("name", ["tweets.js", "tweet.js", "tweets (1).js"])
def test_the_file_of_posts_alone_is_enough(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(javascript("tweets", TWEETS))
    assert [post.text for post in load(tmp_path / name).posts] == ["salt & pepper", "RT @b: the words of b"]


@pytest.mark.parametrize("name", ["like", "deleted_tweets", "direct_messages"])
def test_another_script_of_the_archive_is_not_taken_for_posts(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.js").write_text(javascript(name, TWEETS))
    with pytest.raises(BadFile, match=r"is not the file of posts.*that is tweets\.js"):
        load(tmp_path / f"{name}.js")


def test_only_members_with_posts_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda self, name, *a, **k: opened.append(name) or real(self, name, *a, **k)
    )
    load(write_zip(tmp_path / "x.zip", {**WHOLE, "data/note-tweet.js": javascript("note_tweet", [])}))
    read = [name for name in opened if isinstance(name, str)]
    assert set(read) == {"data/manifest.js", "data/tweets.js", "data/tweets-part1.js", "data/note-tweet.js"}


def test_parts_come_in_order_and_the_manifest_says_which_there_are(tmp_path: Path) -> None:
    parts = {
        f"data/tweets{part}.js": javascript("tweets", [{"tweet": {"full_text": f"part{part}"}}])
        for part in ("-part10", "-part2", "")
    }
    assert [post.text for post in load(write_zip(tmp_path / "x.zip", parts)).posts] == [
        "part",
        "part-part2",
        "part-part10",
    ]
    listed = {**parts, "data/manifest.js": manifest(tweets=["data/tweets.js", "data/tweets-part3.js"])}
    timeline = load(write_zip(tmp_path / "y.zip", listed))
    assert [post.text for post in timeline.posts] == ["part"]
    assert timeline.remarks == ("y.zip lists tweets-part3.js, which is not in it; the posts there are missing.",)


def test_the_data_folder_of_an_archive_alone_is_whole(tmp_path: Path) -> None:
    parts = {
        f"tweets{part}.js": javascript("tweets", [{"tweet": {"full_text": f"part{part}"}}]) for part in ("", "-part1")
    }
    listed = manifest(tweets=["data/tweets.js", "data/tweets-part1.js", "data/tweets-part2.js"])
    timeline = load(write_folder(tmp_path / "data", {**parts, "manifest.js": listed}))
    assert [post.text for post in timeline.posts] == ["part", "part-part1"]
    assert timeline.remarks == ("data lists tweets-part2.js, which is not in it; the posts there are missing.",)


def test_of_an_edited_post_the_last_version_stays_and_the_others_are_counted(tmp_path: Path) -> None:
    ids = ["10", "11", "12"]
    places = [
        {"initial": {"editTweetIds": ids}},
        {"edit": {"initialTweetId": "10", "editControlInitial": {"editTweetIds": ids}}},
        {"edit": {"editTweetIds": ids}},
    ]
    tweets = [
        {"tweet": {"id_str": number, "full_text": f"version {number}", "edit_info": place}}
        for number, place in zip(ids, places, strict=True)
    ]
    timeline = load(
        write_zip(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", [tweets[2], *tweets[:2], *TWEETS])})
    )
    assert [post.id for post in timeline.posts] == ["12", "2", "1"]
    counts = clean(timeline).counts()
    assert (counts["fetched"], counts["edited"]) == (5, 2)
    without_the_last = load(write_zip(tmp_path / "y.zip", {"data/tweets.js": javascript("tweets", tweets[:2])}))
    assert [post.id for post in without_the_last.posts] == ["11"]


LONG = "The lamp &amp; I have talked it over, and we both think that winter came early this year. " * 4


def test_a_long_post_gets_its_full_text_by_beginning_and_date(tmp_path: Path) -> None:
    def cut(number: str, minute: int, start: str = "") -> dict:
        text = f"{start}{LONG[:270]}… https://t.co/abc"
        return {
            "tweet": {"id_str": number, "created_at": f"Fri Mar 06 13:{minute:02}:05 +0000 2026", "full_text": text}
        }

    def ending(minute: int) -> dict:
        return note(f"{LONG}It is minute {minute}. &lt;3", f"2026-03-06T13:{minute:02}:04.000Z")

    tweets = [cut("1", 10), cut("2", 30), cut("3", 31, "@bob "), *TWEETS]
    notes = [
        ending(30),
        ending(10),
        note("Something else altogether, and longer than most", "2026-03-06T13:10:05.000Z"),
    ]
    members = {"data/tweets.js": javascript("tweets", tweets), "data/note-tweet.js": javascript("note_tweet", notes)}
    texts = [post.text for post in load(write_zip(tmp_path / "x.zip", members)).posts]
    assert texts[0] == LONG.replace("&amp;", "&") + "It is minute 10. <3"
    assert texts[1].endswith("It is minute 30. <3")
    assert texts[2].endswith("It is minute 30. <3")
    assert texts[3:] == ["salt & pepper", "RT @b: the words of b"]


def test_a_long_post_without_a_fitting_note_stays_as_it_is(tmp_path: Path) -> None:
    tweet = {"tweet": {**POST, "full_text": f"{LONG[:270]}… https://t.co/abc"}}
    notes = [note(LONG, "2020-01-01T00:00:00.000Z")]
    members = {"data/tweets.js": javascript("tweets", [tweet]), "data/note-tweet.js": javascript("note_tweet", notes)}
    assert "… https://t.co/abc" in load(write_zip(tmp_path / "x.zip", members)).posts[0].text


def test_a_link_near_the_beginning_does_not_keep_a_long_post_from_its_full_text(tmp_path: Path) -> None:
    tweet = {"tweet": {**POST, "full_text": f"@a https://t.co/x {LONG[:250]}… https://t.co/abc"}}
    notes = [note(f"https://example.com/long {LONG}", "2026-03-06T13:02:05.000Z")]
    members = {"data/tweets.js": javascript("tweets", [tweet]), "data/note-tweet.js": javascript("note_tweet", notes)}
    assert len(load(write_zip(tmp_path / "x.zip", members)).posts[0].text) > 300


def test_a_damaged_file_of_full_texts_costs_only_those(tmp_path: Path) -> None:
    members = {"data/tweets.js": javascript("tweets", TWEETS), "data/note-tweet.js": "window.YTD.note_tweet.part0 = ["}
    timeline = load(write_zip(tmp_path / "x.zip", members))
    assert len(timeline.posts) == 2
    assert timeline.remarks[0].startswith("Long posts stay as X cut them off")


def test_names_with_backslashes_and_folders_above_are_found(tmp_path: Path) -> None:
    for name in ("data\\tweets.js", "a/b/data/tweets.js"):
        assert len(load(write_zip(tmp_path / "x.zip", {name: javascript("tweets", TWEETS)})).posts) == 2


def test_deleted_posts_stay_unread_whatever_they_are_called(tmp_path: Path) -> None:
    deleted = javascript("deleted_tweets", TWEETS)
    members = {"data/manifest.js": manifest(tweets=["data/deleted-tweets.js"]), "data/deleted-tweets.js": deleted}
    with pytest.raises(BadFile, match="holds no posts"):
        load(write_zip(tmp_path / "x.zip", members))
    (tmp_path / "tweets.js").write_text(deleted)
    with pytest.raises(BadFile, match="is not the file of posts"):
        load(tmp_path / "tweets.js")


@pytest.mark.parametrize("member", ["tweets.js", "note-tweet.js", "manifest.js"])
def test_a_small_zip_of_a_great_many_nothings_is_refused_or_read_soon(tmp_path: Path, member: str) -> None:
    members = {"data/tweets.js": javascript("tweets", TWEETS), f"data/{member}": "[" + "{}," * 10_000_000 + "{}]"}
    began = time.monotonic()
    with suppress(BadFile):
        load(write_zip(tmp_path / "x.zip", members))
    assert time.monotonic() - began < 20


def test_replies_to_oneself_are_kept(tmp_path: Path) -> None:
    thread = {"tweet": {**POST, "in_reply_to_user_id_str": "77", "full_text": "and that is why the goat stays inside"}}
    cleaned = clean(load(write_zip(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", [thread])})))
    assert len(cleaned.posts) == 1


def test_a_name_that_is_no_handle_is_not_taken_for_one(tmp_path: Path) -> None:
    members = {"data/manifest.js": manifest("x\n\u001b[2J"), "data/tweets.js": javascript("tweets", TWEETS)}
    assert load(write_zip(tmp_path / "mine.zip", members)).author == "mine"


def test_a_damaged_manifest_does_no_harm(tmp_path: Path) -> None:
    members = {"data/manifest.js": "window.__THAR_CONFIG = {", "data/tweets.js": javascript("tweets", TWEETS)}
    assert len(load(write_zip(tmp_path / "mine.zip", members)).posts) == 2


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.js").write_text(javascript("tweets", [{"tweet": {"full_text": "secret"}}]))
    members = {
        "data/manifest.js": manifest(tweets=["../secret.js", "data/../../secret.js"]),
        "data/tweets.js": javascript("tweets", TWEETS),
    }
    assert [post.id for post in load(write_folder(tmp_path / "x", members)).posts] == ["2", "1"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_climb_and_members_that_are_there_twice_are_read_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        for _ in range(2):
            zipped.writestr("data/tweets.js", javascript("tweets", TWEETS))
        zipped.writestr("../data/tweets.js", javascript("tweets", TWEETS))
        zipped.writestr("/data/tweets.js", javascript("tweets", TWEETS))
    assert len(load(tmp_path / "x.zip").posts) == 2


def test_one_odd_entry_costs_no_more_than_itself(tmp_path: Path) -> None:
    odd = [{"tweet": {"full_text": 5}}, {"tweet": 7}, None, [], {"tweet": {"full_text": "lost \ufffd"}}, 3, "text"]
    timeline = load(write_zip(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", [*odd, *TWEETS])}))
    assert len(timeline.posts) == 2
    assert timeline.left_out == {"unreadable": 7}


def test_keys_that_are_there_twice_and_huge_and_strange_values_are_read(tmp_path: Path) -> None:
    script = (
        'window.YTD.tweets.part0 = [{"tweet": {"full_text": "a", "full_text": "the last one counts", "id": 1}},'
        '{"tweet": {"full_text": "' + "wide sea " * 1_200_000 + '", "id": 123456789012345678901234567890}},'
        '{"tweet": {"full_text": "nul \\u0000 and half \\ud83d", "created_at": 1e999, "id": {"a": []}}}];\n'
    )
    posts = load(write_zip(tmp_path / "x.zip", {"data/tweets.js": script})).posts
    assert [post.id for post in posts] == ["1", "123456789012345678901234567890", "3"]
    assert posts[0].text == "the last one counts"
    assert clean(load(tmp_path / "x.zip")).counts() | {"long": 1, "kept": 2} == clean(load(tmp_path / "x.zip")).counts()


def test_dates_that_cannot_be_are_none_at_all(tmp_path: Path) -> None:
    dates = ["Thu Jan 01 00:00:00 +0000 1970", "Fri Mar 06 13:02:05 +0000 2999", "yesterday", None, POST["created_at"]]
    tweets = [{"tweet": {"full_text": "one two three", "created_at": date}} for date in dates]
    timeline = load(write_zip(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", tweets)}))
    assert [post.created_at is None for post in timeline.posts] == [True, True, True, True, False]
    assert timeline.remarks == ("2 posts have dates in the future, or in 1970 or before; they count as undated.",)


def lying(size: int) -> bytes:
    """A zip whose directory says that a member unpacks to `size` bytes."""
    content = bytearray(zip_bytes({"data/tweets.js": javascript("tweets", TWEETS)}))
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = size.to_bytes(4, "little")
    return bytes(content)


def lying_about_its_checksum() -> bytes:
    """A zip one byte of whose content changed on the way."""
    content = bytearray(zip_bytes({"data/tweets.js": javascript("tweets", TWEETS)}))
    content[content.rindex(b"PK\x01\x02") + 16] ^= 1
    return bytes(content)


def encrypted() -> bytes:
    """A zip whose members are marked as encrypted."""
    content = bytearray(zip_bytes({"data/tweets.js": javascript("tweets", TWEETS)}))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


BAD = [
    ("not a zip", b"PK no zip at all", "x.zip is not a whole zip file"),
    ("nothing", b"", "x.zip is not a whole zip file"),
    ("no posts in it", zip_bytes({"photos/cat.jpg": "meow"}), "holds no posts"),
    ("empty zip", zip_bytes({}), "holds no posts"),
    ("another network", zip_bytes({"your_instagram_activity/content/posts_1.json": "[]"}), "download from Instagram"),
    ("a table in it", zip_bytes({"trump.csv": "text\none"}), "holds trump.csv. Unpack it, and give that or the folder"),
    ("a spreadsheet", zip_bytes({"[Content_Types].xml": "", "xl/x.xml": ""}), "Save it as .csv, with a column “text”"),
    ("a zip in a zip", zip_bytes({"inner.zip": zip_bytes(WHOLE)}), "holds another zip, inner.zip"),
    ("encrypted", encrypted(), "locked with a password"),
    ("says it is huge", lying(0xFFFFFFF0), "unpacks to more than 2 GB"),
    ("says it is smaller", lying(40), "not a whole zip file"),
    ("another checksum", lying_about_its_checksum(), "not a whole zip file"),
    ("cut in the middle", zip_bytes({"data/tweets.js": javascript("tweets", TWEETS)[:-20]}), "damaged or cut off"),
    ("no list", zip_bytes({"data/tweets.js": "window.YTD.tweets.part0 = 5"}), "holds no list of posts"),
    ("nothing in it", zip_bytes({"data/tweets.js": ""}), "holds no list of posts"),
    ("no JSON", zip_bytes({"data/tweets.js": "window.YTD.tweets.part0 = [what]"}), "damaged or cut off"),
    ("no comma", zip_bytes({"data/tweets.js": "[{} {}]"}), "damaged or cut off"),
    ("nested deep", zip_bytes({"data/tweets.js": "[" * 10_000}), "damaged or cut off"),
    ("nested deep in a post", zip_bytes({"data/tweets.js": '[{"tweet":' * 10_000}), "damaged or cut off"),
    (
        "numbers for text",
        zip_bytes({"data/tweets.js": '[{"tweet":{"full_text":5}}]'}),
        "nothing with the text of a post",
    ),
    ("not a single post", zip_bytes({"data/tweets.js": javascript("tweets", [])}), "not a single post"),
]


@pytest.mark.parametrize(("content", "sentence"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_archive_gets_a_sentence_and_stays_as_it_was(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=sentence):
        load(path)
    assert path.read_bytes() == content
    assert list(tmp_path.glob("*.zip")) == [path]


def test_a_bomb_is_refused_at_the_limit_and_not_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAXIMUM_BYTES", 1 << 24)
    members = {f"data/tweets-part{part}.js": "[" + " " * (10 << 20) + "]" for part in range(3)}
    with pytest.raises(BadFile, match="unpacks to more than"):
        load(write_zip(tmp_path / "x.zip", members))


def test_an_archive_whose_download_broke_off_gets_a_sentence(tmp_path: Path) -> None:
    whole = zip_bytes({**WHOLE, "data/tweets.js": javascript("tweets", TWEETS * 100)})
    places = random.Random(0).sample(range(1, len(whole)), 10)
    for place in places:
        (tmp_path / "cut.zip").write_bytes(whole[:place])
        with pytest.raises(BadFile, match="not a whole zip file"):
            load(tmp_path / "cut.zip")


def test_an_archive_of_nothing_but_reposts_is_counted(tmp_path: Path) -> None:
    counts = clean(
        load(write_zip(tmp_path / "x.zip", {"data/tweets.js": javascript("tweets", [{"tweet": REPOST}] * 9)}))
    ).counts()
    assert (counts["fetched"], counts["reposts"], counts["kept"]) == (9, 9, 0)


def test_a_thousand_damaged_archives_give_posts_or_a_sentence_and_never_anything_else(tmp_path: Path) -> None:
    members = {**WHOLE, "data/note-tweet.js": javascript("note_tweet", [note(LONG, "2026-03-06T13:02:05.000Z")])}
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    originals = [zip_bytes(members), stored.getvalue()]
    rng = random.Random(1)
    path = tmp_path / "x.zip"
    read = 0
    for number in range(1000):
        content = bytearray(originals[number % 2])
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            place = rng.randrange(len(content))
            match rng.randrange(4):
                case 0:
                    content[place] = rng.randrange(256)
                case 1:
                    del content[place : place + rng.randrange(40)]
                case 2:
                    content[place:place] = rng.randbytes(rng.randrange(40))
                case 3:
                    content[place : place + 4] = b"\xff\xff\xff\x7f"
        path.write_bytes(content)
        try:
            read += bool(load(path).posts)
        except UserError as error:
            assert str(error).endswith((".", "?"))
    assert 20 < read < 980


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["tweet", "full_text", "text", "id_str", "created_at", "edit_info", "initial", "edit",
                         "editTweetIds", "noteTweet", "core", "createdAt"]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(tweets=st.lists(JSON, max_size=6), notes=JSON)
def test_whatever_the_scripts_hold_each_entry_is_counted_once(tmp_path_factory, tweets: list, notes: object) -> None:
    path = tmp_path_factory.getbasetemp() / "hypothesis.zip"
    write_zip(
        path,
        {
            "data/tweets.js": javascript("tweets", [*TWEETS, *tweets]),
            "data/note-tweet.js": javascript("note_tweet", notes),
        },
    )
    counts = clean(load(path)).counts()
    assert counts["fetched"] == len(TWEETS) + len(tweets) == sum(counts.values()) - counts["fetched"]


def test_two_archives_of_one_account_are_one_author_and_what_both_hold_counts_once(tmp_path: Path) -> None:
    older = write_zip(tmp_path / "2024.zip", WHOLE)
    newer = write_zip(tmp_path / "2026.zip", WHOLE)
    timeline = load_together([older, newer])
    assert timeline.author == "@someone"
    counts = clean(timeline).counts()
    assert (counts["fetched"], counts["duplicates"]) == (6, 1)


MEASURED = """
import json, resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.monotonic()
from utils.timelines import load
posts = len(load(sys.argv[1]).posts)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"posts": posts, "seconds": time.monotonic() - started, "bytes": (after - before) * 1024}))
"""


@pytest.mark.slow
def test_two_hundred_thousand_posts_take_bounded_memory_and_time_that_grows_with_their_number(tmp_path: Path) -> None:
    def measure(count: int) -> dict:
        entry = json.dumps({"tweet": {"id_str": "@id", "created_at": POST["created_at"], "full_text": "@text",
                                      "source": "x" * 1150}}, indent=1)  # fmt: skip
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            zipped.writestr(zipfile.ZipInfo("data/tweets_media/1.mp4"), bytes(100_000_000))
            with zipped.open("data/tweets.js", "w") as member:
                member.write(b"window.YTD.tweets.part0 = [")
                for number in range(count):
                    text = f"post number {number} of the keeper: " + "the lamp, the goat and the sea. " * 5
                    comma = "," if number else ""
                    member.write((comma + entry.replace("@id", str(10**18 + number)).replace("@text", text)).encode())
                member.write(b"]")
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, tmp_path / "x.zip"], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    few, many = measure(20_000), measure(200_000)
    assert many["posts"] == 200_000
    assert many["bytes"] < 150_000_000
    # 4.7 s on two cores without other work; a noisy neighbour may treble it.
    assert many["seconds"] < 30
    assert many["seconds"] < 20 * few["seconds"]
