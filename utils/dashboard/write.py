"""Part 3: write. An opening, how many, how daring; drafts as cards, one by one.

In: the folder of a bot. Out: drafts, for whoever looks and for the game. Knows nothing about models: a
child process holds the bot.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets

from utils.bot import read_story
from utils.copies import first_words
from utils.dashboard import worker
from utils.dashboard.html import copy_button, escape, post, post_links
from utils.dashboard.region import Progress, Region, Status, button, labelled, row
from utils.dashboard.runs import ChildFailed, Problem, Writer
from utils.dashboard.visitor import ASSETS, Visitor
from utils.errors import UserError
from utils.settings import WritingSettings
from utils.sharing.links import MASTODON, server_name, share_links

OPENING_WORDS = 3
"""Words of a draft that "More like this" begins with."""


class _SliderNames(anywidget.AnyWidget):
    """Nothing to see: the names of the sliders for screen readers."""

    _esm = ASSETS / "slider_names.js"


class WriteRegion(Region):
    """The controls, the drafts, and the ones that were kept."""

    TITLE = "3. Write"
    SENTENCE = "The bot writes posts that its author never wrote. Each says so, also when you copy it."
    CLOSED = "This opens when there is a bot: train one above, or open an earlier one below."
    ABOUT_DARING = "Below 1 the posts make more sense, and are more alike. Above it they surprise more."

    def __init__(self, visitor: Visitor) -> None:
        super().__init__()
        self._visitor = visitor
        self.bot: Path | None = None
        self._writer: Writer | None = None
        self.busy = False
        self._outdated = False
        self._asked_to_stop = False
        self._opening = labelled(
            widgets.Text(description="Opening", placeholder="nothing, or how each post should begin")
        )
        self._count = labelled(widgets.IntSlider(6, min=1, max=20, description="How many"))
        self._daring = labelled(
            widgets.FloatSlider(WritingSettings().temperature, min=0.3, max=1.6, step=0.1, readout_format=".1f",
                                description="How daring")
        )  # fmt: skip
        about_daring = widgets.HTML(f'<p class="ht-note">{escape(self.ABOUT_DARING)}</p>')
        self._write = button("Write", "Write posts in this voice", main=True)
        self._stop = button("Stop", "Write no more")
        self._stop.disabled = True
        self._server = labelled(
            widgets.Text(description="Your Mastodon server", placeholder=MASTODON, continuous_update=False)
        )
        self._about_server = Status()
        self._host = MASTODON
        self._server.layout.display = "none"
        self._links: list[tuple[widgets.HTML, str]] = []
        self._voice = widgets.HTML()
        self._progress = Progress("Writing")
        self._drafts = widgets.VBox()
        self._kept = widgets.VBox()
        self.body.children = [
            self._voice, self._opening, self._count, self._daring, about_daring, row(self._write, self._stop),
            self._progress.widget, self.status.widget, self._drafts, self._kept, self._server,
            self._about_server.widget, _SliderNames(),
        ]  # fmt: skip
        self.controls = [self._opening, self._count, self._daring, self._write]
        self.on_click(self._write, lambda: self.start(self._opening.value))
        self.on_click(self._stop, self.stop)
        self._server.observe(lambda _: self._move(), "value")
        self.close(self.CLOSED)

    def offer(self, bot: Path) -> None:
        """Open for a bot. Raises `BadBot` where it cannot be read."""
        story = read_story(bot)
        self.leave()
        self.bot = bot
        self._voice.value = f'<p class="ht-note">The voice of {escape(story.voice)}</p>'
        self._clear()
        self.status.clear()
        self.open()

    @property
    def has_drafts(self) -> bool:
        """Whether there is something on the screen that another bot would take away."""
        return bool(self._drafts.children)

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Nobody else lets the bot write inside the block. Raises `Problem` if somebody does already."""
        if self.busy:
            raise Problem("The bot is still writing; wait until it is done.")
        self.busy, self._asked_to_stop = True, False
        self.freeze()
        try:
            yield
        finally:
            self.busy = False
            if self._outdated:
                self.leave()
            self.unfreeze()

    def renew(self) -> None:
        """Give the memory of the bot back as soon as it has written what it was asked for.

        The next draft loads it anew, as it is in its folder by then.
        """
        self._outdated = True
        if not self.busy:
            self.leave()

    def leave(self) -> None:
        """Give the memory of the bot back."""
        self._outdated = False
        if self._writer:
            self._writer.close()
            self._writer = None

    def warm_up(self) -> None:
        """Load the bot before it is asked, so that the first draft comes soon."""
        if not (self._writer and self._writer.is_going()):
            self._writer = Writer(self.bot)

    def write(self, opening: str, count: int, temperature: float) -> Iterator[dict[str, Any]]:
        """Events of the bot while it writes. Raises `Problem` or `ChildFailed`."""
        self.warm_up()
        writer = self._writer
        try:
            for event in writer.write(opening, count, temperature):
                if self._asked_to_stop:
                    writer.stop()
                yield event
        except ChildFailed:
            if self._writer is writer:
                self._writer = None  # the next to ask gets a new one
            raise

    def start(self, opening: str) -> None:
        """Write drafts, beside the page, and show each as it comes."""
        if self.busy:
            return
        self.freeze()
        self._stop.disabled = False
        self.status.clear()
        self._clear()
        worker.start(self.guarded(lambda: self._fill(opening)))

    def _clear(self) -> None:
        """Take the drafts away."""
        before, self._drafts.children = self._drafts.children, ()
        self._close(before)

    def _close(self, cards: Iterable[widgets.Widget]) -> None:
        """Be done with what is on the screen no more. A widget that is not closed stays, here and in the browser."""
        gone = [inside for card in cards for inside in _all_in(card)]
        self._links = [(links, text) for links, text in self._links if links not in gone]
        for widget in gone:
            widget.close()

    def stop(self) -> None:
        """Write no more; what is there stays."""
        self._stop.disabled = True
        self._asked_to_stop = True
        if self._writer:
            self._writer.stop()

    def _fill(self, opening: str) -> None:
        try:
            with self.occupied():
                self._progress.show(None, "Waking the bot")
                for event in self.write(opening, self._count.value, self._daring.value):
                    self._progress.show(event.get("fraction"), event["sentence"])
                    if event["event"] == "draft":
                        self._drafts.children = (*self._drafts.children, self._card(event))
                    elif event["event"] == "done" and event["dropped"]:
                        self.status.say(
                            f"{event['dropped']} of the drafts did not fit into a post and were left out; a bot that "
                            "was trained longer knows better how to end.", "warning",
                        )  # fmt: skip
        finally:
            self._progress.hide()
            self._stop.disabled = True

    def _card(self, draft: dict[str, Any]) -> widgets.Widget:
        text = draft["post"]
        note = f"Repeats a post it learned from: {draft['copied_from']}" if draft["copied_from"] else ""
        keep = button("Keep", "Put this draft below, where it still is when you come back")
        more = button("More like this", "Write more that begin like this one")
        links = self._links_of(draft["text"])
        card = widgets.VBox([widgets.HTML(post(text, note)), row(widgets.HTML(copy_button(text)), keep, more), links])
        card.add_class("ht-draft")
        self.on_click(keep, lambda: self._keep(draft, keep))
        self.on_click(more, lambda: self._more(draft["text"]))
        return card

    def _links_of(self, text: str) -> widgets.HTML:
        """Links that post a draft; they follow the choice of a server."""
        links = widgets.HTML(post_links(share_links(text, self._host)))
        self._links.append((links, text))
        self._server.layout.display = ""
        return links

    def _move(self) -> None:
        """Post to the server that was typed, from all drafts that are there."""
        self._about_server.clear()
        try:
            self._host = server_name(self._server.value)
        except UserError as error:
            self._about_server.say_error(error)
            return
        for links, text in self._links:
            links.value = post_links(share_links(text, self._host))

    def _keep(self, draft: dict[str, Any], control: widgets.Button) -> None:
        kept = {name: draft[name] for name in ("post", "text")}
        self._visitor.keep(kept)
        control.disabled, control.description = True, "Kept"
        self._show_kept(kept)

    def come_back(self) -> None:
        """Show what was kept before a reload."""
        self._forget_kept()
        for draft in self._visitor.kept():
            self._show_kept(draft)

    def forget(self) -> None:
        """Give the memory of the bot back, and show nothing that it wrote."""
        self.leave()
        self._clear()
        self._forget_kept()

    def _forget_kept(self) -> None:
        before, self._kept.children = self._kept.children, ()
        self._close(before)

    def _show_kept(self, draft: dict[str, str]) -> None:
        away = button("Let go", "Keep this draft no longer")
        under = row(widgets.HTML(copy_button(draft["post"])), away)
        card = widgets.VBox([widgets.HTML(post(draft["post"])), under, self._links_of(draft["text"])])
        card.add_class("ht-kept")
        self.on_click(away, lambda: self._let_go(draft, card))
        heading = () if self._kept.children else (widgets.HTML("<h3>Kept</h3>"),)
        self._kept.children = (*self._kept.children, *heading, card)

    def _let_go(self, draft: dict[str, str], card: widgets.Widget) -> None:
        self._visitor.let_go(draft)
        heading, *cards = self._kept.children
        if cards == [card]:
            self._forget_kept()
        else:
            self._kept.children = [heading, *(other for other in cards if other is not card)]
            self._close([card])

    def _more(self, text: str) -> None:
        if self.busy:
            raise Problem("The bot is still writing; wait until it is done.")
        self._opening.value = first_words(text, OPENING_WORDS)
        self.start(self._opening.value)


def _all_in(widget: widgets.Widget) -> list[widgets.Widget]:
    """A widget and whatever is in it."""
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in _all_in(child))]
