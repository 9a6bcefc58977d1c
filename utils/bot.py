"""A Bot: weights, tokenizer and story in one folder.

In: a fine-tuned LanguageModel, what it was made from, and its posts. Out: a folder that plain
`transformers.pipeline("text-generation", folder)` opens, and the way back from it. Besides the model's
own files it holds `bot.json`, the story; `private/`, the posts it learned from and was tested on, which
sharing leaves out; and, once it was shared, `README.md`, its model card. Knows nothing about how a bot is
trained or how it writes.
"""

import copy
import errno
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import environment
from utils.atomic import recover, replacing_file, replacing_folder, swap_folders
from utils.copies import CopyIndex
from utils.environment import find_path
from utils.errors import BadBot, ModelUnavailable
from utils.language_model import BEGINNING, LanguageModel, load_folder
from utils.story import Story

if TYPE_CHECKING:
    import torch

STORY = "bot.json"
CARD = "README.md"
MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
PRIVATE = "private"
PARTS = ("training", "validation", "held_out", "left_out")
ORIGIN = "origin.json"
BEFORE = ".before"
"""Behind a bot's name: the folder beside it that holds it as it was before it was updated."""

TOKENIZER_FILES = ("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model")
"""What some tokenizers write besides."""

BOT_FILES = {STORY, CARD, PRIVATE, *MODEL_FILES, *TOKENIZER_FILES}
"""All that a bot's folder may hold; a folder with anything else in it, but for `LITTER`, is never replaced."""

LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\..*\.partial")
"""What file browsers leave in any folder that somebody looks into, mostly hidden from them, and what a process of ours
left that was killed; it goes with the bot that is replaced."""

BESIDE_WEIGHTS = 20_000_000
"""Bytes of a bot beside its weights: the tokenizer (4 MB), and its posts."""

LONGEST_POST = 128
"""New tokens after which plain `generate` stops: about twice the longest post that X takes in English."""


@dataclass(frozen=True)
class Origin:
    """Where to look for new posts. It names files of this machine, so it is private.

    references: what the user named; files with their whole path.
    apart: whether each file is an author of its own.
    """

    references: list[str]
    apart: bool = False

    @classmethod
    def of(cls, references: Sequence[str | Path], apart: bool) -> "Origin":
        """The origin that holds from whatever folder one looks."""
        found = [(str(reference).strip(), find_path(str(reference).strip())) for reference in references]
        return cls([str(path.resolve()) if path else text for text, path in found], apart)


@dataclass
class Bot:
    """A language model that writes in somebody's voice.

    training, validation, held_out: the posts it learned from, that chose its best weights, and that it was
        tested on; None in a bot that was shared.
    left_out: posts that it met and that are in none of these parts.
    origin: where its posts came from; None in a bot that was shared, or made before that was kept.
    """

    language_model: LanguageModel
    story: Story
    training: list[str] | None = field(default=None, repr=False)
    validation: list[str] | None = field(default=None, repr=False)
    held_out: list[str] | None = field(default=None, repr=False)
    left_out: list[str] | None = field(default=None, repr=False)
    origin: Origin | None = field(default=None, repr=False)
    _indexed: tuple[list[str] | None, CopyIndex] | None = field(default=None, init=False, repr=False, compare=False)

    def copies(self) -> CopyIndex:
        """What finds the posts that drafts repeat; made once, since many posts take seconds."""
        if self._indexed is None or self._indexed[0] is not self.training:
            self._indexed = self.training, CopyIndex(self.training or [])
        return self._indexed[1]

    def save(self, folder: Path, keep_before: bool = False) -> None:
        """Write the bot, weights in half precision; a bot that was there is replaced in one step.

        keep_before: the bot that was there stays, in `version_before(folder)`; otherwise none does.
        Whenever the process is killed, the folder holds the old bot or the new one. Raises `BadBot`
        where the disk is full or the folder cannot be written.
        """
        try:
            before = version_before(folder) if keep_before else None
            with replacing_folder(_absolute(folder), before) as staging:
                _save_model(self.language_model, staging)
                _write_json(staging / STORY, asdict(self.story))
                (staging / PRIVATE).mkdir(mode=0o700)
                for name in PARTS:
                    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in getattr(self, name) or ())
                    (staging / PRIVATE / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
                if self.origin:
                    _write_json(staging / PRIVATE / ORIGIN, asdict(self.origin))
            if not keep_before:  # else the version before would be another bot's
                shutil.rmtree(version_before(folder), ignore_errors=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise BadBot(f"The disk is full; the bot could not be written to {folder}.") from error
            raise BadBot(f"The bot could not be written to {folder}: {error.strerror}.") from error

    @classmethod
    def load(cls, folder: Path, device: "torch.device | None" = None) -> "Bot":
        """Read a bot back. Raises `BadBot` naming what is missing or damaged."""
        folder = _absolute(folder)
        recover(folder)
        story = read_story(folder)
        if missing := [name for name in MODEL_FILES if not (folder / name).is_file()]:
            raise BadBot(f"The bot in {folder} is not whole: {', '.join(missing)} is missing. Train it again.")
        try:
            language_model = load_folder(folder, device or environment.device())
        except ModelUnavailable as error:
            raise BadBot(f"The bot in {folder} is damaged. Train it again. ({error})") from error
        if not hasattr(language_model.network.config, BEGINNING):  # an early bot: it knows the start token alone
            del language_model.beginning[1:]
        return cls(language_model, story, *(read_posts(folder, name) for name in PARTS), read_origin(folder))


def check_output_folder(folder: Path, mend: str = "Choose another --out folder.") -> None:
    """Raise `BadBot` unless a bot can be written here: a folder that is new, empty or holds a bot, and so the version
    before beside it, which is replaced as well.

    mend: what the user can do about it.
    """
    folder = _absolute(folder)
    try:
        for replaced in (folder, version_before(folder)):
            _check_replaceable(replaced, mend)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent):
            pass
    except OSError as error:
        raise BadBot(f"No bot can be written to {folder}: {error.strerror or error}. {mend}") from error


def check_room(folder: Path, language_model: LanguageModel) -> None:
    """Raise `BadBot` where the disk has no room for the bot, whose weights take two bytes each."""
    needed = 2 * sum(weight.numel() for weight in language_model.network.parameters()) + BESIDE_WEIGHTS
    if (free := environment.free_disk(folder)) < needed:
        raise BadBot(
            f"The disk has {free / 1e6:,.0f} MB left at {folder}, and the bot takes {needed / 1e6:,.0f} MB. Make room "
            "first."
        )


def free_folder(folder: Path, origin: Origin) -> Path:
    """The folder, with a number behind it where a bot of other posts lies. Raises `BadBot` for a damaged one."""
    folders = chain([folder], (folder.with_name(f"{folder.name}-{number}") for number in count(2)))
    return next(one for one in folders if not (there := read_origin(one)) or there.references == origin.references)


def _check_replaceable(folder: Path, mend: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadBot(f"{folder} is a file; choose another --out, a folder that is new or holds a bot.")
    there = [path.name for path in folder.iterdir() if not LITTER.fullmatch(path.name)] if folder.exists() else []
    if foreign := [name for name in there if name not in BOT_FILES]:
        raise BadBot(f"{folder} holds something that is not a bot ({_some(foreign)}), and it stays as it is. {mend}")
    if there:
        read_story(folder)  # a bot that is replaced has to be one


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (" …" if len(names) > 3 else "")


def _absolute(folder: Path) -> Path:
    """The folder that is meant, links followed. Raises `BadBot` for a name that no folder can have."""
    try:
        return Path(folder).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise BadBot(f"{str(folder)[:80]} cannot be the name of a bot's folder ({error}). Choose another.") from error


def _save_model(language_model: LanguageModel, folder: Path) -> None:
    from transformers import GenerationConfig

    network, (start, *_), end = language_model.network, language_model.beginning, language_model.end
    halves: dict[int, Any] = {}  # by address, so that tied weights stay one tensor and are stored once
    weights = {
        name: halves.setdefault(weight.data_ptr(), weight.detach().half().cpu())
        for name, weight in network.state_dict().items()
    }
    network.config.update(
        {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end, BEGINNING: language_model.beginning}
    )
    network.generation_config = GenerationConfig(
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=0.95,
        max_new_tokens=LONGEST_POST,
    )
    network.save_pretrained(folder, state_dict=weights, max_shard_size="100GB")
    tokenizer = copy.deepcopy(language_model.tokenizer)
    tokenizer.bos_token, tokenizer.eos_token = tokenizer.convert_ids_to_tokens([start, end])
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = None  # a bot writes posts; it does not chat
    tokenizer.save_pretrained(folder)


def _write_json(path: Path, value: Any) -> None:
    """Write a value. What is no letter in the name of a file (PEP 383) becomes the escape that reads back to it."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8", errors="backslashreplace")


def read_story(folder: Path) -> Story:
    """What a bot's folder says about it, without loading the model. Raises `BadBot`."""
    if not find_path(folder):
        recover(_absolute(folder))
    if not find_path(folder):
        near = sorted(path.parent.name for path in folder.parent.glob(f"[!.]*/{STORY}"))
        hint = f" There: {', '.join(near)}." if near else " Make one: python -m utils train sample:keeperfinch"
        raise BadBot(f"There is no bot in {folder}.{hint}")
    try:
        return Story.from_json(json.loads((folder / STORY).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise BadBot(f"{folder} is not a bot: it has no {STORY}.") from None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise BadBot(f"{folder / STORY} is damaged ({error}). Train the bot again.") from error


def read_posts(folder: Path, name: str) -> list[str] | None:
    """The posts of one of `PARTS`; None where the bot came without its private ones. Raises `BadBot`."""
    path = folder / PRIVATE / f"{name}.jsonl"
    try:
        return ["" + json.loads(line)["text"] for line in path.read_text("utf-8").split("\n") if line]
    except FileNotFoundError:
        return None  # a shared bot has no private posts
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise BadBot(f"{path} is damaged ({error}). Train the bot again.") from error


def read_origin(folder: Path) -> Origin | None:
    """Where a bot's posts came from; None where its folder does not say. Raises `BadBot`."""
    path = folder / PRIVATE / ORIGIN
    try:
        origin = json.loads(path.read_text("utf-8"))
        return Origin(["" + reference for reference in origin["references"]], bool(origin["apart"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise BadBot(f"{path} is damaged ({error}). Delete it, and name the posts when you update the bot.") from error


def remember(folder: Path, origin: Origin) -> None:
    """Note in a bot's folder where its posts came from; nothing else in it changes. Raises `BadBot`."""
    private = _absolute(folder) / PRIVATE
    try:
        with replacing_file(private / ORIGIN) as partial:
            _write_json(partial, asdict(origin))
    except OSError as error:
        raise BadBot(f"{private / ORIGIN} cannot be written: {error.strerror}.") from error


def version_before(folder: Path) -> Path:
    """The folder that holds a bot as it was before it was updated."""
    folder = _absolute(folder)
    return folder.with_name(folder.name + BEFORE)


def is_version_before(folder: Path) -> bool:
    """Whether a folder holds what another bot was, and is no bot of its own."""
    return folder.name.endswith(BEFORE) and (folder.with_name(folder.name.removesuffix(BEFORE)) / STORY).exists()


def swap_with_before(folder: Path) -> Story:
    """Bring the version before back, and keep this one in its place; gives its story. Raises `BadBot`."""
    folder, before = _absolute(folder), version_before(folder)
    recover(folder)
    read_story(folder)
    if not before.exists():
        raise BadBot(f"There is no earlier version of {folder}: it has not been updated yet.")
    story = read_story(before)
    try:
        swap_folders(folder, before)
    except OSError as error:
        raise BadBot(f"The version before cannot take the place of {folder}: {error.strerror}.") from error
    return story
