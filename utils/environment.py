"""What this machine is: device, precision, folders, time.

In: nothing but the machine and its environment variables. Out: plain answers. Knows nothing about
posts or models. What memory is left, `memory.py` knows; nothing else in the package asks the machine for itself.
"""

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from utils import processes
from utils.colab import in_colab
from utils.errors import BadSetting, OutOfMemory

if TYPE_CHECKING:
    import torch

BFLOAT16_GAIN = 1.3
"""bfloat16 costs digits, and casts between each two products; it has to be so many times faster to be chosen."""

IDLE_GPU = (
    "There is an NVIDIA GPU, but the PyTorch that is installed cannot use it, so the CPU does the work. One that can: "
    "https://pytorch.org/get-started/locally"
)


def cache_folder() -> Path:
    """Where pre-trained weights are kept: `$HUGGINGTWEETS_CACHE`, or the user's cache folder.

    Whole paths, here and for the shelf, since what the page starts works in other folders than the page.
    """
    if chosen := os.environ.get("HUGGINGTWEETS_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "huggingtweets"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingtweets"


def shelf_folder() -> Path:
    """Where fetched posts are kept: `$HUGGINGTWEETS_SHELF`, or a folder in the cache."""
    chosen = os.environ.get("HUGGINGTWEETS_SHELF")
    return Path(chosen).expanduser().absolute() if chosen else cache_folder() / "posts"


def keep_posts_in(folder: Path) -> None:
    """Make this process, and those that it starts, keep fetched posts in a folder of their own."""
    os.environ["HUGGINGTWEETS_SHELF"] = str(folder)


def device() -> "torch.device":
    """The fastest device at hand: an NVIDIA or AMD GPU, Apple's, else the CPU. Of several processes, each has its own.

    Raises `BadSetting` where there are fewer GPUs than processes.
    """
    import torch

    if torch.cuda.is_available() and _has_programs_for_gpu():
        if processes.count_here() > torch.cuda.device_count():
            raise BadSetting(
                f"{processes.count_here()} processes were started on this machine, which has "
                f"{torch.cuda.device_count()} GPU. Start one for each GPU."
            )
        return torch.device("cuda", processes.number_here())
    if torch.backends.mps.is_available() and processes.count() == 1:
        return torch.device("mps")
    return torch.device("cpu")


def _has_programs_for_gpu() -> bool:
    """Whether this PyTorch was built for a GPU as old as the one that is here; else the first product would fail."""
    import torch

    built_for = [int(name[3:].rstrip("af")) for name in torch.cuda.get_arch_list() if name.startswith("sm_")]
    major, minor = torch.cuda.get_device_capability(processes.number_here() % torch.cuda.device_count())
    return not built_for or 10 * major + minor >= min(built_for)


def precision(device: "torch.device") -> "torch.dtype":
    """The number format to compute in; weights that learn stay in float32.

    GPUs older than NVIDIA's Ampere have no bfloat16 of their own and take float16. A CPU is asked: whether it
    has the instructions does not tell whether they pay. Matrix products of 2,048 rows ran at 166 GFLOP/s in
    bfloat16 and 322 in float32 on a Sapphire Rapids Xeon whose AMX units were hidden from the virtual machine,
    at 15 and 130 on an EPYC with AVX2 alone.
    """
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu" and _bfloat16_pays():
        return torch.bfloat16
    return torch.float32


@cache
def _bfloat16_pays() -> bool:
    """Whether this CPU multiplies matrices of the sizes that a small model has clearly faster in bfloat16.

    Half the time or double, in all that was tried; so a noisy moment does not decide. Takes a twentieth of a second.
    """
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if not (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return False

    def seconds(dtype: torch.dtype) -> float:
        rows, weights = torch.ones(512, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
        took = []
        for _ in range(6):
            began = time.perf_counter()
            rows @ weights
            took.append(time.perf_counter() - began)
        return min(took)

    return seconds(torch.float32) > BFLOAT16_GAIN * seconds(torch.bfloat16)


def device_name(device: "torch.device") -> str:
    """The device in words, like "cpu (2 cores)", "cuda (NVIDIA T4)" or "mps (Apple's GPU)"."""
    import torch

    together = f", {processes.count()} processes" if processes.count() > 1 else ""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)}){together}"
    return "mps (Apple's GPU)" if device.type == "mps" else f"{device.type} ({os.cpu_count()} cores){together}"


def has_idle_gpu(device: "torch.device") -> bool:
    """Whether the work goes to the CPU while there is an NVIDIA GPU: what pip installs on Windows cannot use it."""
    return device.type == "cpu" and "CUDA_VISIBLE_DEVICES" not in os.environ and bool(shutil.which("nvidia-smi"))


def _is_memory_error(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch's on the CPU is a bare RuntimeError, and so is Python's for a
    thread whose stack finds no room."""
    text = str(error).lower()
    signs = ("out of memory", "alloc_failed", "can't start new thread")  # the second one is CUDA's libraries'
    says_so = "memory" in text and "alloc" in text or any(sign in text for sign in signs)
    return isinstance(error, MemoryError) or isinstance(error, RuntimeError) and says_so


def find_path(text: str | Path) -> Path | None:
    """The existing file or folder that a text names, `~` being the home folder; None if it names none.

    Whatever is too long, has forbidden letters, or may not be looked at, names none.
    """
    try:
        path = Path(text).expanduser()
        return path if str(text) and path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None


@contextmanager
def memory_errors_in_words(purpose: str) -> Iterator[None]:
    """Turn a failed allocation inside the block into `OutOfMemory`; everything else passes through."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory_error(error):
            raise
        if re.search(r"cuda|cublas|cudnn", str(error), re.IGNORECASE):
            raise OutOfMemory(
                f"The GPU's memory ran out while {purpose}. Close what else uses it, choose a smaller model, or set "
                "CUDA_VISIBLE_DEVICES=-1, which leaves the work to the CPU."
            ) from error
        raise OutOfMemory(
            f"The memory of this machine ran out while {purpose}. Close other programs, or choose a smaller model."
        ) from error


def peak_memory(device: "torch.device") -> int:
    """The most bytes that this process has held so far: on the GPU where there is one, else in memory."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def process_start() -> float:
    """The moment at which this process began, or the launcher of several, on the clock of `time.monotonic`."""
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    began = psutil.Process(os.getppid() if launched else None).create_time()
    return time.monotonic() - (time.time() - began)


def process_began(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None if it has ended. Numbers of processes are used again."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def end_children(name: str) -> None:
    """End the processes of this name that this one has started: ask, and where that does not help, insist."""
    with suppress(psutil.Error):
        ours = [child for child in psutil.Process().children(recursive=True) if child.name() == name]
        for act in (psutil.Process.terminate, psutil.Process.kill):
            for child in ours:
                with suppress(psutil.Error):
                    act(child)
            _, ours = psutil.wait_procs(ours, timeout=1)


def free_disk(folder: Path) -> int:
    """Bytes free on the disk that holds `folder`, which need not exist yet."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:  # a drive may be absent, too
        folder = folder.parent
    return shutil.disk_usage(folder).free


def versions() -> dict[str, str]:
    """What a result depends on: Python, the operating system and the libraries that compute."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("torch", "transformers", "tokenizers", "safetensors"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def quiet_libraries() -> None:
    """Keep transformers' own bars and advice off the screen; ours says what matters."""
    import warnings

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"(transformers|torch|accelerate)\.")


def secret(*names: str) -> str | None:
    """The first of these keys that the environment holds, or the secrets of Google Colab do."""
    for name in names:
        if value := os.environ.get(name, "").strip():
            return value
    if in_colab():
        from google.colab import userdata

        with suppress(userdata.TimeoutException):  # nobody looks at the notebook, so no secret can be asked for
            for name in names:
                with suppress(userdata.SecretNotFoundError, userdata.NotebookAccessError):
                    return userdata.get(name).strip()
    return None


def in_binder() -> bool:
    """Whether Binder started this: BinderHub tells every server that it starts which host launched it."""
    return "BINDER_LAUNCH_HOST" in os.environ


def effort() -> str:
    """How much work the notebook that teaches may make: `$HUGGINGTWEETS_EFFORT`, or "reader"."""
    return os.environ.get("HUGGINGTWEETS_EFFORT", "reader")


def is_public() -> bool:
    """Whether the page is served to others, who must not see this machine's files."""
    return os.environ.get("HUGGINGTWEETS_PUBLIC", "") not in ("", "0")
