"""Chain: what follows a layer, as single steps, and what is known of each: does it keep the units apart?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

Step = Callable[[Any], Any]

#: f(s x) = s f(x) for s >= 0, each unit for itself.
HOMOGENEOUS = (
    nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.MaxPool2d, nn.AvgPool2d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
#: Each unit for itself, but not in proportion.
UNITWISE = (
    nn.ReLU6, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.GELU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish,
    nn.Hardsigmoid, nn.Softplus, nn.Softsign, nn.PReLU, nn.BatchNorm2d, nn.BatchNorm1d,
)  # fmt: skip
_HOMOGENEOUS_CALLS = (
    torch.relu, functional.relu, functional.leaky_relu, functional.dropout, functional.adaptive_avg_pool2d,
    functional.max_pool2d, functional.avg_pool2d, functional.adaptive_max_pool2d,
)  # fmt: skip
_UNITWISE_CALLS = (
    functional.relu6, functional.elu, functional.silu, functional.gelu, functional.mish, functional.hardtanh,
    functional.hardswish, functional.hardsigmoid, functional.softplus, torch.sigmoid, torch.tanh,
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A function or a method of a tensor with its other arguments: one step of a traced forward."""

    target: Any  # a function, or the name of a method
    args: tuple[Any, ...]  # after the tensor
    kwargs: dict[str, Any]

    def __call__(self, value: Any) -> Any:
        if isinstance(self.target, str):
            return getattr(value, self.target)(*self.args, **self.kwargs)
        return self.target(value, *self.args, **self.kwargs)

    @property
    def flattens(self) -> bool:
        """Whether it is flatten(x, 1)."""
        first = self.args[0] if self.args else self.kwargs.get("start_dim", 0)
        whole = len(self.args) < 2 and "end_dim" not in self.kwargs
        return self.target in (torch.flatten, "flatten") and first == 1 and whole

    @property
    def averages(self) -> bool:
        """Whether it is the mean over both axes of the grid."""
        axes = self.args[0] if self.args else self.kwargs.get("dim", None)
        both = isinstance(axes, (tuple, list)) and sorted(axes) in ([2, 3], [-2, -1])
        return self.target in (torch.mean, "mean") and both


def chain(steps: Iterable[Step]) -> list[Step]:
    """Steps taken apart: sequences into their modules, traced forwards into their calls where they are a chain.

    >>> [type(step).__name__ for step in chain([nn.Sequential(nn.ReLU(), nn.Sequential(nn.Flatten()))])]
    ['ReLU', 'Flatten']
    """
    found: list[Step] = []
    for step in steps:
        if isinstance(step, fx.GraphModule):
            found += _calls(step) or [step]
        elif isinstance(step, nn.Sequential) and type(step).forward is nn.Sequential.forward and not _hooked(step):
            found += chain(step)
        else:
            found.append(step)
    return found


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _calls(graph: fx.GraphModule) -> list[Step]:
    """The calls of a traced forward, [] where some value is used twice or several come together."""
    found: list[Step] = []
    before: fx.Node | None = None
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            if before is not None:
                return []
        elif node.op == "output":
            return chain(found) if node.args[0] is before else []
        elif node.all_input_nodes != [before] or before is None or len(before.users) != 1 or node.args[:1] != (before,):
            return []
        elif node.op == "call_module":
            if len(node.args) != 1 or node.kwargs:
                return []
            found.append(graph.get_submodule(str(node.target)))
        else:
            found.append(Call(node.target, node.args[1:], dict(node.kwargs)))
        before = node
    return []


def keeps_apart(step: Step) -> bool:
    """Whether a step works on every unit (axis 1) for itself and leaves that axis where it is."""
    if isinstance(step, nn.Module):
        exact = type(step) in HOMOGENEOUS + UNITWISE and not _hooked(step)
        return exact and not getattr(step, "return_indices", False)
    if isinstance(step, Call):
        return step.averages or step.target in _HOMOGENEOUS_CALLS + _UNITWISE_CALLS or step.target == "relu"
    return False


def keeps_proportion(step: Step) -> bool:
    """Whether also f(s x) = s f(x) for every s >= 0."""
    if isinstance(step, nn.Module):
        return type(step) in HOMOGENEOUS or isinstance(step, nn.Flatten)
    return isinstance(step, Call) and (
        step.averages or step.flattens or step.target in _HOMOGENEOUS_CALLS or step.target == "relu"
    )


def flattens(step: Step) -> bool:
    """Whether a step lays the cells of every unit in a row, unit after unit."""
    if isinstance(step, nn.Flatten):
        return step.start_dim == 1 and step.end_dim == -1
    return isinstance(step, Call) and step.flattens


@dataclass(frozen=True, eq=False)
class Parts:
    """A tail in three parts: `apart` keeps the units apart, `mix` is the first linear step, `rest` follows."""

    apart: tuple[Step, ...]
    mix: nn.Linear | nn.Conv2d
    rest: tuple[Step, ...]

    @property
    def proportional(self) -> bool:
        """Whether `apart` makes s times as much of s times as much, for s >= 0."""
        return all(map(keeps_proportion, self.apart))


def parts_of(steps: Iterable[Step]) -> Parts | None:
    """A tail taken apart, or None where it does not begin in that way."""
    links = [one for one in chain(steps) if not _idle(one)]
    for place, step in enumerate(links):
        if keeps_apart(step):
            continue
        if flattens(step) and place + 1 < len(links) and type(links[place + 1]) is nn.Linear:
            continue
        mixes = type(step) is nn.Linear or (
            type(step) is nn.Conv2d and step.groups == 1 and step.padding_mode == "zeros"
        )
        if not mixes or _hooked(step):  # type: ignore[arg-type]
            return None
        return Parts(tuple(links[:place]), step, tuple(links[place + 1 :]))  # type: ignore[arg-type]
    return None


def _idle(step: Step) -> bool:
    """Whether a step does nothing in eval mode."""
    return isinstance(step, (nn.Dropout, nn.Identity)) and not _hooked(step)


def run(steps: Iterable[Step], value: Tensor) -> Any:
    """Steps, one after the other. A module may work in place, so the value may be overwritten."""
    for step in steps:
        value = step(value)
    return value
