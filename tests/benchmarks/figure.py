"""The figure of the README: held-out bits per character over seconds, a panel for each author.

In: records of one machine. Out: an SVG file, and beside it what the picture says, for those who cannot see it. There is
no background, and all colours can be told from a light page and from a dark one. Knows nothing about how the records
were measured.
"""

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from benchmarks.recipes import NAMES
from benchmarks.table import Record, by_author, reached, seconds
from utils import figures
from utils.atomic import replacing_file
from utils.figures import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

Points = list[tuple[float, float]]
"""(seconds, bits per character)"""

WIDTH, PANEL_HEIGHT, AXIS_HEIGHT = 8.0, 3.2, 0.5
"""Inches, of 100 pixels on the screen: as wide as GitHub shows a README."""

TEXT, SMALL = 10.5, 9
"""Points, of which 72 are an inch: letters of 15 and 12.5 pixels."""

LINES = ("ours", "ancestor", "trl", "run_clm")
"""Recipes in the order of the colours and markers that they get, which a reader can tell apart on any page."""

COLOURS = dict(zip(LINES, figures.COLOURS, strict=True))

OTHER_COLOURS = ("#e69f00", "#56b4e9")
"""For recipes that are measured only by name; weaker on white."""

MARKERS = dict(zip(LINES, figures.MARKERS, strict=True))

TICKS = {1: "1 s", 3: "3 s", 10: "10 s", 30: "30 s", 60: "1 min", 120: "2 min", 300: "5 min", 900: "15 min",
         1800: "30 min", 3600: "1 h", 7200: "2 h", 18000: "5 h"}  # fmt: skip

ROOM = 0.22
"""The share of the width to the right of the last point, for its name."""

ON_LINE, ON_WRITING, OUTSIDE, NEAR = 3, 400, 1000, 12
"""What it costs to stand on a sixtieth of a piece of line, on other writing or outside, where a point farther away
costs 1; and so near, in pixels, to the end of another's line, a name would be taken for that one's."""

TOGETHER = 1.4
"""The ratio of two times below which their labels would run into each other."""

STYLE = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), GREY)
STYLE |= {"font.size": TEXT, "svg.hashsalt": "huggingtweets"}  # the same results give the same file

LETTERS = 20
"""In a line of a name; longer ones get another line."""

PLACES = [(8, 0), (8, 10), (8, -10), (8, 20), (8, -20), (-4, 14), (-4, -14), (8, 30), (8, -30), (-4, 26), (-4, -26),
          (-4, 38), (-4, -38)]  # fmt: skip
"""Where a name may stand, in points from the end of its line; the first that covers least is taken."""


def draw(records: Sequence[Record], path: Path) -> str:
    """Write the picture, and its description in the file of the same name that ends in `.txt`; returns that.

    Raises `ImportError` where there is no matplotlib.
    """
    from matplotlib import rc_context

    with rc_context(STYLE), replacing_file(path) as partial:
        picture(records)[0].savefig(partial, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = description(records)
    with replacing_file(path.with_suffix(".txt")) as partial:
        partial.write_text(text + "\n", "utf-8")
    return text


def picture(records: Sequence[Record]) -> "tuple[Figure, list[list[Annotation]]]":
    """The picture, a panel for each author; and for each panel the names of its lines."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    authors = by_author(records)
    with rc_context(STYLE):
        made = Figure(figsize=(WIDTH, PANEL_HEIGHT * len(authors) + AXIS_HEIGHT), layout="constrained")
        FigureCanvasSVG(made)
        panels = made.subplots(len(authors), 1, sharex=True, squeeze=False)[:, 0]
        _share_seconds(panels[-1], records)
        names = [_panel(panel, *author) for panel, author in zip(panels, authors.items(), strict=True)]
        made.draw_without_rendering()  # only now does the layout say how many pixels there are
        for panel, own in zip(panels, names, strict=True):
            _place(panel, own)
    return made, names


def description(records: Sequence[Record]) -> str:
    """What the picture shows, with the figures: its alternative text."""
    sentences = ["Held-out bits per character, of which fewer are better, over time."]
    for author, own in by_author(records).items():
        told = [f"untrained {own[0]['bits_per_character_before']:.2f}"]
        for key, group in _lines(own).items():
            ends = _points(key, group) if key[0] == "ours" else _points(key, group)[-1:]
            told.append(f"{_name(key)} " + ", ".join(f"{bits:.2f} after {x:,.0f} s" for x, bits in ends))
        sentences.append(f"{Path(author).name}: {'; '.join(told)}.")
    return " ".join(sentences)


def _lines(records: Sequence[Record]) -> dict[tuple[str, int | None], list[Record]]:
    """The records of each line: a recipe, and after how many blocks it was cut off. Ours is one for all its budgets."""
    found = defaultdict(list)
    for record in records:
        run = record["conditions"]["run"]
        found[run["recipe"], run["blocks"]].append(record)
    return dict(sorted(found.items(), key=lambda item: list(NAMES).index(item[0][0])))


def _name(key: tuple[str, int | None]) -> str:
    recipe, blocks = key
    return NAMES[recipe] + ("" if blocks is None else f", first {blocks} blocks")


def _points(key: tuple[str, int | None], group: Sequence[Record]) -> Points:
    """The mean line of several seeds. Of ours, the ends of its budgets: no bot is on the way to a longer budget's."""
    if key[0] != "ours":
        return _mean_curve(group)
    budgets = defaultdict(list)
    for record in group:
        budgets[record["conditions"]["run"]["minutes"]].append(record)
    return [
        (mean(map(seconds, same)), mean(record["bits_per_character"] for record in same))
        for _, same in sorted(budgets.items())
    ]


def _mean_curve(group: Sequence[Record]) -> Points:
    """The mean at the same shares of each one's own time, which differ a little from seed to seed."""
    import numpy

    shares = [[x / seconds(record) for x, _ in record["curve"]] for record in group]
    grid = max(shares, key=len)
    bits = [numpy.interp(grid, own, [y for _, y in record["curve"]]) for own, record in zip(shares, group, strict=True)]
    end = mean(map(seconds, group))
    return [(share * end, float(value)) for share, value in zip(grid, numpy.mean(bits, axis=0), strict=True) if share]


def _share_seconds(panel: "Axes", records: Sequence[Record]) -> None:
    """The scale below all panels: logarithmic, since the recipes differ by powers of ten."""
    times = [x for record in records for x, _ in record["curve"] if x > 0]
    first, last = min(times) / 1.2, max(times)
    panel.set_xscale("log")
    panel.set_xlim(first, last * (last / first) ** (ROOM / (1 - ROOM)))
    panel.minorticks_off()
    panel.set_xticks(list(TICKS), TICKS.values())
    panel.set_xlim(first, last * (last / first) ** (ROOM / (1 - ROOM)))
    panel.set_xlabel("HuggingTweets: from the command to the finished bot. The others: training alone.")


def _panel(panel: "Axes", author: str, records: Sequence[Record]) -> "list[Annotation]":
    """Draw one author's lines; returns their names, which are yet to find a place."""
    panel.set_title(f"{Path(author).name}: held-out bits per character", loc="left", fontsize=TEXT, fontweight="bold")
    panel.grid(color=GREY, alpha=0.25, linewidth=0.6)
    panel.tick_params(which="both", length=0)
    panel.locator_params(axis="y", nbins=6)
    panel.spines[:].set_visible(False)
    before = records[0]["bits_per_character_before"]
    panel.axhline(before, color=GREY, linewidth=1, linestyle=(0, (2, 3)))
    panel.annotate("untrained", (1, before), (0, -3), xycoords=("axes fraction", "data"), textcoords="offset points",
                   ha="right", va="top", fontsize=SMALL)  # fmt: skip
    names = []
    for number, (key, group) in enumerate(_lines(records).items()):
        colour = COLOURS.get(key[0], OTHER_COLOURS[number % len(OTHER_COLOURS)])
        points = _draw_line(panel, key, group, colour)
        name = textwrap.fill(f"{_name(key)} {points[-1][1]:.2f}", LETTERS)
        names.append(panel.annotate(name, points[-1], PLACES[0], textcoords="offset points", va="center",
                                    color=colour, fontweight="bold", linespacing=1))  # fmt: skip
    _ratio(panel, records)
    return names


def _draw_line(panel: "Axes", key: tuple[str, int | None], group: Sequence[Record], colour: str) -> Points:
    """Every seed thin, the mean thick; returns the latter."""
    marker = MARKERS.get(key[0], "v")
    if len(group) > 1:
        for record in group:
            drawn = {"marker": marker, "markersize": 4} if key[0] == "ours" else {}
            panel.plot(*zip(*(point for point in record["curve"] if point[0] > 0), strict=True), color=colour,
                       linewidth=0.8, alpha=0.55, **drawn)  # fmt: skip
    points = _points(key, group)
    panel.plot(*zip(*points, strict=True), color=colour, marker=marker, linewidth=2.4, markersize=6, zorder=3)
    if key[0] == "ours":
        panel.margins(y=0.28)
        budgets = sorted({record["conditions"]["run"]["minutes"] for record in group})
        for text, point in _budget_labels(budgets, points):
            panel.annotate(text, point, (0, -8), textcoords="offset points", ha="center", va="top", color=colour,
                           fontsize=SMALL)  # fmt: skip
    return points


def _budget_labels(budgets: Sequence[float], points: Points) -> list[tuple[str, tuple[float, float]]]:
    """What stands under the points of ours. Budgets that ended nearly together share a label under the last of them, of
    three or more the first and the last."""
    together: list[list[tuple[str, tuple[float, float]]]] = []
    for minutes, point in zip(budgets, points, strict=True):
        if not together or point[0] >= TOGETHER * together[-1][-1][1][0]:
            together.append([])
        together[-1].append((f"{minutes:g}", point))
    labels = []
    for group in together:
        texts, places = zip(*group, strict=True)
        told = f"{texts[0]} to {texts[-1]}" if len(texts) > 2 else ", ".join(texts)
        labels.append((f"{told} min", places[-1]))
    return labels


def _ratio(panel: "Axes", records: Sequence[Record]) -> None:
    """The headline as an arrow from the ancestor's end back to where ours is no worse."""
    if (found := reached(records)) and found.seconds:
        times = [found.seconds, found.ancestor_seconds]
        panel.plot(times, [found.goal] * 2, color=GREY, linewidth=1, linestyle=":", marker="<", markevery=[0],
                   markersize=5, zorder=4)  # fmt: skip
        panel.annotate(f"1/{times[1] / times[0]:.0f} of the time", (times[0], found.goal), (7, 1),
                       textcoords="offset points", ha="left", va="bottom", fontsize=SMALL)  # fmt: skip


def _place(panel: "Axes", names: "Sequence[Annotation]") -> None:
    """Move each name to where it covers least of the lines and of other writing, and stays inside."""
    import numpy
    from matplotlib.transforms import Bbox

    lines = [line.get_transform().transform(line.get_xydata()) for line in panel.lines]
    lines = [line if len(line) > 1 else line.repeat(2, axis=0) for line in lines]
    steps = numpy.linspace(0, 1, 60)[:, None, None]
    inked = numpy.concatenate([((1 - steps) * line[:-1] + steps * line[1:]).reshape(-1, 2) for line in lines])
    ends = {name: Bbox.from_bounds(*panel.transData.transform(name.xy) - NEAR, 2 * NEAR, 2 * NEAR) for name in names}
    taken = [text.get_window_extent() for text in panel.texts if text not in names and text.get_text()]

    def covered(name: "Annotation", place: tuple[float, float]) -> float:
        name.set_position(place)
        name.set_horizontalalignment("left" if place[0] > 0 else "right")
        box = name.get_window_extent()
        outside = box.x1 > panel.bbox.x1 or box.y0 < panel.bbox.y0
        others = taken + [end for other, end in ends.items() if other is not name]
        others = sum(bool(Bbox.intersection(box, other)) for other in others)
        return ON_LINE * box.count_contains(inked) + abs(place[1]) + ON_WRITING * others + OUTSIDE * outside

    for name in reversed(names):  # ours first
        covered(name, min(PLACES, key=lambda place: covered(name, place)))
        taken.append(name.get_window_extent())
