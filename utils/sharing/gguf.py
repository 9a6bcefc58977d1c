"""A bot as one GGUF file, for llama.cpp and what is built on it.

In: a bot's folder whose network is a Llama, as SmolLM2 is, the default. Out: a file with weights in half precision,
tokenizer and start token. Other networks have other layouts and are refused; no package of the index converts
them all. Names of tensors and keys are those of the `gguf` package, the layout that of llama.cpp.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.atomic import replacing_file
from utils.errors import BadBot, SharingFailed
from utils.language_model import BEGINNING
from utils.settings import PROJECT_URL

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter

PRE_TOKENIZERS = {("ByteLevel",): "gpt-2", ("Digits", "ByteLevel"): "smollm"}
"""What llama.cpp calls the ways in which these tokenizers split a text before they look for tokens: that of GPT-2,
and that of SmolLM2, where each digit is a token of its own."""


def write_gguf(bot: Path, voice: str, target: Path) -> Path:
    """Write the file; one that was there is replaced when all is written. Raises `SharingFailed` or `BadBot`."""
    config, tokenizer, names = (_read(bot / f"{name}.json") for name in ("config", "tokenizer", "tokenizer_config"))
    if config.get("model_type") != "llama" or config.get("rope_parameters", {}).get("rope_type") != "default":
        raise SharingFailed(
            f"A bot of the kind {config.get('model_type')} cannot be written as GGUF here; those of SmolLM2 can. "
            "Share it as a zip."
        )
    from gguf import GGUFWriter
    from safetensors import SafetensorError

    try:
        with replacing_file(target) as partial:
            _write(GGUFWriter(partial, "llama"), bot, voice, (config, tokenizer, names))
    except OSError as error:
        raise SharingFailed(f"No file could be written to {target}: {error.strerror}. Choose another --out.") from error
    except (LookupError, TypeError, ValueError, SafetensorError) as error:
        raise BadBot(f"The bot in {bot} is damaged. Train it again. ({error})") from error
    return target


def _write(writer: "GGUFWriter", bot: Path, voice: str, about: tuple[dict[str, Any], ...]) -> None:
    config, tokenizer, names = about
    writer.add_name(voice)
    begin = ' Let it go on from a quotation mark, ".' if len(config.get(BEGINNING, [])) > 1 else ""
    writer.add_description(f"A bot that writes in the voice of {voice}. Say so wherever its posts are shown.{begin}")
    writer.add_tags(["huggingtweets"])
    writer.add_url(PROJECT_URL)
    _describe(writer, config)
    _add_tokenizer(writer, tokenizer, config, names)
    _add_weights(writer, bot / "model.safetensors", config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadBot(f"{path} is damaged ({error}). Train the bot again.") from error


def _describe(writer: "GGUFWriter", config: dict[str, Any]) -> None:
    from gguf import LlamaFileType

    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(
    writer: "GGUFWriter", tokenizer: dict[str, Any], config: dict[str, Any], names: dict[str, Any]
) -> None:
    from gguf import TokenType

    steps = tokenizer["pre_tokenizer"].get("pretokenizers", [tokenizer["pre_tokenizer"]])
    splitting = PRE_TOKENIZERS.get(tuple(step["type"] for step in steps))
    if not splitting or tokenizer["model"]["type"] != "BPE" or tokenizer["normalizer"]:
        raise SharingFailed("The tokenizer of this bot cannot be written as GGUF. Share it as a zip.")
    tokens = {number: (text, TokenType.NORMAL) for text, number in tokenizer["model"]["vocab"].items()}
    for added in tokenizer["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]] = (added["content"], kind)
    rows = [tokens.get(number, (f"[unused{number}]", TokenType.UNUSED)) for number in range(config["vocab_size"])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting)
    writer.add_token_list([text for text, _ in rows])
    writer.add_token_types([kind for _, kind in rows])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    numbers = {text: number for number, (text, _) in tokens.items()}
    writer.add_bos_token_id(numbers[names["bos_token"]])
    writer.add_eos_token_id(numbers[names["eos_token"]])
    writer.add_pad_token_id(numbers[names["pad_token"]])
    writer.add_add_bos_token(True)  # so that only the rest of a beginning has to be typed
    writer.add_add_space_prefix(False)


def _add_weights(writer: "GGUFWriter", file: Path, config: dict[str, Any]) -> None:
    import numpy as np
    from gguf import MODEL_ARCH, get_tensor_name_map
    from safetensors.numpy import load_file

    known = get_tensor_name_map(MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, weight in load_file(file).items():
        layer = name.split(".")[-2]
        if layer in heads:
            weight = _interleaved(weight, heads[layer])
        # llama.cpp wants vectors in full precision.
        kind = np.float16 if weight.ndim > 1 else np.float32
        writer.add_tensor(known.get_name(name, (".weight", ".bias")), np.ascontiguousarray(weight.astype(kind)))


def _interleaved(weight: "np.ndarray", heads: int) -> "np.ndarray":
    """Rows of a query or key in llama.cpp's order: it turns neighbouring pairs, transformers two halves of a head."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
