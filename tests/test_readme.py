"""The README at its word: what it says to type is typed, what it points to is there, and its tree is the tree.

Each line of its code blocks is a test of its own, run where a reader stands after the lines above it: in a folder with
the project's files, archives of their own, and two bots. Only the sizes differ: a tiny model, few steps, few drafts.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote, urlsplit

import hub as loopback
import pytest
from archives import javascript, manifest, write_zip
from fake_wandb import serving as serving_wandb
from internet import Internet
from markdown_it import MarkdownIt
from markdown_it.token import Token
from networks import BEARER, FakeBluesky, FakeX

from utils.__main__ import cli
from utils.pipeline import make_bot
from utils.settings import PROJECT_URL, TrainingSettings
from utils.timelines import load

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
BIN = Path(sys.executable).parent
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"

PATIENCE = 300
"""Seconds for a command that starts PyTorch: eight where nothing else runs."""


def tokens(name: str) -> list[Token]:
    """A document as GitHub reads it, block by block."""
    text = (ROOT / name).read_text("utf-8")
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)


def blocks(*languages: str) -> list[str]:
    """The README's code blocks in one of these languages; "" is none."""
    return [token.content for token in tokens("README.md") if token.type == "fence" and token.info.strip() in languages]


LINES = [line for block in blocks("", "sh", "bash", "console") for line in block.splitlines() if line.strip()]
"""What a reader is told to type, as it stands there."""


# --- Every command ----------------------------------------------------------------------------------------------------


def x_archive(path: Path, texts: list[str]) -> Path:
    """Posts as X hands them out, an hour apart."""
    first = datetime(2026, 3, 6, tzinfo=UTC)
    posts = [
        {"tweet": {"id_str": str(number), "full_text": text,
                   "created_at": f"{first + timedelta(hours=number):%a %b %d %H:%M:%S %z %Y}"}}
        for number, text in enumerate(texts, 1)
    ]  # fmt: skip
    name = "data/tweets.js"
    return write_zip(path, {name: javascript("tweets", posts), "data/manifest.js": manifest("mine", tweets=[name])})


def outbox(texts: list[str]) -> dict:
    """Posts as Mastodon's archive holds them."""
    notes = [
        {"id": f"https://example.social/{number}", "type": "Note", "published": "2026-03-06T13:02:05Z", "to": [PUBLIC],
         "cc": [], "summary": None, "content": f"<p>{text}</p>"}
        for number, text in enumerate(texts)
    ]  # fmt: skip
    items = [{"type": "Create", "object": note} for note in notes]
    return {"type": "OrderedCollection", "orderedItems": items}


@pytest.fixture(scope="module")
def words() -> list[str]:
    """Posts to write archives with, of nobody who lives."""
    return [post.text for post in load("sample:unit7bakes").posts]


@pytest.fixture(scope="module")
def desk(taught_model: Path, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a reader types: a copy of the project with what they have downloaded and trained."""
    desk = tmp_path_factory.mktemp("desk")
    for name in ("requirements.txt", "constraints.txt", "sweep.yaml"):
        (desk / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", desk / ".venv"], check=True)
    python = desk / ".venv" / "bin" / "python"
    python.unlink()  # in its place the one that has the packages
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    x_archive(desk / "twitter-2026-….zip", words[:300])
    x_archive(desk / "twitter-2027-….zip", words[:380])
    (desk / "outbox.json").write_text(json.dumps(outbox(words[400:])), "utf-8")
    (desk / "mine.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in words[:300]), "utf-8")
    settings = TrainingSettings(steps=2, model=str(taught_model))
    make_bot([str(desk / "twitter-2026-….zip")], settings, out=desk / "bots" / "mine")
    make_bot(["sample:keeperfinch"], settings, out=desk / "bots" / "keeperfinch")
    for copy in ("mine.before", "mine-as-trained"):
        shutil.copytree(desk / "bots" / "mine", desk / "bots" / copy)
    return desk


@pytest.fixture
def reader(
    desk: Path, own_home: Path, taught_model: Path, internet: Internet, words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator["Reader"]:  # fmt: skip
    """Somebody who sits there, with accounts on all networks."""
    FakeBluesky(internet, words).profile["handle"] = "alice.bsky.social"
    FakeX(internet, words).user["username"] = "jack"
    monkeypatch.chdir(desk)
    monkeypatch.setenv("WANDB_MODE", "disabled")  # a command takes it out of the environment, and this process is many
    with loopback.serving() as hub:
        yield Reader(desk, own_home, taught_model, hub)


class Reader:
    """Who types the lines. Each method takes what `HOW` found in a line, and fails where the line does."""

    LESS = {
        "train": ["--steps", "2", "--model", "{model}"],
        "update": ["--steps", "2"],
        "evaluate": ["--drafts", "4"],
        "share": ["--drafts", "0"],
    }
    """What makes a command small enough for a test; whatever the line says stays."""

    def __init__(self, desk: Path, home: Path, model: Path, hub: loopback.Hub) -> None:
        self.desk, self.home, self.model, self.hub = desk, home, model, hub

    def utils(self, variable: str | None, words: str) -> None:
        """The command line of this project. It runs in this process, which has PyTorch loaded already; with the Hub,
        whose address its library reads only once, in one of its own."""
        arguments = shlex.split(words)
        less = [] if "--undo" in arguments else self.LESS.get(arguments[0], [])
        arguments += [word.format(model=self.model) for word in less]
        command = [sys.executable, "-m", "utils", *arguments]
        if "offline" in arguments:
            self.process(command, WANDB_MODE="")
            assert list((self.home / "cache" / "wandb").glob("offline-run-*"))
            return
        if "hub" in arguments:
            hub = {"HF_ENDPOINT": self.hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
                   "HF_TOKEN": loopback.TOKEN}  # fmt: skip
            self.process(command, **hub)
            return
        with pytest.MonkeyPatch.context() as environment:
            if variable:
                name, _, value = variable.partition("=")
                environment.setenv(name, BEARER if value == "…" else value)
            assert not cli.main(arguments, prog_name="python -m utils", standalone_mode=False)

    def activate(self, line: str) -> None:
        """Afterwards, `python` is the environment's."""
        told = self.process(["bash", "-ec", f"{line}; command -v python"])
        assert told.strip() == str(self.desk / ".venv" / "bin" / "python")

    def cron(self, line: str) -> None:
        """What cron does at that hour: it starts in the home folder, with hardly anything around it. Nothing is new,
        since a line for every night says nothing of two steps."""
        shutil.rmtree(self.desk / "bots" / "mine")
        shutil.copytree(self.desk / "bots" / "mine-as-trained", self.desk / "bots" / "mine")
        kept = ("HOME", "HUGGINGTWEETS_CACHE", "PYTHONPATH", "OMP_NUM_THREADS", "WANDB_MODE")
        around = {"PATH": "/usr/bin:/bin"} | {name: os.environ[name] for name in kept}
        log = self.desk / "bots" / "update.log"
        (self.home / "huggingtweets").symlink_to(self.desk)
        done = subprocess.run(["/bin/sh", "-c", line], cwd=self.home, env=around, timeout=PATIENCE)
        assert done.returncode == 0, log.read_text()
        assert "There is nothing new" in log.read_text()

    def clone(self, line: str) -> None:
        """From a copy of this project, whatever is at its address."""
        source = self.home / "source"
        source.mkdir()
        for name in ("Makefile", "requirements.txt", "constraints.txt"):
            shutil.copy(ROOT / name, source)
        me = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
        for command in (["init", "-q"], ["add", "."], [*me, "commit", "-qm", "All of it"]):
            subprocess.run(["git", *command], cwd=source, check=True)
        assert PROJECT_URL in line
        instead = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{source}.insteadOf"}
        line = f"cd ~ && {line} && make -n demo"
        assert "-m voila" in self.process(["bash", "-ec", line], GIT_CONFIG_VALUE_0=PROJECT_URL, **instead)

    def venv(self, words: str) -> None:
        """As it is, in a place of its own; but pip in it would take its time."""
        self.process([sys.executable, *words.split(), "--without-pip"], cwd=self.home)
        assert (self.home / words.split()[-1] / "pyvenv.cfg").is_file()

    def pip(self, words: str) -> None:
        """All of it is here already, in these versions: those that were tested."""
        self.process([sys.executable, "-m", "pip", *words.split(), "--dry-run", "--no-index", "--no-deps", "-q"])

    def make(self, target: str, variable: str | None) -> None:
        """What it would do. The tests in a browser run the line of `demo`; what the benchmark is told, it knows."""
        told = recipe(target, *filter(None, [variable]))
        if "-m benchmarks" in told:
            from benchmarks.__main__ import main

            options = told.partition("-m benchmarks")[2].split()
            main([*options, "--list", "--model", str(self.model)], standalone_mode=False)

    def demo(self, line: str) -> None:
        """What `make demo` runs, and so the tests in a browser."""
        assert shlex.split(line) == shlex.split(recipe("demo").replace(f"{ROOT}/", ""))

    def test(self, line: str) -> None:
        """What `make test` runs, this test among others."""
        assert line.split() == recipe("test").split()

    def launch(self, launcher: str, options: str, words: str) -> None:
        """The launcher knows the options, and the command works; test_processes.py has both launch it for real."""
        from accelerate.commands.launch import launch_command_parser
        from torch.distributed.run import get_args_parser

        parser = get_args_parser() if launcher == "torchrun" else launch_command_parser()
        parsed = parser.parse_args([*options.split(), "-m", "utils", *words.split()])
        assert parsed.module and parsed.training_script == "utils"
        self.utils(None, words)

    def sweep(self, words: str) -> None:
        """Before a W&B of our own, which names the sweep; what it prints next is the README's next line."""
        with serving_wandb() as wandb:
            key = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": wandb.address}
            told = self.process([str(BIN / "wandb"), *words.split()], **key)
        assert f"wandb {AGENT}".replace("ENTITY", "me").replace("SWEEP", "abc") in told

    def agent(self, words: str) -> None:
        """An agent is started and trains in test_tracking.py, by the line that the sweep prints."""
        assert words == AGENT

    def process(self, command: list[str], cwd: Path | None = None, **environment: str) -> str:
        """What a command said; it has to go well."""
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


AGENT = "agent ENTITY/huggingtweets/SWEEP"
"""The line that a sweep prints, but for two names that W&B gives."""


def recipe(target: str, *variables: str) -> str:
    """What `make` would run at last for a target."""
    told = subprocess.run(["make", "-n", target, *variables], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()[-1]


HOW: dict[str, Callable[..., None]] = {
    r"(?:(\w+=\S+) )?(?:\.venv/bin/)?python -m utils (.+)": Reader.utils,
    r"17 4 \* \* \* +(.+)": Reader.cron,
    r"make (\w+)(?: (\w+=\S+))?": Reader.make,
    r"(git clone .+)": Reader.clone,
    r"(source \.venv/bin/activate)": Reader.activate,
    r"python3 (-m venv .+)": Reader.venv,
    r"\.venv/bin/pip (install .+)": Reader.pip,
    r"(JUPYTER_PATH=\S+ \.venv/bin/python -m voila .+)": Reader.demo,
    r"(HUGGINGTWEETS_EFFORT=test \.venv/bin/python -m pytest .+)": Reader.test,
    r"(accelerate launch|torchrun) (.+) -m utils (.+)": Reader.launch,
    r"wandb (sweep .+)": Reader.sweep,
    r"wandb (agent .+)": Reader.agent,
}
"""How each kind of line is tried, by what it looks like."""


@pytest.mark.parametrize("line", LINES, ids=[re.sub(r"\s+# .*", "", line).replace("…", "...") for line in LINES])
def test_what_the_readme_says_to_type_works(line: str, reader: Reader) -> None:
    command, _, comment = re.fullmatch(r"(.+?)(\s+# (.*))?", line).groups("")
    ways = [(found, way) for pattern, way in HOW.items() if (found := re.fullmatch(pattern, command))]
    assert ways, f"Nobody knows how to try this line of the README. Say in HOW how to run it: {command}"
    promised = re.match(r"→ (?!huggingface\.co)([\w./+-]*\w)", comment)
    result = reader.desk / promised[1] if promised else None
    if result and result.exists():
        result.rename(reader.home / result.name)  # what was there before is no proof
    found, way = ways[0]
    way(reader, *found.groups())
    assert result is None or result.exists(), f"{line} makes no {promised[1]}"
    assert "huggingface.co/YOU" not in comment or list(reader.hub.repositories) == [
        re.search(r"YOU/(\S+)", comment)[0].replace("YOU", loopback.USER)
    ]


def test_on_windows_one_types_the_same_in_its_own_words() -> None:
    (typed,) = blocks("powershell")
    said = re.sub(r'\$env:(\w+) = "(.+)"\n', r"\1=\2 ", typed.replace(".venv\\Scripts\\", ".venv/bin/"))
    translated = re.sub(r"^py ", "python3 ", said, flags=re.MULTILINE).splitlines()
    assert len(translated) == 3
    assert set(translated) <= {re.sub(r"\s+# .*", "", line) for line in LINES}


@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_readme_runs(code: str, reader: Reader, capsys: pytest.CaptureFixture) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


# --- Every link, picture and anchor -----------------------------------------------------------------------------------


def inline(name: str) -> Iterator[Token]:
    """What stands in the lines of a document."""
    for token in tokens(name):
        yield from token.children or [token]


def written_as_html(name: str) -> str:
    return "\n".join(token.content for token in inline(name) if token.type in ("html_block", "html_inline"))


def links(name: str) -> list[str]:
    """Where a document points to, pictures included."""
    found = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in inline(name)]
    return [link for link in found if link] + re.findall(r'(?:href|src|srcset)="([^"]*)"', written_as_html(name))


def anchors(name: str) -> set[str]:
    """The headings of a document as GitHub names them: small letters, hyphens for spaces, numbers for repetitions.

    https://docs.github.com/get-started/writing-on-github, "Section links".
    """
    found: dict[str, int] = {}
    there = tokens(name)
    for heading, content in zip(there, there[1:], strict=False):
        if heading.type == "heading_open":
            text = "".join(token.content for token in content.children if token.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{number}" if number else slug for slug, last in found.items() for number in range(last + 1)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    assert links(name)
    for link in links(name):
        address = urlsplit(link)
        if address.scheme or address.netloc:
            assert re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[^\s<>\"]*)?", link), f"{link} is no address"
            continue
        file = (ROOT / name).parent / unquote(address.path) if address.path else ROOT / name
        assert file.exists(), f"{link} leads nowhere"
        assert file.resolve().is_relative_to(ROOT.resolve()), f"{link} leaves the project"
        if address.fragment:
            assert address.fragment in anchors(str(file.relative_to(ROOT))), f"{link} is no heading"


def test_anchors_are_named_as_github_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "# Set it up\n## How good, how *fast*?\n## Set it up\n### `utils/` & [more](x)\n## Über_uns – 2.0\n"
    (tmp_path / "x.md").write_text(text, "utf-8")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert anchors("x.md") == {"set-it-up", "how-good-how-fast", "set-it-up-1", "utils--more", "über_uns--20"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_picture_says_what_it_shows(name: str) -> None:
    told = [token.content for token in inline(name) if token.type == "image"]
    for tag in re.findall(r"<img\b[^>]*>", written_as_html(name)):
        told.append("".join(re.findall(r'\balt="([^"]*)"', tag)))
    assert all(len(text.split()) >= 3 for text in told), told


def test_every_picture_of_the_page_is_one_that_the_tests_take_and_none_lies_unused() -> None:
    folder = ROOT / "tests" / "browser" / "pictures"
    taken = re.findall(r'picture_for_readme\(\s*page, "(\w+)"', (folder.parent / "test_page.py").read_text("utf-8"))
    shown = {Path(link).name for link in links("README.md") if "/pictures/" in link}
    assert shown and shown == {path.name for path in folder.iterdir()}
    assert shown <= {f"{name}{ending}.png" for name in taken for ending in ("", "-dark")}


def test_the_research_list_names_questions_that_the_notebook_asks() -> None:
    notebook = json.loads((ROOT / "huggingtweets-dev.ipynb").read_text("utf-8"))
    said = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    research = (ROOT / "README.md").read_text("utf-8").partition("\n## Research\n")[2].partition("\n## ")[0]
    asked = re.findall(r"\*([^*|]+\?)\*", research)
    assert asked and set(asked) <= set(re.findall(r"^#+ (.+)$", said, re.MULTILINE))


# --- The tree ---------------------------------------------------------------------------------------------------------


def files_of_the_project() -> set[str]:
    """What git keeps; where there is no git's folder, what it would keep."""
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = {name for name in kept.stdout.split("\0") if name and (ROOT / name).exists()}
    if not names:
        subprocess.run(["git", "init", "-q", "--bare", "all.git"], check=True)
        command = ["git", "--git-dir=all.git", f"--work-tree={ROOT}", "ls-files", "-z", "-o", "--exclude-standard"]
        names = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")) - {""}
    return names


def tree() -> list[str]:
    """The paths of the README's tree, in its order; folders end with a slash."""
    block = next(block for block in blocks("text") if "  the page" in block)
    paths: list[str] = []
    for line in block.splitlines():
        indent, name, said = re.fullmatch(r"( *)(\S+) {2,}(\S.*)", line).groups()
        folders = [path for path in paths if path.endswith("/") and path.count("/") == len(indent) // 2]
        paths.append((folders[-1] if indent else "") + name)
    return paths


def test_the_tree_has_a_line_for_each_file_and_no_other() -> None:
    """A folder without lines of its own stands for what is in it, `test_*.py` for all of that name."""
    lines, files = tree(), files_of_the_project()
    assert len(lines) == len(set(lines))
    whole = [
        line
        for line in lines
        if line.endswith("/") and not any(other != line and other.startswith(line) for other in lines)
    ]
    parted = [line for line in lines if line.endswith("/") and line not in whole]

    def stands_for(line: str, file: str) -> bool:
        if line in whole:
            return file.startswith(line)
        return "/" not in file[line.rfind("/") + 1 :] and fnmatch(file, line)

    named = [line for line in lines if line not in parted]
    assert [file for file in sorted(files) if not any(stands_for(line, file) for line in named)] == [], "without a line"
    assert [line for line in named if not any(stands_for(line, file) for file in files)] == [], "without a file"
