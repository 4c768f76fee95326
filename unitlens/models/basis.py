"""Another basis of a layer's unit space: directions, rotations, components, or the code of an autoencoder as units."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.data.probe import ProbeSet, check_range
from unitlens.errors import DataWarning, DeviceMismatch, OptionError, ProbeError, ShapeMismatch
from unitlens.models.capture import Call, capture
from unitlens.models.hooks import at_rest, device_of
from unitlens.models.identity import has_hooks, model_digest
from unitlens.models.layout import layout_of
from unitlens.models.preprocess import as_preprocess
from unitlens.progress import progress

Encode = Callable[[Tensor], Any]


class Basis:
    """Takes activations (B, U, h, w) to (B, V, h, w), the vector of every cell by itself; made by `as_basis`.

    matrix: float32 (V, U), or None where `function` takes vectors (M, U) to (M, V). units: V; None until a function
    has answered once. inputs: U. fingerprint: text that changes with the basis; None = unknown, not to be stored.
    """

    def __init__(self, inputs: int, matrix: Tensor | None, function: Encode | None, fingerprint: str | None):
        self.inputs, self.matrix, self.function, self.fingerprint = inputs, matrix, function, fingerprint
        self.units = len(matrix) if matrix is not None else None
        self._placed = matrix  # where the activations are

    def __call__(self, activation: Tensor) -> Tensor:
        """(B, U, h, w), any real dtype -> float32 (B, V, h, w), without gradients.

        Raises ShapeMismatch for another width, or where a function answers something else than (M, V);
        DeviceMismatch for a module on another device.
        """
        if activation.ndim != 4 or activation.shape[1] != self.inputs:
            raise ShapeMismatch(f"basis: expected (B, {self.inputs}, h, w), got {tuple(activation.shape)}")
        grid = (activation.shape[2], activation.shape[3])
        with torch.no_grad():
            if self.matrix is None:
                vectors = activation.float().permute(0, 2, 3, 1).reshape(-1, self.inputs)  # (M, U), M = B * h * w
                return self._encoded(vectors).unflatten(0, (len(activation), *grid)).permute(0, 3, 1, 2)
            if self._placed is None or self._placed.device != activation.device:
                self._placed = self.matrix.to(activation.device)
            cells = activation.float().flatten(2)  # (B, U, h * w)
            return torch.bmm(self._placed.expand(len(cells), -1, -1), cells).unflatten(2, grid)

    def _encoded(self, vectors: Tensor) -> Tensor:
        function = self.function
        if function is None:
            raise OptionError("basis: expected a matrix or a function, got neither. Make it with as_basis.")
        module = _module_of(function)
        device = device_of(module) if module is not None else None
        if device is not None and device != vectors.device:
            raise DeviceMismatch(f"basis: it is on {device}, the activations on {vectors.device}. Move it there.")
        with ExitStack() as stack:
            if module is not None:
                stack.enter_context(at_rest(module, vectors))
                weight = next((p for p in module.parameters() if p.is_floating_point()), None)
                vectors = vectors if weight is None else vectors.to(weight.dtype)
            answer = function(vectors)
        answer = torch.from_numpy(answer) if isinstance(answer, np.ndarray) else answer
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != len(vectors) or not answer.shape[1]:
            raise ShapeMismatch(
                f"basis: expected a tensor ({len(vectors)}, V) for vectors {tuple(vectors.shape)}, got {got}. Of an "
                "autoencoder give the encoder alone: sae.encoder, sae.encode, or a function."
            )
        if self.units not in (None, answer.shape[1]):
            raise ShapeMismatch(f"basis: expected {self.units} units as before, got {got}")
        self.units = answer.shape[1]
        return answer.detach().to(vectors.device).float()

    def __repr__(self) -> str:
        what = "matrix" if self.matrix is not None else getattr(self.function, "__name__", type(self.function).__name__)
        return f"Basis({what}: {self.inputs} -> {self.units or 'unknown'} units)"


def as_basis(argument: object, units: int) -> Basis | None:
    """Any basis as a `Basis` for a layer of this many units; None for None: the units themselves.

    argument: None; a matrix (V, U), tensor or array, each row a direction in unit space (its unit is the scalar
    product with it); or a function that takes vectors float32 (M, U) to (M, V), tensors or arrays, every vector by
    itself: the encoder of a sparse autoencoder, say. A module, or a method of one, is run in eval mode without
    gradients. units: U.
    Its fingerprint is a sha256 of the matrix (dtype, shape, bytes); for a function its own attribute `fingerprint`, or
    the digest of its module; else None.

    Raises OptionError for other kinds and for a matrix that is not finite, ShapeMismatch for another width.

    >>> as_basis(torch.eye(3)[:2], units=3)(torch.arange(3.0).view(1, 3, 1, 1)).flatten().tolist()
    [0.0, 1.0]
    """
    if argument is None:
        return None
    if isinstance(argument, Basis):
        if argument.inputs != units:
            raise ShapeMismatch(f"basis: expected one for {units} units, got one for {argument.inputs}")
        return argument
    if isinstance(argument, (Tensor, np.ndarray)):
        return _of_matrix(argument, units)
    if not callable(argument) or isinstance(argument, type):
        raise OptionError(
            f"basis: expected a matrix (V, {units}), tensor or array, or a function on vectors (M, {units}), "
            f"got {argument!r}."
        )
    return Basis(units, None, argument, _fingerprint(argument))


def _of_matrix(argument: Tensor | np.ndarray, units: int) -> Basis:
    try:
        matrix = argument if isinstance(argument, Tensor) else torch.from_numpy(np.array(argument))
    except (TypeError, ValueError):
        matrix = torch.zeros(0, dtype=torch.complex64)  # texts, objects: no numbers for torch
    if matrix.is_complex():
        raise OptionError(f"basis: expected a matrix of real numbers, got {argument.dtype}")
    if matrix.ndim != 2 or matrix.shape[1] != units or not len(matrix):
        hint = " It is (U, V): transpose it." if matrix.ndim == 2 and matrix.shape[0] == units else ""
        raise ShapeMismatch(
            f"basis: expected (V, {units}), one row per direction, got {tuple(matrix.shape)} for a layer of {units} "
            f"units.{hint}"
        )
    matrix = matrix.detach().cpu().contiguous()
    values = matrix.float()
    if not values.isfinite().all():
        rows = int((~values.isfinite()).any(1).sum())
        raise OptionError(f"basis: expected finite numbers, got NaN or infinite ones in {rows} of {len(values)} rows")
    digest = hashlib.sha256(f"{matrix.dtype} {tuple(matrix.shape)} ".encode())
    digest.update(matrix.reshape(-1).view(torch.uint8).numpy().data)
    return Basis(units, values.clone(), None, digest.hexdigest())


def _module_of(function: object) -> nn.Module | None:
    """The module that a function is, or whose method it is."""
    owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def _fingerprint(function: object) -> str | None:
    own = getattr(function, "fingerprint", None)
    if own is not None:
        if not isinstance(own, str):
            raise OptionError(f"basis.fingerprint: expected text, got {type(own).__name__}")
        return own
    module = _module_of(function)
    if module is None or has_hooks(module):
        return None
    return model_digest(module) + ("" if module is function else f" {getattr(function, '__name__', '')}")


def random_rotation(units: int, seed: int = 0) -> Tensor:
    """A rotation or reflection of unit space, uniformly at random (Haar): orthogonal float32 (U, U).

    The paper's control: directions of a rotated basis match fewer concepts than the units. The global random numbers
    of torch are left alone.

    Raises OptionError for fewer than one unit.

    >>> turn = random_rotation(4)
    >>> torch.allclose(turn @ turn.T, torch.eye(4), atol=1e-6)
    True
    """
    if units < 1:
        raise OptionError(f"units: expected 1 or more, got {units}")
    gauss = torch.randn(units, units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q, r = torch.linalg.qr(gauss)
    # The signs that QR chooses are a convention and not uniform: R's diagonal made positive undoes it (Mezzadri 2007).
    return (q * torch.where(r.diagonal() < 0, -1.0, 1.0)).float()


def principal_axes(
    model: nn.Module,
    layer: str,
    probe: ProbeSet,
    count: int | None = None,
    *,
    after_relu: bool = False,
    call: Call = None,
    unit_axis: int | None = None,
    preprocess: Any = None,
    batch_size: int = 32,
    show_progress: bool = True,
) -> Tensor:
    """The directions in which a layer's activations vary most: float32 (V, U), unit length, largest variance first.

    One pass over all cells of all images; mean and covariance in float64. Each axis points to the side where its
    largest component is positive. count: V, all U by default. Other arguments: as for `dissect`.
    Cells with NaN or infinite activations are left out, with a DataWarning.

    Raises LayerNotFound, LayerError (a layer without a grid), OptionError, ProbeError for fewer than two cells.

    >>> from unitlens.data.catalogue import load_probe
    >>> probe = load_probe("scenes", count=4)
    >>> principal_axes(nn.Sequential(nn.Conv2d(3, 5, 8)), "0", probe, 2, show_progress=False).shape
    torch.Size([2, 5])
    """
    ready, sums = as_preprocess(preprocess), _Moments()
    weight = next(model.parameters(), torch.zeros(()))
    dtype = weight.dtype if weight.is_floating_point() else torch.float32
    meters = progress("Principal axes", len(probe), show=show_progress)
    with capture(model, [layer], call=call, stop=True) as captured, meters as meter:
        for batch in probe.batches(batch_size):
            check_range(batch.images)
            images = ready(batch.images.to(weight.device)).to(dtype)

            def take(name: str, tensor: Tensor, images: Tensor = images) -> None:
                size = (images.shape[2], images.shape[3])
                layout = layout_of(tensor.shape, size, unit_axis, batch=len(images), name=name)
                grid = layout.to_grid(tensor)
                sums.update((grid.relu() if after_relu else grid).movedim(1, -1).reshape(-1, layout.units))

            captured.run(images, take)
            meter.step(len(batch))
    return sums.axes(layer, count)


class _Moments:
    """Mean and covariance of vectors (M, U) seen in batches, in float64."""

    def __init__(self) -> None:
        self.count, self.left_out = 0, 0
        self.shift = self.total = self.square = torch.zeros(0, dtype=torch.float64)

    def update(self, vectors: Tensor) -> None:
        vectors = vectors.double()
        finite = vectors.isfinite().all(1)
        if not finite.all():
            self.left_out += int((~finite).sum())
            vectors = vectors[finite]
        if not len(vectors):
            return
        if not self.count:  # near the mean, so that the difference of large numbers below loses no digits
            self.shift = vectors.mean(0)
            self.total = torch.zeros_like(self.shift)
            self.square = torch.zeros_like(self.shift).diag()
        vectors = vectors - self.shift
        self.count += len(vectors)
        self.total += vectors.sum(0)
        self.square += vectors.T @ vectors

    def axes(self, layer: str, count: int | None) -> Tensor:
        """The eigenvectors of the covariance as rows, float32 (V, U) on the CPU."""
        if self.left_out:
            warnings.warn(f"layer {layer!r}: {self.left_out} cells with NaN or infinite activations were left out.",
                          DataWarning, stacklevel=3)  # fmt: skip
        if self.count < 2:
            raise ProbeError(f"probe: expected two cells of layer {layer!r} or more, got {self.count} that are finite")
        units = len(self.shift)
        if count is not None and not 1 <= count <= units:
            raise OptionError(f"count: expected 1..{units}, the units of layer {layer!r}, got {count}")
        mean = (self.total / self.count).cpu()
        covariance = self.square.cpu() / self.count - mean.outer(mean)
        axes = torch.linalg.eigh(covariance).eigenvectors.T.flip(0)[:count]  # eigh gives the smallest first
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        return (axes * torch.where(largest < 0, -1.0, 1.0)).float().contiguous()
