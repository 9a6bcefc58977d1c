"""The bundled authors, so that the first run needs no file, no key and no living person's words.

In: a name. Out: that author's Timeline. Both authors are fictional, were written for this project and
are dedicated to the public domain (CC0); their posts look as a network hands them out, with reposts,
replies and links.
"""

from dataclasses import replace
from pathlib import Path

from utils.errors import BadReference
from utils.timelines import Timeline, files

FOLDER = Path(__file__).parent / "samples"

NAMES = {
    "keeperfinch": "Marlowe Finch, who keeps a lighthouse with a goat",
    "unit7bakes": "Unit 7, a robot on the night shift of a bakery",
}

FIRST_NAMES = {"keeperfinch": "Marlowe", "unit7bakes": "Unit 7"}


def choices() -> str:
    """The bundled authors as references, in words."""
    return " or ".join(f"sample:{name}" for name in NAMES)


def load(name: str) -> Timeline:
    """The posts of one bundled author. Raises `BadReference` for a name that is not bundled."""
    if name not in NAMES:
        raise BadReference(f"There is no sample called '{name}'; the bundled authors are {choices()}.")
    return replace(files.load(FOLDER / f"{name}.jsonl"), author=f"@{name}", source=f"sample:{name}")
