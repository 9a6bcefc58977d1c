"""The head: the last matrix, which makes logits of hidden states.

In: a network whose head is a matrix and nothing else, and hidden states. Out: logits, or how surprising the right
tokens are. While LoRA learns, its two thin matrices count as part of the head, and their gradients are computed here.
Knows nothing about posts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PIECE = 256
"""Rows of logits in memory at a time. On two cores, 1,024 rows of SmolLM2's 49,152 columns, forward and
backward: 1.09 s in pieces of 256, 1.26 of 128, 1.71 of 64, 1.41 whole; the products alone 0.85."""

OTHER_WAY_ROUND = range(6, 33)
"""Numbers of rows for which head times hidden states is faster than hidden states times head."""

TINY = torch.finfo(torch.float32).tiny
"""While the head learns, the loss of a token counts no smaller probability than this, or it could be infinite. Its
gradient, and scores, do without."""


@dataclass(frozen=True)
class Head:
    """A head, (vocabulary, width), and what LoRA adds to it: `scale` times `up`, (vocabulary, rank), times `down`,
    (rank, width); None where it adds nothing."""

    weight: torch.Tensor
    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    scale: float = 1.0

    @classmethod
    def of(cls, network: "PreTrainedModel") -> "Head":
        """The head of a network, as it is now."""
        module = network.get_output_embeddings()
        for adapter in getattr(module, "active_adapters", ()):  # of PEFT, one at most
            down, up = module.lora_A[adapter].weight, module.lora_B[adapter].weight
            return cls(module.weight, down, up, module.scaling[adapter])
        return cls(module.weight)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits, (rows, vocabulary), in float32, of hidden states, (rows, width), in whose number format they are
        computed.

        The product is written the other way round where that is faster: on one core 21 ms and not 34 for ten rows, but
        20 and not 9 for three, 38 and not 32 for fifty.
        """
        weight = self.weight.to(hidden.dtype)
        if len(hidden) in OTHER_WAY_ROUND:
            logits = torch.mm(weight, hidden.t()).t().contiguous().float()
        else:
            logits = torch.mm(hidden, weight.t()).float()
        if self.up is not None:
            with torch.autocast(hidden.device.type, enabled=False):
                logits.addmm_(F.linear(hidden.float(), self.down), self.up.t(), alpha=self.scale)
        return logits

    def cross_entropy(self, hidden: torch.Tensor, labels: torch.Tensor, reduction: str) -> torch.Tensor:
        """Negative log-likelihood in nats of the labels, (rows,), summed or averaged, in the number format of the
        hidden states, (rows, width). The large matrix of logits exists only in pieces."""
        weight = self.weight.to(hidden.dtype)  # autocast would compute in float32
        if self.up is not None:
            if torch.is_grad_enabled():
                total = _LowRankCrossEntropy.apply(hidden, weight, self.down, self.up, self.scale, labels)
            else:
                pieces = zip(hidden.split(PIECE), labels.split(PIECE), strict=True)
                total = sum(F.cross_entropy(self.logits(own), label, reduction="sum") for own, label in pieces)
            return total / len(labels) if reduction == "mean" else total
        # On a CPU, "auto" would make float32 of the operands again.
        policy = "auto" if hidden.device.type == "cuda" else "compact"
        options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=PIECE, acc_policy=policy)
        return F.linear_cross_entropy(hidden, weight, labels, reduction=reduction, options=options).float()


class _LowRankCrossEntropy(torch.autograd.Function):
    """The cross-entropy of a head of which only what LoRA adds learns; its gradients are computed at once, piece by
    piece.

    PyTorch's own would make the gradient of the whole head first: 480 rows of SmolLM2's, forwards and backwards in
    bfloat16 on two cores, took 0.27 s, these take 0.10, and a head that does not learn 0.08 (medians of seven).
    """

    @staticmethod
    def forward(ctx, hidden, weight, down, up, scale, labels):  # noqa: ANN001, ANN205
        """The sum over all rows, in float32."""
        thin, wide = down.to(hidden.dtype), up.to(hidden.dtype)
        low = F.linear(hidden, thin)
        total = torch.zeros((), device=hidden.device)
        to_hidden, to_low, to_up = torch.empty_like(hidden), torch.empty_like(low), torch.zeros_like(up)
        pieces = (each.split(PIECE) for each in (hidden, labels, low, to_hidden, to_low))
        for own, label, low_own, to_own, to_low_own in zip(*pieces, strict=True):
            logits = torch.mm(own, weight.t()).addmm_(low_own, wide.t(), alpha=scale)
            to_logits, at_label = torch.softmax(logits, 1), (torch.arange(len(label), device=label.device), label)
            likely = to_logits[at_label]
            total -= likely.float().clamp_min(TINY).log().sum()
            to_logits[at_label] = likely - 1  # in bfloat16, a CPU's scatter_add_ would copy all of it, there and back
            torch.mm(to_logits, wide, out=to_low_own)
            torch.mm(to_logits, weight, out=to_own)
            to_up += torch.mm(to_logits.t(), low_own)
        to_hidden.addmm_(to_low, thin, alpha=scale)
        to_down = torch.mm(to_low.t(), hidden).to(down.dtype)
        ctx.save_for_backward(to_hidden, to_down.mul_(scale), to_up.mul_(scale))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # noqa: ANN001, ANN205
        """A gradient for each of `hidden`, `down` and `up`."""
        to_hidden, to_down, to_up = ctx.saved_tensors
        return to_hidden * gradient, None, to_down * gradient, to_up * gradient, None, None
