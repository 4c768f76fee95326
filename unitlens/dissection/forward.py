"""Forward: the model run on batches of the probe set, every layer's output handed on while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from unitlens.data.probe import Batch, check_range
from unitlens.dissection.plan import DissectionPlan
from unitlens.dissection.reader import LayerReader
from unitlens.models.capture import Capture, capture
from unitlens.models.geometry import Geometry, layer_geometries

Use = Callable[[str, LayerReader, Tensor], None]  # layer, its reader, activations (B, U, h, w)


class Forward:
    """Runs a plan's model and hands on what its layers return, as activations (B, U, h, w); made by `forward(plan)`.

    readers: one per layer, made at its first output.
    """

    def __init__(
        self, plan: DissectionPlan, captured: Capture, layers: Sequence[str], readers: dict[str, LayerReader]
    ):
        self.plan, self.captured, self.layers, self.readers = plan, captured, tuple(layers), readers
        self.geometry: Mapping[str, Geometry | None] | None = None
        self.image_size, self.images = plan.probe.size, 0

    def inputs(self, batch: Batch) -> Tensor:
        """A batch's images as the model takes them, on its device. Raises ProbeError outside [0, 1]."""
        check_range(batch.images)
        inputs = self.plan.preprocess(batch.images.to(self.plan.device)).to(self.plan.dtype)
        self.image_size, self.images = (inputs.shape[-2], inputs.shape[-1]), len(inputs)
        return inputs

    def run(self, inputs: Tensor, use: Use) -> None:
        """One forward pass."""
        if self.geometry is None and not all(name in self.readers for name in self.layers):
            self.geometry = self._geometries(inputs)
        def take(name: str, output: Tensor) -> None:
            self._hand_on(name, output, use)

        half = self.plan.precision == "mixed"
        with torch.autocast(inputs.device.type, torch.float16, enabled=half):
            self.captured.run(inputs, take)

    def _hand_on(self, name: str, output: Tensor, use: Use) -> None:
        with torch.autocast(output.device.type, enabled=False), torch.inference_mode():
            if name not in self.readers:
                geometry = (self.geometry or {}).get(name)
                shape = tuple(output.shape)
                self.readers[name] = LayerReader(self.plan, name, shape, self.image_size, geometry, self.images)
            use(name, self.readers[name], self.readers[name].grid(output))

    def _geometries(self, inputs: Tensor) -> Mapping[str, Geometry | None]:
        if self.plan.convention == "reference":
            return dict.fromkeys(self.layers)
        return layer_geometries(self.plan.model, self.layers, inputs[:1], unit_axis=self.plan.unit_axis)


@contextmanager
def forward(plan: DissectionPlan, layers: Sequence[str], readers: dict[str, LayerReader]) -> Iterator[Forward]:
    """A context in which the plan's model hands on what these layers return; no hook is left behind.

    readers: those that are known from an earlier pass; new ones are added.
    """
    with capture(plan.model, layers, call=plan.call, stop=True) as captured:
        yield Forward(plan, captured, layers, readers)
