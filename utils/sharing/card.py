"""The model card: what a stranger should know about a bot before they let it write.

In: a bot's story as it may be told, and what its maker says about the author. Out: a README.md with the
metadata that the Hugging Face Hub reads. Whatever came from outside is escaped. Knows nothing about
uploading.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from utils.models import CATALOGUE, on_the_hub
from utils.post_length import MARK
from utils.settings import CONSENT, ENDS, PROJECT_URL
from utils.story import Story

NOT_SAID = "The person who made this bot did not say whether the author of the posts agreed to it."

PROMPTS = ("My dream is", "Today I", "I never")
"""How the Hub's own box may begin, where the bot writes English. No private post shines through them."""

ALWAYS_COUNTED = ("fetched", "reposts", "short", "kept")
"""Rows of the table of posts that are there even where they are zero, as in the first huggingtweets' cards."""

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True)
class CardFacts:
    """What the story does not know.

    place: what `pipeline` is given to load the bot: a folder's name, or owner/name on the Hub.
    beginning: what opens every post.
    consent: one of `CONSENT`, or None where nobody said.
    language: the posts' language, as ISO 639 has it, or None.
    drafts: how many drafts were looked through for copies. copies: the share of them that were; None: not measured.
    """

    place: str
    beginning: str
    consent: str | None = None
    language: str | None = None
    drafts: int = 0
    copies: float | None = None


def model_card(story: Story, facts: CardFacts) -> str:
    """The card as text: metadata between `---`, then Markdown."""
    from huggingface_hub import ModelCardData

    return f"---\n{ModelCardData(**_metadata(story, facts)).to_yaml()}\n---\n\n{_body(story, facts)}"


def plain(text: str) -> str:
    """Text on one line, without letters that cannot be seen."""
    return " ".join("".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text).split())


def escape(text: str) -> str:
    """Text that means itself in Markdown, on one line: every mark that Markdown or HTML could read is escaped."""
    return _PUNCTUATION.sub(r"\\\1", plain(text))


def tracking_url(story: Story) -> str | None:
    """Where the training can be looked at on Weights & Biases; None where it was not sent there."""
    return safe_address(story.tracking.get("url"))


def safe_address(url: Any) -> str | None:
    """An address that cannot end the link that it stands in; None for anything else."""
    return url if isinstance(url, str) and re.fullmatch(r"https://[\w.-]+(/[\w./@:%~?=&-]*)?", url) else None


def _metadata(story: Story, facts: CardFacts) -> dict[str, Any]:
    from huggingface_hub import EvalResult

    held_out = story.held_out
    results = [
        EvalResult(
            task_type="text-generation",
            task_name="Writing posts",
            dataset_type="held-out-posts",
            dataset_name=f"{held_out['posts']:,} held-out posts of {plain(story.voice)}",
            metric_type="bits_per_character",
            metric_name=f"Bits per character {when} (lower is better)",
            metric_value=held_out[key],
        )
        for when, key in (("before training", "bits_per_character_before"), ("after training", "bits_per_character"))
    ]
    entry = CATALOGUE.get(story.model)
    prompts = PROMPTS if facts.language == "en" else ("",)
    return {
        "language": facts.language,
        "license": entry.licence.lower() if entry else None,
        "base_model": on_the_hub(story.model),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["huggingtweets"],
        "widget": [{"text": facts.beginning + prompt, "example_title": prompt or "A post"} for prompt in prompts],
        "model_name": facts.place.rpartition("/")[2],
        "eval_results": results,
    }


def _body(story: Story, facts: CardFacts) -> str:
    voice = escape(story.voice)
    sections = [_use(facts), _posts(story, facts), _training(story), _figures(story, facts), LIMITS, _origin(story)]
    opening = f"""# A bot that writes in the voice of {voice}

A small language model that read the posts of {voice}, and writes posts that they might have written, and did not.

> **Say that a bot wrote it.** HuggingTweets puts a mark behind every post, “{MARK.strip()}”. The bare model does not:
> put the mark back before you show a text to anybody.
"""
    return "\n".join([opening, *sections])


def _use(facts: CardFacts) -> str:
    return f"""## How to use it

```python
from transformers import pipeline

write = pipeline("text-generation", {_quoted(facts.place)}, return_full_text=False)
print(write({_quoted(facts.beginning)})[0]["generated_text"] + {_quoted(MARK)})
```

`{plain(facts.beginning).replace("`", "")}` stands before every post; put the first words of a post behind it to have it
continued. The last piece is the mark.
"""


def _quoted(text: str) -> str:
    """Text as Python has it, for inside a block of code: it cannot close the block."""
    return json.dumps(text.replace("```", ""), ensure_ascii=False)


def _posts(story: Story, facts: CardFacts) -> str:
    names = {"fetched": "downloaded"}
    counted = [(name, n) for name, n in story.posts.items() if n or name in ALWAYS_COUNTED]
    rows = "\n".join(f"| {escape(names.get(name, name.replace('_', ' ')))} | {n:,} |" for name, n in counted)
    parts = story.parts
    learned, validating, held_out = (parts.get(name, 0) for name in ("training", "validation", "held_out"))
    is_part = learned + validating + held_out > story.posts.get("kept", 0)  # an update read new posts alone
    return f"""## Which posts

{CONSENT.get(facts.consent, NOT_SAID)}
{"".join(map(_account, story.accounts))}
| posts of {escape(story.voice)}{", as last read" if is_part else ""} | |
|:--|--:|
{rows}

{"In all" if is_part else "Of those that were kept"}, {learned:,} were learned from, {validating:,} chose the best
weights, and the newest {held_out:,} were held out to test it. None of them comes with this bot.
"""


def _account(account: dict[str, Any]) -> str:
    """What a network says of an author, in a line."""
    handle, link, picture = escape(str(account.get("handle"))), *map(safe_address, map(account.get, ("link", "avatar")))
    followers = account.get("followers")
    told = [
        f"{escape(str(account.get('name') or ''))} ".lstrip() + (f"[{handle}]({link})" if link else handle),
        f"on {escape(str(account.get('network')))}",
        f"with {followers:,} followers" if isinstance(followers, int) else "",
        f"([picture]({picture}))" if picture else "",
    ]
    return f"\n{' '.join(filter(None, told))}\n"


def _training(story: Story) -> str:
    settings, hub_id, entry = story.settings, on_the_hub(story.model), CATALOGUE.get(story.model)
    if hub_id:
        base = f"[{escape(hub_id)}](https://huggingface.co/{hub_id})" + (f" ({entry.licence})" if entry else "")
    else:
        base = "a model of its maker’s own, whose licence its maker knows"
    steps, minutes = settings.get("steps"), settings.get("minutes", 0)
    length = f"{steps:,} steps" if steps else f"at most {minutes:g} minutes in all"
    fitted = " (less for a wide model)" if steps else " (less for a wide model, or where steps were small)"
    read = f"In {length} it read"
    if settings.get("update"):
        read = f"Its first training took {length}; with its updates it has read"
    versions = ", ".join(f"{escape(name)} {escape(number)}" for name, number in story.versions.items())
    url = tracking_url(story)
    watched = f"\nHow the training went: [Weights & Biases]({url}).\n" if url else ""
    return f"""## How it was trained

It started from {base}. {read} {story.tokens_trained:,} tokens; {_what_learned(settings)} learned,
with seed {settings.get("seed", 0)} and a learning rate of {settings.get("learning_rate", 0):g}{fitted}. Each post was
an example of its own, between tokens that say where it begins and ends. Made on {escape(story.date[:10])} with
{versions}.
{watched}"""


def _what_learned(settings: dict[str, Any]) -> str:
    share, rank = settings.get("learned_share", 0.5), settings.get("rank", 0)
    layers = (
        "all of its layers" if share == 1 else f"the {settings.get('learned_end', ENDS[0])} {share:.0%} of its layers"
    )
    head = " and on its head" if settings.get("head_learned") else ""  # of an early bot it did not
    return f"LoRA matrices of rank {rank} on {layers}{head}" if rank else layers


def _figures(story: Story, facts: CardFacts) -> str:
    held_out = story.held_out
    if facts.copies is None:
        copies = "How many of its drafts repeat a post that it learned from was not measured."
    else:
        copies = (
            f"Of {facts.drafts} drafts, {facts.copies:.0%} repeat a post that it learned from, or eight words of one."
        )
    before, after = held_out["bits_per_character_before"], held_out["bits_per_character"]
    return f"""## How good it is

| on {held_out["posts"]:,} held-out posts, {held_out["characters"]:,} characters | before training | after |
|:--|--:|--:|
| bits per character (lower is better) | {before:.3f} | {after:.3f} |

Bits per character say how surprised the model is by posts of the same author that it never saw. {copies}
"""


LIMITS = """## Limits

What it writes is invented: names, facts and opinions in it are nobody’s, and mostly wrong. It is small and loses the
thread; it takes over the slants of the model that it started from and of the posts that it read; and now and then it
repeats one of them. It cannot answer questions, and nobody should ask it for advice.
"""


def _origin(story: Story) -> str:
    return f"""## Be kind with it

None of this was written by {escape(story.voice)}. Do not use the bot to make anybody believe otherwise, to mock or to
harm.

Made with HuggingTweets, after an idea of [{PROJECT_URL.removeprefix("https://")}]({PROJECT_URL}).
"""
