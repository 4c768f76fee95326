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
from unitlens.models.samples import SampleBatch, Samples

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
        self._held: tuple[Tensor, dict[str, Tensor]] | None = None  # latents, and what the layers made of them

    def show(self, batch: Batch) -> Batch:
        """The batch with its pictures. A generator makes them here, and what its layers return on the way is held until
        `run`: a picture has to be segmented before anything can be counted."""
        if isinstance(batch, SampleBatch):
            latents, held = self.inputs(batch), dict[str, Tensor]()

            def hold(name: str, output: Tensor) -> None:
                held[name] = output.clone()  # an in-place ReLU may overwrite it

            with self._precision(latents):
                self.captured.run(latents, hold, through=batch.generator.generate)
            batch.give(self.captured.output.cpu())
            self._held = latents, held
        return batch

    def inputs(self, batch: Batch) -> Tensor:
        """A batch's images (a generator's latents) as the model takes them, on its device. Raises ProbeError outside
        [0, 1]."""
        if isinstance(batch, SampleBatch):
            if self._held and "images" in vars(batch):
                return self._held[0]
            self.images = len(batch)
            return batch.latents.to(self.plan.device, self.plan.dtype)
        check_range(batch.images)
        inputs = self.plan.preprocess(batch.images.to(self.plan.device)).to(self.plan.dtype)
        self.image_size, self.images = (inputs.shape[-2], inputs.shape[-1]), len(inputs)
        return inputs

    def run(self, inputs: Tensor, use: Use) -> None:
        """One forward pass, or what `show` has held of it."""
        if self._held and self._held[0] is inputs:
            (_, held), self._held = self._held, None
            while held:
                name = next(iter(held))
                self._hand_on(name, held.pop(name), use)
            return
        if self.geometry is None and not all(name in self.readers for name in self.layers):
            self.geometry = self._geometries(inputs)

        def take(name: str, output: Tensor) -> None:
            self._hand_on(name, output, use)

        with self._precision(inputs):
            self.captured.run(inputs, take)

    def _precision(self, inputs: Tensor) -> torch.autocast:
        return torch.autocast(inputs.device.type, torch.float16, enabled=self.plan.precision == "mixed")

    def _hand_on(self, name: str, output: Tensor, use: Use) -> None:
        with torch.autocast(output.device.type, enabled=False), torch.inference_mode():
            if name not in self.readers:
                geometry = (self.geometry or {}).get(name)
                shape = tuple(output.shape)
                self.readers[name] = LayerReader(self.plan, name, shape, self.image_size, geometry, self.images)
            use(name, self.readers[name], self.readers[name].grid(output))

    def _geometries(self, inputs: Tensor) -> Mapping[str, Geometry | None]:
        if self.plan.convention == "reference" or isinstance(self.plan.probe, Samples):  # cells tile the picture
            return dict.fromkeys(self.layers)
        return layer_geometries(self.plan.model, self.layers, inputs[:1], unit_axis=self.plan.unit_axis)


@contextmanager
def forward(plan: DissectionPlan, layers: Sequence[str], readers: dict[str, LayerReader]) -> Iterator[Forward]:
    """A context in which the plan's model hands on what these layers return; no hook is left behind.

    readers: those that are known from an earlier pass; new ones are added.
    """
    with capture(plan.model, layers, call=plan.call, stop=True) as captured:
        yield Forward(plan, captured, layers, readers)
