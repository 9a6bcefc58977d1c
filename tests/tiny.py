"""Tiny random models of every architecture in the catalogue, with tokenizers like the real ones'."""

from functools import cache
from pathlib import Path

SPECIAL_TOKENS = {
    # The roles that the real tokenizers give to their special tokens; Qwen3 has no start token.
    "llama": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"},
    "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
    "qwen3": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
}

ARCHITECTURES = tuple(SPECIAL_TOKENS)


@cache
def _tokenizer_json() -> str:
    """A byte-level BPE tokenizer of 600 tokens, learned from a bundled author."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from utils.timelines import load

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((post.text for post in load("sample:unit7bakes").posts), trainer)
    return tokenizer.to_str()


def save_tiny_model(folder: Path, architecture: str = "llama", layers: int = 2) -> Path:
    """Write a random model of two small layers, as the Hub would hand it out, and return its folder."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

    torch.manual_seed(0)
    if architecture == "gpt2":
        config = GPT2Config(vocab_size=600, n_embd=32, n_layer=layers, n_head=2, n_positions=256)
    else:
        kind = {"llama": LlamaConfig, "qwen3": Qwen3Config}[architecture]
        config = kind(
            vocab_size=600,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=256,
            tie_word_embeddings=True,
        )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_json()), **SPECIAL_TOKENS[architecture]
    )
    tokenizer.save_pretrained(folder)
    return folder


def save_taught_model(folder: Path, steps: int = 250) -> Path:
    """Write a tiny model that has learned, all its weights, to write something like words; returns its folder."""
    import torch

    from utils.cleaning import clean
    from utils.dataset import build
    from utils.language_model import load_folder
    from utils.scoring import collate, cross_entropy
    from utils.timelines import load

    model = load_folder(save_tiny_model(folder, "llama"), torch.device("cpu"))
    dataset = build([clean(load("sample:unit7bakes"))], model.encode, seed=0)
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-2)
    for _, batch in zip(range(steps), dataset.training_batches(2000, seed=0), strict=False):
        cross_entropy(model.network, **collate([dataset.training[index].tokens for index in batch])).backward()
        optimiser.step()
        optimiser.zero_grad()
    model.network.save_pretrained(folder)
    return folder
