"""A causal language model with its tokenizer, and the tokens between which a post stands.

In: a folder as transformers writes it. Out: `LanguageModel`, which turns texts into token ids and back.
Knows nothing about where the weights came from or what they are used for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import environment, memory
from utils.errors import ModelUnavailable, OutOfMemory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

END_OF_TEXT = "<|endoftext|>"

OPENING_MARK = '"'
"""Stands between the start token and a post. Networks of this kind use the first token of all as a place to rest
attention, with numbers there that are hundreds of times as large as elsewhere (Sun et al. 2024, arXiv:2402.17762), so
that a post's first token is badly learned from there, and two trainings learn it in ways that have no mean. On
`sample:keeperfinch`, 75 steps, seeds 0 to 2, held-out bits per character: 1.509, 1.507 and 1.510 with the start token
alone, and their mean 1.585; 1.503, 1.502 and 1.497 with this mark behind it, and their mean 1.487. (With two line
breaks 1.502, 1.523 and 1.498. With nothing learned in the seven layers that make those numbers 1.516, 1.528, 1.532, and
their mean 1.513.)"""

BEGINNING = "post_beginning"
"""The key in a network's config.json for the ids of the tokens before a post, which it was trained with."""

LONGEST_BEGINNING = 8
"""Tokens before a post, at most, in a folder that comes from anywhere."""


@dataclass
class LanguageModel:
    """network: gives logits of shape (batch, length, vocabulary) for token ids (batch, length).

    beginning: ids of the tokens before each post: the start token, and what stands between it and the post. They are
        given, and cost no bits. end: id of the token after a post.
    """

    network: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    beginning: list[int]
    end: int

    @property
    def device(self) -> "torch.device":
        return self.network.device

    @property
    def context(self) -> int:
        """The longest sequence of tokens that the network can read."""
        return getattr(self.network.config, "max_position_embeddings", 1024)

    def encode(self, text: str) -> list[int]:
        """Token ids of a whole post: beginning, text, end token.

        A text that spells out a special token is still only text; it cannot end a post from within.
        """
        return [*self.beginning, *self.encode_opening(text), self.end]

    def encode_opening(self, text: str) -> list[int]:
        """Token ids of a text, nothing around them."""
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def decode(self, tokens: list[int]) -> str:
        """The text of token ids, as written; no space is tidied away."""
        return self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)


def start_and_end(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, int]:
    """Choose the tokens between which a post stands.

    `<|endoftext|>`, where the vocabulary has it: GPT-2, SmolLM2 and Qwen3 were all trained with it between
    documents, and of the choices tried on SmolLM2 it gave the lowest bits per character before training
    (its own start token `<|im_start|>` opens a chat turn; Qwen3 has no start token at all). Else the
    tokenizer's own end token, and its start token if it has one.
    """
    shared = tokenizer.get_vocab().get(END_OF_TEXT)
    if shared is not None:
        return shared, shared
    end = tokenizer.eos_token_id
    if end is None:
        raise ModelUnavailable(
            "This model's tokenizer has no token for the end of a text, so that its posts would never end. "
            "Choose another model."
        )
    start = tokenizer.bos_token_id
    return (end if start is None else start), end


def bytes_in_memory(folder: Path) -> int:
    """What the weights of a folder take once they are loaded: half precision on the disk becomes float32."""
    return 2 * sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def load_folder(folder: Path, device: "torch.device", name: str | None = None) -> LanguageModel:
    """Load weights (safetensors only: nothing is ever unpickled) and tokenizer from a local folder.

    name: what the user calls the model; the folder's name, unless given.
    """
    name = name or folder.name
    environment.quiet_libraries()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if device.type == "cpu":
        memory.check(bytes_in_memory(folder), f"loading {name}")
    try:
        with environment.memory_errors_in_words(f"loading {name}"):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            network, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="sdpa",
                output_loading_info=True,
            )
            network.to(device)
    except OutOfMemory:
        raise
    except Exception as error:
        # A folder comes from anywhere, and libraries raise anything over a damaged one; the cause is kept.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelUnavailable(f"No model can be loaded from {folder}: {reason}") from error
    if loading["missing_keys"] or loading["mismatched_keys"]:
        raise ModelUnavailable(f"The weights in {folder} do not belong to the model that its config.json describes.")
    if max(tokenizer.get_vocab().values(), default=0) >= network.get_input_embeddings().num_embeddings:
        raise ModelUnavailable(f"The tokenizer in {folder} belongs to another model.")
    start, end = start_and_end(tokenizer)
    language_model = LanguageModel(network.eval(), tokenizer, [start], end)
    told = getattr(network.config, BEGINNING, [start, *language_model.encode_opening(OPENING_MARK)])
    try:
        language_model.beginning = as_beginning(told, network.get_input_embeddings().num_embeddings)
    except ValueError as error:
        raise ModelUnavailable(f"The config.json in {folder} cannot be used: {error}.") from None
    return language_model


def as_beginning(told: Any, vocabulary: int) -> list[int]:
    """What a folder says of the tokens before a post. Raises `ValueError` for what a model with so many cannot read."""
    is_short = isinstance(told, list) and 0 < len(told) <= LONGEST_BEGINNING
    if not (is_short and all(type(token) is int and 0 <= token < vocabulary for token in told)):
        raise ValueError(f"{BEGINNING} names no tokens before a post")
    return told
