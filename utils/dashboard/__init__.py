"""The page: four parts and two last ones, each a region of the screen, each opened by the one before.

In: a visitor. Out: widgets. This module creates the regions and links them; what each does is in its own
module. Knows nothing about posts, models or training: `runs.py` starts the command line for that.
"""

from pathlib import Path

import ipywidgets as widgets
from IPython.display import display

from utils.dashboard.author import AuthorRegion
from utils.dashboard.game import GameRegion
from utils.dashboard.html import escape
from utils.dashboard.keep import KeepRegion
from utils.dashboard.runs import Problem
from utils.dashboard.train import TrainRegion
from utils.dashboard.update import UpdateRegion
from utils.dashboard.visitor import ASSETS, Visitor
from utils.dashboard.write import WriteRegion


class Dashboard:
    """The whole page."""

    TITLE = "HuggingTweets"
    SENTENCE = "Give it somebody’s posts; a few minutes later a small language model writes posts in that voice."
    DISCLAIMER = (
        "What a bot writes, its author might have written, and did not. Every draft carries a mark that says so; leave "
        "it there. Train on your own posts, or on those of people who would be amused. Your posts stay on the machine "
        "that runs this page."
    )

    def __init__(self) -> None:
        self.visitor = Visitor()
        self.write = WriteRegion(self.visitor)
        self.game = GameRegion(self.write)
        self.train = TrainRegion(self.visitor, self.write.renew, self.new_bot)
        self.update = UpdateRegion(self.visitor, self.write.renew, self.renew_bot, self.references)
        self.keep = KeepRegion(self.visitor, self.open_bot, self.is_training, self.write.forget)
        self.author = AuthorRegion(self.visitor, self.train.offer)
        style = (ASSETS / "style.css").read_text("utf-8")
        top = f"<style>{style}</style><h1>{escape(self.TITLE)}</h1><p>{escape(self.SENTENCE)}</p>"
        regions = (self.author, self.train, self.write, self.game, self.update, self.keep)
        bottom = widgets.HTML(f'<p class="ht-note">{escape(self.DISCLAIMER)}</p>')
        self.widget = widgets.VBox(
            [widgets.HTML(top), *(region.widget for region in regions), bottom, self.visitor.widget]
        )
        self.widget.add_class("ht-page")
        self.visitor.when_known(self.come_back)

    def show(self) -> None:
        """Put the page on the screen."""
        display(self.widget)

    def come_back(self) -> None:
        """Pick up what the visitor left behind before a reload: a training that goes on, the newest bot, and the drafts
        that they kept."""
        with self.train.catching():
            self.train.resume()
        with self.keep.catching():
            if bots := self.keep.bots():
                self.open_bot(bots[0])
        with self.update.catching():
            self.update.resume()
        with self.write.catching():
            self.write.come_back()

    def is_training(self) -> bool:
        """Whether something of this page is learning."""
        return self.train.is_training or self.update.is_going

    def references(self) -> list[str]:
        """How to find the posts of part 1."""
        return [author.reference for author in self.author.authors]

    def renew_bot(self, bot: Path) -> None:
        """A bot was updated in its place: whoever writes with it next writes with the new one."""
        if self.write.bot == bot:
            self.write.renew()
            self.keep.offer(bot)  # what was packed is the bot as it was

    def new_bot(self, bot: Path) -> None:
        """A training is over: open what needs a bot, and load it while its maker reads how it went.

        Who is writing or playing with another bot meanwhile is not interrupted, and opens the new one when ready.
        """
        if self.write.bot not in (None, bot) and (self.write.busy or self.write.has_drafts or self.game.playing):
            self.keep.offer(self.write.bot)
            self.keep.status.say(f"{bot.name} is ready; open it here when you are.", "good")
            self.write.status.say(f"{bot.name} is ready; open it under “{self.keep.TITLE}”, below.", "good")
            return
        self.open_bot(bot)
        self.write.warm_up()

    def open_bot(self, bot: Path) -> None:
        """Open parts 3, 4 and the last ones for a bot."""
        if self.write.busy:
            raise Problem("The bot is still writing; wait until it is done.")
        self.write.offer(bot)
        self.game.offer()
        self.update.offer(bot)
        self.keep.offer(bot)
