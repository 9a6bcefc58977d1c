import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import save_tiny_model

from utils.atomic import replacing_folder
from utils.bot import BEFORE, Bot, check_output_folder, read_story, swap_with_before
from utils.errors import BadBot, ModelUnavailable
from utils.language_model import load_folder
from utils.pipeline import make_bot
from utils.settings import CleaningSettings, TrainingSettings


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A bot of a tiny model, trained once for this file."""
    folder = tmp_path_factory.mktemp("trained")
    settings = TrainingSettings(steps=2, model=str(save_tiny_model(folder / "model")))
    make_bot(["sample:unit7bakes"], settings, out=folder / "bot")
    return folder / "bot"


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of that bot, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "bot"))


def test_a_bot_comes_back_as_it_was_saved(folder: Path, tmp_path: Path) -> None:
    bot = Bot.load(folder)
    bot.save(tmp_path / "again")
    again = Bot.load(tmp_path / "again")
    assert (again.story, again.training, again.held_out) == (bot.story, bot.training, bot.held_out)
    one, other = load_file(folder / "model.safetensors"), load_file(tmp_path / "again" / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_folder_holds_half_precision_weights_and_the_whole_story(folder: Path) -> None:
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float16}
    story = json.loads((folder / "bot.json").read_text("utf-8"))
    assert story["authors"] == ["@unit7bakes"]
    assert story["posts"]["kept"] == 658
    assert story["held_out"]["bits_per_character_before"] > 0
    assert {"sources", "settings", "versions", "date", "model"} <= story.keys()
    assert sorted(path.name for path in (folder / "private").iterdir()) == [
        "held_out.jsonl",
        "left_out.jsonl",
        "origin.json",
        "training.jsonl",
        "validation.jsonl",
    ]


def test_the_plain_pipeline_of_transformers_opens_it_and_writes_a_post_that_stops(folder: Path) -> None:
    from transformers import pipeline

    write = pipeline("text-generation", str(folder))
    torch.manual_seed(0)
    start = write.tokenizer.decode(write.model.config.post_beginning)
    texts = [write(start, max_new_tokens=2000)[0]["generated_text"] for _ in range(3)]
    assert start == '<|endoftext|>"'
    for text in texts:
        assert len(write.tokenizer(text)["input_ids"]) < 1900, "it ended by itself, long before the limit"


def test_where_folders_cannot_change_places_in_one_step_nothing_is_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.atomic._exchange", lambda one, other: False)  # as on Windows
    bot = Bot.load(folder)
    old, bot.training = bot.training, ["newer"]
    bot.save(folder, keep_before=True)
    assert Bot.load(folder).training == ["newer"]
    swap_with_before(folder)
    assert Bot.load(folder).training == old
    folder.rename(folder.with_name(f".{folder.name}.x1y2.old"))  # killed between the two renames
    assert read_story(folder).authors == ["@unit7bakes"]
    assert Bot.load(folder).training == old


def test_loading_never_unpickles(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):  # noqa: ANN204
            return (Path.touch, (tmp_path / "sprung",))

    with open(folder / "pytorch_model.bin", "wb") as file:
        pickle.dump(Trap(), file)
    Bot.load(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")  # which would do no harm
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable):
        load_folder(folder, torch.device("cpu"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadBot, match=f"not whole: {name} is missing"):
        Bot.load(folder)


def test_a_folder_without_a_story_is_no_bot_and_no_folder_is_none_either(folder: Path) -> None:
    (folder / "bot.json").unlink()
    with pytest.raises(BadBot, match="is not a bot: it has no bot.json"):
        Bot.load(folder)
    with pytest.raises(BadBot, match="There is no bot in .*nowhere"):
        Bot.load(folder / "nowhere")


@pytest.mark.parametrize(
    "name", ["bot.json", "config.json", "model.safetensors", "tokenizer.json", "private/held_out.jsonl"]
)
def test_a_damaged_file_gets_a_sentence(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadBot, match="damaged"):
        Bot.load(folder)


def test_a_bot_without_its_private_posts_still_loads(folder: Path) -> None:
    shutil.rmtree(folder / "private")
    bot = Bot.load(folder)
    assert bot.training is None
    assert bot.held_out is None


def test_an_output_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    (tmp_path / "file").write_text("text")
    for name, sentence in (("photos", "holds something that is not a bot"), ("file", "is a file")):
        with pytest.raises(BadBot, match=sentence):
            check_output_folder(tmp_path / name)
    with pytest.raises(BadBot, match="No bot can be written"):
        check_output_folder(tmp_path / "file" / "bot")
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "meow"


def test_a_bot_with_a_strangers_file_in_it_is_not_replaced(folder: Path) -> None:
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(BadBot, match="notes.txt"):
        check_output_folder(folder)


def test_what_file_browsers_leave_behind_stops_nothing(folder: Path) -> None:
    bot = Bot.load(folder)
    for name in (".DS_Store", "._bot.json", "Thumbs.db", ".README.md.4711.partial"):
        (folder / name).write_bytes(b"\0")
    check_output_folder(folder)
    bot.save(folder)
    assert Bot.load(folder).training == bot.training
    empty = folder.with_name("empty")
    empty.mkdir()
    (empty / ".DS_Store").write_bytes(b"\0")
    check_output_folder(empty)


def test_what_lies_where_the_version_before_belongs_is_not_replaced_either(folder: Path) -> None:
    beside = folder.with_name(folder.name + BEFORE)
    beside.mkdir()
    (beside / "notes.txt").write_text("precious")
    with pytest.raises(BadBot, match="notes.txt"):
        check_output_folder(folder)
    assert (beside / "notes.txt").read_text() == "precious"


def test_a_folder_that_only_looks_like_a_bot_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "bot.json").write_text('{"token": 1}')
    with pytest.raises(BadBot):
        check_output_folder(tmp_path)


def test_a_link_to_a_folder_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    bot = Bot.load(tmp_path / "link")
    bot.training = ["replaced"]
    bot.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert Bot.load(folder).training == ["replaced"]


def test_private_posts_are_their_owners_alone(folder: Path, tmp_path: Path) -> None:
    Bot.load(folder).save(tmp_path / "again")
    assert (tmp_path / "again" / "private").stat().st_mode & 0o077 == 0


DAMAGE = [
    ("bot.json", lambda story: {**story, "held_out": None}),
    ("bot.json", lambda story: {name: story[name] for name in story if name != "model"}),
    ("config.json", lambda config: {**config, "num_hidden_layers": 3}),
    ("config.json", lambda config: {**config, "hidden_size": 64}),
    ("config.json", lambda config: {**config, "num_attention_heads": 0}),
    ("config.json", lambda config: []),
    ("config.json", lambda config: {**config, "post_beginning": "<|endoftext|>"}),
    ("config.json", lambda config: {**config, "post_beginning": [0, 10**9]}),
    ("config.json", lambda config: {**config, "post_beginning": []}),
    ("config.json", lambda config: {**config, "post_beginning": [0.0, True]}),
    ("config.json", lambda config: {**config, "post_beginning": [-1]}),
    ("config.json", lambda config: {**config, "post_beginning": [0] * 9}),
    ("tokenizer_config.json", lambda config: []),
    ("tokenizer.json", lambda tokenizer: {**tokenizer, "model": 5}),
]


@pytest.mark.parametrize(("name", "change"), DAMAGE, ids=[f"{row[0]} {n}" for n, row in enumerate(DAMAGE)])
def test_a_file_that_says_something_else_gets_a_sentence_and_no_random_weights(folder: Path, name: str, change) -> None:
    content = json.loads((folder / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps(change(content)))
    with pytest.raises(BadBot, match="damaged"):
        Bot.load(folder)


def test_a_bot_keeps_what_stood_before_the_posts_that_it_read(folder: Path, tmp_path: Path) -> None:
    model = Bot.load(folder).language_model
    assert model.decode(model.encode("Hello.")) == '<|endoftext|>"Hello.<|endoftext|>'
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config.pop("post_beginning") == model.beginning
    (folder / "config.json").write_text(json.dumps(config))  # as bots were saved that read posts without the mark
    early = Bot.load(folder)
    assert early.language_model.decode(early.language_model.encode("Hello.")) == "<|endoftext|>Hello.<|endoftext|>"
    early.save(tmp_path / "again")
    assert Bot.load(tmp_path / "again").language_model.beginning == model.beginning[:1]


def test_a_story_of_a_later_version_is_still_read(folder: Path) -> None:
    story = json.loads((folder / "bot.json").read_text("utf-8"))
    (folder / "bot.json").write_text(json.dumps({**story, "a_later_field": 1}))
    assert Bot.load(folder).story.authors == ["@unit7bakes"]


def test_a_story_from_before_there_was_tracking_is_still_read(folder: Path) -> None:
    story = json.loads((folder / "bot.json").read_text("utf-8"))
    del story["tracking"]
    (folder / "bot.json").write_text(json.dumps(story))
    assert read_story(folder).tracking == {}


def test_code_in_a_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    automatic = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": automatic}))
    with pytest.raises(BadBot, match="damaged"):
        Bot.load(folder)
    assert not (tmp_path / "sprung").exists()


def test_an_output_folder_that_is_new_empty_or_a_bot_is_fine(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "new" / "deep", folder):
        check_output_folder(path)


def test_a_failed_save_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "bots" / "bot"
    with replacing_folder(target) as staging:
        (staging / "version").write_text("old")
    with pytest.raises(OSError, match="disk"), replacing_folder(target) as staging:
        (staging / "version").write_text("new")
        raise OSError("the disk is full")
    assert (target / "version").read_text() == "old"
    assert os.listdir(target.parent) == ["bot"]


SAVE_FOREVER = """
import sys
from pathlib import Path
from utils.bot import Bot
bots = [Bot.load(Path(name)) for name in sys.argv[1:3]]
print("ready", flush=True)
while True:
    for bot in bots:
        bot.save(Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_process_killed_while_saving_leaves_the_old_bot_or_the_new_one(folder: Path, tmp_path: Path) -> None:
    other = Bot.load(folder)
    other.training = ["another set of posts"]
    other.save(tmp_path / "other")
    target = tmp_path / "target"
    other.save(target)
    expected = [Bot.load(path).training for path in (folder, tmp_path / "other")]
    rng = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(folder), str(tmp_path / "other"), str(target)],
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert Bot.load(target).training in expected


@pytest.mark.parametrize(
    "strange",
    [
        {"authors": [5]},
        {"sources": [None]},
        {"posts": {"fetched": "many"}},
        {"held_out": {"posts": 1, "characters": 1, "bits_per_character_before": 10**400, "bits_per_character": 1}},
        {"held_out": {"posts": 1, "characters": 1, "bits_per_character_before": "low", "bits_per_character": 1}},
        {"tracking": {"url": 5}},
        {"accounts": ["@quiet"]},
    ],
)
def test_a_story_that_a_stranger_made_up_gets_a_sentence(strange: dict, folder: Path) -> None:
    story = json.loads((folder / "bot.json").read_text("utf-8"))
    (folder / "bot.json").write_text(json.dumps(story | strange))
    with pytest.raises(BadBot, match="bot.json is damaged"):
        read_story(folder)


@pytest.mark.parametrize("strange", [5, [], {"min_words": "three"}, {"nonsense": 1}])
def test_rules_of_cleaning_that_are_none_are_the_usual_ones(strange: object, folder: Path) -> None:
    story = json.loads((folder / "bot.json").read_text("utf-8"))
    story["settings"]["cleaning"] = strange
    (folder / "bot.json").write_text(json.dumps(story))
    assert read_story(folder).cleaning == CleaningSettings()
