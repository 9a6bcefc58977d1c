"""A bot that goes on learning: what counts as new, what is kept, and what brings it back."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from internet import Internet
from networks import FakeBluesky
from safetensors.torch import load_file

from utils import sharing
from utils.atomic import replacing_folder, swap_folders
from utils.bot import BEFORE, PARTS, Bot, read_origin, read_posts, read_story, swap_with_before
from utils.cleaning import CleanTimeline, clean
from utils.comparison import Comparison
from utils.copies import fold
from utils.dataset import build
from utils.errors import BadBot, BadReference, NetworkFailed
from utils.events import Event
from utils.new_posts import HANDFUL, MINIMUM_NEW_POSTS, plan, really_new, unknown
from utils.pipeline import make_bot
from utils.report import Clock
from utils.scoring import Score
from utils.settings import MAXIMUM_HELD_OUT, UPDATE_SETTINGS, TrainingSettings
from utils.timelines import Post, Timeline, load
from utils.update import update_bot

QUICK = replace(UPDATE_SETTINGS, steps=20, learning_rate=1e-3)
OLD = 500
"""Posts of the sample that the bot of these tests begins with; it has 700."""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [post.text for post in load("sample:unit7bakes").posts]


@pytest.fixture(scope="module")
def made(taught_model: Path, texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bot of the older posts and the file they came from, made once."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "posts.jsonl", texts[:OLD])
    make_bot([str(folder / "posts.jsonl")], TrainingSettings(steps=10, model=str(taught_model)), out=folder / "bot")
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of that folder; the bot remembers the file in it."""
    home = Path(shutil.copytree(made, tmp_path / "home-of-the-bot"))
    (home / "bot/private/origin.json").write_text(
        json.dumps({"references": [str(home / "posts.jsonl")], "apart": False})
    )
    return home


def write(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text, "plain": True}) + "\n" for text in texts), "utf-8")


def weights(bot: Path) -> dict[str, torch.Tensor]:
    return load_file(bot / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "utils", "update", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def scores(*figures: float) -> Comparison:
    return Comparison(*(Score(posts=1, characters=100, bits=100 * figure) for figure in figures))


# What is new


def author(texts: list[str], name: str = "@a") -> CleanTimeline:
    return clean(Timeline(name, "a test", tuple(Post(str(number), None, text) for number, text in enumerate(texts))))


def made_up(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join("".join(rng.choices("abcdefgh", k=6)) for _ in range(rng.randrange(4, 12))) for _ in range(count)]


def parts_of(texts: list[str], seed: int = 0) -> dict[str, list[str]]:
    """The parts of a bot that was made of these texts."""
    dataset = build([author(texts)], encode, seed)
    parts = {name: [example.text for example in getattr(dataset, name)] for name in PARTS if name != "left_out"}
    return {**parts, "left_out": list(dataset.left_out)}


def encode(text: str) -> list[int]:
    return [0, *text.encode(), 0]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda texts: texts, 0),
        (lambda texts: texts[100:], 0),
        (lambda texts: [text.upper() + "  " for text in texts], 0),
        (lambda texts: [*texts, texts[7] + "!", "RT @b: somebody else's words", "too short"], 1),
        (lambda texts: made_up(12, seed=1) + texts, 12),
    ],
    ids=["the same", "some are gone", "case and white space", "a letter more", "twelve others"],
)
def test_new_is_what_is_in_no_part_of_the_bot_after_cleaning(change: Callable, found: int) -> None:
    assert len(unknown([author(change(made_up(300)))], parts_of(made_up(300)))) == found


def test_nothing_is_new_right_after_training_however_many_posts_there_were() -> None:
    texts = made_up(5000)  # more than are held out, and one that nearly repeats a held-out one
    texts.insert(0, texts[-1] + " a")
    assert unknown([author(texts)], parts_of(texts)) == []


def test_what_nearly_repeats_an_old_post_is_not_really_new() -> None:
    parts = parts_of(made_up(300))
    found = unknown([author([parts["training"][0] + " a", parts["held_out"][0] + " a", *made_up(3, seed=1)])], parts)
    assert len(found) == 5
    assert [text for _, text in really_new(found, parts)] == made_up(3, seed=1)


def test_the_newest_new_posts_are_held_out_and_no_held_out_post_is_ever_learned_from() -> None:
    old, new = made_up(300), made_up(200, seed=1)
    parts = parts_of(old)
    twin = parts["held_out"][0] + " a"
    lesson = plan([author([*old, twin, *new])], parts, encode, seed=0)
    assert lesson.held_out_since == new[-20:]
    assert lesson.held_out_before == parts["held_out"]
    assert twin in lesson.parts["left_out"]
    learned = {example.text for example in (*lesson.dataset.training, *lesson.dataset.validation)}
    assert not learned & {twin, *lesson.parts["held_out"]}
    everything = [text for part in lesson.parts.values() for text in part]
    assert sorted(everything) == sorted([*old, twin, *new]), "each post is in one part, and none is lost"


@pytest.mark.parametrize("replay", [0, 0.5, 2])
def test_old_posts_are_mixed_in_so_many_for_each_new_one(replay: float) -> None:
    old, new = made_up(300), made_up(100, seed=1)
    lesson = plan([author([*old, *new])], parts_of(old), encode, 0, replay)
    training = [example.text for example in lesson.dataset.training]
    assert len(set(training) & set(old)) == pytest.approx(replay * len(set(training) & set(new)), abs=1)
    validation = [example.text for example in lesson.dataset.validation]
    assert len(set(validation) & set(old)) == len(set(validation) & set(new)) >= HANDFUL


def test_the_seed_decides_the_lesson_and_nothing_else_does() -> None:
    old, new = made_up(300), made_up(100, seed=1)
    one, again, other = (plan([author([*old, *new])], parts_of(old), encode, seed) for seed in (1, 1, 2))
    assert one == again
    assert one.dataset.training != other.dataset.training


def test_the_held_out_posts_stay_within_their_limit_and_leave_room_for_both() -> None:
    old, new = made_up(5000), made_up(6000, seed=1)
    lesson = plan([author([*old, *new])], parts_of(old), encode, seed=0)
    assert len(lesson.parts["held_out"]) == MAXIMUM_HELD_OUT
    assert len(lesson.held_out_before) == len(lesson.held_out_since) == MAXIMUM_HELD_OUT // 2
    gone = set(parts_of(old)["held_out"]) - set(lesson.held_out_before)
    assert gone <= set(lesson.parts["left_out"]), "what has to go is not learned from later"


def test_old_posts_give_each_author_an_equal_say_whoever_has_the_new_ones() -> None:
    one, other = made_up(100), made_up(100, seed=1)
    new = made_up(30, seed=2)
    timelines = [author([*one, *new]), author(other, "@b")]
    lesson = plan(timelines, parts_of([*one, *other]), encode, seed=0)
    assert all(example.author == (example.text in other) for example in lesson.dataset.training)
    says = Counter(example.author for example in lesson.dataset.training)
    assert says[0] == says[1] >= 20


# Was it worth it


@pytest.mark.parametrize(
    ("old_before", "new_before", "old_after", "new_after", "worth_it"),
    [
        (1.5, 1.7, 1.5, 1.6, True),
        (1.5, 1.7, 1.55, 1.6, True),
        (1.5, 1.75, 1.75, 1.5, True),
        (1.5, 1.7, 1.65, 1.6, False),
        (1.5, 1.7, 1.45, 1.72, True),
        (1.5, 1.7, 1.5, 1.71, False),
    ],
    ids=["only gain", "more gain", "as much", "more loss", "old posts gain more than new ones lose", "only loss"],
)
def test_no_more_may_be_lost_on_old_posts_than_is_gained_on_new_ones(
    old_before: float, new_before: float, old_after: float, new_after: float, worth_it: bool
) -> None:
    assert scores(old_before, new_before, old_after, new_after).worth_it is worth_it


# The whole way


def test_new_posts_are_learned_and_the_version_before_stays_beside_the_bot(home: Path, texts: list[str]) -> None:
    bot = home / "bot"
    before, story = weights(bot), read_story(bot)
    write(home / "posts.jsonl", texts)
    told: list[Event] = []
    report = update_bot(bot, settings=QUICK, on_event=told.append)
    assert report.updated and "up to date" in report.reason
    assert not same(weights(bot), before)
    assert same(weights(Path(report.before)), before)
    after = read_story(bot)
    assert after.held_out["posts"] == story.held_out["posts"] + report.new_posts["held_out"]
    assert after.tokens_trained == story.tokens_trained + report.tokens_trained
    assert report.comparison["new_posts"]["bot_after"] < report.comparison["new_posts"]["bot_before"]
    assert report.new_posts["found"] == sum(report.new_posts[name] for name in PARTS) > 150
    kept = [fold(text) for name in PARTS for text in read_posts(bot, name)]
    assert sorted(kept) == sorted({fold(post.text) for post in clean(load(home / "posts.jsonl")).posts})
    assert {"stage", "held-out", "validation", "loss", "done"} <= {event.kind for event in told}
    # What is figured out from parts agrees with the whole.
    from utils.pipeline import evaluate_bot

    figures = evaluate_bot(Bot.load(bot), drafts=0)
    assert figures["bits_per_character"] == pytest.approx(after.held_out["bits_per_character"], abs=2e-3)
    assert update_bot(bot, settings=QUICK).new_posts["found"] == 0


def test_the_untrained_figure_goes_on_meaning_all_held_out_posts(home: Path, texts: list[str]) -> None:
    from utils import models
    from utils.scoring import score

    write(home / "posts.jsonl", texts)
    report = update_bot(home / "bot", settings=QUICK)
    untrained = models.load(report.model, torch.device("cpu"))
    figure = score(untrained, read_posts(home / "bot", "held_out")).bits_per_character
    assert report.held_out["bits_per_character_before"] == pytest.approx(figure, abs=2e-3)


def test_where_time_suffices_for_some_held_out_posts_the_figures_are_of_these_and_that_is_said(
    home: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "first_scoring_ends", lambda self, settings: time.monotonic())  # a batch of each kind
    write(home / "posts.jsonl", texts)
    before = read_story(home / "bot").held_out["bits_per_character_before"]
    report = update_bot(home / "bot", settings=QUICK, force=True)
    assert report.comparison["new_posts"]["posts"] < report.new_posts["held_out"]
    assert report.held_out["bits_per_character_before"] == pytest.approx(before, rel=0.1)
    assert any(f"Only {report.held_out['posts']} of the" in sentence for sentence in report.warnings)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [(0, "There is nothing new"), (1, "1 new post is too few"), (MINIMUM_NEW_POSTS - 1, "new posts are too few")],
)
def test_without_enough_new_posts_nothing_changes_and_nothing_is_loaded(
    home: Path, texts: list[str], more: int, sentence: str
) -> None:
    known = [text for name in PARTS for text in read_posts(home / "bot", name)]
    write(home / "posts.jsonl", [*known, *made_up(more, seed=3)])
    before = {path: path.read_bytes() for path in (home / "bot").rglob("*") if path.is_file()}
    done = run(home / "bot", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["updated"], report["before"], report["steps"]) == (False, None, 0)
    assert sentence in report["reason"]
    assert {path: path.read_bytes() for path in (home / "bot").rglob("*") if path.is_file()} == before
    assert not (home / f"bot{BEFORE}").exists()


def test_new_posts_that_all_say_the_same_are_not_learned(home: Path) -> None:
    known = [text for name in PARTS for text in read_posts(home / "bot", name)]
    alike = [
        f"The clock in the hall of the town strikes and it is now {number} o'clock, all is well" for number in range(60)
    ]
    write(home / "posts.jsonl", [*known, *alike])
    report = update_bot(home / "bot", settings=QUICK)
    assert not report.updated
    assert "60 new posts are so much alike" in report.reason


def test_too_little_time_is_told_and_the_bot_is_no_worse_for_it(home: Path, texts: list[str]) -> None:
    write(home / "posts.jsonl", texts)
    done = run(home / "bot", "--minutes", 0.01, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "Give it more minutes" in " ".join(report["warnings"])
    for side in report["comparison"].values():
        assert side["bot_after"] <= side["bot_before"] + 0.05


def test_the_command_learns_as_was_chosen_for_updates(home: Path, texts: list[str]) -> None:
    write(home / "posts.jsonl", texts)
    done = run(home / "bot", "--steps", 10, "--force")
    assert done.returncode == 0, done.stderr
    learned, chosen = read_story(home / "bot").settings["update"], asdict(UPDATE_SETTINGS)
    different = {name for name in chosen if learned[name] != chosen[name]}
    assert different == {"steps"}


def strangers(count: int) -> list[str]:
    """Posts in a voice so different that learning it costs the old one dearly."""
    rng = random.Random(0)
    return [
        " ".join(rng.choices(["zq9", "#xx", "~~^", "QQJ", "@@"], k=12)) + f" {number:05}" for number in range(count)
    ]


def test_a_new_version_that_forgets_too_much_is_refused_unless_it_is_forced(
    home: Path, texts: list[str], tmp_path: Path
) -> None:
    # The newest new posts are in another voice than those that are learned from: much is lost and little gained.
    known = [text for name in PARTS for text in read_posts(home / "bot", name)]
    write(home / "posts.jsonl", [*known, *strangers(200), *texts[OLD : OLD + 25]])
    settings = replace(UPDATE_SETTINGS, steps=40, learning_rate=1e-2)
    before = weights(home / "bot")
    refused = update_bot(home / "bot", settings=settings)
    assert not refused.updated
    assert refused.comparison["old_posts"]["bot_after"] > refused.comparison["old_posts"]["bot_before"]
    assert "would lose more" in refused.reason
    assert same(weights(home / "bot"), before) and not (home / f"bot{BEFORE}").exists()
    assert sum(refused.new_posts[name] for name in PARTS) == 0
    forced = update_bot(home / "bot", settings=settings, force=True)
    assert forced.updated and "by force" in forced.reason
    assert not same(weights(home / "bot"), before)


def test_undo_brings_the_version_before_back_and_once_more_undoes_that(home: Path, texts: list[str]) -> None:
    bot = home / "bot"
    with pytest.raises(BadBot, match="has not been updated yet"):
        swap_with_before(bot)
    old = weights(bot)
    write(home / "posts.jsonl", texts)
    update_bot(bot, settings=QUICK)
    new = weights(bot)
    done = run(bot, "--undo", "--json")
    assert (done.returncode, json.loads(done.stdout)["undone"]) == (0, True), done.stderr
    assert same(weights(bot), old) and len(read_posts(bot, "training")) < OLD
    assert update_bot(bot, settings=QUICK).updated, "what was undone is new again"
    swap_with_before(bot)
    swap_with_before(bot)
    assert same(weights(bot), new), "the same seed makes the same bot"


def test_a_bot_that_does_not_say_where_its_posts_came_from_asks_once(home: Path, texts: list[str]) -> None:
    (home / "bot/private/origin.json").unlink()
    done = run(home / "bot")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Train it again, or name the posts: python -m utils update {home / 'bot'} REFERENCE" in done.stderr
    os.chdir(home)
    report = update_bot(home / "bot", ["posts.jsonl"], QUICK)
    assert report.reason.startswith("There is nothing new")
    assert read_origin(home / "bot").references == [str(home / "posts.jsonl")], "with its whole path"
    write(home / "posts.jsonl", texts)
    os.chdir("/")
    assert update_bot(home / "bot", settings=QUICK).updated


def test_a_bot_of_an_earlier_version_has_no_list_of_what_was_left_out(home: Path, texts: list[str]) -> None:
    (home / "bot/private/left_out.jsonl").unlink()
    write(home / "posts.jsonl", texts)
    assert update_bot(home / "bot", settings=QUICK).updated


def test_a_bot_that_was_shared_cannot_tell_what_is_new(home: Path) -> None:
    shutil.rmtree(home / "bot/private")
    with pytest.raises(BadBot, match="came without the posts"):
        update_bot(home / "bot", [str(home / "posts.jsonl")])


def test_a_file_that_has_gone_is_named_and_another_takes_its_place(home: Path, texts: list[str]) -> None:
    (home / "posts.jsonl").unlink()
    with pytest.raises(BadReference, match="posts.jsonl, from which this bot learned, is not there any more"):
        update_bot(home / "bot", settings=QUICK)
    write(home / "newer.jsonl", texts)
    assert update_bot(home / "bot", [str(home / "newer.jsonl")], QUICK).updated
    assert read_origin(home / "bot").references == [str(home / "newer.jsonl")]


def test_where_the_posts_came_from_is_not_in_what_is_shared(home: Path) -> None:
    contents = sharing.files(home / "bot", sharing.Maker("mine"), "x")
    made = [content for content in contents.values() if isinstance(content, bytes)]
    assert made and all(str(home).encode() not in content for content in made)
    assert not [name for name in contents if "private" in name]


def test_a_place_that_was_named_is_remembered_also_where_nothing_was_new(home: Path, texts: list[str]) -> None:
    elsewhere = home / "elsewhere.jsonl"
    elsewhere.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:30]))
    assert not update_bot(home / "bot", [str(elsewhere)], QUICK).updated
    assert read_origin(home / "bot").references == [str(elsewhere)]


def test_posts_of_somebody_else_are_not_taught_unasked(taught_model: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, model=str(taught_model))
    make_bot(["sample:unit7bakes"], settings, out=tmp_path / "bot")
    origin = read_origin(tmp_path / "bot")
    with pytest.raises(BadReference, match="posts of @keeperfinch, and .*bot speaks for @unit7bakes; it stays"):
        update_bot(tmp_path / "bot", ["sample:keeperfinch"], QUICK)
    assert read_origin(tmp_path / "bot") == origin
    assert update_bot(tmp_path / "bot", ["sample:keeperfinch"], QUICK, force=True).updated


def test_a_bot_by_handle_looks_at_the_network_and_says_when_it_is_away(
    taught_model: Path, tmp_path: Path, internet: Internet
) -> None:
    there = FakeBluesky(internet, [post.text for post in load("sample:keeperfinch").posts[:300]])
    make_bot(["@quiet.bsky.social"], replace(QUICK, model=str(taught_model)), out=tmp_path / "bot")
    for post in load("sample:unit7bakes").posts[:60]:
        there.write(post.text)
    report = update_bot(tmp_path / "bot", settings=QUICK, force=True)
    assert report.new_posts["found"] > 40
    story = read_story(tmp_path / "bot")
    assert [account["handle"] for account in story.accounts] == ["@quiet.bsky.social"]
    internet.hosts.clear()
    with pytest.raises(NetworkFailed, match="public.api.bsky.app"):
        update_bot(tmp_path / "bot", settings=QUICK)


def test_a_strangers_file_in_the_folder_is_not_lost(home: Path, texts: list[str]) -> None:
    (home / "bot/notes.txt").write_text("precious")
    with pytest.raises(BadBot, match="notes.txt"):
        update_bot(home / "bot", settings=QUICK)
    assert (home / "bot/notes.txt").read_text() == "precious"


WRONG_USAGE = [
    (["--undo", "sample:unit7bakes"], "--undo brings the version before back"),
    (["--apart"], "--apart is about the REFERENCEs"),
    (["--minutes", "0"], "minutes above 0"),
    (["--steps", "0"], "--steps"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG_USAGE, ids=[" ".join(row[0]) for row in WRONG_USAGE])
def test_wrong_usage_ends_with_status_2(arguments: list[str], sentence: str) -> None:
    done = run("bot", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def start(bot: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "utils", "update", str(bot), "--steps", "2000", "--json", "--events"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen, kind: str) -> None:
    while json.loads(process.stderr.readline())["event"] != kind:
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to a child")
def test_ctrl_c_keeps_the_best_so_far_if_it_is_worth_it(home: Path, texts: list[str]) -> None:
    write(home / "posts.jsonl", texts)
    process = start(home / "bot")
    wait_for(process, "loss")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["stopped"] is True
    assert report["updated"] == (home / f"bot{BEFORE}").exists()
    assert json.loads(err.splitlines()[-1])["event"] == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to a child")
@pytest.mark.parametrize("kind", ["held-out", "loss"])
def test_an_update_that_is_killed_leaves_the_bot_as_it_was(home: Path, texts: list[str], kind: str) -> None:
    write(home / "posts.jsonl", texts)
    before = weights(home / "bot")
    process = start(home / "bot")
    wait_for(process, kind)
    process.kill()
    process.communicate(timeout=60)
    assert same(weights(home / "bot"), before)
    assert sorted(path.name for path in home.iterdir()) == ["bot", "posts.jsonl"]


# Two versions

SAVE_FOREVER = """
import sys
from pathlib import Path
from utils.bot import Bot
bot = Bot.load(Path(sys.argv[1]))
number = 0
while True:
    bot.training = [str(number)]
    bot.save(Path(sys.argv[1]), keep_before=True)
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_a_process_killed_while_it_saves_leaves_two_whole_versions(home: Path) -> None:
    rng = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(home / "bot")], stdout=subprocess.PIPE, text=True
        )
        saved = [process.stdout.readline() for _ in range(3)]
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        rest = process.communicate()[0]
        last = int([*saved, *rest.splitlines()][-1])
        (now,), (before,) = (Bot.load(folder).training for folder in (home / "bot", home / f"bot{BEFORE}"))
        assert int(now) in (last, last + 1)
        assert int(before) in (int(now) - 1, int(now)), "the one before, or this one where the new one is on its way"


def test_a_failure_while_the_new_version_is_written_leaves_both_as_they_were(tmp_path: Path) -> None:
    bot, before = tmp_path / "bot", tmp_path / "bot.before"
    for number in (1, 2):
        with replacing_folder(bot, before) as staging:
            (staging / "version").write_text(str(number))
    with pytest.raises(OSError, match="disk"), replacing_folder(bot, before) as staging:
        (staging / "version").write_text("3")
        raise OSError("the disk is full")
    assert [(folder / "version").read_text() for folder in (bot, before)] == ["2", "1"]
    swap_folders(bot, before)
    assert [(folder / "version").read_text() for folder in (bot, before)] == ["1", "2"]
    assert sorted(os.listdir(tmp_path))[:2] == ["bot", "bot.before"]
