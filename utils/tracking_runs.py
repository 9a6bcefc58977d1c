"""The two runs of Weights & Biases, and what is written into them.

In: what a training starts from, figures, and the bot. Out: `@handle-preprocess`, from raw posts to a data
set, and `@handle-train`, from the data set and a pre-trained model to a bot, with artifacts of the types
that the first huggingtweets had. Waits for W&B wherever W&B wants that; who cannot wait asks `tracking.py`.

What is never written: keys, names of folders, addresses; posts only where the caller says that they may be.
"""

import atexit
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import environment
from utils.bot import STORY
from utils.story import Story

if TYPE_CHECKING:
    import wandb

PROJECT = "huggingtweets"
"""The project of the runs, unless WANDB_PROJECT names another."""

START_SECONDS = 5.0
"""After so long without an answer to the first request, the runs are kept in files. Training goes on meanwhile."""

SEND_SECONDS = 4.0
"""How long W&B may send what is left of a run at its end."""

WEIGHTS = "WANDB_LOG_MODEL"
"""The switch of the Hugging Face integration: set to "end", the bot's weights go into its artifact, too. They
do not otherwise: W&B copies what it is to send, 270 MB a bot, also where it is sent later or never."""

RAW, DATA_SET, PRETRAINED, BOT = "raw-dataset", "train-dataset", "pretrained-model", "finetuned-model"
"""The types of artifacts, as in the first huggingtweets."""


@dataclass(frozen=True)
class Material:
    """What a training starts from.

    posts, parts: counts. texts: the posts of each part. config: settings, among them `seed` and `model`,
    versions and device. weights: the folder from which the model was loaded.
    """

    authors: Sequence[str]
    posts: dict[str, int]
    parts: dict[str, int]
    texts: dict[str, list[str]]
    config: dict[str, Any]
    weights: Path


@dataclass
class RawPosts:
    """Posts as they were written: a digest of each author's, and the texts where they may be sent."""

    digests: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, texts: Sequence[str], keep: bool) -> None:
        """Take in one author's."""
        self.digests.append(digest_of(texts))
        self.texts += texts if keep else ()


class Runs:
    """Both runs. `online` turns False, and `problem` says why, if W&B does not answer when they are opened."""

    def __init__(self, online: bool) -> None:
        self.online, self.problem = online, ""
        self._open: dict[str, wandb.Run] = {}
        self._data_set: wandb.Artifact | None = None

    @property
    def url(self) -> str | None:
        """The address of the training's run, if it is online."""
        return self._open["train"].url if self.online and "train" in self._open else None

    @property
    def folders(self) -> list[Path]:
        """Where the files of the runs are, the training's last."""
        return [Path(run.dir).parent for run in self._open.values()]

    def open_preprocess(self, material: Material, raw: RawPosts, send_posts: bool) -> list[Callable[[], Any]]:
        """Open the run that makes a data set of raw posts; returns what it takes to fill and close it."""
        import wandb

        about_raw = {"name": f"{_file_name(material)}-posts", "digest": digest_of(raw.digests), **material.posts}
        about = self._about_data_set(material)
        config = {"inputs": {RAW: about_raw}, "parts": material.parts, "seed": material.config["seed"]}
        run = self._init(material, "preprocess", config, _new_id())
        before = wandb.Artifact(about_raw["name"], RAW, metadata=about_raw)
        after = self._data_set = wandb.Artifact(about["name"], DATA_SET, metadata=about)
        _add(before, "counts.json", json.dumps(about_raw))
        _add(after, "counts.json", json.dumps(about))
        if send_posts:
            _add(before, "posts.jsonl", _json_lines(raw.texts))
            for part, texts in material.texts.items():
                _add(after, f"{part}.jsonl", _json_lines(texts))
        if not self.online:  # there W&B knows no inputs; the config names them
            return [lambda: run.log_artifact(after), run.finish]
        return [lambda: run.use_artifact(before), lambda: run.log_artifact(after), after.wait, run.finish]

    def open_train(self, material: Material) -> None:
        """Open the run of the training: the settings and what it starts from, by name and digest."""
        model = {"name": _safe(material.config["model"]), "digest": _digest_of_weights(material.weights)}
        inputs = {DATA_SET: self._about_data_set(material), PRETRAINED: model}
        self._inputs, self._bot_name = inputs, f"{_file_name(material)}-bot"
        run = self._init(material, "train", {**material.config, "posts": material.posts, "inputs": inputs})
        run.define_metric("train/global_step")
        run.define_metric("*", step_metric="train/global_step")
        for metric in ("eval/bits_per_character", "eval/best_bits_per_character"):
            run.define_metric(metric, step_metric="train/seconds")

    def _about_data_set(self, material: Material) -> dict[str, Any]:
        digest = digest_of(text for texts in material.texts.values() for text in texts)
        name = f"{_file_name(material)}-dataset"
        return {"name": name, "digest": digest, **material.parts, "seed": material.config["seed"]}

    def _init(self, material: Material, kind: str, config: dict[str, Any], run_id: str | None = None) -> "wandb.Run":
        """Open a run; where W&B does not answer in time, one that is kept in files."""
        import wandb

        about = {"name": f"{'+'.join(material.authors)}-{kind}", "job_type": kind, "id": run_id, "config": config,
                 "project": os.environ.get("WANDB_PROJECT") or PROJECT, "dir": _folder(), "reinit": "create_new",
                 }  # fmt: skip
        try:
            run = wandb.init(**about, settings=_settings(self.online))
        except Exception as error:  # noqa: BLE001  W&B raises errors of many kinds when it is down
            if not self.online:
                raise
            self.online = False
            what = "did not accept the key" if _is_about_the_key(error) else "could not be reached"
            self.problem = f"W&B {what}; the training was tracked on this machine."
            run = wandb.init(**{**about, "id": _new_id()}, settings=_settings(False))  # W&B holds on to the other one
        self._open[kind] = run
        return run

    def log(self, figures: dict[str, Any]) -> None:
        """Log figures of one moment of the training; those that are None are not known at that moment."""
        self._open["train"].log({name: value for name, value in figures.items() if value is not None})

    def log_table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Log a table, unless it is empty."""
        import wandb

        if rows:
            self._open["train"].log({name: wandb.Table(columns, rows)})

    def log_bot(self, story: Story, bot: Path) -> None:
        """Log the held-out figures, and the bot as an artifact: its card, and its weights if `WEIGHTS` is set."""
        import wandb

        figures = {f"held_out/{name}": value for name, value in story.held_out.items()}
        self._open["train"].summary.update({**figures, "tokens_trained": story.tokens_trained})
        card = {"authors": story.authors, "held_out": story.held_out, "parts": story.parts, "date": story.date,
                "tokens_trained": story.tokens_trained, "versions": story.versions}  # fmt: skip
        artifact = wandb.Artifact(self._bot_name, BOT, metadata=card)
        _add(artifact, "card.json", json.dumps(card))
        if os.environ.get(WEIGHTS, "").lower() in ("1", "true", "end", "checkpoint"):
            for path in bot.glob("*.*"):  # `private/` has no dot
                if path.name != STORY:
                    artifact.add_file(str(path))
        self._open["train"].log_artifact(artifact)

    def use_inputs(self, data_set_is_there: bool) -> None:
        """Tie the training to what it started from. Waits until W&B has it; offline there is only the config."""
        import wandb

        if self.online:
            model = self._inputs[PRETRAINED]
            artifact = wandb.Artifact(model["name"], PRETRAINED, metadata=model)
            _add(artifact, "model.json", json.dumps(model))
            if self._data_set and data_set_is_there:
                self._open["train"].use_artifact(self._data_set)
            self._open["train"].use_artifact(artifact)

    def close(self, status: int = 0) -> None:
        """Close the training's run; a status other than 0 says that it failed. Raises `TimeoutError`."""
        self._open["train"].finish(exit_code=status)


def import_quietly() -> None:
    """Import W&B so that it prints nothing, reports nothing of its own, and keeps its files with ours."""
    kept = Path(_folder()) / "wandb"
    quiet = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    places = {f"WANDB_{name}_DIR": str(kept / name.lower()) for name in ("CACHE", "DATA", "ARTIFACT")}
    for name, value in {**quiet, **places}.items():
        os.environ.setdefault(name, value)
    atexit.register(end_helper)  # before the import, so that W&B's own end comes first
    import wandb  # noqa: F401


def end_helper() -> None:
    """End W&B's helper, which outlives, by minutes, a program for which it could not send everything."""
    environment.end_children("wandb-core")


def digest_of(texts: Iterable[str]) -> str:
    """What tells these texts from others, and says nothing about them."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _digest_of_weights(folder: Path) -> str:
    """Of all weights together; 270 MB take a quarter of a second."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """What W&B says, without the advice behind it and without addresses."""
    return re.sub(r'"?https?://\S+|\S+:\d+', "its server", str(error).partition("\n")[0])[:200]


def _is_about_the_key(error: Exception) -> bool:
    from wandb.errors import AuthenticationError

    return isinstance(error, AuthenticationError) or re.search(r"\b40[13]\b|API key", str(error)) is not None


def _folder() -> str:
    """W&B makes its folder, `wandb`, in this one."""
    folder = Path(os.environ.get("WANDB_DIR") or environment.cache_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _settings(online: bool) -> "wandb.Settings":
    import wandb

    return wandb.Settings(
        mode="online" if online else "offline",
        init_timeout=START_SECONDS,
        finish_timeout=SEND_SECONDS,
        finish_timeout_raises=True,
        silent=True,
        console="off",
        # Of this machine nothing but what the config says: its name, folders, code and packages stay here.
        host="-",
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )


def _new_id() -> str:
    """An id of a run, other than WANDB_RUN_ID, which is the training's."""
    return secrets.token_hex(4)


def _file_name(material: Material) -> str:
    return _safe("+".join(material.authors))


def _safe(name: str) -> str:
    """The name with the letters that W&B allows in the name of an artifact."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") or "unnamed"


def _add(artifact: "wandb.Artifact", name: str, content: str) -> None:
    with artifact.new_file(name, encoding="utf-8") as file:
        file.write(content)


def _json_lines(texts: Sequence[str]) -> str:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
