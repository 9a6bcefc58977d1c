"""Putting a bot on the Hub: the real library, in a process as a user starts it, before a Hub on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hub as loopback
import pytest

Share = Callable[..., subprocess.CompletedProcess]
REPOSITORY = "somebody/huggingtweets-unit7bakes"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback.Hub]:
    """A Hub, and a user who is logged in there."""
    with loopback.serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_TOKEN", loopback.TOKEN)
        yield hub


def share(bot: Path, *options: str, **more: object) -> subprocess.CompletedProcess:
    """The command in a process of its own; drafts are not measured, unless that is asked for."""
    drafts = () if "--drafts" in options else ("--drafts", "0")
    command = [sys.executable, "-m", "utils", "share", str(bot), "--to", "hub", *drafts, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


def sentence(done: subprocess.CompletedProcess) -> str:
    """The last line of a command that failed as it should."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_bot_is_published_whole_private_and_without_its_posts(bot: Path, hub: loopback.Hub) -> None:
    done = share(bot, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["url"] == f"{hub.url}/{REPOSITORY}"
    assert (answer["private"], answer["created"]) == (True, True)
    repository = hub.repositories[REPOSITORY]
    assert repository.private and repository.commits == 1
    assert set(repository.files) == {
        ".gitattributes", "README.md", "bot.json", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert answer["sent"] == len(repository.files["model.safetensors"]) == hub.uploads[0]
    assert hub.tokens_on_the_way_to_storage == 0


def test_nothing_of_this_machine_is_published(bot: Path, hub: loopback.Hub, tmp_path: Path) -> None:
    story = json.loads((bot / "bot.json").read_text())
    story |= {"authors": ["my-secret-diary"], "sources": ["file my-secret-diary.zip"], "a_later_field": str(tmp_path)}
    (bot / "bot.json").write_text(json.dumps(story))
    (bot / "notes.txt").write_text("not a part of a bot")
    assert share(bot, "--author", "mine").returncode == 0
    files = hub.repositories["somebody/huggingtweets-bot"].files
    together = b"".join(files.values())
    assert "notes.txt" not in files
    for private in (b"my-secret-diary", os.fsencode(tmp_path.parent.parent), os.fsencode(Path.home()), b"/model"):
        assert private not in together
    held_out = (bot / "private" / "held_out.jsonl").read_text().splitlines()
    assert not [line for line in held_out if json.loads(line)["text"].encode() in together]


def test_a_bot_without_a_handle_takes_no_other_one_s_place_unasked(bot: Path, hub: loopback.Hub) -> None:
    story = json.loads((bot / "bot.json").read_text())
    (bot / "bot.json").write_text(json.dumps(story | {"authors": ["diary"], "sources": ["file diary.txt"]}))
    assert share(bot, "--author", "mine").returncode == 0
    there = hub.repositories["somebody/huggingtweets-bot"]
    said = sentence(share(bot, "--author", "mine"))
    assert "There is a bot in somebody/huggingtweets-bot already, and it may be another one" in said
    assert there.commits == 1
    assert share(bot, "--author", "mine", "--name", "somebody/huggingtweets-bot", "--language", "de").returncode == 0
    assert there.commits == 2


def test_what_was_published_loads_again_here_and_with_plain_transformers(
    bot: Path, hub: loopback.Hub, tmp_path: Path
) -> None:
    assert share(bot).returncode == 0
    script = f"""
from pathlib import Path
from huggingface_hub import snapshot_download
folder = snapshot_download({REPOSITORY!r}, local_dir={str(tmp_path / "again")!r})
from transformers import pipeline
write = pipeline("text-generation", folder)
print("wrote", write("<|endoftext|>", return_full_text=False)[0]["generated_text"])
from utils.bot import Bot
bot = Bot.load(Path(folder))
print("voice", bot.story.voice, bot.training)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert "voice @unit7bakes None" in done.stdout, done.stderr
    assert "wrote" in done.stdout


def test_a_retry_after_a_broken_connection_sends_only_what_is_missing(bot: Path, hub: loopback.Hub) -> None:
    hub.breaks = 2
    assert "try again: what arrived whole is not sent again" in sentence(share(bot))
    assert hub.repositories[REPOSITORY].commits == 0, "nothing is published by halves"
    hub.answers = {"/commit/": 500}
    assert "The Hub has trouble of its own (500). Nothing was published" in sentence(share(bot))
    assert len(hub.uploads) == 1
    hub.answers = {}
    done = share(bot, "--json", "--events")
    assert all(json.loads(line) for line in done.stderr.splitlines()), "no bars of the library's in between"
    answer = json.loads(done.stdout)
    assert (answer["sent"], answer["created"], len(hub.uploads)) == (0, False, 1)
    assert hub.repositories[REPOSITORY].commits == 1


def test_one_broken_connection_is_mended_unnoticed(bot: Path, hub: loopback.Hub) -> None:
    hub.breaks = 1
    assert share(bot).returncode == 0
    assert hub.repositories[REPOSITORY].commits == 1


def test_sharing_again_takes_away_what_the_bot_no_longer_has(bot: Path, hub: loopback.Hub) -> None:
    (bot / "vocab.json").write_text("{}")
    assert share(bot).returncode == 0
    (bot / "vocab.json").unlink()
    assert share(bot).returncode == 0
    assert "vocab.json" not in hub.repositories[REPOSITORY].files


@pytest.mark.parametrize("where", ["whoami", "preupload", "/storage/", "/commit/"])
def test_a_hub_that_falls_silent_is_given_up_soon(bot: Path, hub: loopback.Hub, where: str) -> None:
    hub.stalls = where
    began = time.monotonic()
    said = sentence(share(bot, "--patience", "0.5"))
    assert "did not answer for 0.5 seconds. Nothing was published" in said
    assert time.monotonic() - began < 15


def test_a_hub_that_cannot_be_reached_gets_a_sentence(
    bot: Path, hub: loopback.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "The Hub cannot be reached" in sentence(share(bot))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in sentence(share(bot))


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_" + "nobodyKnowsThisOne", "does not know this token, or it has run out"),
        (loopback.READ_ONLY, f"This token may not write to {REPOSITORY}. Make one with the role"),
        ("hf_" + "cut off", "This is no token of the Hub: it has blanks"),
        ("", "The Hub asks who you are. Make a token"),
    ],
)
def test_a_token_that_will_not_do_is_explained_and_not_repeated(
    bot: Path, hub: loopback.Hub, monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    done = share(bot)
    assert said in sentence(done)
    assert not token or token not in done.stderr
    assert not hub.repositories


def test_a_name_that_is_taken_by_something_else_is_left_alone(bot: Path, hub: loopback.Hub) -> None:
    hub.repositories["somebody/mine"] = loopback.Repository(True, {"thesis.pdf": b"years of work"})
    assert "with something else in it, and it stays as it is" in sentence(share(bot, "--name", "mine"))
    hub.repositories["somebody/open"] = loopback.Repository(False, {"bot.json": b"{}"})
    assert "is public already, and this bot was to be private" in sentence(share(bot, "--name", "open"))
    assert [repository.commits for repository in hub.repositories.values()] == [0, 0]
    assert share(bot, "--name", "open", "--public").returncode == 0
    assert share(bot, "--name", "club/bot").returncode == 0
    assert "club/bot" in hub.repositories


@pytest.mark.parametrize("name", ["a b", "a--b", "../x", "x.git", "a/b/c", "", "ü"])
def test_a_name_that_no_repository_can_have_is_refused(bot: Path, hub: loopback.Hub, name: str) -> None:
    said = sentence(share(bot, f"--name={name or '!'}"))
    assert "cannot be the name of a repository" in said
    assert not hub.repositories


def test_an_author_whom_nobody_confirmed_is_not_published(bot: Path, hub: loopback.Hub) -> None:
    story = json.loads((bot / "bot.json").read_text())
    (bot / "bot.json").write_text(json.dumps({**story, "sources": ["file posts.txt"]}))
    assert "--author mine, consented or fictional" in sentence(share(bot))
    assert hub.log == []
    assert share(bot, "--author", "consented").returncode == 0
    assert "says that the author of the posts agreed" in hub.repositories[REPOSITORY].files["README.md"].decode()


def test_progress_is_told_in_bytes(bot: Path, hub: loopback.Hub) -> None:
    done = share(bot, "--events")
    told = [json.loads(line) for line in done.stderr.splitlines()]
    sent = [event for event in told if event["sentence"].startswith("Sending")]
    assert {event["file"] for event in sent} == {"model.safetensors"}, "small files travel with the commit"
    assert 0 < sent[-1]["bytes"] < sent[-1]["of"]
    assert told[-1]["event"] == "done" and told[-1]["url"].endswith(REPOSITORY)
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to a child")
def test_ctrl_c_while_it_travels_publishes_nothing_and_the_next_try_goes_through(bot: Path, hub: loopback.Hub) -> None:
    hub.slow = 2.0
    command = [sys.executable, "-m", "utils", "share", str(bot), "--to", "hub", "--drafts", "0", "--events"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "Sending" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert hub.repositories[REPOSITORY].commits == 0
    hub.slow = 0.0
    assert share(bot).returncode == 0


LEAKS = """
import logging, sys, traceback
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
from utils.errors import SharingFailed
from utils.sharing import Maker, completed, files
from utils.sharing.hub import Account, find_token
bot = Path(sys.argv[1])
account = Account(find_token(), 1.0)
print(repr(account), str(account), vars(files))
ready = files(bot, completed(bot, Maker()), "a/b")
print(account.publish(ready, account.repository("fine")))
for name, account in (("one", account), ("two", Account(sys.argv[2]))):
    try:
        account.publish(ready, "elsewhere/" + name) if name == "two" else account.repository("a b")
    except SharingFailed as error:
        print(repr(error), repr(error.__cause__), repr(getattr(error.__cause__, "response", None)))
        traceback.print_exc(file=sys.stdout)
"""


def test_the_token_is_in_no_file_no_log_no_error_and_no_repr(
    bot: Path, hub: loopback.Hub, tmp_path: Path, own_home: Path
) -> None:
    wrong = "hf_" + "aSecretThatTheHubDoesNotKnow"
    loud = {**os.environ, "HF_HUB_VERBOSITY": "debug", "HF_DEBUG": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LEAKS, str(bot), wrong], capture_output=True, text=True, env=loud, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Published(" in done.stdout and "does not know this token" in done.stdout and "DEBUG" in done.stdout
    said = share(bot, "--json", "--events", env=loud)
    for secret in (loopback.TOKEN, wrong):
        for text in (done.stdout, done.stderr, said.stdout, said.stderr):
            assert secret not in text
        for path in [*tmp_path.rglob("*"), *own_home.rglob("*")]:
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path
        for repository in hub.repositories.values():
            assert secret.encode() not in b"".join(repository.files.values())
