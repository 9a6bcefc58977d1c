"""What leaves with a bot: its card, its story, its zip."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import hub as loopback
import pytest
from markdown_it import MarkdownIt
from tiny import save_tiny_model

from utils.bot import Bot, check_output_folder, read_story
from utils.errors import BadBot, SharingFailed
from utils.language_model import load_folder
from utils.sharing import (
    Maker,
    check_consent,
    completed,
    files,
    is_bundled,
    measure_copies,
    path_for,
    shared_name,
    told,
    write_zip,
)
from utils.sharing.card import CardFacts, model_card
from utils.sharing.gguf import write_gguf
from utils.story import Story

STORY = Story(
    authors=["@bob", "@alice@fosstodon.org"],
    sources=["twitter-2026-secret.zip", "outbox.json"],
    model="smollm2-135m",
    posts={"fetched": 1400, "reposts": 85, "media_only": 1, "short": 0, "duplicates": 0, "kept": 1314},
    parts={"training": 1000, "validation": 100, "held_out": 131, "near_duplicates": 0},
    held_out={"posts": 131, "characters": 14000, "bits_per_character_before": 2.135, "bits_per_character": 1.551},
    settings={"minutes": 5.0, "steps": None, "model": "auto", "seed": 0, "learned_share": 0.5, "learning_rate": 4e-4},
    versions={"python": "3.11.7", "platform": "Linux-of-mine", "torch": "2.13.0+cpu"},
    tokens_trained=39300,
    date="2026-11-23T18:41:21+00:00",
)
FACTS = CardFacts("somebody/huggingtweets-bob", '<|endoftext|>"', "consented", "en", 20, 0.05)
HOSTILE = (
    "<img src=x onerror=alert(1)> [free](https://evil.example) **bold** `code` | # | \n# Title\n- list www.evil.example"
)


def rendered(card: str) -> str:
    """The card as a reader sees it: Markdown with tables and links, as the Hub shows it."""
    body = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(body)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_card_says_who_which_posts_how_and_how_good() -> None:
    html = rendered(model_card(STORY, FACTS))
    assert html.count("<table>") == 2
    for row in (("downloaded", "1,400"), ("reposts", "85"), ("media only", "1"), ("short", "0"), ("kept", "1,314")):
        assert re.search(r"<td[^>]*>{}</td>\s*<td[^>]*>{}</td>".format(*row), html)
    assert "duplicates" not in html, "what was never counted needs no row"
    text = text_of(html)
    for said in (
        "in the voice of @bob and @alice@fosstodon.org",
        "says that the author of the posts agreed to it",
        "1,000 were learned from",
        "2.135 1.551",
        "Of 20 drafts, 5% repeat a post",
        "put the mark back",
        "5 minutes in all it read 39,300 tokens",
    ):
        assert said in text
    assert '<a href="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct">' in html
    assert "Weights &amp; Biases" not in html


def test_what_was_not_measured_or_not_said_is_not_invented() -> None:
    text = text_of(rendered(model_card(STORY, CardFacts("bot", "<s>"))))
    assert "repeat a post that it learned from was not measured" in text
    assert "did not say whether the author of the posts agreed" in text
    metadata = model_card(replace(STORY, model="private"), CardFacts("bot", "<s>")).split("\n---\n")[0]
    assert not re.search("^(base_model|license|language):", metadata, re.MULTILINE)


def test_the_three_lines_of_the_card_run_and_put_the_mark_back(bot: Path, tmp_path: Path) -> None:
    card = files(bot, completed(bot, Maker()), str(bot))["README.md"].decode()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    assert r'write("<|endoftext|>\"")' in code, "what a post begins with, as the bot has learned it"
    assert len(re.findall(r"^\S", code, re.MULTILINE)) == 3
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("🤖 written by a bot"), done.stderr
    assert "<|endoftext|>" not in done.stdout


def test_the_cards_metadata_goes_through_the_hubs_own_library_and_back(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard, ModelCardData

    for voice in ("@bob", HOSTILE, "yes", "12: - {}", "名前 🦆", "'\"\\"):
        card = model_card(replace(STORY, authors=[voice]), FACTS)
        (tmp_path / "README.md").write_text(card, "utf-8")
        loaded = ModelCard.load(tmp_path / "README.md")
        assert loaded.content == card
        data = loaded.data
        assert ModelCardData(**data.to_dict()).to_dict() == data.to_dict()
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data.license, data.language, data.pipeline_tag) == ("apache-2.0", "en", "text-generation")
    assert data.tags == ["huggingtweets"] and data.library_name == "transformers"
    assert [result.metric_value for result in data.eval_results] == [2.135, 1.551]
    assert all(prompt["text"].startswith(FACTS.beginning) for prompt in data.widget)


def test_the_hub_finds_nothing_wrong_with_the_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(model_card(replace(STORY, authors=[HOSTILE]), FACTS), "utf-8")
    script = "import sys; from huggingface_hub import ModelCard; ModelCard.load(sys.argv[1]).validate(); print('fine')"
    with loopback.serving() as hub:
        variables = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-c", script, str(tmp_path / "README.md")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables)
        assert done.stdout == "fine\n", done.stderr
        (tmp_path / "README.md").write_text("---\nbase_model: ../a path\n---\n# no good", "utf-8")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables)
        assert "is not valid" in done.stderr


@pytest.mark.parametrize("name", [HOSTILE, "1. one", "- dash", "```", "$$x$$", "</table><script>", "a\u202eb\x00c"])
def test_a_strange_name_is_only_a_name(name: str) -> None:
    plain, strange = (rendered(model_card(replace(STORY, authors=[voice]), FACTS)) for voice in ("@bob", name))
    tags = re.compile(r"</?[a-z0-9]+")
    assert tags.findall(strange) == tags.findall(plain), "the same card, with another name in it"
    assert "\u202e" not in strange and "\x00" not in strange


def test_a_page_of_the_training_is_linked_only_where_there_is_one() -> None:
    there, here = "https://wandb.ai/somebody/huggingtweets/runs/abc", "file:///home/somebody/wandb"
    assert f"({there})" in model_card(replace(STORY, tracking={"url": there}), FACTS)
    assert "wandb" not in model_card(replace(STORY, tracking={"url": here}), FACTS)
    assert told(replace(STORY, tracking={"url": here, "folder": "/home/somebody"}), Maker("mine")).tracking == {}


ACCOUNT = {
    "network": "Bluesky", "id": "did:plc:x", "handle": "@quiet.bsky.social", "name": "A Quiet Life", "followers": 1234,
    "link": "https://bsky.app/profile/quiet.bsky.social", "avatar": "https://cdn.bsky.app/img/avatar/plain/did:plc:x/a@jpeg",
    "posts": 5, "notice": "",
}  # fmt: skip


def test_the_card_shows_the_account_that_a_network_told_of() -> None:
    text = rendered(model_card(replace(STORY, accounts=[ACCOUNT]), FACTS))
    assert f'A Quiet Life <a href="{ACCOUNT["link"]}">@quiet.bsky.social</a> on Bluesky with 1,234 followers' in text
    assert ACCOUNT["avatar"] in text
    renamed = told(
        replace(STORY, accounts=[ACCOUNT], tracking={"url": "https://wandb.ai/x/y/runs/z"}), Maker(name="He")
    )
    assert (renamed.accounts, renamed.tracking) == ([], {})


@pytest.mark.parametrize(
    "odd", [HOSTILE, None, 5, ["x"], "javascript:alert(1)", "https://x.example/) [more](https://evil"]
)
def test_an_account_with_strange_facts_is_only_text(odd: object) -> None:
    text = rendered(model_card(replace(STORY, accounts=[dict.fromkeys(ACCOUNT, odd)]), FACTS))
    assert "<img" not in text and "javascript:" not in re.sub(r">[^<]*<", "", text) and 'href="https://evil' not in text


def test_the_story_that_is_told_has_no_file_no_folder_and_no_name_made_from_one() -> None:
    local = replace(STORY, authors=["my-diary", "@bob"], model="/home/bob/models/x", settings={"model": "/home/bob/x"})
    story = told(local, Maker("mine"))
    assert story.authors == ["a private author", "@bob"]
    assert story.sources == ["private", "private"]
    assert (story.model, story.settings) == ("private", {"model": "private"})
    assert "platform" not in story.versions
    assert told(local, Maker("mine", "Bob the Keeper")).authors == ["Bob the Keeper"]
    assert told(STORY, Maker("mine")).model == "smollm2-135m"


def test_the_card_names_the_layers_that_learned() -> None:
    lower = replace(STORY, settings={**STORY.settings, "learned_end": "lower", "learned_share": 0.5, "rank": 8})
    assert "rank 8 on the lower 50% of its layers learned" in model_card(told(lower, Maker("mine")), FACTS)
    with_head = replace(lower, settings={**lower.settings, "head_learned": True})
    assert "its layers and on its head learned" in model_card(told(with_head, Maker("mine")), FACTS)


def test_what_is_added_to_a_story_later_does_not_leave_by_accident() -> None:
    added = {"update": {"model": "/home/bob/model"}, "place": "/home/bob", "learning_rate": "/home/bob"}
    story = replace(STORY, settings={**STORY.settings, **added}, posts={**STORY.posts, "/home/bob": 1})
    assert "/home/bob" not in str(told(story, Maker("mine")))
    assert "/home/bob" not in model_card(told(story, Maker("mine")), FACTS)


@pytest.mark.parametrize(
    ("authors", "sources", "bundled"),
    [
        (["@keeperfinch"], ["sample:keeperfinch"], True),
        (["@keeperfinch", "@unit7bakes"], ["sample:keeperfinch", "sample:unit7bakes"], True),
        (["diary"], ["diary.jsonl", "sample:keeperfinch"], False),
        (["diary"], ["sample:keeperfinch"], False),
        (["@keeperfinch"], ["sample:keeperfinch/../diary"], False),
        (["@keeperfinch"], [], False),
    ],
)
def test_only_the_bundled_authors_go_without_saying(authors: list[str], sources: list[str], bundled: bool) -> None:
    assert is_bundled(replace(STORY, authors=authors, sources=sources)) == bundled


def test_a_link_in_a_bots_folder_is_not_followed(bot: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of mine")
    (bot / "README.md").symlink_to(secret)
    contents = files(bot, Maker("fictional"), "x")
    assert secret.read_text() == "of mine" and "of mine" not in str(contents["README.md"])
    (bot / "merges.txt").symlink_to(secret)
    with pytest.raises(BadBot, match="merges.txt leads elsewhere"):
        files(bot, Maker("fictional"), "x")


def test_weights_that_are_cut_off_are_not_shared(bot: Path) -> None:
    with open(bot / "model.safetensors", "r+b") as weights:
        weights.truncate(5000)
    with pytest.raises(BadBot, match="weights of the bot .* are damaged"):
        files(bot, Maker("fictional"), "x")


def test_a_file_is_named_after_no_file_and_not_put_into_the_bot(bot: Path) -> None:
    assert path_for(bot, Maker(), None, "zip") == Path("huggingtweets-unit7bakes.zip")
    assert path_for(bot, Maker(name="A baker"), None, "zip") == Path("huggingtweets-bot.zip")
    with pytest.raises(SharingFailed, match="inside the bot's own folder"):
        path_for(bot, Maker(), bot / "x.zip", "zip")


def test_a_file_of_a_bot_without_a_handle_is_not_written_over_unasked(bot: Path) -> None:
    story = json.loads((bot / "bot.json").read_text())
    (bot / "bot.json").write_text(json.dumps(story | {"authors": ["diary"]}))
    target = path_for(bot, Maker(), None, "zip")
    assert target == Path("huggingtweets-bot.zip")
    target.write_bytes(b"another bot")
    with pytest.raises(SharingFailed, match="huggingtweets-bot.zip is there already, and may hold another bot"):
        path_for(bot, Maker(), None, "zip")
    assert path_for(bot, Maker(), target, "zip") == target


def test_the_card_of_a_bot_that_learned_more_than_was_last_read_does_not_add_up_what_it_cannot() -> None:
    assert "Of those that were kept, 1,000 were learned from" in model_card(STORY, FACTS)
    card = model_card(replace(STORY, posts={"fetched": 60, "reposts": 5, "short": 0, "kept": 55}), FACTS)
    assert "as last read | |" in card and "In all, 1,000 were learned from" in card


def test_the_card_of_an_updated_bot_does_not_say_that_all_was_read_in_its_first_minutes() -> None:
    assert "In at most 5 minutes in all it read 39,300 tokens" in model_card(STORY, FACTS)
    updated = replace(STORY, settings={**STORY.settings, "update": {"minutes": 3.0}})
    card = model_card(told(updated, Maker("mine")), FACTS)
    assert "Its first training took at most 5 minutes in all; with its updates it has read 39,300 tokens" in card


@pytest.mark.parametrize(
    ("authors", "name"),
    [
        (["@bob"], "huggingtweets-bob"),
        (["@bob@fosstodon.org", "@Al_Ice"], "huggingtweets-bob-fosstodon-org-al-ice"),
        (["my diary"], "huggingtweets-bot"),
        (["@海"], "huggingtweets-bot"),
        (["@" + "x" * 200], "huggingtweets-" + "x" * 60),
    ],
)
def test_a_repository_is_named_after_handles_alone(authors: list[str], name: str) -> None:
    assert shared_name(authors) == name


def test_whose_posts_they_are_has_to_be_said_but_for_bundled_authors(bot: Path) -> None:
    assert completed(bot, Maker()) == Maker("fictional", None, "en")
    with pytest.raises(SharingFailed, match="--author mine, consented or fictional"):
        check_consent(Maker())
    with pytest.raises(SharingFailed, match="is no code of a language"):
        Maker(language="English")


def test_copies_are_measured_by_letting_the_bot_write(bot: Path) -> None:
    drafts, copies = measure_copies(bot, 4)
    assert 0 < drafts <= 4 and 0 <= copies <= 1
    shutil.rmtree(bot / "private")
    assert measure_copies(bot, 4) == (0, None)


def test_a_zip_holds_the_bot_its_card_and_a_clean_story_but_no_posts(bot: Path, tmp_path: Path) -> None:
    (bot / "notes.txt").write_text("not a part of a bot")
    shares: list[float] = []
    ready = files(bot, completed(bot, Maker()), "unit7bakes")
    with zipfile.ZipFile(write_zip(ready, "unit7bakes", tmp_path / "bot.zip", shares.append)) as zipped:
        assert zipped.testzip() is None
        names = zipped.namelist()
        zipped.extractall(tmp_path / "out")
    assert {"unit7bakes/bot.json", "unit7bakes/README.md", "unit7bakes/model.safetensors"} <= set(names)
    assert not [name for name in names if "private" in name or "notes" in name]
    assert shares == sorted(shares) and shares[-1] == 1.0
    shared = Bot.load(tmp_path / "out" / "unit7bakes")
    assert shared.story.model == "private" and shared.training is None
    assert "taught" in read_story(bot).model, "the bot at home remembers where its model came from"


def test_a_zip_that_cannot_be_finished_leaves_the_old_one(bot: Path, tmp_path: Path) -> None:
    target = tmp_path / "zips" / "bot.zip"
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    ready = files(bot, Maker(), "bot")
    with pytest.raises(SharingFailed, match="The zip could not be written to .*bot.zip: No such file"):
        write_zip({**ready, "model.safetensors": tmp_path / "gone"}, "bot", target)
    assert [path.name for path in target.parent.iterdir()] == ["bot.zip"]
    assert target.read_bytes() == b"the old one"
    with pytest.raises(SharingFailed, match="is not the name of a zip file"):
        path_for(bot, Maker(), tmp_path / "bot.tar", "zip")


def test_a_bot_with_a_card_is_still_a_bot_that_can_be_replaced(bot: Path) -> None:
    files(bot, Maker(), "bot")
    assert (bot / "README.md").exists()
    check_output_folder(bot)


@pytest.mark.parametrize("damage", [{"posts": {"fetched": "many"}}, {"versions": {"torch": 3}}, {"held_out": {}}])
def test_a_damaged_story_gets_a_sentence(bot: Path, damage: dict) -> None:
    story = json.loads((bot / "bot.json").read_text())
    (bot / "bot.json").write_text(json.dumps({**story, **damage}))
    with pytest.raises(BadBot, match="damaged"):
        files(bot, Maker(), "bot")


def test_the_command_packs_a_zip_and_says_where(bot: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "utils", "share", str(bot), "--to", "zip", "--out", str(tmp_path / "gift.zip")]
    done = subprocess.run([*command, "--drafts", "3", "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["out"], answer["bytes"]) == (str(tmp_path / "gift.zip"), (tmp_path / "gift.zip").stat().st_size)
    with zipfile.ZipFile(tmp_path / "gift.zip") as zipped:
        assert re.search(r"Of \d drafts, \d+% repeat", zipped.read("gift/README.md").decode())
    done = subprocess.run([*command, "--public"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    done = subprocess.run([*command, "--out", "x.tar"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "is not the name of a zip" in done.stderr


TEXTS = ["The oven is warm, 12 rolls at 3:45! 🥐\nÄpfel", "  two  spaces", "<|endoftext|> is only text"]


def test_a_gguf_file_read_back_has_the_same_tokens_and_the_same_logits(bot: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    command = [sys.executable, "-m", "utils", "share", str(bot), "--to", "gguf", "--out", str(tmp_path / "bot.gguf")]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == (tmp_path / "bot.gguf").stat().st_size
    model = load_folder(bot, torch.device("cpu"))
    network = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="bot.gguf", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, gguf_file="bot.gguf")
    for text in TEXTS:
        tokens = model.encode_opening(text)
        assert tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] == tokens
        batch = torch.tensor([[*model.beginning, *tokens]])
        with torch.no_grad():
            assert torch.equal(network(batch).logits, model.network(batch).logits)


def test_a_gguf_file_says_whose_voice_it_is_and_how_a_post_begins_and_ends(bot: Path, tmp_path: Path) -> None:
    from gguf import GGUFReader

    fields = GGUFReader(write_gguf(bot, "@unit7bakes", tmp_path / "bot.gguf")).fields
    assert "in the voice of @unit7bakes. Say so" in fields["general.description"].contents()
    assert fields["general.description"].contents().endswith('Let it go on from a quotation mark, ".')
    assert fields["tokenizer.ggml.bos_token_id"].contents() == fields["tokenizer.ggml.eos_token_id"].contents() == 0
    assert fields["tokenizer.ggml.add_bos_token"].contents() is True
    assert b"taught" not in (tmp_path / "bot.gguf").read_bytes(), "no folder of this machine"


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
def test_networks_of_another_kind_are_not_written_as_gguf(architecture: str, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", architecture)
    with pytest.raises(SharingFailed, match=f"of the kind {architecture} cannot be written as GGUF"):
        write_gguf(model, "@bob", tmp_path / "bot.gguf")
    assert not list(tmp_path.glob("*.gguf*"))
