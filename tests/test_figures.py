"""Charts of the dev notebook: seen on any page, and said in words."""

import base64

import pytest

from utils.figures import COLOURS, GREY, Picture, chart, draw_dots, draw_runs, draw_surprise, pipeline


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
def test_what_is_drawn_is_seen_on_light_pages_and_dark_ones(page: str) -> None:
    assert contrast(GREY, page) > 4
    assert all(contrast(colour, page) > 2.8 for colour in COLOURS)


def test_a_notebook_gets_the_picture_without_a_background_and_its_description() -> None:
    figure, axes = chart()
    draw_runs(axes, {"ours": [[(0, 2.0), (1, 1.5)], [(0, 2.0), (1, 1.6)]], "theirs": [[(0, 2.0), (1, 1.9)]]})
    data, metadata = Picture(figure, "Two lines fall\n   and a third.")._repr_mimebundle_()
    png = base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG") and len(png) < 60_000
    assert png[25] == 6, "colours with transparency"
    assert data["text/plain"] == metadata["image/png"]["alt"] == "Two lines fall and a third."
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ours", "theirs"], "a name for all runs"


def test_dots_stand_in_order_with_their_means_beside_them() -> None:
    _, axes = chart()
    draw_dots(axes, {"first": [1.0, 2.0], "second": [3.0]})
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert axes.yaxis_inverted(), "the first on top"
    assert [text.get_text() for text in axes.texts] == ["1.500", "3.000"]


def test_surprise_is_written_out_letter_by_letter_and_breaks_into_lines() -> None:
    _, axes = chart()
    draw_surprise(axes, [("The", 1.0), (" goat", 20.0), (" is", 0.0), ("", 3.0)], "before", columns=8)
    assert "".join(text.get_text() for text in axes.texts) == "The goatis⏎"
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[1] == max(heights) and heights[2] == 0


def test_the_way_of_the_data_is_drawn_and_said() -> None:
    assert pipeline([("load", "Timeline"), ("clean", "CleanTimeline")], "reference").alt == (
        "The way of the data: from reference, load makes a Timeline, clean makes a CleanTimeline."
    )
