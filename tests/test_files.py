"""Plain files of posts, whatever tool wrote them."""

import csv
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archives import POST, note
from hypothesis import given
from hypothesis import strategies as st

from utils.cleaning import clean
from utils.errors import BadFile, UserError
from utils.timelines import load


def texts(path: Path) -> list[str]:
    return [post.text for post in load(path).posts]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "columns", [("id", "created_at", "text"), ("Tweet ID", "Date", "Tweet"), ("url", "Posted At", "CONTENT")]
)
def test_a_table_says_which_columns_it_took(tmp_path: Path, delimiter: str, columns: tuple) -> None:
    with open(tmp_path / "posts.csv", "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow([columns[0], "likes", columns[1], columns[2]])
        writer.writerow(["https://x.com/a/status/77", "3", "2026-03-06T13:02:05Z", 'one, "two"; three\r\nfour\tfive'])
        writer.writerow(["8", "3", "", "more"])
    timeline = load(tmp_path / "posts.csv")
    assert [post.text for post in timeline.posts] == ['one, "two"; three\r\nfour\tfive', "more"]
    assert [post.id for post in timeline.posts] == ["77", "8"]
    assert timeline.posts[0].created_at == datetime(2026, 3, 6, 13, 2, 5, tzinfo=UTC)
    assert timeline.remarks == (
        f"Took the column “{columns[2]}” for the text, “{columns[1]}” for the date, “{columns[0]}” for the id.",
    )


def test_a_table_is_named_after_its_one_author_and_dates_with_slashes_are_remarked(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("created_at,text,user\n10/16/17 22:59,one,finch\n10/2/17 12:41,two,finch\n")
    timeline = load(tmp_path / "posts.csv")
    assert timeline.author == "@finch"
    assert timeline.remarks[1:] == ("Dates like 3/4/2020 were read month first.",)


@pytest.mark.parametrize(("who", "author"), [("jane@example.org", "posts"), ("@jane@example.org", "@jane@example.org")])
def test_a_mail_address_is_no_handle(who: str, author: str, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text(f"text,user\none,{who}\ntwo,{who}\n")
    assert load(tmp_path / "posts.csv").author == author


def test_posts_of_several_people_are_remarked(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text,username\none,a\ntwo,b\n")
    assert load(tmp_path / "posts.csv").author == "posts"
    assert "has posts of 2 people" in load(tmp_path / "posts.csv").remarks[-1]


def test_people_whose_names_are_no_handles_are_several_too(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text,Author\none,Barack Obama\ntwo,Joe Biden\n")
    assert "has posts of 2 people" in load(tmp_path / "posts.csv").remarks[-1]
    (tmp_path / "chat.json").write_text(
        json.dumps([{"content": "one", "author": {"name": "a"}}, {"content": "two", "author": {"name": "b"}}])
    )
    assert "has posts of 2 people" in load(tmp_path / "chat.json").remarks[-1]


def test_the_line_that_excel_writes_on_top_is_understood(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("sep=;\ntext;id\none, two, three;4\n")
    assert texts(tmp_path / "posts.csv") == ["one, two, three"]


def test_one_column_without_any_delimiter_is_a_table_too(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\nthe first of them\n\nthe second\n")
    assert texts(tmp_path / "posts.csv") == ["the first of them", "the second"]


def test_a_comma_that_belongs_to_the_text_does_not_cut_it(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("id,text\n1,I like cats, dogs, and birds\n2,and you\n")
    assert texts(tmp_path / "posts.csv") == ["I like cats, dogs, and birds", "and you"]
    (tmp_path / "one.csv").write_text("text\nhello, world my friends\n")
    assert texts(tmp_path / "one.csv") == ["hello, world my friends"]


@pytest.mark.parametrize("header", ["id,text", "text"])
def test_a_quotation_mark_that_never_ends_swallows_nothing(tmp_path: Path, header: str) -> None:
    rows = [f"{n},post number {n}" if "," in header else f"post number {n}" for n in range(200)]
    rows[50] = rows[50].replace("post", '"post')
    (tmp_path / "posts.csv").write_text("\n".join([header, *rows]))
    timeline = load(tmp_path / "posts.csv")
    assert len(timeline.posts) == 200
    assert timeline.posts[50].text == '"post number 50'
    assert timeline.remarks[-1] == "A quotation mark never ends; all of them were read as text."


@pytest.mark.parametrize("sign", [",", "\t"])
def test_a_quotation_mark_near_the_end_of_a_table_with_dates_swallows_nothing(sign: str, tmp_path: Path) -> None:
    rows = [sign.join((f"{n}", f"2020-01-{n % 28 + 1:02} 10:00", f"post number {n}")) for n in range(200)]
    rows[190] = rows[190].replace("post", '"post')
    (tmp_path / "posts.csv").write_text("\n".join([sign.join(("id", "date", "text")), *rows]))
    timeline = load(tmp_path / "posts.csv")
    assert sorted(post.text for post in timeline.posts) == sorted(
        '"post number 190' if n == 190 else f"post number {n}" for n in range(200)
    )


def test_a_diary_in_a_cell_is_no_quotation_mark_that_never_ends(tmp_path: Path) -> None:
    diary = "on the lamp\n12/24/2019, snow\nand nothing else\nthe whole day"
    (tmp_path / "posts.csv").write_text(f'date,text\n2020-01-01,"{diary}"\n2020-01-02,"and more"\n')
    assert texts(tmp_path / "posts.csv") == [diary, "and more"]


@pytest.mark.parametrize("gig", ["12 May, Berlin", "12 May 2024, Berlin"])
def test_a_date_in_a_post_of_two_lines_is_no_quotation_mark_that_never_ends(gig: str, tmp_path: Path) -> None:
    posts = [f"Well, this is post {number}\n\nAnd, as ever, there is more" for number in range(40)]
    posts.append(f"Next gig:\n{gig}")
    with open(tmp_path / "posts.csv", "w", newline="") as file:
        csv.writer(file).writerows([("date", "text"), *(("2024-01-01", post) for post in posts)])
    assert texts(tmp_path / "posts.csv") == posts


def test_a_table_from_mastodon_is_read_like_its_json(tmp_path: Path) -> None:
    rows = [
        ("<p>for all &amp; sundry</p><p>and more</p>", "public", ""),
        ("<p>between us</p>", "direct", ""),
        ("<p>the ending</p>", "public", "film"),
    ]
    with open(tmp_path / "toots.csv", "w", newline="") as file:
        csv.writer(file).writerows([("content", "visibility", "spoiler_text"), *rows])
    timeline = load(tmp_path / "toots.csv")
    assert [post.text for post in timeline.posts] == ["for all & sundry\n\nand more"]
    assert timeline.left_out == {"private": 1, "warned": 1}


def test_reposts_that_only_a_column_marks_are_counted(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text,retweet\nmine alone,False\ntheirs,True\nmy other,12\n")
    timeline = load(tmp_path / "posts.csv")
    assert ([post.text for post in timeline.posts], timeline.left_out) == (["mine alone", "my other"], {"reposts": 1})


def test_dates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    rows = ["2020-01-01,one", "the second of May,two", ",three", "2020-01-03,four"]
    (tmp_path / "posts.csv").write_text("\n".join(["date,text", *rows]))
    told = "1 of 4 dates could not be read, like “the second of May”; their posts count as the oldest."
    assert told in load(tmp_path / "posts.csv").remarks


def test_a_poem_in_a_cell_is_no_quotation_mark_that_never_ends(tmp_path: Path) -> None:
    poem = "\n".join(["the sea, the sea", "the lamp"] * 30)
    (tmp_path / "posts.csv").write_text(f'id,text\n1,"{poem}"\n2,"and more"\n')
    assert texts(tmp_path / "posts.csv") == [poem, "and more"]


def test_rows_that_are_too_short_are_counted(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("id,text\n1\n2,here\n")
    timeline = load(tmp_path / "posts.csv")
    assert (texts(tmp_path / "posts.csv"), timeline.left_out) == (["here"], {"unreadable": 1})


def test_a_post_without_words_was_a_picture_and_is_not_unreadable(tmp_path: Path) -> None:
    (tmp_path / "posts.json").write_text(json.dumps([{"text": ""}, {"text": "three words here"}, {"text": None}]))
    counts = clean(load(tmp_path / "posts.json")).counts()
    assert (counts["media_only"], counts["unreadable"], counts["kept"]) == (1, 1, 1)


def test_a_post_of_ten_megabytes_and_nul_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\n" + "a" * 10_000_000 + "\nwith \0 inside of it\n")
    assert clean(load(tmp_path / "posts.csv")).counts()["long"] == 1
    assert clean(load(tmp_path / "posts.csv")).posts[0].text == "with inside of it"


JSON = [
    ("a list of texts", ["one", "two"]),
    ("a list of objects", [{"text": "one", "id": 1}, {"text": "two", "id": 2}]),
    ("under tweets", {"count": 2, "tweets": [{"full_text": "one"}, {"full_text": "two"}]}),
    ("under data, as X's interface gives it", {"data": [{"id": "1", "text": "one"}, {"text": "two"}], "meta": {}}),
    ("one object further down", {"user": {"name": "x"}, "timeline": {"posts": [{"body": "one"}, {"body": "two"}]}}),
    ("wrapped one by one", [{"tweet": {"full_text": "one"}}, {"tweet": {"full_text": "two"}}]),
    ("as Bluesky gives it", {"feed": [
        {"post": {"uri": "at://1", "record": {"text": "one", "createdAt": "2026-03-06T13:02:05Z"}}},
        {"post": {"uri": "at://2", "record": {"text": "two"}}},
    ]}),
    ("as Mastodon gives it", [{"content": "<p>one</p>", "reblog": None}, {"content": "<p>two</p>"}]),
]  # fmt: skip


@pytest.mark.parametrize("value", [row[1] for row in JSON], ids=[row[0] for row in JSON])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_the_wrappers_of_usual_tools_is_read(tmp_path: Path, value: object, indent: int | None) -> None:
    (tmp_path / "posts.json").write_text(json.dumps(value, indent=indent))
    assert texts(tmp_path / "posts.json") == ["one", "two"]


def test_json_lines_under_the_name_of_json_are_read(tmp_path: Path) -> None:
    (tmp_path / "posts.json").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert texts(tmp_path / "posts.json") == ["one", "two"]


def test_boosts_and_reposts_of_other_networks_are_counted(tmp_path: Path) -> None:
    entries = [
        {"content": "", "reblog": {"content": "<p>theirs</p>"}},
        {"post": {"record": {"text": "theirs"}}, "reason": {"$type": "app.bsky.feed.defs#reasonRepost"}},
        {"content": "<p>mine<br>alone</p><p>AT&amp;T</p>"},
    ]
    (tmp_path / "posts.json").write_text(json.dumps(entries))
    timeline = load(tmp_path / "posts.json")
    assert (texts(tmp_path / "posts.json"), timeline.left_out) == (["mine\nalone\n\nAT&T"], {"reposts": 2})


def test_what_was_not_meant_for_everybody_is_counted_and_not_learned(tmp_path: Path) -> None:
    entries = [
        {"content": "<p>between us</p>", "visibility": "direct"},
        {"content": "<p>for followers</p>", "visibility": "private"},
        {"content": "<p>the ending</p>", "visibility": "public", "spoiler_text": "film"},
        {"content": "<p>for all <![foo bar]> of you</p>", "visibility": "public", "spoiler_text": ""},
    ]
    (tmp_path / "posts.json").write_text(json.dumps(entries))
    timeline = load(tmp_path / "posts.json")
    assert timeline.left_out == {"private": 2, "warned": 1}
    assert len(timeline.posts) == 1


def test_what_misskey_gives_to_few_is_not_learned(tmp_path: Path) -> None:
    notes = [
        {"text": "for all of you", "visibility": "public", "cw": None},
        {"text": "for one of you", "visibility": "specified", "cw": None},
        {"text": "for some of you", "visibility": "followers", "cw": None},
        {"text": "for the brave", "visibility": "home", "cw": "spiders"},
    ]
    (tmp_path / "notes.json").write_text(json.dumps(notes))
    assert (texts(tmp_path / "notes.json"), load(tmp_path / "notes.json").left_out) == (
        ["for all of you"],
        {"private": 2, "warned": 1},
    )


def test_a_channel_of_telegram_is_read_whole_but_for_what_it_passed_on(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "type": "message", "date": "2024-01-01T10:00:00", "from": "The Lamp", "text": "plain words"},
        {"id": 2, "type": "message", "date": "2024-01-02T10:00:00", "from": "The Lamp",
         "text": ["Today is ", {"type": "bold", "text": "very"}, " wet ", {"type": "hashtag", "text": "#rain"}]},
        {"id": 3, "type": "message", "from": "The Lamp", "forwarded_from": "Somebody", "text": "not my words"},
    ]  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps({"name": "The Lamp", "messages": messages}))
    timeline = load(tmp_path / "result.json")
    assert [post.text for post in timeline.posts] == ["plain words", "Today is very wet #rain"]
    assert timeline.left_out == {"reposts": 1}


def test_the_full_text_of_a_long_post_is_taken_where_an_interface_gives_it(tmp_path: Path) -> None:
    entries = [
        {"text": "cut o…", "note_tweet": {"text": "cut off no more"}},
        {"text": "cut o…", "extended_tweet": {"full_text": "nor this"}},
        {"full_text": None, "text": "the other name"},
    ]
    (tmp_path / "posts.json").write_text(json.dumps(entries))
    assert texts(tmp_path / "posts.json") == ["cut off no more", "nor this", "the other name"]


def test_pages_of_posts_a_line_and_lists_behind_each_other_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text('{"data": [{"text": "one"}, {"text": "two"}]}\n[{"text": "three"}]\n')
    assert texts(tmp_path / "pages.jsonl") == ["one", "two", "three"]
    (tmp_path / "lists.json").write_text('["one"]\n["two"]\n')
    assert texts(tmp_path / "lists.json") == ["one", "two"]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"text": "one two three", "created_at": "a" * 60_000}]),
        json.dumps([{"content": "<p>" + "<a " * 30_000}]),
        json.dumps([{"content": "<p>" + "<!--" * 20_000}, "and a post"]),
    ],
    ids=["a date of 60,000 letters", "tags that never end", "comments that never end"],
)  # fmt: skip
def test_what_was_made_to_take_long_takes_no_time(tmp_path: Path, content: str) -> None:
    (tmp_path / "posts.json").write_text(content)
    began = time.monotonic()
    with suppress(BadFile):
        clean(load(tmp_path / "posts.json"))
    assert time.monotonic() - began < 5  # half a minute without care


def test_more_entries_than_anybody_has_written_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.timelines.files.MAXIMUM_POSTS", 1000)
    for name, content in (
        ("a.csv", "text\n" + "a\n" * 2000),
        ("b.json", json.dumps(["a"] * 2000)),
        ("c.jsonl", "0\n" * 2000),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(BadFile, match="more than 1,000 entries"):
            load(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names on Windows")
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "posts.csv")
    with pytest.raises(BadFile, match="not a file that can be read from beginning to end"):
        load(tmp_path / "posts.csv")


def test_the_community_archives_file_is_read_like_an_archive(tmp_path: Path) -> None:
    cut = {**POST, "full_text": "The lamp and I have talked it over, and… https://t.co/abc"}
    value = {
        "account": [{"account": {"username": "someone", "email": "secret"}}],
        "tweets": [{"tweet": cut}, {"tweet": {"id_str": "3", "full_text": "salt &amp; pepper"}}],
        "note-tweet": [note("The lamp and I have talked it over, and we agree.", "2026-03-06T13:02:05.000Z")],
        "like": [{"like": {"fullText": "somebody else's"}}],
    }
    (tmp_path / "archive.json").write_text(json.dumps(value))
    timeline = load(tmp_path / "archive.json")
    assert timeline.author == "@someone"
    assert [post.text for post in timeline.posts] == [
        "The lamp and I have talked it over, and we agree.",
        "salt & pepper",
    ]


TEXT_FILES = [
    ("a post a line", "one of them\ntwo of them\nthree of them\n", "each line", 3),
    ("with an empty line here and there", "one\ntwo\nthree\nfour\n\nfive\nsix\n", "each line", 6),
    ("a post a line, empty lines between", "one\n\ntwo\n\nthree\n", "each line", 3),
    (
        "for GPT-2",
        "<|startoftext|>one\nand on<|endoftext|>\n<|startoftext|>two<|endoftext|>",
        "what ends with <|endoftext|>",
        2,
    ),
    ("verses", "one\nand on\n\ntwo\nand on\n\nthree\r\nand on\n", "each block between blank lines", 3),
]


@pytest.mark.parametrize(("content", "how", "count"), [row[1:] for row in TEXT_FILES], ids=[r[0] for r in TEXT_FILES])
def test_a_text_file_says_what_it_took_for_a_post(tmp_path: Path, content: str, how: str, count: int) -> None:
    (tmp_path / "posts.txt").write_text(content)
    timeline = load(tmp_path / "posts.txt")
    assert len(timeline.posts) == count
    assert timeline.remarks == (f"Took {how} of posts.txt for a post.",)


@pytest.mark.parametrize(
    "content",
    ['{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n', "id\ttext\n1\tone\n2\ttwo\n", "id,text\n1,one\n2,two"],
)
def test_a_table_or_json_under_the_name_of_a_text_is_read_as_what_it_is(content: str, tmp_path: Path) -> None:
    (tmp_path / "posts.csv.txt").write_text(content, "utf-16" if "\t" in content else "utf-8")
    assert texts(tmp_path / "posts.csv.txt") == ["one", "two"]


def test_a_list_over_several_lines_under_the_name_of_json_lines_is_read(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text(json.dumps([{"text": "one"}, {"text": "two"}], indent=1))
    assert texts(tmp_path / "posts.jsonl") == ["one", "two"]


def test_line_breaks_within_a_block_stay(tmp_path: Path) -> None:
    (tmp_path / "posts.txt").write_text("one\nand on\n\ntwo\nand on\n\nthree\nand on\n")
    assert texts(tmp_path / "posts.txt")[0] == "one\nand on"


ESCAPES = [
    ("escaped throughout", ["salt &amp; pepper", "write &amp;lt; for less"], ["salt & pepper", "write &lt; for less"]),
    ("not escaped", ["R&D <3 and > and <", "write &lt; for <"], ["R&D <3 and > and <", "write &lt; for <"]),
    ("no escapes at all", ["R&D", "&copy=1"], ["R&D", "&copy=1"]),
    ("numbers", ["it&#39;s a &#x1F98A;"], ["it's a 🦊"]),
]


@pytest.mark.parametrize(("raw", "read"), [row[1:] for row in ESCAPES], ids=[row[0] for row in ESCAPES])
def test_escapes_are_undone_once_where_a_file_is_escaped(tmp_path: Path, raw: list[str], read: list[str]) -> None:
    (tmp_path / "posts.json").write_text(json.dumps(raw))
    assert texts(tmp_path / "posts.json") == read


BAD = [
    ("empty.csv", b"", "empty.csv is empty"),
    ("header.csv", b"id,text\n", "not a single post"),
    ("other.csv", b"a,b\n1,2\n", "no column for the text of posts: its first row is “a”, “b”"),
    ("empty.json", b"", "empty.json is damaged or cut off"),
    ("cut.json", b'[{"text": "one"}, {"te', "cut.json is damaged or cut off"),
    ("number.json", b"5", "number.json holds no posts"),
    ("nothing.json", b"{}", "no list of posts under a usual name: it has nothing"),
    ("other.json", b'{"a": 1, "b": []}', "it has “a”, “b”"),
    ("deep.json", b"[" * 10_000, "deep.json is damaged or cut off"),
    ("numbers.json", b"[1, 2, 3]", "nothing with the text of a post (entries without one: 3)"),
    ("blank.txt", b"\n \n", "not a single post"),
    ("empty.jsonl", b"", "empty.jsonl holds not a single post"),
    ("cut.jsonl", b'{"text": "one"}\n{"text": "tw', "line 2 is not a whole JSON object"),
    ("list.jsonl", b"[1, 2]\n", "nothing with the text of a post (entries without one: 2)"),
    ("sheet.csv", b"PK\x03\x04 and so on", "is a zip under another name"),
    ("number.jsonl", b'{"text": 5}\n', "no field for the text of posts: its first entry has “text”"),
    ("deep.jsonl", b"[" * 100_000, "deep.jsonl is damaged or cut off"),
    ("chat.txt", b"12/31/20, 10:02 - Bob: Hello my dear\n12/31/20, 10:03 - Al: Hi\n", "looks like a chat"),
    (
        "photos.json",
        b'[{"uri": 1, "title": "x"}]',
        "no field for the text of posts: its first entry has “uri”, “title”",
    ),
    ("binary.csv", bytes(range(256)) * 20, "no column for the text"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_file_gets_a_sentence_and_stays_as_it_was(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadFile) as error:
        load(path)
    assert sentence in str(error.value)
    assert path.read_bytes() == content


@given(
    content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode),
    kind=st.sampled_from(["csv", "json", "jsonl", "txt", "tsv"]),
)
def test_any_bytes_give_posts_or_a_sentence(tmp_path_factory, content: bytes, kind: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"hypothesis.{kind}"
    path.write_bytes(content)
    try:
        counts = clean(load(path)).counts()
    except UserError:
        return
    assert counts["fetched"] == sum(counts.values()) - counts["fetched"] > 0


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), min_size=1),
        min_size=1,
        max_size=8,
    )
)
def test_a_table_holds_as_many_posts_as_it_has_rows(tmp_path_factory, posts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "hypothesis-rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(posts)])
    try:
        timeline = load(path)
    except BadFile:  # not one of them is whole: ®Ü looks like a letter decoded wrongly
        return
    assert len(timeline.posts) + sum(timeline.left_out.values()) == len(posts)
