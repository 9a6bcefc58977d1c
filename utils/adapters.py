"""Which weights learn.

In: a pre-trained network and the settings. Out: the parameters that learn, everything else frozen; and, once
they have learned, a network without anything added to it. Knows nothing about posts or time.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from utils.head import Head
from utils.settings import TrainingSettings

if TYPE_CHECKING:
    from peft import PeftModel

SCALE = 2
"""The product of two low-rank matrices is added to a weight this many times: LoRA's alpha over its rank."""


Weights = dict[str, torch.Tensor]
"""What has been learned: the values of parameters, by their names in the network."""


@dataclass(frozen=True)
class Learned:
    """What learns: the kind, in words; how many of the layers; the rank of LoRA's matrices, on the head as well, 0 for
    whole weights; the number of parameters."""

    kind: str
    layers: int
    rank: int
    parameters: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Learner:
    """A network of which a part learns.

    With a rank, that is LoRA (Hu et al. 2021, arXiv:2106.09685) on every linear map of the layers that
    learn, and on the head, by PEFT; without, all weights of these layers. The other layers stay as they are, and the
    embeddings, unless they are the head.
    """

    def __init__(self, network: nn.Module, settings: TrainingSettings, rounds: int = 1) -> None:
        """rounds: for the mean of so many of them, see `mean`."""
        self.network = network
        self._adapted: PeftModel | None = None
        layers = learning_layers(network, settings)
        network.requires_grad_(False)
        self._hook = None
        if settings.rank:
            self._adapted = _add_low_rank(network, layers, settings.rank * rounds, settings.seed)
            if network.get_input_embeddings().weight is network.get_output_embeddings().weight:
                self._hook = network.get_input_embeddings().register_forward_hook(partial(_with_head, network))
        else:
            for parameter in _parameters(layers):
                parameter.requires_grad_(True)
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.learned = Learned(
            kind="LoRA" if settings.rank else "whole layers",
            layers=len(layers),
            rank=settings.rank * rounds,
            parameters=sum(parameter.numel() for parameter in self.parameters),
        )

    @contextmanager
    def learning(self) -> Iterator[None]:
        """While the network learns: autocast alone decides on number formats, where PEFT's own layers would make
        float32 of what goes into their matrices, and autocast bfloat16 of that again."""
        if self._adapted is None:
            yield
            return
        from peft.helpers import disable_input_dtype_casting

        with disable_input_dtype_casting(self._adapted):
            yield

    def remove(self) -> None:
        """Take LoRA's matrices out, so that the network is as it was."""
        self._unhook()
        with _without_warnings():
            self._adapted.unload()

    def finish(self) -> None:
        """Merge what was learned into the network's own weights, and round them as they will be saved."""
        self._unhook()
        if self._adapted is not None:
            with _without_warnings():
                self._adapted.merge_and_unload()
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.copy_(parameter.half())
        self.network.requires_grad_(False).eval()

    def _unhook(self) -> None:
        """Leave the embeddings alone again, before LoRA leaves the head; see `_with_head`."""
        if self._hook:
            self._hook.remove()


def learned_by(network: nn.Module) -> Weights:
    """A copy of the parameters that learn."""
    return {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}


def put(network: nn.Module, learned: Weights) -> None:
    """Put the values of such parameters into a network that has them."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in learned:
                parameter.copy_(learned[name])


def frozen_matrices(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The matrices of linear layers that do not learn, by their names in the network."""
    from transformers.pytorch_utils import Conv1D

    for name, module in network.named_modules():
        if type(module) in (nn.Linear, Conv1D) and not module.weight.requires_grad:
            yield f"{name}.weight", module.weight


def learning_layers(network: nn.Module, settings: TrainingSettings) -> list[nn.Module]:
    """The share of a network's layers that learn, from the end that the settings name, and at least one."""
    count = network.config.num_hidden_layers
    layers = next(
        module for module in network.base_model.modules() if isinstance(module, nn.ModuleList) and len(module) == count
    )
    learning = max(1, round(count * settings.learned_share))
    return list(layers[count - learning :] if settings.learned_end == "upper" else layers[:learning])


def count_learned(network: nn.Module, settings: TrainingSettings) -> int:
    """How many parameters would learn."""
    layers = learning_layers(network, settings)
    if not settings.rank:
        return sum(parameter.numel() for parameter in _parameters(layers))
    maps = [*_linear_maps(network, layers).values(), network.get_output_embeddings()]
    return sum(settings.rank * sum(linear.weight.shape) for linear in maps)


def backward_width(network: nn.Module, settings: TrainingSettings) -> int:
    """How many numbers go into linear maps and come out of them, for each token, on the way of the gradients: in the
    layers that learn and in all above them."""
    passed = settings if settings.learned_end == "upper" else replace(settings, learned_share=1.0)
    layers = learning_layers(network, passed)
    return sum(sum(linear.weight.shape) for linear in _linear_maps(network, layers).values())


def mean(rounds: Sequence[Weights]) -> Weights:
    """The mean of what LoRA has learned in several rounds, as values of a Learner of as many times the rank.

    The mean of products B A is one product again: all B beside each other, over their number, times all A below each
    other.
    """
    return {
        name: torch.cat([values[name] for values in rounds], 0)
        if ".lora_A." in name
        else torch.cat([values[name] for values in rounds], 1) / len(rounds)
        for name in rounds[0]
    }


def _parameters(layers: list[nn.Module]) -> list[nn.Parameter]:
    return [parameter for layer in layers for parameter in layer.parameters()]


def _linear_maps(network: nn.Module, layers: list[nn.Module]) -> dict[str, nn.Module]:
    """The modules of these layers that multiply by a matrix, by their names in the network."""
    inside = {module for layer in layers for module in layer.modules()}
    return {
        name: module
        for name, module in network.named_modules()
        if module in inside and getattr(module, "weight", None) is not None and module.weight.dim() == 2
    }


def _add_low_rank(network: nn.Module, layers: list[nn.Module], rank: int, seed: int) -> "PeftModel":
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    from utils.low_rank import LowRankLinear

    torch.manual_seed(seed)  # one of the two matrices begins with chance, the other with zeros
    linear = _linear_maps(network, layers)
    names = [name for name, module in network.named_modules() if module is network.get_output_embeddings()]
    transposed = any(isinstance(module, Conv1D) for module in linear.values())  # GPT-2's way
    config = LoraConfig(r=rank, lora_alpha=SCALE * rank, target_modules=[*linear, *names], fan_in_fan_out=transposed)
    if not transposed:  # else PEFT's own way, which knows that GPT-2's head is not transposed
        config._register_custom_module({nn.Linear: LowRankLinear})  # from its guide to custom models; "experimental"
    with _without_warnings():
        return get_peft_model(network, config)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without those of PEFT about a head that is the embeddings, too, and about GPT-2's, which is not Conv1D's way."""
    with warnings.catch_warnings():
        for message in (".*tie_word_embeddings", "fan_in_fan_out is set to True"):
            warnings.filterwarnings("ignore", message=message)
        yield


def _with_head(
    network: nn.Module, embeddings: nn.Module, inputs: tuple[torch.Tensor], out: torch.Tensor
) -> torch.Tensor:
    """What comes out of embeddings that are the head, too, with what LoRA adds to that: once merged, it will be in
    both. It learns as the head alone."""
    added = Head.of(network)
    with torch.no_grad(), torch.autocast(out.device.type, enabled=False):
        return out + added.scale * F.embedding(inputs[0], added.up) @ added.down
