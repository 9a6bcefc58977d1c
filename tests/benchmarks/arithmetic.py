"""How many operations a token costs, and which share of the machine's rate is put to use.

In: the shape of a Llama-like model, and what learns. Out: floating-point operations for one trained token. Counted is
what the mathematics needs, not what a program does: padding, recomputation and copies are no use to anybody.
"""

from dataclasses import dataclass
from typing import Any

EVERYTHING = "all weights"
"""What learns with the rivals, in the word that stands in their results."""


@dataclass(frozen=True)
class Shape:
    """What a config.json says of the sizes of a model."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    head_dim: int
    vocabulary: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Shape":
        """From the contents of a config.json."""
        heads = config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            heads=heads,
            key_value_heads=config.get("num_key_value_heads", heads),
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
        )

    @property
    def layer_weights(self) -> int:
        """Weights of one layer's matrices: queries and output, keys and values, and three of the MLP."""
        attention = 2 * self.hidden * (self.heads + self.key_value_heads) * self.head_dim
        return attention + 3 * self.hidden * self.intermediate

    @property
    def head_weights(self) -> int:
        return self.hidden * self.vocabulary


def training_operations(
    shape: Shape, length: float, learned_layers: int | None = None, low_rank: int | None = None
) -> float:
    """Operations to learn from one token.

    length: tokens in the sequence in which it stands; it attends to half of them on average.
    learned_layers: how many of the upper layers learn; None for all weights, embeddings and head included.
    low_rank: parameters of the low-rank matrices that learn in their place, in all these layers together; None where
        the layers' own weights learn.

    Two operations (a multiplication, an addition) for each weight of the layers and the head forwards; two more to
    pass the gradient on through what lies above something that learns; and two more for the gradient of each weight
    that learns (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Attention's two products take
    4 x heads x head_dim for each token attended to, and backwards twice that (Chowdhery et al. 2022,
    arXiv:2204.02311, appendix B; they count masked tokens as well, which is not done here). Norms, the embedding's
    look-up and the optimiser are left out, as in both papers.
    """
    above = shape.layers if learned_layers is None else learned_layers
    attention = 4 * shape.heads * shape.head_dim * length / 2
    forwards = 2 * (shape.layers * shape.layer_weights + shape.head_weights) + shape.layers * attention
    passed_on = 2 * (above * shape.layer_weights + shape.head_weights) + above * 2 * attention
    if low_rank is not None:
        return forwards + passed_on + 6 * low_rank  # forwards, passed on, learned
    learned = 2 * above * shape.layer_weights + (2 * shape.head_weights if learned_layers is None else 0)
    return forwards + passed_on + learned


def operations(shape: Shape, length: float, learned: dict[str, Any]) -> float | None:
    """The same for what a result says has learned: `kind`, and of ours `layers` and `parameters`.

    None for a kind that nobody has counted.
    """
    if learned["kind"] == EVERYTHING:
        return training_operations(shape, length)
    if learned["kind"] == "whole layers":
        return training_operations(shape, length, learned["layers"])
    if learned["kind"] == "LoRA":
        return training_operations(shape, length, learned["layers"], learned["parameters"])
    return None
