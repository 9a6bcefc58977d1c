"""Pieces of the page as HTML and SVG. Everything that came from outside is escaped here.

In: texts, counts, series. Out: markup that follows the page's colours, light and dark. Knows nothing
about widgets.
"""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from utils.cleaning import CleanTimeline
from utils.timelines import Account, Post

WIDTH, HEIGHT = 640, 240
"""Of a chart, in units of its own; it is as wide as its column."""

MARGIN = (62, 32)
"""Left and below, for the figures on the axes."""

FIGURE_HEIGHT = 28
"""Of a figure on an axis, with the room that it needs to be read."""

POSTS_SHOWN = 8


def escape(text: str) -> str:
    """Text that means itself, quotation marks too."""
    return html.escape(text, quote=True)


def details(summary: str, content: str) -> str:
    """A fold with plain text in it."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(content)}</pre></details>"


def post(text: str, note: str = "") -> str:
    """A post in the manner of posts."""
    remark = f'<div class="ht-note">{escape(note)}</div>' if note else ""
    return f'<article class="ht-post"><p class="ht-text" dir="auto">{escape(text)}</p>{remark}</article>'


def copy_button(text: str) -> str:
    """A button that copies a text to the clipboard; it needs no answer from the program."""
    script = (
        "const b=this,t=b.dataset.text,done=()=>{b.textContent='Copied';setTimeout(()=>{b.textContent='Copy'},1500)};"
        # Browsers lend the clipboard to pages with https, or of this computer.
        "const ask=()=>prompt('Copy this:',t),board=navigator.clipboard;"
        "board?board.writeText(t).then(done,ask):ask()"
    )
    return f'<button class="ht-copy" type="button" data-text="{escape(text)}" onclick="{escape(script)}">Copy</button>'


def record_card(record: dict[str, Any], at_home: bool) -> str:
    """Where the record of a training is; `at_home`: this machine is the reader's, who can send it from there."""
    if record.get("url", "") and record["url"].startswith(("https://", "http://")) and not record["sync"]:
        link = f'<a href="{escape(record["url"])}" target="_blank" rel="noopener">Its record at W&amp;B</a>'
        return f'<p class="ht-note">{link}</p>'
    if not record.get("sync"):
        return ""
    if not at_home:
        return '<p class="ht-note">Its record is kept in your folder, on the machine that runs this page.</p>'
    line = f"{details('How to send it to W&B', record['sync'])}"
    return f'<div class="ht-note">Its record is kept on this machine.{line}</div>'


def post_links(links: Mapping[str, str]) -> str:
    """Where a draft can be posted, each network in a new tab; what is posted is looked at there once more."""
    made = " · ".join(
        f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer" '
        f'aria-label="Post this draft on {escape(name)}, in a new tab">{escape(name)}</a>'
        for name, url in links.items()
    )
    return f'<p class="ht-links">Post on {made}</p>'


def author_card(author: CleanTimeline) -> str:
    """Who it is, what was kept and what not, and when they wrote."""
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in author.remarks)
    who = _profile(author.account) if author.account else f'<div class="ht-note">{escape(author.source)}</div>'
    name = author.account.name if author.account and author.account.name else author.author
    return (
        f'<div class="ht-card"><div class="ht-name">{escape(name)}</div>{who}<p>{escape(author.summary())}; '
        f"{author.characters:,} characters.</p>{f'<ul>{remarks}</ul>' if remarks else ''}"
        f"{posts_by_month(author.posts)}</div>"
    )


def _profile(account: Account) -> str:
    """Handle, network and followers. The picture stays where it is: the page loads nothing from elsewhere."""
    followers = "" if account.followers is None else f" · {account.followers:,} followers"
    return (
        f'<div class="ht-note"><a href="{escape(account.link)}" target="_blank" rel="noopener noreferrer">'
        f"{escape(account.handle)}</a> on {escape(account.network)}{followers}</div>"
    )


def preview(posts: Sequence[Post]) -> str:
    """Eight posts, evenly spread over the author's time."""
    step = max(len(posts) // POSTS_SHOWN, 1)
    shown = list(posts[::-1][::step])[:POSTS_SHOWN]
    articles = "".join(post(item.text, _day(item.created_at)) for item in shown)
    return f'<details class="ht-preview" open><summary>{len(shown)} of the posts</summary>{articles}</details>'


def _day(date: datetime | None) -> str:
    return f"{date.day} {date:%B %Y}" if date else ""


def posts_by_month(posts: Sequence[Post]) -> str:
    """A bar for each month; nothing for posts without dates."""
    dates = [item.created_at for item in posts if item.created_at]
    if not dates:
        return ""
    counts = Counter(date.year * 12 + date.month - 1 for date in dates)
    first, last = min(counts), max(counts)
    most, width = max(counts.values()), WIDTH / (last - first + 1)
    bars = "".join(
        f'<rect x="{(month - first) * width:.1f}" y="{60 - 56 * count / most:.1f}" width="{max(width * 0.8, 0.5):.1f}" '
        f'height="{56 * count / most:.1f}"/>'
        for month, count in counts.items()
    )
    what = f"Posts a month from {_month(first)} to {_month(last)}; {most:,} in the busiest"
    return (
        f'<svg class="ht-chart ht-bars" viewBox="0 0 {WIDTH} 80" role="img" aria-label="{what}">{bars}'
        f'<text x="0" y="76">{_month(first)}</text><text x="{WIDTH}" y="76" text-anchor="end">{_month(last)}</text>'
        f"</svg><div class='ht-note'>{what}</div>"
    )


def _month(number: int) -> str:
    return f"{datetime(number // 12, number % 12 + 1, 1):%b %Y}"


def curve(
    points: Sequence[tuple[float, float]],
    label: str,
    end: float,
    baseline: float | None = None,
    dots: bool = False,
) -> str:
    """A line over seconds, from 0 to `end`; `baseline` is drawn across, dashed. Empty axes where there is no point."""
    left, below = MARGIN
    values = [value for _, value in points] + ([baseline] if baseline is not None else [])
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = max((high - low) * 0.1, 0.05)
    low, high = low - room, high + room

    unit = (HEIGHT - 8 - below) / (high - low)

    def place(seconds: float, value: float) -> str:
        x = left + (WIDTH - left - 8) * min(seconds / max(end, 1e-9), 1.0)
        return f"{x:.1f},{8 + unit * (high - value):.1f}"

    drawn = [f'<polyline class="ht-line" points="{" ".join(place(*point) for point in points)}"/>'] if points else []
    if dots:
        places = (place(*point).split(",") for point in points)
        drawn += [f'<circle class="ht-dot" cx="{x}" cy="{y}" r="4"/>' for x, y in places]
    if baseline is not None:
        start, finish = place(0, baseline), place(end, baseline)
        drawn.append(f'<polyline class="ht-baseline" points="{start} {finish}"/>')
    ground = HEIGHT - below
    drawn.append(f'<polyline class="ht-axis" points="{left},8 {left},{ground} {WIDTH - 8},{ground}"/>')
    middle = (low + high) / 2
    figures = "".join(
        f'<text x="{left - 6}" y="{float(place(0, value).split(",")[1]) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        for value in (_worth_a_figure(low + room, high - room, unit) if values else ())
    )
    times = "".join(
        f'<text x="{place(end * share, middle).split(",")[0]}" y="{HEIGHT - 6}" text-anchor="{anchor}">'
        f"{_time(end * share)}</text>"
        for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    newest = f"; {points[-1][1]:.2f} now" if points else ""
    return (
        f'<figure class="ht-figure"><figcaption>{escape(label)}</figcaption>'
        f'<svg class="ht-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}{newest}">'
        f"{''.join(drawn)}{figures}{times}</svg></figure>"
    )


def _worth_a_figure(lowest: float, highest: float, unit: float) -> list[float]:
    """Both ends of what an axis shows, and their middle, as far as there is room; unit: the height of 1 on the axis."""
    gap = (highest - lowest) * unit / FIGURE_HEIGHT
    return [highest, (lowest + highest) / 2, lowest] if gap >= 2 else [highest, lowest] if gap >= 1 else [lowest]


def _time(seconds: float) -> str:
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.0f} s"
