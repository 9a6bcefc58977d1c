"""Was it worth it? A bot as it was, against the bot as it has become.

In: what both make of the posts held out before and of those held out since. Out: a verdict, and the figures
behind it. Knows nothing about where they came from.
"""

from dataclasses import dataclass

from utils.scoring import Score


@dataclass(frozen=True)
class Comparison:
    """A bot as it was and as it has become, on the posts held out before (old) and since (new).

    The two figures are compared as they are, in bits per character, however many posts are behind each.
    Weighted by characters, a year's held-out posts would outvote a month's new ones ten to one, and a bot
    could not follow an author who changes.
    """

    old_before: Score
    new_before: Score
    old_after: Score
    new_after: Score

    @property
    def loss(self) -> float:
        """By how much the old posts have become more surprising, in bits per character."""
        return self.old_after.bits_per_character - self.old_before.bits_per_character

    @property
    def gain(self) -> float:
        """By how much the new posts have become less surprising, in bits per character."""
        return self.new_before.bits_per_character - self.new_after.bits_per_character

    @property
    def worth_it(self) -> bool:
        """Whether no more is lost on the old posts than is gained on the new ones."""
        return self.loss <= self.gain

    def sentence(self) -> str:
        """Both figures in words."""
        return (
            f"Bits per character on the old held-out posts: {self.old_before.bits_per_character:.3f} before, "
            f"{self.old_after.bits_per_character:.3f} after; on {self.new_after.posts} new ones: "
            f"{self.new_before.bits_per_character:.3f} before, {self.new_after.bits_per_character:.3f} after "
            "(lower is better)."
        )

    def verdict(self, improved: bool, kept: bool) -> str:
        """Why the bot has changed, or why not, with both figures.

        improved: whether going on learning has made it better at the validation posts at all.
        """
        if not improved:
            return "Going on learning did not make the bot better at the validation posts; it stays as it was."
        if self.worth_it:
            return f"The bot is up to date. {self.sentence()}"
        if kept:
            return (
                f"The bot lost more on old posts than it gained on new ones, and was kept by force. {self.sentence()}"
            )
        return (
            f"The bot would lose more on old posts than it gains on new ones, so it stays as it was. {self.sentence()}"
        )

    def as_dict(self) -> dict[str, dict[str, float]]:
        return {
            name: {
                "posts": after.posts,
                "characters": after.characters,
                "bot_before": round(before.bits_per_character, 4),
                "bot_after": round(after.bits_per_character, 4),
            }
            for name, before, after in (
                ("old_posts", self.old_before, self.old_after),
                ("new_posts", self.new_before, self.new_after),
            )
        }
