"""artefact_units: the units of a generator whose removal makes its pictures better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.data.probe import ProbeSet
from unitlens.errors import OptionError
from unitlens.models.hooks import at_rest
from unitlens.models.identity import model_digest
from unitlens.models.samples import Samples
from unitlens.models.zoo import load_model
from unitlens.progress import Meter
from unitlens.stats.frechet import frechet_distance, frechet_distances
from unitlens.store import Store
from unitlens.synthesis.artefact import Artefacts
from unitlens.synthesis.changing import same
from unitlens.synthesis.cut import Cut
from unitlens.synthesis.removing import without_units
from unitlens.synthesis.trials import Trials

AXES = 32  # principal directions of the real pictures' features that distances are measured in
LOUDEST = 0.2  # share of the pictures that a unit is judged by


def artefact_units(
    samples: Samples,
    layer: str,
    real: ProbeSet,
    *,
    features: nn.Module | None = None,
    counts: Sequence[int] = (1, 5, 10, 20),
    draws: int = 3,
    seed: int = 0,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> Artefacts:
    """Units that make pictures worse: those whose loudest pictures are farthest from real ones, and what becomes of the
    pictures without them [paper.md 7.3].

    Distances are Fréchet distances of a network's features along their 32 main directions. A unit is judged by the
    fifth of the pictures that it is loudest in; whether it is the cause is then measured by removing it.

    samples: see `from_generator`. real: pictures of the kind that the generator learnt, such as
        `load_probe("villages")`. features: a module of images in [0, 1] that returns (B, D); None = SceneNet's last
        features. counts: how many of the worst units are removed. draws: of as many units at random.
    batch_size, store: as in `measure_content`.

    >>> import unitlens as ul
    >>> samples = ul.from_generator(ul.load_model("scenegenerator"), 64)
    >>> found = artefact_units(samples, "layer4", ul.load_probe("villages", count=64), counts=(5,), show_progress=False)
    >>> found.distance.shape, found.after.shape
    ((192,), (1, 64, 32))

    Raises OptionError, LayerNotFound.
    """
    if not isinstance(real, ProbeSet) or len(real) < 2:
        raise OptionError("real: expected a probe set of two pictures or more, such as load_probe('villages')")
    network = _Features(load_model("scenenet")) if features is None else features
    trials = Trials(samples, "colours", batch_size=batch_size, store=store, show_progress=show_progress)
    look = _Look(trials, network, layer, real)
    true, axes = look.real()
    made = look.samples([same], with_units=True)
    before, loud = (made["features"][:, 0] - axes[0]) @ axes[1], made["units"]
    chosen = max(2, round(LOUDEST * len(samples)))
    picked = np.zeros_like(loud.T)
    np.put_along_axis(picked, np.argsort(-loud, axis=0, kind="stable")[:chosen].T, 1.0, axis=1)
    distance = frechet_distances(before, picked, true)
    known = _checked(counts, loud.shape[1], draws)
    order, dice = np.argsort(-distance, kind="stable"), np.random.default_rng(seed)
    chance = [dice.permutation(loud.shape[1]) for _ in range(draws)]
    sets = [order[:n] for n in known] + [one[:n] for n in known for one in chance]
    edited = look.samples([without_units(one) for one in sets], sets=[one.tolist() for one in sets])["features"]
    moved = ((edited - axes[0]) @ axes[1]).swapaxes(0, 1).astype(np.float32)  # (E, N, D)
    some = len(known)
    return Artefacts(
        layer, distance, frechet_distance(before, true), np.array(known), true.astype(np.float32),
        before.astype(np.float32), moved[:some], moved[some:].reshape(some, draws, *moved.shape[1:]),
        recipe=look.recipe(probe=samples.fingerprint),
    )  # fmt: skip


def _checked(counts: Sequence[int], units: int, draws: int) -> tuple[int, ...]:
    known = tuple(int(n) for n in counts)
    if not known or any(not 1 <= n <= units for n in known):
        raise OptionError(f"counts: expected numbers 1 to {units}, got {counts!r}")
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 1:
        raise OptionError(f"draws: expected 1 or more, got {draws!r}")
    return known


class _Features(nn.Module):
    """What SceneNet's linear layer sees of images."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.pooled(images)


class _Look:
    """The features of real and of generated pictures."""

    def __init__(self, trials: Trials, network: nn.Module, layer: str, real: ProbeSet):
        self.trials, self.network, self.layer, self.pictures = trials, network, layer, real
        self.cut = Cut(trials.generator, layer)
        self.digest = model_digest(network)

    def recipe(self, **more: Any) -> dict[str, Any]:
        """What decides the features, but for the samples."""
        return self.trials.source.recipe(kind="features", layer=self.layer, network=self.digest, **more)

    def real(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Features of the real pictures along their main directions, and these: mean (D,), directions (D, A)."""
        parts = [self._features(batch.images) for batch in self.pictures.batches(64)]
        found = np.concatenate(parts).astype(np.float64)
        mean = found.mean(0)
        _, _, directions = np.linalg.svd(found - mean, full_matrices=False)
        axes = directions[: min(AXES, *found.shape)].T
        return (found - mean) @ axes, (mean, axes)

    def samples(self, changes: Sequence[Any], sets: Any = None, *, with_units: bool = False) -> dict[str, np.ndarray]:
        """features (N, E, D) of generated pictures with each change made, and units (N, U): their mean activations."""

        def shard(span: Sequence[int], _: Meter) -> dict[str, np.ndarray]:
            found: dict[str, list[np.ndarray]] = {"index": [], "features": [], "units": []}
            for batch in self.trials.batches(span):
                pictures = self.trials.made(batch, self.cut, changes)
                found["features"].append(np.stack([self._features(made) for made in pictures], 1))
                found["index"].append(batch.index.numpy())
                if with_units:
                    output = self.cut.head(self.trials.latents(batch))
                    found["units"].append(output.mean((2, 3)).cpu().numpy())
                else:
                    found["units"].append(np.zeros((len(batch), 0), np.float32))
            return {name: np.concatenate(parts) for name, parts in found.items()}

        recipe = self.recipe(sets=sets)
        parts = self.trials.shards(recipe, shard, "Looking at pictures", ("features", "units"))
        return {name: np.concatenate([part[name] for part in parts]) for name in ("features", "units")}

    def _features(self, images: Tensor) -> np.ndarray:
        parameter = next(self.network.parameters(), None)
        placed = images if parameter is None else images.to(parameter.device)
        with at_rest(self.network, placed):
            found = self.network(placed)
        if not isinstance(found, torch.Tensor) or found.ndim != 2:
            got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise OptionError(f"features: expected the module to return (B, D), got {got}")
        return found.float().cpu().numpy()
