"""LoRA's linear map as PEFT alone would compute it: what comes out, and what is learned."""

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from utils.low_rank import LowRankLinear

INPUTS, OUTPUTS, RANK = 12, 20, 3


def outcome(kind: type[Linear], precision: torch.dtype, bias: bool) -> list[torch.Tensor]:
    """What a map gives for two texts of five tokens, and the gradients of what went in and of what learns."""
    torch.manual_seed(0)
    base = nn.Linear(INPUTS, OUTPUTS, bias=bias).requires_grad_(False)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK)
    adapted = kind(base, "default", config=config, r=RANK, lora_alpha=2 * RANK)
    with torch.no_grad():
        adapted.lora_B["default"].weight.normal_()
    x, wanted = torch.randn(2, 5, INPUTS, requires_grad=True), torch.randn(2, 5, OUTPUTS)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        out = adapted(x)
    (out.float() * wanted).sum().backward()
    assert base.weight.grad is None
    return [out, x.grad, adapted.lora_A["default"].weight.grad, adapted.lora_B["default"].weight.grad]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("precision", "off"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_it_gives_and_learns_what_pefts_own_does(precision: torch.dtype, off: float, bias: bool) -> None:
    for ours, theirs in zip(*(outcome(kind, precision, bias) for kind in (LowRankLinear, Linear)), strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).norm() <= off * theirs.norm()


def test_where_nothing_below_learns_what_goes_in_needs_no_gradient() -> None:
    base = nn.Linear(INPUTS, OUTPUTS).requires_grad_(False)
    config = LoraConfig(r=RANK)
    adapted = LowRankLinear(base, "default", config=config, r=RANK, lora_alpha=RANK)
    adapted(torch.randn(5, INPUTS)).sum().backward()
    assert adapted.lora_B["default"].weight.grad.norm() > 0
