"""Part 1: whose voice? One to three authors, typed, chosen or uploaded.

In: references. Out: CleanTimelines with their references, once there is enough to learn from. Knows
nothing about training.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets

from utils import environment
from utils.cleaning import CleanTimeline, check_enough
from utils.dashboard import worker
from utils.dashboard.html import author_card, escape, preview
from utils.dashboard.key import KeyField
from utils.dashboard.region import Progress, Region, button, labelled, row, tick
from utils.dashboard.upload import Upload
from utils.dashboard.visitor import Visitor
from utils.environment import find_path
from utils.errors import BadReference, TooFewPosts
from utils.events import Event
from utils.pipeline import read
from utils.settings import MAXIMUM_AUTHORS
from utils.timelines import Fetching, samples, understand
from utils.timelines.handles import X, parse


@dataclass(frozen=True)
class Author:
    """One author as the page holds it: how to find the posts again, and what is left of them."""

    reference: str
    posts: CleanTimeline


class AuthorRegion(Region):
    """The box, the bundled authors, the upload, and a card for each author that was read."""

    TITLE = "1. Whose voice?"
    SENTENCE = (
        "Try one of our two invented authors, type the handle of an account, or give posts of your own: the archive "
        "of your account, or any file."
    )
    TERMS = "I know that X takes money for each post, and that its terms restrict training on them"

    def __init__(self, visitor: Visitor, on_change: Callable[[list[Author]], None]) -> None:
        super().__init__()
        self._visitor, self._on_change = visitor, on_change
        self.authors: list[Author] = []
        self._added = -worker.DOUBLE_CLICK
        self._box = labelled(
            widgets.Text(
                description="Handle, author or file",
                placeholder="@name.bsky.social, @name@server (Mastodon), @name (X), or the path of a file",
            )
        )
        self._key = KeyField("Your key for X", "the bearer token of your app, from console.x.com")
        self._terms = tick(self.TERMS)
        self._price = widgets.HTML()
        self._for_x = widgets.VBox([self._price, self._key.widget, self._terms], layout=widgets.Layout(display="none"))
        self._understood = widgets.HTML()
        self._load = button("Read the posts", "Read and clean the posts of this author", main=True)
        self._stop = button("Stop fetching", "Fetch no more, and take what has come")
        self._stop.layout.display, self._asked_to_stop = "none", False  # files are read too soon to be stopped
        tries = [button(f"Try {samples.FIRST_NAMES[name]}", f"Use sample:{name}") for name in samples.NAMES]
        explained = [widgets.HTML(f'<span class="ht-note">{about}</span>') for about in samples.NAMES.values()]
        self._upload = Upload(visitor, self._uploaded, self.status.say_error)
        self._progress = Progress("Reading the posts")
        self._cards = widgets.VBox()
        self.body.children = [
            *(row(*pair) for pair in zip(tries, explained, strict=True)),
            self._box, self._understood, self._for_x, row(self._load, self._stop), self._upload.widget,
            self._progress.widget, self.status.widget, self._cards,
        ]  # fmt: skip
        self.controls = [
            self._box, self._key.widget, self._terms, self._load, *tries, *self._upload.controls,
        ]  # fmt: skip
        self._box.observe(self._typed, "value")
        self.on_click(self._load, self._add_typed)
        self.on_click(self._stop, self.stop)
        for name, control in zip(samples.NAMES, tries, strict=True):
            self.on_click(control, lambda name=name: self.add(f"sample:{name}"))
        self._typed({"new": ""})

    def _typed(self, change: dict) -> None:
        try:
            self._visitor.check(change["new"])
            known, sentence = (True, "") if not change["new"].strip() else understand(change["new"])
        except BadReference as error:
            known, sentence = False, str(error)
        handle = parse(change["new"])
        is_on_x = bool(known and handle and handle.network == X)
        if is_on_x:
            from utils.timelines.x_api import price_list

            self._price.value = f'<p class="ht-note">{escape(price_list())}</p>'
        self._for_x.layout.display = "" if is_on_x else "none"
        kind = "good" if known else "note"
        self._understood.value = f'<div class="ht-status ht-{kind}" role="status">{escape(sentence)}</div>'

    def _add_typed(self) -> None:
        self._understood.value = ""  # what comes of it is said below; nothing is said twice
        self.add(self._box.value)

    def add(self, reference: str) -> None:
        """Read an author's posts, beside the page, and show them."""
        reference = reference.strip()
        self._visitor.check(reference)
        if path := find_path(reference):
            reference = str(path.resolve())  # the child process that trains works in another folder
        self.freeze()
        self.status.clear()
        self._asked_to_stop = False
        worker.start(self.guarded(lambda: self._read(reference)))

    def stop(self) -> None:
        """Fetch no more; what has come is shown and kept."""
        self._stop.disabled = self._asked_to_stop = True

    def _fetching(self, reference: str) -> Fetching:
        """How a handle is fetched from here: the newest posts, from X only with the word of the user."""
        handle = parse(reference)
        accepted = self._terms.value
        key = self._key.take() or ("" if environment.is_public() else None)  # the server's own key is not the visitors'
        return Fetching(
            newest=accepted or not handle or handle.network != X,
            accept_x_terms=accepted,
            x_token=key,
            should_stop=lambda: self._asked_to_stop,
        )

    def _uploaded(self, path: Path) -> None:
        with self.catching():
            self.add(str(path))

    def _read(self, reference: str) -> None:
        def on_event(event: Event) -> None:
            self._progress.show(event.fraction, event.sentence)
            if event.data.get("pages") and environment.in_colab():
                self.say_how_to_stop("what has come")
            elif event.data.get("pages"):
                self._stop.layout.display, self._stop.disabled = "", self._asked_to_stop

        try:
            if any(author.reference == reference for author in self.authors):
                if time.monotonic() - self._added < worker.DOUBLE_CLICK:  # the second half of a double click
                    self._judge()
                    return
                self.status.say("This author is there already; add another, or go on to part 2.", "warning")
                return
            if len(self.authors) == MAXIMUM_AUTHORS:
                self.status.say(f"At most {MAXIMUM_AUTHORS} authors can be mixed; take one away first.", "warning")
                return
            self._progress.show(None, "Reading the posts")
            with worker.interruptible(self.stop):
                posts = read([reference], on_event=on_event, fetching=self._fetching(reference))[0]
            self.status.clear()
            self.authors.append(Author(reference, posts))
            self._added = time.monotonic()
            self._show()
        finally:
            self._progress.hide()
            self._stop.layout.display = "none"
            self.unfreeze()

    def _show(self) -> None:
        cards = []
        for author in self.authors:
            away = button("Take away", f"Leave {author.posts.author} out")
            self.on_click(away, lambda author=author: self._remove(author))
            cards += [widgets.HTML(author_card(author.posts) + preview(author.posts.posts)), row(away)]
        before, self._cards.children = self._cards.children, cards
        for widget in before:  # a widget that is not closed is kept, and its author's posts with it
            for inside in (*getattr(widget, "children", ()), widget):
                inside.close()
        self._judge()

    def _remove(self, author: Author) -> None:
        if author in self.authors:  # not yet taken away, by the first half of a double click
            self.authors.remove(author)
            self._show()

    def _judge(self) -> None:
        """Say whether that is enough to learn from, and tell the page."""
        enough = False
        try:
            warnings = check_enough([author.posts for author in self.authors])
            enough = bool(self.authors)
        except TooFewPosts as error:
            self.status.say(str(error), "bad")
        else:
            if warnings:
                self.status.say(" ".join(warnings), "warning")
            elif enough:
                self.status.say("That is enough to learn from. Add another author to mix two voices, or go on.", "good")
            else:
                self.status.clear()
        self._on_change(self.authors if enough else [])
