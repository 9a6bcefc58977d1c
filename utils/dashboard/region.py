"""What all regions of the screen have in common: a heading, a sentence, a state, and an edge where errors end.

In: a title and widgets. Out: a `Region` that can be closed with a reason, opened and frozen. Knows
nothing about posts or bots.
"""

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import ipywidgets as widgets

from utils import environment
from utils.dashboard import worker
from utils.dashboard.html import details, escape
from utils.dashboard.runs import ChildFailed, Run
from utils.errors import UserError


class Status:
    """One line that says what is going on, read out by screen readers when it changes."""

    def __init__(self) -> None:
        self.widget = widgets.HTML()
        self.clear()

    def clear(self) -> None:
        """Say nothing, and keep the place."""
        self.widget.value = '<div class="ht-status" role="status"></div>'

    def say(self, sentence: str, kind: str = "note") -> None:
        """Show a sentence; kind is "note", "good", "warning" or "bad"."""
        role = "alert" if kind == "bad" else "status"
        self.widget.value = f'<div class="ht-status ht-{kind}" role="{role}">{escape(sentence)}</div>'

    def say_error(self, error: BaseException) -> None:
        """Show what went wrong: its sentence, or, for a fault of ours, the traceback behind a fold."""
        if isinstance(error, UserError):
            self.say(str(error), "bad")
            return
        if isinstance(error, ChildFailed):
            self.widget.value = (
                '<div class="ht-status ht-bad" role="alert">What was at work here has stopped. What you made before is '
                f"still there; try again.{details('Its last words', str(error))}</div>"
            )
            return
        trace = "".join(traceback.format_exception(error))
        self.widget.value = (
            '<div class="ht-status ht-bad" role="alert">Something went wrong here that should not have. '
            f"Nothing that was made is lost; try again. {details('Details for the curious', trace)}</div>"
        )


class Progress:
    """A bar with a sentence, for people and for screen readers."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.widget = widgets.HTML(layout=widgets.Layout(display="none"))

    def show(self, fraction: float | None, sentence: str) -> None:
        """Show how far it is; None while that is not known."""
        share = None if fraction is None else min(max(fraction, 0.0), 1.0)
        bar = '<div class="ht-fill ht-unknown"></div>' if share is None else (
            f'<div class="ht-fill" style="width:{share:.1%}"></div>')  # fmt: skip
        now = "" if share is None else f' aria-valuenow="{share * 100:.0f}"'
        self.widget.value = (
            f'<div class="ht-progress" role="progressbar" aria-label="{escape(self._label)}" aria-valuemin="0" '
            f'aria-valuemax="100"{now}>{bar}</div><div class="ht-status" role="status">{escape(sentence)}</div>'
        )
        self.widget.layout.display = ""

    def hide(self) -> None:
        """Take the bar away."""
        self.widget.layout.display = "none"


class Region:
    """One part of the page. A subclass sets the texts, fills `body`, and names its `controls`."""

    TITLE = ""
    SENTENCE = ""

    def __init__(self) -> None:
        self.status = Status()
        self.controls: list[widgets.Widget] = []
        self.body = widgets.VBox()
        self._why_closed = widgets.HTML(layout=widgets.Layout(display="none"))
        heading = widgets.HTML(f"<h2>{escape(self.TITLE)}</h2><p>{escape(self.SENTENCE)}</p>")
        self.widget = widgets.VBox([heading, self._why_closed, self.body])
        self.widget.add_class("ht-region")

    def close(self, why: str) -> None:
        """Hide the controls, and say why."""
        self._why_closed.value = f'<p class="ht-closed">{escape(why)}</p>'
        self._why_closed.layout.display = ""
        self.body.layout.display = "none"
        self.widget.add_class("ht-is-closed")

    def open(self) -> None:
        """Show the controls."""
        self._why_closed.layout.display = "none"
        self.body.layout.display = ""
        self.widget.remove_class("ht-is-closed")

    def freeze(self) -> None:
        """Let nothing be pressed while something is going on."""
        for control in self.controls:
            control.disabled = True

    def unfreeze(self) -> None:
        """Let everything be pressed again."""
        for control in self.controls:
            control.disabled = False

    def say_how_to_stop(self, kept: str = "what was learned") -> None:
        """In Colab, where no other button is heard meanwhile, an interrupt of the cell means Stop."""
        self.status.clear()
        if environment.in_colab():
            self.status.say(f"To stop early and keep {kept}, interrupt the notebook: Runtime, then Interrupt.")

    def hear(self, run: Run, stop: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """What a run says, to its end. Where the reader is interrupted, `stop` is called, and then comes the rest."""
        seen, events = 0, run.events()
        while True:
            try:
                event = next(events)
            except StopIteration:
                return
            except KeyboardInterrupt:
                stop()
                events = islice(run.events(), seen, None)
            else:
                seen += 1
                yield event

    def work(self, action: Callable[[], Any], progress: Progress) -> None:
        """Do something that takes time beside the page; meanwhile nothing here can be pressed."""
        self.freeze()
        self.status.clear()

        def to_the_end() -> None:
            try:
                action()
            finally:
                progress.hide()
                self.unfreeze()

        worker.start(self.guarded(to_the_end))

    def on_click(self, button: widgets.Button, action: Callable[[], Any]) -> None:
        """Call `action` when a button is pressed; what it raises is shown here, not lost."""
        # The second click of a double click comes when the first has disabled the button already.
        button.on_click(lambda _: None if button.disabled or worker.is_late_click() else self.guarded(action)())

    def guarded(self, action: Callable[..., Any]) -> Callable[..., Any]:
        """The action, with whatever it raises shown in this region."""

        @functools.wraps(action)
        def careful(*arguments: Any) -> Any:
            with self.catching():
                return action(*arguments)

        return careful

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Show what the block raises; a notebook would lose it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  the edge of the page: nothing is above to catch it
            self.status.say_error(error)


def labelled(control: widgets.Widget, wide: bool = True) -> widgets.Widget:
    """A control with its label above it, as wide as the column."""
    control.add_class("ht-field")
    control.style.description_width = "auto"
    if wide:
        control.layout.width = "100%"
    return control


def tick(text: str, ticked: bool = False) -> widgets.Checkbox:
    """A box to tick, with its sentence beside it."""
    made = widgets.Checkbox(ticked, description=text, indent=False, layout=widgets.Layout(width="100%"))
    made.add_class("ht-tick")
    return made


def button(text: str, tip: str, main: bool = False) -> widgets.Button:
    """A button that is wide enough for its text; `main` is the one that a region is about."""
    made = widgets.Button(description=text, tooltip=tip, layout=widgets.Layout(width="auto"))
    made.add_class("ht-button")
    if main:
        made.add_class("ht-main")
    return made


def fold(title: str, *children: widgets.Widget) -> widgets.Box:
    """Widgets behind a line that shows and hides them. An Accordion would do, if a keyboard could open it."""
    line = button(f"▸ {title}", "Show or hide what is behind this line")
    line.add_class("ht-fold")
    inside = widgets.VBox(list(children), layout=widgets.Layout(display="none"))

    def turn(_: widgets.Button) -> None:
        is_open = inside.layout.display == ""
        inside.layout.display, line.description = ("none", f"▸ {title}") if is_open else ("", f"▾ {title}")

    line.on_click(turn)
    return widgets.VBox([line, inside])


def row(*children: widgets.Widget) -> widgets.Box:
    """Widgets side by side, which wrap where there is no room."""
    box = widgets.HBox(list(children))
    box.add_class("ht-row")
    return box
