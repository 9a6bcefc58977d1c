"""The head as PyTorch alone would compute it: its logits, its loss, and what LoRA learns of it."""

import math
from pathlib import Path

import pytest
import torch
from tiny import save_tiny_model
from torch.nn import functional as F

from utils.adapters import Learner
from utils.head import PIECE, Head
from utils.language_model import load_folder
from utils.scoring import collate, cross_entropy, score
from utils.settings import TrainingSettings

CPU = torch.device("cpu")
ROWS, WIDTH, VOCABULARY, RANK = PIECE + 30, 8, 50, 3


def head_with_lora() -> Head:
    torch.manual_seed(0)
    down, up = torch.randn(RANK, WIDTH, requires_grad=True), torch.randn(VOCABULARY, RANK, requires_grad=True)
    return Head(torch.randn(VOCABULARY, WIDTH), down, up, scale=2.0)


def by_hand(head: Head, hidden: torch.Tensor, labels: torch.Tensor, reduction: str) -> torch.Tensor:
    return F.cross_entropy(hidden @ (head.weight + head.scale * head.up @ head.down).t(), labels, reduction=reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("precision", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_loss_and_all_gradients_are_those_of_autograd(precision: torch.dtype, off: float, reduction: str) -> None:
    head, labels = head_with_lora(), torch.randint(0, VOCABULARY, (ROWS,))
    found = []
    for way in (head.cross_entropy, lambda *given: by_hand(head, *given)):
        hidden = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1)).requires_grad_()
        head.down.grad = head.up.grad = None
        own = hidden.to(precision) if way == head.cross_entropy else hidden
        loss = way(own, labels, reduction)
        (3 * loss).backward()
        found.append((loss.detach(), hidden.grad, head.down.grad, head.up.grad))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= off * theirs.norm()


def test_a_token_that_is_all_but_impossible_costs_much_and_not_infinitely() -> None:
    head, labels = head_with_lora(), torch.tensor([0])
    hidden = (-100 * head.weight[:1] / head.weight[0].norm()).requires_grad_()
    found = []
    for way in (head.cross_entropy, lambda *given: by_hand(head, *given)):
        hidden.grad = None
        loss = way(hidden, labels, "sum")
        loss.backward()
        found.append((loss.item(), hidden.grad))
    (ours, our_gradient), (theirs, gradient) = found
    assert 80 < ours < theirs < math.inf
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [3, 10, 50])
def test_logits_are_the_same_whichever_way_round_and_with_what_lora_adds(rows: int) -> None:
    head, hidden = head_with_lora(), torch.randn(rows, WIDTH)
    with torch.no_grad():
        whole = hidden @ (head.weight + head.scale * head.up @ head.down).t()
        torch.testing.assert_close(head.logits(hidden), whole, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(Head(head.weight).logits(hidden), hidden @ head.weight.t(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_head_that_is_the_embeddings_too_scores_alike_before_and_after_it_is_merged(
    architecture: str, tmp_path: Path
) -> None:
    model = load_folder(save_tiny_model(tmp_path / "model", architecture), CPU)
    texts = ["The oven is warm.", "A post about bread, and another one."]
    untrained = score(model, texts).bits
    learner = Learner(model.network, TrainingSettings(rank=4))
    cross_entropy(model.network, **collate([model.encode(text) for text in texts])).backward()
    added = Head.of(model.network)
    assert added.up.grad.norm() > 0, "the head learns"
    with torch.no_grad():
        for parameter in learner.parameters:
            parameter.normal_(std=0.2)
    learning = score(model, texts).bits
    learner.finish()
    assert score(model, texts).bits == pytest.approx(learning, rel=2e-3)
    assert learning != pytest.approx(untrained, rel=1e-2)
    assert model.network.get_input_embeddings().weight is model.network.get_output_embeddings().weight
