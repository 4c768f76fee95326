"""Instruments on a model that leave no trace: list its layers, capture what they return, edit it, split the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch  # noqa: F401 (the examples below use it)
from torch import Tensor, nn

from unitlens.errors import LayerError, LayerNotFound, OptionError, ShapeMismatch
from unitlens.models.hooks import Layer, at_rest, find_layer, pick, put

if TYPE_CHECKING:
    from unitlens.models.split import Split

Call = Literal["first", "last"] | int | None
Use = Callable[[str, Tensor], None]


def layers(model: nn.Module) -> list[str]:
    """The dotted names of all modules that can be captured, in the order in which the model declares them.

    Containers that are never called themselves (ModuleList, ModuleDict) are left out; so is the model as a whole.

    >>> layers(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU())))
    ['0', '1', '1.0']
    """
    def callable_(module: nn.Module) -> bool:
        return getattr(module.forward, "__func__", None) is not nn.Module.forward

    return [name for name, module in model.named_modules() if name and callable_(module)]


class HasFunctions(Protocol):
    """What edits have to offer: what is done to the output of each layer."""

    def functions(self) -> Mapping[str, Callable[[Tensor], Tensor]]: ...


Edits = Mapping[str, Callable[[Tensor], Tensor]] | HasFunctions


class _Stop(BaseException):
    """Ends a forward pass early. Not an Exception: a model that catches Exception must not swallow it."""

    def __init__(self, owner: Capture, problem: Exception | None = None):
        self.owner, self.problem = owner, problem


@dataclass
class _Record:
    """What one layer returned in the latest forward pass: the wanted call, and the shapes of all calls."""

    value: Tensor | None = None
    used: bool = False  # the wanted call was handed on instead of kept
    problem: LayerError | None = None
    shapes: list[tuple[int, ...]] = field(default_factory=list)


class Capture(Mapping[str, Tensor]):
    """What layers returned in the latest forward pass, by name; made by `capture`."""

    def __init__(self, model: nn.Module, names: Sequence[str], after_relu: bool, call: Call, stop: bool):
        self.model, self.after_relu, self.call, self.stop = model, after_relu, call, stop
        names = [names] if isinstance(names, str) else list(names)
        if not names:
            raise OptionError("names: expected one layer or more, got none. `layers(model)` lists them.")
        if not (call in (None, "first", "last") or (type(call) is int and call >= 0)):
            raise OptionError(f"call: expected 'first', 'last' or a position from 0, got {call!r}")
        self.layers = {name: find_layer(model, name) for name in names}
        self._records = {name: _Record() for name in self.layers}
        self._calls: dict[str, int] = {}  # calls in a whole forward pass; empty until one was seen
        self._hooks: ExitStack | None = None
        self._stopping = False
        self._use: Use | None = None
        self.output: Any = None  # of the latest whole pass that `run(..., through=...)` has made

    def __enter__(self) -> Capture:
        if self._hooks is not None:
            raise OptionError("capture: already open. Call capture() again for a second, nested one.")
        self._hooks = ExitStack()
        self._hooks.callback(self.model.register_forward_pre_hook(self._begin, prepend=True).remove)
        for layer in reversed(self.layers.values()):  # prepending turns the order of names of one module round again
            # First of the layer's hooks: what the layer returned, whichever of an edit and a capture came first.
            self._hooks.callback(layer.module.register_forward_hook(self._keeper(layer), prepend=True).remove)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hooks is not None:
            self._hooks.close()
            self._hooks = None

    def _begin(self, *_: object) -> None:
        self._records = {name: _Record() for name in self.layers}

    def _keeper(self, layer: Layer) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            record = self._records[layer.name]
            try:
                tensor = pick(output, layer)
            except LayerError as problem:  # told to whoever asks for the layer; the forward pass goes on
                record.problem = problem
                record.shapes.append(())
            else:
                record.shapes.append(tuple(tensor.shape))
                self._store(layer.name, record, tensor.detach())
            if self._stopping and all(self._complete(name) for name in self.layers):
                raise _Stop(self)

        return keep

    def _store(self, name: str, record: _Record, tensor: Tensor) -> None:
        position = len(record.shapes) - 1
        if self._use is not None:
            last = self._calls.get(name, 0) - 1  # run() has seen to it that this is known where it is needed
            wanted = {None: 0, "first": 0, "last": last}.get(self.call, self.call)  # type: ignore[arg-type]
            if position == wanted:
                self._hand_on(self._use, name, record, tensor)
            elif record.used and self.call == "last":
                record.problem = LayerError(
                    f"layer {name!r}: called {position + 1} times, in the pass before {last + 1} times: which call "
                    "is the last is not known in advance. Choose with call='first' or call=0."
                )
        elif self.call is None and position > 0:
            record.value = None  # ambiguous, see _check
        elif self.call in (None, "last") or position == (0 if self.call == "first" else self.call):
            # Always a copy. Whether something overwrites the tensor later cannot be known here: besides
            # ReLU(inplace=True), `out += identity` and F.relu_ do it and are no modules (paper.md 2.6, 5.3.8).
            record.value = tensor.relu() if self.after_relu else tensor.clone()

    def _hand_on(self, use: Use, name: str, record: _Record, tensor: Tensor) -> None:
        record.used = True
        try:
            use(name, tensor)
        except Exception as problem:  # noqa: BLE001 (run() raises it again; the model must not catch it first)
            raise _Stop(self, problem) from None

    def _complete(self, name: str) -> bool:
        needed = {None: self._calls.get(name), "last": self._calls.get(name), "first": 1}.get(
            self.call, self.call + 1 if isinstance(self.call, int) else None  # type: ignore[arg-type]
        )
        return bool(needed) and len(self._records[name].shapes) >= (needed or 0)

    def run(
        self, images: Tensor, use: Use | None = None, through: Callable[[Tensor], Any] | None = None
    ) -> dict[str, Tensor]:
        """One forward pass in eval mode without gradients: what every captured layer returned, by name.

        images: (B, ...) as the model takes them, on its device. With `stop=True` the pass ends after the last layer
        that is needed; the very first pass is a whole one where it must be learned how often each layer is called.
        The mode of every module and the global random numbers are as before afterwards.

        use: takes (name, tensor) of every layer in the order in which they run, while the model runs; nothing is
        kept then and {} is returned. The tensor is the one that the layer returned, detached but no copy, and
        without `after_relu`: read it at once, never write into it, and keep nothing of it, because an in-place ReLU
        may overwrite it next. It must not run the model. For call="last" the first pass is preceded by one of
        `images[:1]` that shows which call is the last. What `use` raises ends the pass and comes out unchanged.
        through: what calls the model, such as a generator's `generate`; the pass is then a whole one, and `output` is
        what it returned.

        Raises DeviceMismatch; LayerError as `captured[name]` does (with `use` after the pass, so that the first of
        two calls has been handed on by then).
        """
        if self._hooks is None:
            raise OptionError("capture.run: the capture is closed. Use it inside `with capture(...) as captured:`.")
        if use is None:
            self._pass(images, None, self.stop, through)
            return dict(self)
        if not callable(use):
            raise OptionError(f"use: expected a function of (name, tensor), got {use!r}")
        if self.call == "last" and not self._calls:
            self._pass(images[:1] if isinstance(images, Tensor) else images, _ignore, stop=False)
        self._pass(images, use, self.stop, through)
        for name in self.layers:
            self._check(name)
        return {}

    def _pass(
        self, images: Tensor, use: Use | None, stop: bool, through: Callable[[Tensor], Any] | None = None
    ) -> None:
        self._stopping, self._use, problem = stop and through is None, use, None
        try:
            with at_rest(self.model, images):
                if through is None:
                    self.model(images)
                else:
                    self.output = through(images)
            self._calls = {name: len(record.shapes) for name, record in self._records.items()}
        except _Stop as end:
            if end.owner is not self:
                raise
            problem = end.problem
        finally:
            self._stopping, self._use = False, None
        if problem is not None:
            raise problem  # out here, where it does not get _Stop as its context

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.layers:
            raise LayerNotFound(name, self.layers)
        self._check(name)
        value = self._records[name].value
        if value is None:
            raise LayerError(f"layer {name!r}: nothing kept, it was handed to `use`. Call run(images) without it.")
        return value

    def _check(self, name: str) -> None:
        """Raises LayerError unless the wanted call of the layer was seen in the latest forward pass."""
        record = self._records[name]
        count = len(record.shapes)
        if count == 0:
            raise LayerError(
                f"layer {name!r}: nothing captured. Run the model inside the context; if it did run, its forward never "
                "calls this module (`layer_table(model, images)` shows the calls)."
            )
        if record.problem is not None:
            raise record.problem
        if self.call is None and count > 1:
            shapes = ", ".join(f"call {i} returned {shape}" for i, shape in enumerate(record.shapes))
            raise LayerError(
                f"layer {name!r}: called {count} times in one forward pass ({shapes}). "
                "Choose with call='first', call='last' or call=0."
            )
        if record.value is None and not record.used:
            raise LayerError(f"layer {name!r}: call={self.call} asked for, but it was called {count} times (from 0).")

    def __contains__(self, name: object) -> bool:
        return name in self.layers

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        shown = [f"{n}: {r.shapes[-1] if r.shapes else 'not run'}" for n, r in self._records.items()]
        return f"Capture({', '.join(shown)})"


def _ignore(name: str, tensor: Tensor) -> None:
    """A `use` that only lets the calls be counted."""


def capture(
    model: nn.Module, names: Sequence[str], *, after_relu: bool = False, call: Call = None, stop: bool = False
) -> Capture:
    """A context in which `captured[name]` is the tensor that the layer returned in the model's latest forward pass.

    names: dotted layer names; "lstm[0]" picks an item of a tuple. The tensor, (B, U, h, w) for a convolution, is a
    detached copy: later in-place changes and edits do not reach it. It stays readable after the context.
    after_relu: gives relu(tensor), which is what the paper's code measures for a convolution before an in-place ReLU
    (paper.md 2.6, 9.1). call: which call of a layer that is called several times in one pass ("first", "last", 0, 1).
    stop: lets `captured.run(images)` end the pass after the last layer that is needed.
    Outputs of the model are bit-identical with and without; no hook stays, exceptions included.

    Raises LayerNotFound; when asked for a tensor, LayerError for a layer that was not called, was called twice, or
    returns something else.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    >>> with capture(model, ["0"], stop=True) as captured:
    ...     captured.run(torch.zeros(2, 3, 5, 7))["0"].shape
    torch.Size([2, 4, 5, 7])
    """
    return Capture(model, names, after_relu, call, stop)


class Edit:
    """The hook that replaces a layer's output by a function of it."""

    def __init__(self, layer: Layer, function: Callable[[Tensor], Tensor]):
        if not callable(function):
            raise OptionError(f"edit of {layer.name!r}: expected a function tensor -> tensor, got {function!r}")
        self.layer, self.function = layer, function

    def __call__(self, _: nn.Module, __: Any, output: Any) -> Any:
        before = pick(output, self.layer)
        # A copy, because the function may write into it, and the tensor may be the layer's input (Identity, Dropout).
        after = self.function(before.clone())
        if not isinstance(after, Tensor):
            raise OptionError(
                f"edit of {self.layer.name!r}: expected the function to return a tensor, got {type(after).__name__}. "
                "End it with `return x`."
            )
        if after.shape != before.shape or after.dtype != before.dtype or after.device != before.device:
            raise ShapeMismatch(
                f"edit of {self.layer.name!r}: expected {tuple(before.shape)} {before.dtype} on {before.device} back, "
                f"got {tuple(after.shape)} {after.dtype} on {after.device}. The layers after it need the same kind."
            )
        return put(output, self.layer.path, after)


@contextmanager
def edit(model: nn.Module, edits: Edits) -> Iterator[nn.Module]:
    """A context in which each named layer's output is replaced by a function of it; yields the model.

    edits: layer name -> function that gets a copy of the output (B, U, h, w) (it may write into it) and returns a
    tensor of the same shape, dtype and device. Or edits such as `Ablate("conv5_3", [3, 4])`. A layer that is called
    several times is edited at each call. Edits of nested contexts follow each other, the outer one first. Afterwards,
    exceptions included, no hook is left.

    Raises LayerNotFound and OptionError at once; ShapeMismatch and LayerError in the forward pass.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> with edit(model, {"0": lambda x: x * 0}):
    ...     float(model(torch.ones(1, 3, 2, 2)).detach().sum())
    0.0
    """
    functions = edits if isinstance(edits, Mapping) else edits.functions()
    hooks = [Edit(find_layer(model, name), function) for name, function in functions.items()]
    with ExitStack() as stack:
        for hook in hooks:
            stack.callback(hook.layer.module.register_forward_hook(hook).remove)
        yield model


def split(model: nn.Module, name: str) -> Split:
    """The model cut after a layer: `head(images) -> activation` and `tail(activation) -> output`; see `Split`.

    Raises LayerNotFound.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten())
    >>> with split(model, "0") as parts:
    ...     parts.tail(parts.head(torch.zeros(2, 3, 5, 7))).shape
    torch.Size([2, 140])
    """
    from unitlens.models.split import Split  # here, because split.py is built from the instruments above

    return Split(model, name)
