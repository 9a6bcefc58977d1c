"""The page's parts without a browser: what they show, what they refuse, and what they start."""

import gc
import html
import json
import os
import random
import re
import shutil
import signal
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ipywidgets as widgets
import nbformat
import pytest

from utils import environment
from utils.cleaning import clean
from utils.dashboard import Dashboard, upload
from utils.dashboard.game import ending, questions, score
from utils.dashboard.html import author_card, copy_button, curve, post, posts_by_month, record_card
from utils.dashboard.publish import PublishRegion
from utils.dashboard.region import Progress, Region
from utils.dashboard.runs import STOP, ChildFailed, Errand, Problem, Record, Run, Writer
from utils.dashboard.visitor import Visitor
from utils.dashboard.worker import DOUBLE_CLICK
from utils.errors import BadFile, BadReference, TooFewPosts
from utils.locks import held
from utils.pipeline import make_bot
from utils.settings import TrainingSettings
from utils.timelines import load

ROOT = Path(__file__).parent.parent
KEY = "0123456789abcdef0123456789abcdef01234567"
HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" 'so' & </script>"


@pytest.fixture(scope="module")
def bot(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot of a tiny model."""
    folder = tmp_path_factory.mktemp("bots") / "unit7bakes"
    make_bot(["sample:unit7bakes"], TrainingSettings(steps=3, model=str(taught_model)), out=folder)
    return folder


def test_whatever_came_from_outside_is_escaped() -> None:
    author = clean(load("sample:unit7bakes"))
    hostile = type(author)(HOSTILE, HOSTILE, author.posts, author.dropped, author.changed, True, ("", 0), (HOSTILE,))
    record = record_card({"url": None, "sync": HOSTILE}, at_home=True)
    for markup in (
        post(HOSTILE, HOSTILE), copy_button(HOSTILE), author_card(hostile), curve([(0, 1.0)], HOSTILE, 1), record,
    ):  # fmt: skip
        assert "<img" not in markup and "</script" not in markup
        assert html.escape(HOSTILE) in markup


def test_a_chart_has_its_place_before_it_has_a_point() -> None:
    empty, full = curve([], "loss", 60), curve([(0, 2.0), (30, 1.5)], "loss", 60, baseline=2.0)
    assert re.search(r'viewBox="[^"]+"', empty)[0] == re.search(r'viewBox="[^"]+"', full)[0]
    assert "1.50 now" in full
    assert posts_by_month(()) == ""


@pytest.mark.parametrize(
    ("lowest", "figures"),
    [(1.5, ["2.00", "1.75", "1.50"]), (1.98, ["2.00", "1.98"]), (1.999, ["2.00"]), (2.0, ["2.00"])],
)
def test_no_figure_on_the_axis_of_a_chart_lies_upon_another(lowest: float, figures: list[str]) -> None:
    drawn = re.findall(r'y="([\d.]+)" text-anchor="end">(\d\.\d+)<', curve([(0, 2.0), (30, lowest)], "loss", 60))
    heights = [float(height) for height, _ in drawn]
    assert [figure for _, figure in drawn] == figures
    assert all(below - above > 24 for above, below in zip(heights, heights[1:], strict=False))


def test_the_game_has_as_many_real_posts_as_drafts_of_about_the_same_length() -> None:
    drafts = [
        "short and sweet it is",
        "a draft of rather more words than the other one has got in it",
        "RT @a: not counted",
    ]
    held_out = [
        "x" * 300 + " is long here",
        "quite short too now",
        "this real one is of the length that is being looked for here",
    ]
    asked = questions(held_out, drafts, random.Random(0))
    assert sorted(question.real for question in asked) == [False, False, True, True]
    assert {question.text for question in asked if question.real} == set(held_out[1:])


def test_the_game_is_as_short_as_the_posts_want_and_says_what_is_missing() -> None:
    posts, drafts = (
        [f"a real post of mine, number {n}" for n in range(3)],
        [f"the draft of a bot {n}" for n in range(8)],
    )
    assert [asked.real for asked in questions(posts, drafts, random.Random(0))].count(True) == 3
    assert len(questions(posts, drafts, random.Random(0))) == 6
    with pytest.raises(TooFewPosts, match="too few posts for a game"):
        questions([], drafts, random.Random(0))
    with pytest.raises(TooFewPosts, match="The bot wrote nothing that is not a copy"):
        questions(posts, [], random.Random(0))


def test_score_and_ending_say_how_it_went() -> None:
    asked = questions(["one two three", "four five six"], ["seven eight nine", "ten eleven twelve"], random.Random(0))
    answers = [question.real for question in asked]
    assert score([True, False, True, True]) == "3 of 4 right, 2 in a row"
    assert ending(asked, answers).startswith(f"You told {sum(answers)} of 4 apart. Of the bot's 2 posts, 2 passed")


def test_a_visitor_cannot_come_to_what_is_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Visitor(), Visitor()
    assert one.folder != other.folder
    assert one.folder.stat().st_mode & 0o077 == 0
    mine = one.folder / "posts.txt"
    mine.write_text("mine")
    one.check(str(mine))
    with pytest.raises(BadReference, match="Choose the file below"):
        other.check(str(mine))
    with pytest.raises(BadReference):
        other.check(f"{other.folder}/../{one.folder.name}/posts.txt")
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("of this computer")
    other.check(str(elsewhere))
    other.check("sample:keeperfinch")
    monkeypatch.setenv("HUGGINGTWEETS_PUBLIC", "1")
    with pytest.raises(BadReference):
        other.check(str(elsewhere))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/../../b.txt", "..\\\\x.txt", "data/../../tweets.js", "x" * 300, ""]
)
def test_an_upload_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(BadFile):
        upload.safe_member(name)
    with suppress(BadFile):
        assert re.fullmatch(r"[^/\\]+", upload.safe_name(name))


def test_the_browsers_messages_become_a_file_in_the_visitors_folder() -> None:
    visitor, came, failed = Visitor(), [], []
    taking = upload.Upload(visitor, came.append, failed.append)
    tweets = b'window.YTD.tweets.part0 = [{"tweet": {"full_text": "one two three"}}]'
    for content, buffers in (
        ({"type": "begin"}, []),
        ({"type": "piece", "file": "x.zip", "member": "data/tweets.js", "at": 0}, [tweets[:20]]),
        ({"type": "piece", "file": "x.zip", "member": "data/tweets.js", "at": 20}, [tweets[20:]]),
        ({"type": "done"}, []),
    ):
        taking._heard(None, content, buffers)
    assert failed == []
    assert came[0].is_relative_to(visitor.folder)
    assert [item.text for item in load(came[0]).posts] == ["one two three"]
    taking._heard(None, {"type": "begin"}, [])
    taking._heard(None, {"type": "piece", "file": "x.zip", "member": "data/direct-messages.js", "at": 0}, [b"secret"])
    assert "was not asked for" in str(failed[0])


def test_plain_uploads_of_both_ipywidgets_are_taken() -> None:
    came: list[Path] = []
    taking = upload.Upload(Visitor(), came.append, pytest.fail)
    taking._plain({"new": {"a.txt": {"content": b"one two three", "metadata": {}}}})
    taking._plain({"new": ({"name": "b.txt", "content": memoryview(b"four five six")},)})
    taking._plain({"new": ()})
    assert [[item.text for item in load(path).posts] for path in came] == [["one two three"], ["four five six"]]


def test_a_training_tells_its_events_and_can_be_found_again(taught_model: Path, tmp_path: Path) -> None:
    run = Run.start(tmp_path / "runs" / "1", ["sample:unit7bakes"], tmp_path / "bot", 0.5, str(taught_model), 0)
    assert Run.newest(tmp_path / "runs") == run and run.is_going()
    kinds = []
    for event in run.events():
        kinds.append(event["event"])
        if kinds.count("loss") == 3:
            run.stop()
    assert {"stage", "held-out", "validation", "loss", "draft", "warning", "done"} <= set(kinds)
    assert not run.is_going()
    assert run.report()["stopped"] is True
    assert [event["event"] for event in run.events()] == kinds, "a page that comes later sees all of it"
    assert (tmp_path / "bot" / "bot.json").exists()


def settled(region: Region, seconds: float = 60) -> str:
    """What a region says once nothing of it is frozen any more."""
    deadline = time.monotonic() + seconds
    while any(control.disabled for control in region.controls):
        assert time.monotonic() < deadline, region.status.widget.value
        time.sleep(0.05)
    return region.status.widget.value


def test_an_update_on_the_page_makes_an_open_writer_write_with_the_new_bot(
    taught_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = Dashboard()
    bot, posts = page.visitor.folder / "bots" / "robot", page.visitor.folder / "posts.txt"
    texts = [item.text.replace("\n", " ") for item in load("sample:unit7bakes").posts]
    posts.write_text("\n".join(texts[:500]), "utf-8")
    make_bot([str(posts)], TrainingSettings(steps=3, model=str(taught_model)), out=bot)
    page.come_back()
    page.write.warm_up()
    page.update.start()
    assert "nothing new" in (said := settled(page.update)) and "read the newer one in part 1" in said
    page.update.learn()
    assert "no posts in part 1" in page.update.status.widget.value
    page.update.resume()
    assert not page.is_training(), "its end was seen"
    posts.write_text("\n".join(texts), "utf-8")
    page.author._read(str(posts))
    page.update.learn()
    page.write.warm_up()
    old = page.write._writer
    assert page.is_training()
    said = settled(page.update)
    assert "up to date" in said, said
    assert (bot.with_name("robot.before") / "bot.json").exists()
    assert page.keep.bots() == [bot], "the version before is no bot of its own"
    assert page.write._writer is None
    old._process.wait(30)  # it is told to go, and on a busy machine takes a while


def test_a_bot_that_does_not_know_where_its_posts_came_from_says_so_on_the_page(bot: Path) -> None:
    page = Dashboard()
    page.open_bot(bot)
    origin = bot / "private" / "origin.json"
    content = origin.read_text("utf-8")
    origin.unlink()
    page.update.start()
    origin.write_text(content, "utf-8")
    assert "read them in part 1 once" in page.update.status.widget.value
    assert not page.is_training()


def test_a_bot_that_is_ready_does_not_take_the_drafts_of_another_off_the_screen(bot: Path) -> None:
    page = Dashboard()
    one, other = (Path(shutil.copytree(bot, page.visitor.folder / "bots" / name)) for name in ("one", "other"))
    page.open_bot(one)
    page.write._drafts.children = (widgets.HTML("a draft"),)
    page.new_bot(other)
    assert page.write.bot == one and page.write.has_drafts
    assert "is ready; open it under “Keep it”" in page.write.status.widget.value
    assert "other is ready" in page.keep.status.widget.value
    page.keep._open_earlier.click()
    assert page.write.bot == other and not page.write.has_drafts


def test_who_is_writing_while_the_bot_is_renewed_or_another_is_trained_finishes_first(bot: Path) -> None:
    page = Dashboard()
    page.open_bot(bot)
    for renew in (lambda: page.renew_bot(bot), page.train._before):
        with page.write.occupied():
            page.write.warm_up()
            renew()
            assert page.write._writer.is_going()
        assert page.write._writer is None
    page.write.warm_up()
    page.renew_bot(bot.with_name("another"))
    assert page.write._writer.is_going(), "another bot was renewed"
    page.write.leave()


def test_a_key_is_used_for_one_training_and_written_nowhere(taught_model: Path, tmp_path: Path) -> None:
    record = Record("offline", tmp_path / "visitor", KEY)
    run = Run.start(tmp_path / "runs" / "1", ["sample:unit7bakes"], tmp_path / "bot", 0.2, str(taught_model), 0, record)
    kinds = [event["event"] for event in run.events()]
    assert "tracked" in kinds
    told = run.report()["tracking"]
    assert Path(told["folder"]).parent == tmp_path / "visitor" / "wandb"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert KEY not in repr(record)


def test_a_page_for_others_lends_them_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert "WANDB_API_KEY" not in Record("online").environment()
    monkeypatch.setenv("HUGGINGTWEETS_PUBLIC", "1")
    assert Record("online").environment()["WANDB_API_KEY"] == ""
    page = Dashboard()
    assert page.train._track.value == "offline"
    page.train._track.value = "online"
    with pytest.raises(Problem, match="needs a key"):
        page.train._wanted_record()
    page.train._key.widget.value = KEY
    assert page.train._wanted_record().key == KEY
    assert page.train._key.widget.value == "", "no widget keeps it"


def test_the_record_is_a_link_or_the_command_that_sends_it() -> None:
    sent = {"url": "https://wandb.example/me/run", "sync": None}
    kept = {"url": None, "sync": "wandb sync /home/me/run"}
    assert 'href="https://wandb.example/me/run"' in record_card(sent, at_home=True)
    assert "wandb sync /home/me/run" in record_card(kept, at_home=True)
    assert "/home/me" not in record_card(kept, at_home=False)
    assert record_card({"url": None, "sync": None}, at_home=True) == ""
    assert "href" not in record_card({"url": "javascript:alert(1)", "sync": None}, at_home=True)


@contextmanager
def another_training() -> Iterator[None]:
    """A block in which it looks as if something were learning on this machine."""
    environment.cache_folder().mkdir(parents=True, exist_ok=True)
    with held(environment.cache_folder() / "training.lock", pytest.fail):
        yield


def test_a_second_training_waits_for_its_turn(taught_model: Path, tmp_path: Path) -> None:
    with another_training():
        run = Run.start(tmp_path / "1", ["sample:unit7bakes"], tmp_path / "bot", 0.5, str(taught_model), 0)
        assert "comes after it" in next(run.events())["sentence"]
    assert list(run.events())[-1]["event"] == "done"


def test_a_training_that_waits_can_be_stopped_where_no_signal_reaches_it(taught_model: Path, tmp_path: Path) -> None:
    with another_training():
        run = Run.start(tmp_path / "1", ["sample:unit7bakes"], tmp_path / "bot", 0.5, str(taught_model), 0)
        waiting = run.events()
        assert "comes after it" in next(waiting)["sentence"]
        (run.folder / STOP).touch()  # as on Windows, without a signal
        with pytest.raises(Problem, match="Interrupted, before there was anything to keep"):
            list(waiting)


def test_a_training_that_failed_leaves_no_folder_behind(tmp_path: Path) -> None:
    page = Dashboard()
    bot = page.visitor.folder / "bots" / "unit7bakes"
    bot.mkdir(parents=True)
    runs = page.visitor.folder / "runs"
    page.train.watch(Run.start(runs / "1", ["sample:unit7bakes"], bot, 0.5, str(tmp_path / "no-model"), 0))
    assert "no-model" in settled(page.train)
    assert not bot.exists()


def test_an_interrupt_of_the_notebook_means_stop_and_the_rest_is_heard() -> None:
    class Interrupted:
        """A run whose reader is interrupted once, after its first event."""

        times = 0

        def events(self) -> Iterator[dict]:
            self.times += 1
            yield {"event": "stage"}
            if self.times == 1:
                raise KeyboardInterrupt
            yield {"event": "done"}

    stopped: list[bool] = []
    heard = Region().hear(Interrupted(), lambda: stopped.append(True))
    assert [event["event"] for event in heard] == ["stage", "done"]
    assert stopped == [True]


def test_a_training_that_fails_says_why(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "1", ["sample:unit7bakes"], tmp_path / "bot", 0.5, str(tmp_path / "no-model"), 0)
    with pytest.raises(Problem, match="no-model"):
        list(run.events())


def test_a_training_that_was_killed_is_no_secret(taught_model: Path, tmp_path: Path) -> None:
    run = Run.start(tmp_path / "1", ["sample:unit7bakes"], tmp_path / "bot", 5, str(taught_model), 0)
    events = run.events()
    next(events)
    os.kill(run.about["pid"], signal.SIGKILL)
    with pytest.raises(ChildFailed, match="may have been killed"):
        list(events)


def test_a_run_is_known_by_its_process_and_a_deleted_one_is_over(tmp_path: Path) -> None:
    run, began = Run(tmp_path / "1"), environment.process_began(os.getpid())
    run.folder.mkdir()
    for seconds, going in ((0, True), (-5, True), (3600, False)):  # as it was; the clock was set; another process
        (run.folder / "run.json").write_text(json.dumps({"pid": os.getpid(), "began": began + seconds}))
        assert run.is_going() is going
    shutil.rmtree(run.folder)
    assert not run.is_going()


def test_a_bot_writes_when_asked_and_stops_when_asked(bot: Path) -> None:
    writer = Writer(bot)
    try:
        first = [event for event in writer.write("", 3, 1.0) if event["event"] == "draft"]
        assert first and all(event["post"].endswith("written by a bot") for event in first)
        with pytest.raises(Problem, match="opening counts"):
            list(writer.write("far too long " * 40, 1, 1.0))
        events = writer.write("", 1000, 1.0)
        next(events)
        writer.stop()
        *_, done = events
        assert done["event"] == "done" and done["stopped"] and done["drafts"] < 1000
    finally:
        writer.close()
    with pytest.raises(ChildFailed):
        list(writer.write("", 1, 1.0))


def test_the_page_comes_up_with_closed_parts_and_without_torch() -> None:
    page = Dashboard()
    closed = [region.body.layout.display for region in (page.train, page.write, page.game, page.update, page.keep)]
    assert closed == ["none"] * 5
    assert page.author.body.layout.display != "none"


def test_a_double_click_deletes_nothing_and_takes_an_author_away_once() -> None:
    page = Dashboard()
    (page.visitor.folder / "mine.txt").write_text("a post of mine")
    delete = page.keep._delete
    delete.click()
    delete.click()
    assert (page.visitor.folder / "mine.txt").exists() and delete.description == page.keep.REALLY
    time.sleep(DOUBLE_CLICK)
    delete.click()
    assert not (page.visitor.folder / "mine.txt").exists()

    page.author._read("sample:unit7bakes")
    away = page.author._cards.children[1].children[0]
    away.click()
    away.click()
    assert page.author.authors == [] and "went wrong" not in page.author.status.widget.value


def test_a_click_that_waited_for_work_in_colab_does_not_do_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "in_colab", lambda: True)
    region, press, done = Region(), widgets.Button(), []
    region.on_click(press, lambda: region.work(lambda: done.append(1), Progress("Working")))
    press.click()
    press.click()
    assert len(done) == 1
    time.sleep(DOUBLE_CLICK)
    press.click()
    assert len(done) == 2


def test_drafts_that_were_replaced_take_no_memory_and_kept_ones_stay(bot: Path) -> None:
    page = Dashboard()
    page.open_bot(bot)
    draft = {"post": "A post. written by a bot", "text": "A post.", "copied_from": None}
    first = page.write._card(draft)
    page.write._drafts.children = (first,)
    page.write._keep(draft, widgets.Button())
    page.write._clear()
    assert first.comm is None, "closed, here and in the browser"
    assert len(page.write._links) == 1
    page.write._server.value = "fosstodon.org"
    assert "fosstodon.org" in page.write._kept.children[-1].children[-1].value
    page.write._server.value = "no server at all"
    assert "ht-bad" in page.write._about_server.widget.value and "ht-bad" not in page.write.status.widget.value


def test_kept_drafts_are_there_again_after_a_reload_until_they_are_let_go(bot: Path) -> None:
    page = Dashboard()
    for text in ("First.\u2028Still first.", "Second.", "Third."):
        page.write._keep({"post": f"{text} written by a bot", "text": text, "copied_from": None}, widgets.Button())
    again = Dashboard()
    again.visitor._token = page.visitor._token
    again.come_back()
    heading, *cards = again.write._kept.children
    assert [card.children[0].value for card in cards] == [
        card.children[0].value for card in page.write._kept.children[1:]
    ]
    cards[1].children[1].children[1].click()
    assert [draft["text"] for draft in page.visitor.kept()] == ["First.\u2028Still first.", "Third."]
    for card in (cards[0], cards[2]):
        card.children[1].children[1].click()
    assert (again.write._kept.children, again.write._links, heading.comm) == ((), [], None)


def test_what_is_damaged_among_kept_drafts_costs_no_other_and_deleting_takes_all_off_the_screen(bot: Path) -> None:
    page = Dashboard()
    page.open_bot(bot)
    (page.visitor.folder / "kept.jsonl").write_text('no JSON\n{"post": "Old. 🤖", "text": "Old."}\n{"post": 5}\n')
    page.come_back()
    button = widgets.Button()
    page.write._keep({"post": "New. 🤖", "text": "New.", "copied_from": None}, button)
    assert [draft["text"] for draft in page.visitor.kept()] == ["Old.", "New."]
    assert button.description == "Kept"
    page.come_back()
    assert len(page.write._kept.children) == 3, "the heading and two, each once"
    page.keep._delete.description = page.keep.REALLY
    page.keep.delete()
    assert page.write._kept.children == ()


def test_a_draft_that_cannot_be_kept_does_not_say_that_it_is(bot: Path) -> None:
    page, button = Dashboard(), widgets.Button(description="Keep")
    (page.visitor.folder / "kept.jsonl").mkdir()  # stands for a disk that takes no more
    with page.write.catching():
        page.write._keep({"post": "New. 🤖", "text": "New.", "copied_from": None}, button)
    assert "Something went wrong" in page.write.status.widget.value
    assert (button.description, page.write._kept.children) == ("Keep", ())


def test_the_second_half_of_a_double_click_is_not_told_that_the_author_is_there_already() -> None:
    author = Dashboard().author
    for _ in range(2):
        author._read("sample:keeperfinch")
    assert "That is enough to learn from" in author.status.widget.value
    time.sleep(DOUBLE_CLICK)
    author._read("sample:keeperfinch")
    assert "This author is there already" in author.status.widget.value


def test_posts_that_were_taken_away_take_no_memory() -> None:
    page = Dashboard()
    for name in ("keeperfinch", "unit7bakes"):
        page.author._read(f"sample:{name}")
    posts = weakref.ref(page.author.authors[0].posts)
    page.author._cards.children[1].children[0].click()
    gc.collect()
    assert posts() is None
    assert [author.posts.author for author in page.author.authors] == ["@unit7bakes"]


def test_what_a_process_that_was_killed_left_is_no_bot(bot: Path) -> None:
    page = Dashboard()
    shutil.copytree(bot, page.visitor.folder / "bots" / ".unit7bakes.k3x9.partial")
    assert page.keep.bots() == []


def test_an_error_in_a_click_is_shown_and_not_lost() -> None:
    page = Dashboard()
    page.author.add = lambda reference: 1 / 0
    page.author._load.click()
    shown = page.author.status.widget.value
    assert "Nothing that was made is lost" in shown and "ZeroDivisionError" in shown and "<details>" in shown


def test_the_notebooks_only_import_create_and_show() -> None:
    notebook = nbformat.read(ROOT / "huggingtweets-demo.ipynb", as_version=4)
    for cell in notebook.cells[1:]:
        assert cell.cell_type != "code" or len(cell.source.splitlines()) <= 10
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert "display-mode" in notebook.cells[0].source


def test_the_page_asks_no_other_host_for_anything() -> None:
    template = ROOT / "utils/dashboard/share/jupyter/voila/templates/huggingtweets/index.html.j2"
    sources = [template, *(ROOT / "utils/dashboard/assets").iterdir()]
    for source in sources:
        addresses = re.findall(r"https?://[\w.]+", source.read_text("utf-8"))
        assert set(addresses) <= {"http://www.w3.org"}, source
    assert json.loads((ROOT / "voila.json").read_text())["VoilaConfiguration"]["template"] == "huggingtweets"


def test_a_page_for_others_never_publishes_with_the_token_of_whoever_runs_it(
    bot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_PUBLIC", "1")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "ofTheServer")
    form = PublishRegion()
    form.offer(bot)
    form.publish_button.click()
    assert "Give your token for the Hub" in form.status.widget.value
    assert not form.busy


def test_after_an_upload_that_failed_the_form_is_of_the_bot_that_was_opened_meanwhile(
    bot: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(bot, tmp_path / "other"))
    story = json.loads((bot / "bot.json").read_text())
    (other / "bot.json").write_text(json.dumps({**story, "sources": ["diary.txt"], "authors": ["diary"]}))
    form = PublishRegion()
    form.offer(bot)
    errand = form._errand = Errand(["share", str(tmp_path / "no-bot"), "--to", "hub", "--author", "mine"], {})
    form.offer(other)
    assert form.called.value == "@unit7bakes", "an upload is going on"
    with pytest.raises(Problem, match="no bot in"):
        form._follow(errand)
    assert form.called.value == "a private author"
    assert form.body.layout.display == "", "how it went can be read"


def test_a_form_for_the_hub_knows_that_bundled_authors_are_fictional_and_asks_about_others(
    bot: Path, tmp_path: Path
) -> None:
    form = PublishRegion()
    form.offer(bot)
    assert (form.choice.value, form.called.value) == ("fictional", "@unit7bakes")
    other = tmp_path / "diary"
    other.mkdir()
    story = json.loads((bot / "bot.json").read_text())
    (other / "bot.json").write_text(json.dumps({**story, "sources": ["diary.txt"], "authors": ["diary"]}))
    form.offer(other)
    assert (form.choice.value, form.called.value) == (None, "a private author")
    assert form.name.value == "huggingtweets-bot"
    form.publish_button.click()
    assert "Say whose posts they are" in form.status.widget.value
