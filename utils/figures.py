"""Charts for a notebook: they read well on light pages and dark ones, and say in words what they show.

In: what was measured. Out: a `Picture`, which a notebook shows, and whose description is read where no picture is seen.
There is no background. Knows nothing about models or posts; matplotlib has its home here.
"""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#7b7b7b"
"""Contrast 4.2 with white and 4.5 with GitHub's dark page, #0d1117; any other grey is worse on one of the two."""

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")
"""Of the eight that Okabe and Ito chose to be told apart with any kind of colour blindness (Color Universal Design,
2008), those whose contrast is 2.9 or more with white and with #0d1117 alike."""

MARKERS = ("o", "s", "^", "D")
"""What is drawn in a colour differs in shape, too, for those who see no colours."""

STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), GREY),
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}

WIDTH, DOTS = 7.2, 100
"""Inches, and dots in each: 720 pixels, the width of a cell on GitHub and on Colab."""

LOST, BAR = 16.0, 0.5
"""Bits at which the bar under a token is as high as it gets, a chance of one in 65,536; and that height, in lines."""


class Picture:
    """A chart with its description, `alt`, in a form that every notebook shows."""

    def __init__(self, figure: "Figure", alt: str) -> None:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DOTS, transparent=True, metadata={"Software": None})
        self.png, self.alt = file.getvalue(), " ".join(alt.split())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        return (
            {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt},
            {"image/png": {"alt": self.alt}},
        )


def chart(columns: int = 1, rows: int = 1, height: float = 2.6, **options: Any) -> tuple["Figure", Any]:
    """A figure as wide as a cell, and its axes: one, or an array of them; what is drawn from now on has our style.

    height: in inches. options: those of matplotlib's `Figure.subplots`, like `sharey`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(STYLE)
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(rows, columns, **options)


def draw_runs(axes: "Axes", runs: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> None:
    """A colour for each name; a line through the points of each of its runs."""
    for colour, marker, (name, several) in zip(COLOURS, MARKERS, runs.items(), strict=False):
        for number, points in enumerate(several):
            label = name if number == 0 else None
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label)
    axes.legend()


def draw_dots(axes: "Axes", values: Mapping[str, Sequence[float]], form: str = "{:.3f}") -> None:
    """A row for each name, the first on top: a dot for each of its values, a stroke at their mean, and the mean."""
    for row, several in enumerate(values.values()):
        mean = sum(several) / len(several)
        axes.axhline(row, color=GREY, linewidth=0.5, alpha=0.5)
        axes.plot(several, [row] * len(several), "o", color=COLOURS[0], markersize=5)
        axes.plot(mean, row, "|", color=COLOURS[1], markersize=18, markeredgewidth=3)
        axes.annotate(form.format(mean), (max(several), row), (10, 5), textcoords="offset points")
    axes.set_yticks(range(len(values)), [textwrap.fill(name, 28) for name in values])
    axes.set_ylim(len(values) - 0.4, -0.7)
    axes.margins(x=0.2)


def draw_surprise(axes: "Axes", tokens: Sequence[tuple[str, float]], title: str, columns: int = 84) -> None:
    """A text in the widths of a typewriter, under each token a bar that is higher the more bits it needs.

    tokens: as `scoring.token_bits` gives them; the end of the text, the last one, is drawn as ⏎.
    """
    row = column = 0
    for number, (token, bits) in enumerate(tokens):
        shown = "⏎" if number == len(tokens) - 1 else token.replace("\n", "⏎")
        if column + len(shown) > columns:
            row, column, shown = row + 1, 0, shown.lstrip(" ")
        height = min(bits / LOST, 1.0) * BAR
        axes.bar(column, height, len(shown) - 0.2, bottom=row + 0.35, align="edge", color=COLOURS[0])
        for place, letter in enumerate(shown):
            axes.text(column + place + 0.4, row, letter, family="monospace", fontsize=9, ha="center", va="center")
        column += len(shown)
    axes.set(xlim=(0, columns), ylim=(row + 0.35 + BAR, -0.4), title=title)
    axes.axis("off")


def pipeline(stages: Sequence[tuple[str, str]], begin: str) -> Picture:
    """A way drawn from `begin` on; stages: (the function on the arrow, the thing that it makes)."""
    figure, axes = chart(height=0.9)
    things = [begin, *(thing for _, thing in stages)]
    for place, thing in enumerate(things):
        axes.text(place, 0, thing, ha="center", va="center", fontsize=8.5, color=COLOURS[1], weight="bold")
        if place:
            arrow = {"arrowstyle": "->", "color": GREY}
            axes.annotate("", (place - 0.36, 0.5), (place - 0.64, 0.5), arrowprops=arrow)
            axes.text(place - 0.5, 0.8, f"{stages[place - 1][0]}()", ha="center", fontsize=8.5, family="monospace")
    axes.set(xlim=(-0.5, len(things) - 0.5), ylim=(-0.5, 1.2))
    axes.axis("off")
    way = ", ".join(f"{function} makes a {thing}" for function, thing in stages)
    return Picture(figure, f"The way of the data: from {begin}, {way}.")
