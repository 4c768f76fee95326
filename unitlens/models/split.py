"""A model cut after a layer, so that what follows can be run again and again without what comes before."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from unitlens.errors import LayerError, ShapeMismatch
from unitlens.models.capture import Capture, Edit, edit
from unitlens.models.hooks import at_rest, find_layer, tensors_in

Step = Callable[[Any], Any]


class _NoCut(Exception):
    """The model cannot be cut at this layer: something goes round it, or its forward cannot be traced."""


class Split:
    """A model cut after a layer; made by `split(model, name)`.

    `head(images)` runs up to the layer and stops. `tail(activation)` runs on from the layer's output, for any batch
    size. On first use, the tail is checked against the whole model, bit for bit, on two images.
    exact_tail: True where the tail runs alone; False where something goes round the layer (a skip connection) or the
    forward cannot be cut: then the whole network runs, and `tail` needs the images; None before the first use.

    Ablating 512 units one by one costs one head and 512 tails (paper.md 6.1).
    """

    def __init__(self, model: nn.Module, name: str):
        self.model, self.name = model, name
        self.layer = find_layer(model, name)
        self.exact_tail: bool | None = None
        self._capture = Capture(model, [name], after_relu=False, call=None, stop=True)
        self._steps: list[Step] = []
        self._units: tuple[int, ...] = ()  # (number of axes, U) of the activation
        parts = name.split(".")
        prefixes = [".".join(parts[:i]) for i in range(len(parts))]
        self._bypassed = {prefix: model.get_submodule(prefix) for prefix in prefixes} | {name: self.layer.module}

    def __enter__(self) -> Split:
        return self

    def __exit__(self, *_: object) -> None:
        self._steps, self.exact_tail = [], None

    def __repr__(self) -> str:
        about = {None: "not used yet", True: "tail runs alone", False: "tail needs the images"}[self.exact_tail]
        return f"Split(after {self.name!r}: {about})"

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the tail does, step by step; empty before the first use, and where it cannot run alone."""
        return tuple(self._steps)

    def head(self, images: Tensor) -> Tensor:
        """What the layer returns for these images: (B, U, h, w) for a convolution, detached.

        images: (B, ...) as the model takes them, on its device. Raises LayerError for a layer that is not called
        exactly once or does not return a tensor, DeviceMismatch.
        """
        self._prepare(images)
        with self._capture:
            return self._capture.run(images)[self.name]

    def tail(self, activation: Tensor, images: Tensor | None = None) -> Any:
        """The model's output, the layer's output being `activation` (B, U, h, w); `activation` is not changed.

        images: only needed where `exact_tail` is False (as many images as activations, or one for all of them), or
        where `head` was not called before.
        Raises LayerError where images are needed, or an edit is active that the tail would pass by; ShapeMismatch.
        """
        if self.exact_tail is None:
            if images is None:
                raise LayerError(f"split at {self.name!r}: first call head(images), or pass images= to tail.")
            self._prepare(images)
        for name, module in self._bypassed.items():
            if any(isinstance(hook, Edit) for hook in module._forward_hooks.values()):
                raise LayerError(
                    f"split at {self.name!r}: an edit of {name or 'the model'!r} is active, which the tail would pass "
                    "by. Leave that edit and change the activation itself."
                )
        if (activation.ndim, *activation.shape[1:2]) != self._units:
            raise ShapeMismatch(
                f"activation: expected {self._units[0]} axes, units {self._units[1:]}, got {tuple(activation.shape)}. "
                "Give it the shape that head(images) has."
            )
        with at_rest(self.model, activation, "activation"):
            return self._direct(activation) if self.exact_tail else self._replay(activation, images)

    def _direct(self, activation: Tensor) -> Any:
        value: Any = activation.clone()  # the next module may be an in-place ReLU
        for step in self._steps:
            value = step(value)
        return value

    def _replay(self, activation: Tensor, images: Tensor | None) -> Any:
        if images is None:
            raise LayerError(
                f"split at {self.name!r}: the rest of the model needs more than this layer's output (a skip "
                "connection, or a forward that cannot be traced). Pass images= too, or split after the whole block."
            )
        if len(images) == 1:
            images = images.expand(len(activation), *images.shape[1:])
        if len(images) != len(activation):
            raise ShapeMismatch(f"images: expected 1 or {len(activation)} like the activation, got {len(images)}")
        with edit(self.model, {self.name: lambda _: activation.clone()}):
            return self.model(images)

    def _prepare(self, images: Tensor) -> None:
        """Finds the tail and checks it on two images at two activations, once."""
        if self.exact_tail is not None:
            return
        few = images[:2]
        with self._capture:
            own = self._capture.run(few)[self.name]
        other = own.roll(1, 0) * 0.5 if own.is_floating_point() else own.roll(1, 0)
        with at_rest(self.model, few):
            try:
                steps = _steps_after(self.model, self.name) if not self.layer.path else None
            except _NoCut:
                steps = None
            exact = False
            if steps is not None:
                self._steps = steps
                # Two passes: noise that tracing has frozen cannot equal that of both.
                expected = [self.model(few), self._replay(other, few)]
                self.model(torch.zeros_like(few))  # whatever the modules remember is now of other images
                exact = all(_same(self._direct(a), e) for a, e in zip((own, other), expected, strict=True))
        self._units = (own.ndim, *own.shape[1:2])
        self.exact_tail, self._steps = exact, (self._steps if exact else [])


def _same(got: Any, expected: Any) -> bool:
    mine, theirs = tensors_in(got), tensors_in(expected)
    if not theirs or [path for path, _ in mine] != [path for path, _ in theirs]:
        return False
    return all(torch.equal(a, b) for (_, a), (_, b) in zip(mine, theirs, strict=True))


def _steps_after(module: nn.Module, name: str) -> list[Step]:
    """What `module` does after its layer `name`, from the inside out. Raises _NoCut."""
    if not name:
        return []
    if type(module).forward is nn.Sequential.forward and "forward" not in vars(module):
        key, _, rest = name.partition(".")
        children = list(module._modules.items())
        place = [k for k, _ in children].index(key)
        return [*_steps_after(module.get_submodule(key), rest), *(m for _, m in children[place + 1 :] if m is not None)]
    before = set(vars(module))
    try:
        return _cut(module, name)
    finally:
        for constant in set(vars(module)) - before:  # the tracer leaves constants on the module
            delattr(module, constant)


class _Shallow(fx.Tracer):
    """Traces one forward only: the modules that it calls stay whole, so that hooks on them keep working."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _cut(module: nn.Module, name: str) -> list[Step]:
    """The steps after `name` in a module with a forward of its own, by torch.fx."""
    parameters = inspect.signature(module.forward).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not p.empty}
    try:
        graph = _Shallow().trace(module, concrete_args=given or None)
    except Exception as problem:  # a forward may fail in any way when its input is symbolic
        raise _NoCut from problem
    parts = name.split(".")
    prefixes = {".".join(parts[: i + 1]) for i in range(len(parts))}
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target in prefixes]
    if len(calls) != 1:
        raise _NoCut
    inner = str(calls[0].target)
    after = fx.GraphModule(module, _graph_after(graph, calls[0]))
    return [*_steps_after(module.get_submodule(inner), name[len(inner) + 1 :]), after]


def _graph_after(graph: fx.Graph, cut: fx.Node) -> fx.Graph:
    """The part of a graph that needs nothing but the output of node `cut`. Raises _NoCut where that is not enough."""
    tail = fx.Graph()
    copies = {cut: tail.placeholder("activation")}
    needs_input: set[fx.Node] = set()
    for node in graph.nodes:
        if node is cut:
            continue
        if node.op == "placeholder" or any(parent in needs_input for parent in node.all_input_nodes):
            needs_input.add(node)
            if node.op == "output":
                raise _NoCut
        else:
            copies[node] = tail.node_copy(node, lambda parent: copies[parent])
    return tail
