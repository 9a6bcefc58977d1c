"""What every test starts from: a home of its own, no keys, no network, and tiny models built on the spot."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# On models this small a second thread only waits for the first; beside other work it waits very long.
os.environ["OMP_NUM_THREADS"] = "1"
# A record of each training would cost a second each time; the tests of the record turn it on.
os.environ["WANDB_MODE"] = "disabled"
# On a busy machine any example may take long, and the next one not.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
sys.path.insert(0, str(Path(__file__).parent.parent))

from internet import Internet  # noqa: E402
from tiny import save_taught_model  # noqa: E402

from utils import environment, models  # noqa: E402
from utils.pipeline import make_bot  # noqa: E402
from utils.settings import TrainingSettings  # noqa: E402

REAL_CACHE = environment.cache_folder()
KEYS = ("TOKEN", "KEY", "SECRET", "PASSWORD")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, then slow ones, those in a browser last: the weights are there by then."""
    items.sort(key=lambda item: (item.get_closest_marker("slow") is not None, "browser" in item.path.parts))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a cache and a working folder that nobody else sees; no keys, no wishes, no `make` that we run under."""
    for name in list(os.environ):
        if name.startswith(("HUGGINGTWEETS_", "MAKE", "MFLAGS")) or any(key in name.upper() for key in KEYS):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(home / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def real_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own cache, with the real weights in it, so that they are fetched once and not by a test; all cores."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(REAL_CACHE))
    models.prepare("auto")


@pytest.fixture
def internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """An internet of our own, without a host so far, for this process and those that it starts."""
    made = Internet(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture(scope="session")
def taught_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that writes something like words; made once for all tests."""
    return save_taught_model(tmp_path_factory.mktemp("taught") / "model")


@pytest.fixture(scope="session")
def trained_bot(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot of that model, trained once for all tests, which leave it as it is; `bot` is a copy."""
    folder = tmp_path_factory.mktemp("trained") / "unit7bakes"
    make_bot(["sample:unit7bakes"], TrainingSettings(steps=2, model=str(taught_model)), out=folder)
    return folder


@pytest.fixture
def bot(trained_bot: Path, tmp_path: Path) -> Path:
    """A copy of that bot, to do with as one likes."""
    return Path(shutil.copytree(trained_bot, tmp_path / "unit7bakes"))


@pytest.fixture
def write_posts(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes texts as a `.jsonl` file, a day apart, oldest first, and returns its path."""

    def write(texts: list[str], name: str = "posts.jsonl", dated: bool = True) -> Path:
        path = tmp_path / name
        with open(path, "w", encoding="utf-8") as file:
            for number, text in enumerate(texts):
                date = f"{2000 + number // 336:04}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}T12:00:00Z"
                entry = {"id": str(number), "created_at": date, "text": text} if dated else {"text": text}
                file.write(json.dumps(entry) + "\n")
        return path

    return write
