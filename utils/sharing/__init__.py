"""What leaves the machine when a bot is shared, and what never does.

In: a bot's folder, and what its maker says about the author. Out: the files that may leave, with a model
card and a story that tells nothing about this machine; as a zip, or for `hub.py` to upload. The posts
under `private/` stay, as does every file that no bot needs. Knows nothing about how a bot is made.
"""

import errno
import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from utils.atomic import replacing_file
from utils.bot import BOT_FILES, CARD, MODEL_FILES, PRIVATE, STORY, Bot, read_story
from utils.cleaning import REASONS
from utils.errors import BadBot, SharingFailed
from utils.events import Event, OnEvent, ignore
from utils.language_model import BEGINNING, as_beginning
from utils.models import on_the_hub
from utils.settings import CONSENT, DRAFTS_TO_SHARE, ENDS, SHARED_NAME, TrainingSettings, WritingSettings
from utils.sharing.card import CardFacts, model_card, plain, tracking_url
from utils.story import Story
from utils.timelines.samples import NAMES

KEPT_TO_ITSELF = "private"
"""Stands in a shared story for the name of a file or a folder."""

TOLD_AS_IT_IS = ("tokens_trained", "date")

FIGURES = {
    "posts": {"fetched", *REASONS, "kept"},
    "parts": {"training", "validation", "held_out", "near_duplicates"},
    "held_out": {"posts", "characters", "bits_per_character_before", "bits_per_character"},
    "settings": {field.name for field in fields(TrainingSettings)} - {"model"} | {"head_learned"},
}
"""What is passed on of these, by name: what is added to a story later does not leave by accident."""

NAMELESS = f"{SHARED_NAME}-bot"
"""What a bot is called whose author has no handle. Many are, so under this name none takes another one's place."""

PIECE = 1 << 20
"""Bytes that are read and packed at once."""

_LANGUAGE = re.compile(r"[a-z]{2,3}")

Content = Path | bytes
Files = Mapping[str, Content]
"""What is shared, by the name that it has there: a file of the bot, or bytes that were made for it."""


@dataclass(frozen=True)
class Maker:
    """What the maker of a bot says about it.

    consent: "mine", "consented" or "fictional"; None where they have not said.
    name: who the card says it is; without one, the @handles, or nobody where the name came from a file.
    language: of the posts, as ISO 639 has it ("en"). Raises `SharingFailed` for what is none of these.
    """

    consent: str | None = None
    name: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if self.consent is not None and self.consent not in CONSENT:
            raise SharingFailed(f"'{self.consent}' says nothing about the author. Expected {', '.join(CONSENT)}.")
        if self.language is not None and not _LANGUAGE.fullmatch(self.language):
            raise SharingFailed(
                f"'{self.language[:20]}' is no code of a language. Expected two letters, like en or ja."
            )


def completed(bot: Path, maker: Maker) -> Maker:
    """What the maker says, with what goes without saying: bundled authors are fictional and write English."""
    if not is_bundled(read_story(bot)):
        return maker
    return Maker(maker.consent or "fictional", maker.name, maker.language or "en")


def check_consent(maker: Maker) -> None:
    """Raise `SharingFailed` where nobody has said that the author may be published."""
    if maker.consent is None:
        raise SharingFailed(
            "Whose posts are these? A bot is published only if they are your own, its author agreed, or the author is "
            "fictional. Say which: --author mine, consented or fictional."
        )


def is_bundled(story: Story) -> bool:
    """Whether all its authors came with this project."""
    known = {f"sample:{name}" for name in NAMES}
    return bool(story.sources) and set(story.sources) <= known and set(story.authors) <= {f"@{name}" for name in NAMES}


def told(story: Story, maker: Maker) -> Story:
    """The story as it may leave: no path, no name of a file, no author who was named after one.

    Only what a story is known to hold is passed on, so that what is added to it later does not leave by accident.
    """
    names = [maker.name] if maker.name else story.public_authors
    renamed = maker.name not in (None, story.voice)
    model = story.model if on_the_hub(story.model) else KEPT_TO_ITSELF
    changed = {
        "authors": list(dict.fromkeys(plain(name) for name in names)),
        "sources": [source if source.startswith("sample:") else KEPT_TO_ITSELF for source in story.sources],
        "model": model,
        "versions": {name: number for name, number in story.versions.items() if name != "platform"},
        # Who calls the voice something else has a reason; the record's address leads to the name, too.
        "tracking": {"url": url} if not renamed and (url := tracking_url(story)) else {},
        "accounts": [] if renamed else story.accounts,
    }
    figures = {part: _figures(getattr(story, part), known) for part, known in FIGURES.items()}
    figures["settings"]["model"] = model
    if "update" in story.settings:
        figures["settings"]["update"] = True
    if (end := story.settings.get("learned_end")) in ENDS:
        figures["settings"]["learned_end"] = end
    return Story(**changed, **figures, **{name: getattr(story, name) for name in TOLD_AS_IT_IS})


def _figures(part: dict[str, Any], known: set[str]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name in known and isinstance(value, int | float | None)}


def shared_name(authors: Sequence[str]) -> str:
    """`huggingtweets-NAME` for authors with a handle; names that were made from files stay private."""
    handles = "-".join(author for author in authors if author.startswith("@"))
    clean = re.sub(r"[^A-Za-z0-9]+", "-", handles).strip("-").lower()[:60].strip("-")
    return f"{SHARED_NAME}-{clean}" if clean else NAMELESS


def files(bot: Path, maker: Maker, place: str, drafts: int = 0, copies: float | None = None) -> dict[str, Content]:
    """What is shared of a bot, the card and the story made anew; the card is put into the bot's folder, too.

    place: what the card tells `pipeline` to load. drafts, copies: see `CardFacts`. Raises `BadBot` or `SharingFailed`.
    """
    story = told(read_story(bot), maker)
    if links := [name for name in sorted(BOT_FILES - {CARD}) if (bot / name).is_symlink()]:
        raise BadBot(f"The bot in {bot} is not whole: {', '.join(links)} leads elsewhere. Put the file itself there.")
    if missing := [name for name in MODEL_FILES if not (bot / name).is_file()]:
        raise BadBot(f"The bot in {bot} is not whole: {', '.join(missing)} is missing. Train it again.")
    facts = CardFacts(place, _beginning(bot), maker.consent, maker.language, drafts, copies)
    try:
        card = model_card(story, facts).encode()
    except (ValueError, TypeError, LookupError) as error:
        raise BadBot(f"{bot / STORY} is damaged ({error}). Train the bot again.") from error
    _check_weights(bot)
    with suppress(OSError), replacing_file(bot / CARD) as partial:  # what cannot be written can be shared all the same
        partial.write_bytes(card)
    there = {name: bot / name for name in sorted(BOT_FILES - {PRIVATE, CARD, STORY}) if (bot / name).is_file()}
    made = {CARD: card, STORY: (json.dumps(asdict(story), indent=2, ensure_ascii=False) + "\n").encode()}
    return {**made, **there}


def _check_weights(bot: Path) -> None:
    """Raise `BadBot` where the weights are cut off; nothing of them is read but where each begins and ends."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(bot / "model.safetensors", "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise BadBot(f"The weights of the bot in {bot} are damaged. Train it again. ({error})") from error


def _beginning(bot: Path) -> str:
    """What opens a post, as `Bot.save` wrote it. Raises `BadBot`."""
    from tokenizers import Tokenizer

    try:
        config, names = (
            json.loads((bot / name).read_text("utf-8")) for name in ("config.json", "tokenizer_config.json")
        )
        tokenizer = Tokenizer.from_file(str(bot / "tokenizer.json"))
        start = names["bos_token"]
        told = config.get(BEGINNING, [tokenizer.token_to_id(start)])
        return tokenizer.decode(as_beginning(told, tokenizer.get_vocab_size()), skip_special_tokens=False)
    except Exception as error:  # the tokenizers' own is nothing else
        raise BadBot(f"The bot in {bot} is damaged ({error}). Train the bot again.") from error


def measure_copies(bot: Path, drafts: int = DRAFTS_TO_SHARE, on_event: OnEvent = ignore) -> tuple[int, float | None]:
    """Have the bot write, and say how many drafts came and which share of them are copies; None without its posts."""
    if not drafts or not (bot / PRIVATE).is_dir():
        return 0, None
    from utils import evaluation, generation

    sentence = f"Writing {drafts} drafts, to see how many are copies"
    on_event(Event("stage", sentence, 0.0))

    def tell(event: Event) -> None:
        if event.kind == "draft":
            on_event(Event("stage", sentence, event.fraction))

    loaded = Bot.load(bot)
    written = generation.write(loaded, count=drafts, settings=WritingSettings(seed=0), on_event=tell).drafts
    found = evaluation.originality(loaded, written)
    return found.drafts, found.copies


def path_for(bot: Path, maker: Maker, out: Path | None, kind: str) -> Path:
    """Where a bot is written as one file: `out`, or a name that may be given away, in this folder.

    kind: "zip" or "gguf". Raises `SharingFailed` for a name that does not end like that, or is in the bot's folder.
    """
    target = (out or Path(f"{shared_name(told(read_story(bot), maker).authors)}.{kind}")).expanduser()
    if target.resolve().is_relative_to(bot.resolve()):
        raise SharingFailed(f"{target} is inside the bot's own folder. Choose another --out.")
    if target.suffix.lower() != f".{kind}" or target.is_dir():
        raise SharingFailed(
            f"{target} is not the name of a {kind} file. Choose another --out, one that ends in .{kind}."
        )
    if not out and target.stem == NAMELESS and target.exists():
        raise SharingFailed(
            f"{target} is there already, and may hold another bot. Say where to write: --out FILE.{kind}"
        )
    return target


def write_zip(
    contents: Files, folder: str, target: Path, on_share: Callable[[float], None] = lambda share: None
) -> Path:
    """Write files into a zip, under one folder, piece by piece; a zip that was there is replaced when all is written.

    Weights do not get smaller, so they are only stored. Raises `SharingFailed` where it cannot be written.
    """
    try:
        total, done = sum(map(_size, contents.values())) or 1, 0
        with replacing_file(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as zipped:
            for name, content in contents.items():
                source = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
                entry = zipfile.ZipInfo(f"{folder}/{name}", time.localtime()[:6])
                entry.external_attr = 0o644 << 16
                with source, zipped.open(entry, "w", force_zip64=True) as packed:
                    while piece := source.read(PIECE):
                        packed.write(piece)
                        done += len(piece)
                        on_share(done / total)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise SharingFailed(f"The zip could not be written to {target}: {reason}. Choose another --out.") from error
    return target


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
