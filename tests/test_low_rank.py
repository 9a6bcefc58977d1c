"""LoRA's linear layer as PEFT alone would compute it: what comes out, and what is learned."""

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from utils.low_rank import LowRankLinear

INPUTS, OUTPUTS, RANK = 12, 20, 3


def adapted(kind: type[Linear], bias: bool = False) -> Linear:
    """A layer of that class, the same each time, whose two thin matrices both add something."""
    torch.manual_seed(0)
    base = nn.Linear(INPUTS, OUTPUTS, bias=bias).requires_grad_(False)
    layer = kind(base, "default", config=LoraConfig(r=RANK), r=RANK, lora_alpha=2 * RANK)
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
    return layer


def outcome(layer: Linear, precision: torch.dtype, wants_gradient: bool) -> dict[str, torch.Tensor]:
    """What a layer gives for two texts of five tokens, and the gradients of what went in and of what learns."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, INPUTS, generator=generator).requires_grad_(wants_gradient)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        out = layer(x)
    (out.float() * torch.randn(2, 5, OUTPUTS, generator=generator)).sum().backward()
    assert layer.get_base_layer().weight.grad is None
    learned = {"down": layer.lora_A["default"].weight.grad, "up": layer.lora_B["default"].weight.grad}
    return {"out": out, **learned, **({"x": x.grad} if wants_gradient else {})}


@pytest.mark.parametrize("wants_gradient", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("precision", "off"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_it_gives_and_learns_what_pefts_own_does(
    precision: torch.dtype, off: float, bias: bool, wants_gradient: bool
) -> None:
    ours, theirs = (outcome(adapted(kind, bias), precision, wants_gradient) for kind in (LowRankLinear, Linear))
    for name, wanted in theirs.items():
        assert ours[name].dtype == wanted.dtype
        assert (ours[name] - wanted).norm() <= off * wanted.norm(), name


def test_what_comes_out_may_be_changed_in_place_as_some_networks_do() -> None:
    layer = adapted(LowRankLinear)
    out = layer(torch.randn(5, INPUTS))
    out += 1
    out.sum().backward()
    assert layer.lora_A["default"].weight.grad.norm() > 0


def test_merged_or_switched_off_it_adds_nothing() -> None:
    layer, x = adapted(LowRankLinear), torch.randn(5, INPUTS)
    alone, learned = layer.get_base_layer()(x), layer(x)
    layer.merge()
    torch.testing.assert_close(layer(x), learned)
    layer.enable_adapters(False)
    torch.testing.assert_close(layer(x), alone)
    assert (learned - alone).norm() > 0.1 * alone.norm()
