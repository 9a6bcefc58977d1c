"""Keep a bot up to date: look for new posts, go on learning from them, and keep what came of it if it is worth it.

In: a bot's folder, and references where the bot's own do not hold any more. Out: the bot as it has become
or as it was, and an UpdateReport. The old held-out posts stay held out, so that one can see whether the bot
forgot what it knew. Knows nothing about who asks, or how often.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from utils import environment
from utils.bot import (
    PARTS,
    Bot,
    Origin,
    check_output_folder,
    check_room,
    read_origin,
    read_posts,
    read_story,
    remember,
    version_before,
)
from utils.cleaning import CleanTimeline
from utils.comparison import Comparison
from utils.environment import find_path
from utils.errors import BadBot, BadReference, ModelUnavailable, OutOfMemory
from utils.events import Event, OnEvent, ignore
from utils.new_posts import HANDFUL, MINIMUM_NEW_POSTS, REPLAY, Lesson, plan, really_new, unknown
from utils.pipeline import HURRIED, introduce, read
from utils.report import EVALUATION_MARGIN, SAVING_SECONDS, Clock, UpdateReport, added_up
from utils.settings import UPDATE_SETTINGS, TrainingSettings
from utils.story import Story
from utils.timelines import Fetching

if TYPE_CHECKING:
    from utils.course import Training
    from utils.footprint import Footprint
    from utils.language_model import LanguageModel
    from utils.scoring import Score

ALIKE = "The {new} new posts are so much alike that there is nothing to learn from them; the bot stays as it is."

NAME_THEM = "Train it again, or name the posts: python -m utils update {bot} REFERENCE …"


def update_bot(
    folder: Path,
    references: Sequence[str] = (),
    settings: TrainingSettings = UPDATE_SETTINGS,
    on_event: OnEvent = ignore,
    should_stop: Callable[[], bool] = lambda: False,
    started: float | None = None,
    apart: bool = False,
    force: bool = False,
    accept_x_terms: bool = False,
) -> UpdateReport:
    """Look for new posts and learn from them, within the budget of minutes.

    references: where to look; where the bot's posts came from, unless given. The bot remembers them.
    started, should_stop, apart: as for `make_bot`. force: keep the new version whatever it lost, and
        learn from posts of another author, too.
    accept_x_terms: see `timelines.Fetching`.
    Raises a `UserError` for whatever the user can mend; the bot is then as it was.
    """
    clock = Clock(time.monotonic() if started is None else started)
    folder = folder.expanduser()
    story, parts = read_story(folder), _read_parts(folder)
    check_output_folder(folder, "Let the folder hold nothing but the bot, and be written to.")
    remembered = read_origin(folder)
    origin = Origin.of(references, apart) if references else _checked(remembered, folder)

    on_event(Event("stage", "Looking for new posts"))
    fetching = Fetching(newest=True, accept_x_terms=accept_x_terms, should_stop=should_stop)
    timelines = read(origin.references, story.cleaning, origin.apart, on_event, fetching)
    introduce(timelines, on_event)
    found = unknown(timelines, parts)
    if not force:
        _check_voice(story, timelines, len(found), folder)
    if origin != remembered:
        remember(folder, origin)
    new = len(really_new(found, parts))
    clock.lap("load")
    report = UpdateReport(
        bot=str(folder),
        updated=False,
        reason=_too_few(new),
        before=_existing(version_before(folder)),
        authors=story.authors,
        model=story.model,
        posts=added_up([timeline.counts() for timeline in timelines]),
        remarks=[remark for timeline in timelines for remark in timeline.remarks],
        new_posts={"found": new, **dict.fromkeys(PARTS, 0)},
        parts=story.parts,
        held_out=story.held_out,
        seconds=clock.seconds(),
        seed=settings.seed,
    )
    if new < MINIMUM_NEW_POSTS:
        return _unchanged(report, on_event)

    on_event(Event("stage", f"{new:,} new posts. Loading the bot"))
    bot = Bot.load(folder)
    check_room(folder, bot.language_model)
    from utils import footprint

    device = bot.language_model.device
    frugal = footprint.fitting(bot.language_model, settings, environment.precision(device))
    lesson = plan(timelines, parts, bot.language_model.encode, settings.seed)
    clock.lap("load")
    if lesson.new_training < HANDFUL:
        return _unchanged(replace(report, reason=ALIKE.format(new=new), seconds=clock.seconds()), on_event)
    untrained = _score_untrained(bot, lesson.held_out_since, settings, clock, on_event)
    learned, comparison = _learn(bot.language_model, lesson, settings, frugal, clock, on_event, should_stop)
    report = replace(
        report,
        comparison=comparison.as_dict(),
        device=environment.device_name(device),
        precision=str(frugal.precision).removeprefix("torch."),
        validation=[(round(seconds, 1), round(bits, 4)) for seconds, bits in learned.validation],
        steps=learned.steps,
        tokens_trained=learned.tokens,
        stopped=learned.stopped,
        warnings=[*frugal.given_up(), *_doubts(learned, comparison, lesson, settings)],
    )
    for sentence in report.warnings:
        on_event(Event("warning", sentence))
    keep = learned.improved and (force or comparison.worth_it)
    if keep:
        on_event(Event("stage", "Saving the bot"))
        bot.story = _retold(story, timelines, lesson, comparison, untrained, learned, settings)
        bot.training, bot.validation, bot.held_out, bot.left_out = (lesson.parts[name] for name in PARTS)
        bot.origin = origin
        bot.save(folder, keep_before=True)
        clock.lap("save")
    report = replace(
        report,
        updated=keep,
        reason=comparison.verdict(learned.improved, keep),
        before=_existing(version_before(folder)),
        authors=bot.story.authors,
        new_posts={"found": new, **(_grown(parts, lesson) if keep else dict.fromkeys(PARTS, 0))},
        parts=bot.story.parts,
        held_out=bot.story.held_out,
        seconds=clock.seconds(),
        peak_memory_bytes=environment.peak_memory(device),
    )
    on_event(Event("done", report.reason, 1.0))
    return report


def _read_parts(folder: Path) -> dict[str, list[str]]:
    parts = {name: read_posts(folder, name) for name in PARTS}
    if not parts["training"] or not parts["held_out"]:
        raise BadBot(
            f"{folder} came without the posts that it learned from, so that nothing can be told to be new. "
            "Train a bot of your own: python -m utils train REFERENCE …"
        )
    return {name: texts or [] for name, texts in parts.items()}


def _check_voice(story: Story, timelines: Sequence[CleanTimeline], unmet: int, folder: Path) -> None:
    """Raise `BadReference` for posts of nobody whose bot this is. Where one has no handle, that cannot be told.

    unmet: how many of the posts the bot does not know; one that it has shows that they are its author's.
    """
    authors = {timeline.author for timeline in timelines}
    handles = all(author.startswith("@") for author in authors.union(story.authors))
    if handles and not authors & set(story.authors) and unmet == sum(len(one.posts) for one in timelines):
        raise BadReference(
            f"These are posts of {' and '.join(sorted(authors))}, and {folder} speaks for {story.voice}; it stays as "
            "it is. Train a new bot, of one or of both; --force teaches this one all the same."
        )


def _checked(origin: Origin | None, folder: Path) -> Origin:
    """Where to look, if that is known and still there."""
    name_them = NAME_THEM.format(bot=folder)
    if origin is None:
        raise BadBot(f"{folder} does not say where its posts came from. {name_them}")
    gone = [text for text in origin.references if Path(text).is_absolute() and not find_path(text)]
    if gone:
        raise BadReference(f"{gone[0]}, from which this bot learned, is not there any more. Put it back. {name_them}")
    return origin


def _score_untrained(
    bot: Bot, texts: Sequence[str], settings: TrainingSettings, clock: Clock, on_event: OnEvent
) -> "Score | None":
    """What the bot's untrained model makes of the new held-out posts, so that `bits_per_character_before` can go on
    meaning all of them; None where that model cannot be had now."""
    from utils import evaluation, models

    try:
        with clock.paused():
            models.prepare(bot.story.model, on_event)
        untrained = models.load(bot.story.model, environment.device())
        untrained.beginning = bot.language_model.beginning
        sentence = "Scoring the new held-out posts with the untrained model"
        score = evaluation.measure(untrained, texts, sentence, on_event, clock.first_scoring_ends(settings))
    except (ModelUnavailable, OutOfMemory) as error:
        on_event(Event("warning", f"The untrained model could not be compared. {error}"))
        score = None
    clock.lap("load")
    return score


def _learn(
    language_model: "LanguageModel",
    lesson: Lesson,
    settings: TrainingSettings,
    frugal: "Footprint",
    clock: Clock,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> tuple["Training", Comparison]:
    """Measure, train, and measure again."""
    from utils import evaluation, training
    from utils.course import Conditions
    from utils.scoring import total

    kinds = {"new held-out posts": lesson.held_out_since, "old held-out posts": lesson.held_out_before}

    def measure_both(when: str, until: float, batches: Sequence[int | None] = (None, None)) -> list[list["Score"]]:
        """The new posts first: they are few, and the old ones may take what is left of the time."""
        return [
            evaluation.measure_held_out(language_model, texts, when, on_event, what, until, most)
            for (what, texts), most in zip(kinds.items(), batches, strict=True)
        ]

    before = measure_both("before the update", clock.first_scoring_ends(settings))
    seconds = clock.lap("evaluate")
    conditions = Conditions(
        ends=clock.ends(settings),
        precision=frugal.precision,
        afterwards=SAVING_SECONDS + EVALUATION_MARGIN * seconds,
        on_event=on_event,
        should_stop=should_stop,
        scoring_speed=sum(total(scores).characters for scores in before) / seconds,
        tokens_at_once=frugal.tokens_at_once,
    )
    with environment.memory_errors_in_words("training"):
        learned = training.fine_tune(language_model, lesson.dataset, settings, conditions)
    clock.lap("train")
    after = before  # unless the weights have changed
    if learned.improved:
        until = clock.ends(settings) - SAVING_SECONDS * learned.slowdown
        after = measure_both("after the update", until, list(map(len, before)))
    clock.lap("evaluate")
    (new_before, new_after), (old_before, old_after) = map(evaluation.comparable, before, after)
    return learned, Comparison(old_before, new_before, old_after, new_after)


def _doubts(learned: "Training", comparison: Comparison, lesson: Lesson, settings: TrainingSettings) -> list[str]:
    """Few steps are no wonder where there are few posts; they are where the time was too short for one pass."""
    hurried = learned.tokens < lesson.dataset.training_tokens()
    doubts = replace(learned, improved=True).doubts(settings) if hurried else []
    scored = comparison.old_after.posts + comparison.new_after.posts
    posts = len(lesson.held_out_before) + len(lesson.held_out_since)
    return doubts if scored == posts else [*doubts, HURRIED.format(scored=scored, posts=posts)]


def _retold(
    story: Story,
    timelines: Sequence[CleanTimeline],
    lesson: Lesson,
    comparison: Comparison,
    untrained: "Score | None",
    learned: "Training",
    settings: TrainingSettings,
) -> Story:
    """The bot's story, with this chapter in it."""
    now = comparison.old_after + comparison.new_after
    figure_before = story.held_out["bits_per_character_before"]
    figure_since = untrained.bits_per_character if untrained else figure_before
    handles = [timeline.author for timeline in timelines if timeline.author.startswith("@")]
    accounts = {account["handle"]: account for account in story.accounts}
    accounts |= {timeline.account.handle: asdict(timeline.account) for timeline in timelines if timeline.account}
    return replace(
        story,
        authors=list(dict.fromkeys([*story.authors, *handles])),
        sources=list(dict.fromkeys([*story.sources, *(timeline.source for timeline in timelines)])),
        accounts=list(accounts.values()),
        posts=added_up([timeline.counts() for timeline in timelines]),
        parts={**{name: len(texts) for name, texts in lesson.parts.items() if name != "left_out"},
               "near_duplicates": story.parts.get("near_duplicates", 0) + lesson.dataset.near_duplicates},
        held_out={
            "posts": now.posts,
            "characters": now.characters,
            "bits_per_character_before": round(
                figure_before + (figure_since - figure_before) * comparison.new_after.characters / now.characters, 4
            ),
            "bits_per_character": round(now.bits_per_character, 4),
        },
        settings={**story.settings, "update": {**asdict(settings), "replay": REPLAY}},
        versions=environment.versions(),
        tokens_trained=story.tokens_trained + learned.tokens,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _grown(parts: dict[str, list[str]], lesson: Lesson) -> dict[str, int]:
    """How many posts have come to each part."""
    came = {name: len(set(lesson.parts[name]) - set(parts[name])) for name in PARTS}
    return {**came, "left_out": lesson.dataset.near_duplicates}


def _unchanged(report: UpdateReport, on_event: OnEvent) -> UpdateReport:
    on_event(Event("done", report.reason, 1.0))
    return report


def _existing(folder: Path) -> str | None:
    return str(folder) if folder.exists() else None


def _too_few(new: int) -> str:
    if not new:
        return "There is nothing new; the bot stays as it is."
    posts = f"{new} new posts are" if new > 1 else "1 new post is"
    return f"{posts} too few to learn from; the bot stays as it is until there are {MINIMUM_NEW_POSTS}."
