"""How a long job tells what it is doing.

In: nothing. Out: `Event`, what every stage hands to its `on_event` callable. The command line draws
a progress bar from events or prints them as JSON Lines; a page draws its widgets from them. No stage
knows who listens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """One piece of news.

    kind: "stage" (a new sentence to show), "loss" (a training step is done), "validation" and
        "held-out" (a figure was measured), "draft" (a post was written), "tracked" (a record was kept),
        "warning", "done", "error".
    sentence: what to show a person.
    fraction: how much is done of the step that the sentence names, 0 to 1, or None where that is not known.
    data: the figures behind the sentence, plain JSON values.
    """

    kind: str
    sentence: str
    fraction: float | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The event as one flat JSON object, the form that `--events` prints."""
        return {"event": self.kind, "fraction": self.fraction, "sentence": self.sentence, **self.data}


OnEvent = Callable[[Event], None]


def both(first: OnEvent, second: OnEvent) -> OnEvent:
    """Two listeners as one; `first` hears of everything first."""

    def tell(event: Event) -> None:
        first(event)
        second(event)

    return tell


def ignore(event: Event) -> None:
    """The listener of those who do not care."""
