"""A part of "Keep it": put the bot on the Hugging Face Hub.

In: the folder of a bot, and what the visitor types. Out: a repository of theirs, and the link to it. Knows
nothing about the Hub: `python -m utils share` does the work. The token goes to that process and is written
nowhere.
"""

from pathlib import Path

import ipywidgets as widgets

from utils import environment
from utils.bot import read_story
from utils.dashboard.html import escape
from utils.dashboard.key import KeyField
from utils.dashboard.region import Progress, Region, button, labelled, row, tick
from utils.dashboard.runs import Errand, Problem
from utils.sharing import Maker, completed, shared_name, told
from utils.sharing.hub import TOKENS, find_token

NOT_SAID = ("Choose one", None)
CHOICES = (
    NOT_SAID,
    ("They are my own posts", "mine"),
    ("The author agreed to it", "consented"),
    ("The author is fictional", "fictional"),
)


class PublishRegion(Region):
    """The form, the progress, and the link; `unfold_button` opens and closes it."""

    OPEN, CLOSE = "Put it on the Hugging Face Hub", "Close the form"

    def __init__(self) -> None:
        super().__init__()
        self._bot: Path | None = None
        self._wanted: Path | None = None
        self._errand: Errand | None = None
        self.choice = labelled(widgets.Dropdown(options=CHOICES, value=None, description="Whose posts are they?"))
        self.called = labelled(widgets.Text(description="Whose voice the card says it is"))
        self.name = labelled(widgets.Text(description="Name of the repository"))
        self._token = KeyField("Your token for the Hub", "hf_…")
        note = widgets.HTML(
            f'<p class="ht-note">Make a token with the role “write” at <a href="{TOKENS}" target="_blank" '
            f'rel="noopener noreferrer">{escape(TOKENS.removeprefix("https://"))}</a>. It is written '
            "nowhere. The posts that the bot learned from stay here.</p>"
        )
        self._private = tick("Only I can see it", ticked=True)
        self.publish_button = button("Upload it", "Upload the bot to your account on the Hugging Face Hub", main=True)
        self._stop = button("Stop", "Break the upload off; nothing is published")
        self._stop.disabled = True
        self._progress = Progress("Uploading the bot")
        self.body.children = [
            self.choice, self.called, self.name, self._token.widget, note, self._private,
            row(self.publish_button, self._stop), self._progress.widget, self.status.widget,
        ]  # fmt: skip
        self.unfold_button = button(self.OPEN, "Share the bot: a form unfolds, and nothing is sent yet")
        self.on_click(self.unfold_button, self._unfold)
        self._fold()
        self.controls = [self.choice, self.called, self.name, self._token.widget, self._private, self.publish_button]
        self.on_click(self.publish_button, self.publish)
        self.on_click(self._stop, self.stop)

    @property
    def busy(self) -> bool:
        """Whether an upload is going on."""
        return self._errand is not None

    def offer(self, bot: Path | None) -> None:
        """Fill the form in for a bot, as far as it is known; an upload that is going on is left alone."""
        self._wanted = bot
        if self.busy or bot == self._bot:
            return
        self._bot = bot
        self.unfold_button.layout.display = "" if bot else "none"
        self._fold()
        self.status.clear()
        if bot:
            story, maker = read_story(bot), completed(bot, Maker())
            self.choice.value = maker.consent
            self.called.value = told(story, maker).voice
            self.name.value = shared_name(story.authors)

    def _unfold(self) -> None:
        if self.body.layout.display == "none":
            self.body.layout.display, self.unfold_button.description = "", self.CLOSE
        else:
            self._fold()

    def _fold(self) -> None:
        self.body.layout.display, self.unfold_button.description = "none", self.OPEN

    def publish(self) -> None:
        """Upload the bot, beside the page."""
        token = self._token.take()
        if self.choice.value is None:
            raise Problem("Say whose posts they are. A bot of somebody who did not agree to it is not published.")
        if not token and environment.is_public():
            raise Problem(f"Give your token for the Hub; make one at {TOKENS}.")  # never that of whoever runs the page
        arguments = [
            "share", str(self._bot), "--to", "hub", "--author", self.choice.value, "--as", self.called.value,
            "--name", self.name.value, *(() if self._private.value else ("--public",)),
        ]  # fmt: skip
        secrets = {"HF_TOKEN": find_token(token)}
        self.work(lambda: self._follow(Errand(arguments, secrets)), self._progress)

    def stop(self) -> None:
        """Break the upload off."""
        self._stop.disabled = True
        if self._errand:
            self._errand.stop()

    def _follow(self, errand: Errand) -> None:
        self._errand, self._stop.disabled = errand, False
        try:
            for event in errand.events():
                self._progress.show(event["fraction"], event["sentence"])
        finally:
            self._errand, self._stop.disabled = None, True
            if self._wanted != self._bot:  # another bot was opened meanwhile
                self.offer(self._wanted)
                self._unfold()  # how it went is said there
        if errand.result:
            self._say_where(errand.result["url"], errand.result["private"])
        else:
            self.status.say("Stopped. Nothing was published; what arrived whole is not sent again.")

    def _say_where(self, url: str, private: bool) -> None:
        seen = "Only you can see it" if private else "Everybody can see it"
        self.status.widget.value = (
            f'<div class="ht-status ht-good" role="status">Your bot is at <a href="{escape(url)}" target="_blank" '
            f'rel="noopener noreferrer">{escape(url)}</a>. {seen}.</div>'
        )
