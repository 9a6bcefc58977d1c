"""The whole way, once: from references to a Bot that is saved, and from a Bot to its evaluation.

In: what the user asked for. Out: the bot, and a Report of how it came about. Each stage is called here
and nowhere else; the stages do not know each other.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from utils import environment
from utils.bot import Bot, Origin, check_output_folder, check_room, free_folder
from utils.cleaning import CleanTimeline, check_enough, clean
from utils.errors import BadSetting, ModelUnavailable, OutOfMemory
from utils.events import Event, OnEvent, both, ignore
from utils.language_model import LanguageModel
from utils.post_length import marked
from utils.report import EVALUATION_MARGIN, SAVING_SECONDS, Clock, Report, added_up
from utils.settings import MAXIMUM_AUTHORS, CleaningSettings, TrainingSettings, WritingSettings
from utils.story import Story
from utils.timelines import Fetching, Timeline, authors, load_together, samples
from utils.timelines.handles import parse
from utils.tracking import Silence

SECONDS_A_DRAFT, SHARE_FOR_DRAFTS = 4.0, 0.1
"""A draft during training takes no longer than this, and all of them no more than this share of the minutes."""

HURRIED = (
    "Only {scored} of the {posts} held-out posts were scored, before and after alike; the minutes did not "
    "suffice for all."
)

DRAFTS_TO_JUDGE = 50
"""Drafts among which copies are counted: one more or less is two points of a hundred."""


def read(
    references: Sequence[str],
    cleaning: CleaningSettings = CleaningSettings(),
    apart: bool = False,
    on_event: OnEvent = ignore,
    fetching: Fetching = Fetching(),
    on_timeline: Callable[[Timeline], None] = lambda timeline: None,
) -> list[CleanTimeline]:
    """Load and clean one to three authors. Raises a `UserError` for a bad reference or too many.

    Files and folders given at once are one author's, unless they are to be kept `apart`. `on_timeline` is
    told of each author's posts before they are cleaned.
    """
    if len({_same(reference) for reference in references}) < len(references):
        raise BadSetting("The same posts were given twice; name each author and each file once.")
    groups = authors(references, apart)
    if not 1 <= len(groups) <= MAXIMUM_AUTHORS:
        raise BadSetting(f"Between 1 and {MAXIMUM_AUTHORS} authors can be mixed; {len(groups)} were given.")
    cleaned = []
    for group in groups:
        timeline = load_together(group, on_event, fetching)
        on_timeline(timeline)
        cleaned.append(clean(timeline, cleaning, on_event))
    return cleaned


def introduce(timelines: Sequence[CleanTimeline], on_event: OnEvent) -> None:
    """Tell what was read, and what a reader of it should know."""
    for timeline in timelines:
        on_event(Event("stage", f"{timeline.author}: {timeline.summary()}", data={"posts": timeline.counts()}))
        for remark in timeline.remarks:
            on_event(Event("stage", remark))


def _same(reference: str | Path) -> str:
    """What two references have in common that mean the same posts: an account may be named by its link, too."""
    text = str(reference).strip()
    handle = None if environment.find_path(text) else parse(text)
    return f"{handle.network} {handle}".lower() if handle else text


def _folder(out: Path | None, timelines: Sequence[CleanTimeline], origin: Origin) -> Path:
    """Where the bot goes, not over one of other posts unless somebody says so: many a file is a `posts.csv`."""
    folder = (out or default_folder(timelines)).expanduser()
    return folder if out or all(one.author.startswith("@") for one in timelines) else free_folder(folder, origin)


def default_folder(timelines: Sequence[CleanTimeline]) -> Path:
    """`bots/NAME`, named after the authors."""
    names = (re.sub(r"[^\w.-]+", "-", timeline.author.lstrip("@")).strip("-.") for timeline in timelines)
    return Path("bots") / ("+".join(names) or "bot")


def make_bot(
    references: Sequence[str],
    settings: TrainingSettings = TrainingSettings(),
    on_event: OnEvent = ignore,
    out: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    started: float | None = None,
    cleaning: CleaningSettings = CleaningSettings(),
    apart: bool = False,
    watch: bool = False,
    tracker: Silence = Silence(),
) -> tuple[Bot, Report]:
    """Make a bot within the budget of minutes, and save it.

    started: the moment of `time.monotonic` from which the budget counts; now, unless given. A first
        download of the model does not count.
    should_stop: asked during training; True ends it, and the best bot so far is kept.
    apart: each file is an author of its own; else all files are one author's.
    watch: write a draft before training and after each fifth of it but the last, as `draft` events.
    tracker: what keeps a record of it.
    Raises a `UserError` for whatever the user can mend, before any time is spent on training.
    """
    clock = Clock(time.monotonic() if started is None else started)
    warnings: list[str] = []
    on_event = both(tracker.note, on_event)

    def warn(sentence: str) -> None:
        warnings.append(sentence)
        on_event(Event("warning", sentence))

    on_event(Event("stage", "Reading the posts"))
    timelines = read(references, cleaning, apart, on_event, on_timeline=tracker.read)
    introduce(timelines, on_event)
    for sentence in check_enough(timelines):
        warn(sentence)
    origin = Origin.of(references, apart)
    folder = _folder(out, timelines, origin)
    check_output_folder(folder)

    with clock.paused():
        from utils import models

        weights = models.prepare(settings.model, on_event)
    on_event(Event("stage", "Loading the model"))
    from utils import dataset, evaluation, footprint, training
    from utils.course import Conditions
    from utils.scoring import total

    device = environment.device()
    if environment.has_idle_gpu(device):
        warn(environment.IDLE_GPU)
    language_model = models.load(settings.model, device)
    check_room(folder, language_model)
    frugal = footprint.fitting(language_model, settings, environment.precision(device))
    for sentence in frugal.given_up():
        warn(sentence)
    parts = dataset.build(timelines, language_model.encode, settings.seed)
    chosen = {**asdict(settings), "cleaning": asdict(cleaning), "head_learned": settings.rank > 0}
    machine = {
        "device": environment.device_name(device),
        "precision": str(frugal.precision).removeprefix("torch."),
        "versions": environment.versions(),
    }
    model = models.resolve(settings.model)
    tracker.begin(timelines, parts, weights, {**chosen, **machine, "model": model})
    clock.lap("load")

    held_out = [example.text for example in parts.held_out]
    first = evaluation.measure_held_out(
        language_model, held_out, "before training", on_event, until=clock.first_scoring_ends(settings)
    )
    evaluation_seconds = clock.lap("evaluate")

    at_end = SAVING_SECONDS + tracker.seconds_for_drafts + tracker.seconds_at_end
    conditions = Conditions(
        ends=clock.ends(settings),
        precision=frugal.precision,
        afterwards=at_end + EVALUATION_MARGIN * evaluation_seconds,
        on_event=on_event,
        should_stop=should_stop,
        scoring_speed=total(first).characters / evaluation_seconds,
        tokens_at_once=frugal.tokens_at_once,
        interlude=_show_a_draft(language_model, settings, on_event) if watch else None,
    )
    with environment.memory_errors_in_words("training"):
        learned = training.fine_tune(language_model, parts, settings, conditions)
    clock.lap("train")
    for sentence in learned.doubts(settings):
        warn(sentence)

    until = clock.ends(settings) - at_end * learned.slowdown
    last = evaluation.measure_held_out(
        language_model, held_out, "after training", on_event, "held-out posts", until, len(first)
    )
    before, after = evaluation.comparable(first, last)
    if after.posts < len(held_out):
        warn(HURRIED.format(scored=after.posts, posts=len(held_out)))
    clock.lap("evaluate")

    on_event(Event("stage", "Saving the bot"))
    story = Story(
        authors=[timeline.author for timeline in timelines],
        sources=[timeline.source for timeline in timelines],
        model=model,
        posts=added_up([timeline.counts() for timeline in timelines]),
        parts=parts.counts(),
        held_out={
            "posts": before.posts,
            "characters": before.characters,
            "bits_per_character_before": round(before.bits_per_character, 4),
            "bits_per_character": round(after.bits_per_character, 4),
        },
        settings=chosen,
        versions=machine["versions"],
        tokens_trained=learned.tokens,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        tracking={"url": tracker.url} if tracker.url else {},
        accounts=[asdict(timeline.account) for timeline in timelines if timeline.account],
    )
    texts = [[example.text for example in part] for part in (parts.training, parts.validation)]
    bot = Bot(language_model, story, *texts, held_out, list(parts.left_out), origin)
    folder = _folder(out, timelines, origin)  # another training may have taken the first one meanwhile
    bot.save(folder)
    clock.lap("save")
    record = tracker.finish(bot, folder)
    clock.lap("track")
    if record.problem:
        warn(record.problem)
    if record.sentence:
        on_event(Event("tracked", record.sentence))
    on_event(Event("done", f"{story.voice} is ready in {folder}", 1.0))
    return bot, Report(
        bot=str(folder),
        authors=story.authors,
        model=story.model,
        device=machine["device"],
        precision=machine["precision"],
        posts=story.posts,
        changed=added_up([timeline.changed for timeline in timelines]),
        parts=story.parts,
        held_out=story.held_out,
        validation=[(round(seconds, 1), round(bits, 4)) for seconds, bits in learned.validation],
        seconds=clock.seconds(),
        steps=learned.steps,
        tokens_trained=learned.tokens,
        peak_memory_bytes=environment.peak_memory(device),
        seed=settings.seed,
        stopped=learned.stopped,
        warnings=warnings,
        tracking=asdict(record),
        learned=learned.learned,
    )


def _show_a_draft(model: LanguageModel, settings: TrainingSettings, on_event: OnEvent) -> Callable[[float], None]:
    """What to do between steps, so that one can watch the voice arrive: one draft, always from the same chance."""
    from utils import generation
    from utils.course import DRAFTS

    seconds = min(SECONDS_A_DRAFT, SHARE_FOR_DRAFTS * settings.minutes * 60 / DRAFTS)

    def show(progress: float) -> None:
        text = generation.glimpse(model, settings.seed, seconds)
        sentence = "What the untrained model writes" if progress == 0 else f"After {progress:.0%} of the training"
        on_event(Event("draft", sentence, progress, {"text": text, "post": marked(text)}))

    return show


def evaluate_bot(
    bot: Bot,
    reference: str | None = None,
    drafts: int = DRAFTS_TO_JUDGE,
    seed: int = 0,
    on_event: OnEvent = ignore,
    against_untrained: bool = False,
) -> dict[str, Any]:
    """The figures of `evaluate --json`: of the bot's own held-out posts, or of another reference's.

    `bits_per_character_before`, the untrained model's, is None where that model cannot be had now. `style` holds what
    `evaluation.Style` does, of the bot's drafts and these posts, or is None if there are no drafts; `style_untrained`
    is the same of what the untrained model writes, cut at the length of these posts, if `against_untrained` asks.
    """
    from utils import evaluation, generation, models

    timeline = read([reference], bot.story.cleaning)[0] if reference else None
    texts, left_out = evaluation.unseen_texts(bot, timeline)
    after = evaluation.measure(bot.language_model, texts, "Scoring the posts", on_event)
    told, untrained = bot.story.held_out, None
    is_told = timeline is None and told["characters"] == after.characters  # a short training scores some of them only
    before = told["bits_per_character_before"] if is_told else None
    if not is_told or against_untrained:
        try:
            untrained = models.load(bot.story.model, bot.language_model.device, on_event)
            untrained.beginning = bot.language_model.beginning
        except (ModelUnavailable, OutOfMemory) as error:
            on_event(Event("warning", f"The untrained model could not be compared. {error}"))
    if untrained and not is_told:
        score = evaluation.measure(untrained, texts, "Scoring the posts with the untrained model", on_event)
        before = round(score.bits_per_character, 4)

    others = _posts_of_others(bot, timeline)

    def judge(written: Sequence[str]) -> dict[str, Any]:
        on_event(Event("stage", "Comparing them with posts"))
        return asdict(evaluation.style(written, texts, others, seed))

    written, style, style_untrained = [], None, None
    if drafts:
        on_event(Event("stage", f"Writing {drafts} drafts", 0.0))
        written = generation.write(bot, count=drafts, settings=WritingSettings(seed=seed), on_event=on_event).drafts
        style = judge([draft.text for draft in written])
    if drafts and against_untrained and untrained:
        on_event(Event("stage", f"Letting the untrained model write {drafts} texts"))
        try:
            style_untrained = judge(generation.beginnings(untrained, drafts, seed, after.characters // after.posts))
        except OutOfMemory as error:
            on_event(Event("warning", f"What the untrained model writes could not be compared. {error}"))
    return {
        "posts": after.posts,
        "characters": after.characters,
        "bits_per_character": round(after.bits_per_character, 4),
        "bits_per_character_before": before,
        "left_out": left_out,
        **asdict(evaluation.originality(bot, written)),
        "style": style,
        "style_untrained": style_untrained,
    }


def _posts_of_others(bot: Bot, timeline: CleanTimeline | None) -> list[str]:
    """Posts of the bundled authors but for the bot's own, cleaned like the bot's."""
    own = {*bot.story.sources, *([timeline.source] if timeline else [])}
    others = {f"sample:{name}" for name in samples.NAMES} - own
    return [post.text for other in sorted(others) for post in read([other], bot.story.cleaning)[0].posts]
