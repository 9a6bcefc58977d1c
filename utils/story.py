"""A Story: where a bot comes from.

In: what the pipeline knows at the end. Out: what stands in a bot's `bot.json`, checked when it is read back, for the
file may come from a stranger. Knows nothing about folders or models.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, get_origin

from utils.settings import CleaningSettings

NAMELESS = "a private author"
"""What an author is called elsewhere whose name was made from that of a file."""

MOST_BITS = 1e6
"""Bits per character that no model reaches, however bad."""

_INSIDE = {
    "authors": str,
    "sources": str,
    "posts": int,
    "parts": int,
    "held_out": int | float,
    "versions": str,
    "tracking": str,
    "accounts": dict,
}
"""What the lists and tables of a story hold."""


@dataclass(frozen=True)
class Story:
    """Where a bot comes from; written to `bot.json`, readable by people and programs.

    held_out: `posts`, `characters`, `bits_per_character_before` and `bits_per_character`.
    date: when it was made, ISO 8601 in UTC.
    tracking: `url`, the address of its training's run at W&B, or nothing.
    accounts: what networks say of the authors: see `timelines.Account`.
    """

    authors: list[str]
    sources: list[str]
    model: str
    posts: dict[str, int]
    parts: dict[str, int]
    held_out: dict[str, float]
    settings: dict[str, Any]
    versions: dict[str, str]
    tokens_trained: int
    date: str
    tracking: dict[str, str] = field(default_factory=dict)
    accounts: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Story":
        """A story as `bot.json` holds it; what a later version added is left aside.

        Raises `TypeError` or `LookupError` for a value that is missing or of another kind.
        """
        kinds = {field.name: get_origin(field.type) or field.type for field in fields(cls)}
        value = {"tracking": {}, "accounts": [], **value}  # a bot may be older than these
        for name, kind in kinds.items():
            if not isinstance(value[name], kind):
                raise TypeError(f"{name} is {value[name]!r}")
        for name, kind in _INSIDE.items():
            inside = value[name]
            if not all(isinstance(item, kind) for item in (inside.values() if isinstance(inside, dict) else inside)):
                raise TypeError(f"{name} is {str(inside)[:80]}")
        if not 0 <= value["held_out"]["bits_per_character_before"] < MOST_BITS:
            raise ValueError("bits_per_character_before is no figure")
        return cls(**{name: value[name] for name in kinds})

    @property
    def cleaning(self) -> CleaningSettings:
        """The rules by which the bot's posts were cleaned; others that it meets are held to the same."""
        chosen = self.settings.get("cleaning")
        known = {field.name: type(field.default) for field in fields(CleaningSettings)}
        chosen = chosen.items() if isinstance(chosen, dict) else ()
        return CleaningSettings(**{name: value for name, value in chosen if type(value) is known.get(name)})

    @property
    def public_authors(self) -> list[str]:
        """The authors as they may be named elsewhere."""
        return public_names(self.authors)

    @property
    def voice(self) -> str:
        """Whose voice it is, in words."""
        return " and ".join(self.authors)


def public_names(authors: Iterable[str]) -> list[str]:
    """Authors as they may be named elsewhere: by their handles. Other names were made from those of files."""
    return list(dict.fromkeys(author if author.startswith("@") else NAMELESS for author in authors))
