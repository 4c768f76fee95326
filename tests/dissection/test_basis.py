"""dissect(basis=...): directions as units, against products and order statistics in plain numpy."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe
from unitlens.dissection.engine import dissect
from unitlens.dissection.result import Dissection
from unitlens.errors import DataWarning, LayerNotFound, ShapeMismatch
from unitlens.models.basis import principal_axes, random_rotation
from unitlens.store import Store

WORDS = Vocabulary([("left", "object"), ("top", "part"), ("never", "material"), ("dark", "colour")])
U, SIZE, GRID = 6, (12, 20), (6, 10)
ARRAYS = ("threshold", "intersection", "activation_area", "top_value", "top_index", "top_map", "nonfinite")
RUNS: Counter[int] = Counter()  # by model, and outside of it: an attribute that changes is another model
TAILS = ("edges", "tail", "above", "area", "minimum")


def probe_of(images: int) -> ArrayProbe:
    rng = np.random.RandomState(images)
    pictures = rng.random_sample((images, 3, *SIZE)).astype(np.float32)
    labels = np.zeros((images, 2, *SIZE), dtype=np.int16)
    for n in range(images):
        labels[n, 0, :, : rng.randint(3, 15)] = 1
        labels[n, 1, : rng.randint(2, 9)] = 2
        pictures[n, 0, labels[n, 1] == 2] *= 0.5
    labels[:, 0][pictures.sum(1) < 0.8] = 4
    return ArrayProbe(torch.from_numpy(pictures), labels=torch.from_numpy(labels), vocabulary=WORDS)


class Net(nn.Module):
    """A convolution on the grid of the pixels, cell by cell, so that nothing is interpolated; and another one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(3, U, 2, 2), nn.Conv2d(U, 5, 1)

    def forward(self, x):
        RUNS[id(self)] += 1
        return self.second(self.first(x).relu())


class Encoder(nn.Module):
    """Of a sparse autoencoder with more directions than units."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.linear, self.drop = nn.Linear(U, 11), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(torch.relu(self.linear(x) - 0.1))


def raw_of(model: Net, probe: ArrayProbe) -> np.ndarray:
    """The vectors of all cells: (N, h, w, U)."""
    with torch.no_grad():
        return model.first(probe.images).permute(0, 2, 3, 1).numpy()


def oracle(vectors: np.ndarray, probe: ArrayProbe, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (V,) and IoU (V, C) of (N, h, w, V)."""
    values = vectors.astype(np.float32).reshape(-1, vectors.shape[-1]).T
    allowed = int(values.shape[1] * (1 - quantile) + 1e-6)
    thresholds = np.array([sorted(unit, reverse=True)[allowed] for unit in values])
    planes = probe.truth.labels.numpy()[:, :, 1::2, 1::2]  # the label under the centre of a pixel of the grid
    table = np.zeros((len(values), len(WORDS)))
    for v, unit in enumerate(values):
        for c in range(len(WORDS)):
            fires, seen = unit > thresholds[v], (planes == c + 1).any(1).ravel()
            table[v, c] = (fires & seen).sum() / max(1, (fires | seen).sum())
    return thresholds, table


def measured(model: nn.Module, probe: ArrayProbe, layers="first", **options) -> Dissection:
    options = {"quantile": 0.9, "grid": GRID, "store": False, "show_progress": False, **options}
    return dissect(model, layers, probe, **options)


def check(found: Dissection, vectors: np.ndarray, probe: ArrayProbe, quantile: float = 0.9) -> None:
    thresholds, table = oracle(vectors, probe, quantile)
    np.testing.assert_allclose(found["first"].threshold, thresholds, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.iou("first"), table, atol=1e-6)
    assert table.max() > 0.05


def same_layer(a: Dissection, b: Dissection, name: str, order=slice(None)) -> None:
    """Everything that was counted of a layer is equal, bit by bit, with the units of `a` in another order."""
    for field in ARRAYS:
        assert np.array_equal(getattr(a[name], field)[order], getattr(b[name], field)), field
    for field in TAILS:
        assert np.array_equal(getattr(a[name].tails, field)[order], getattr(b[name].tails, field)), field
    assert np.array_equal(a[name].tails.chance[:, :, order], b[name].tails.chance)
    assert np.array_equal(a.iou(name)[order], b.iou(name))


@pytest.mark.parametrize("after_relu", [False, True])
@pytest.mark.parametrize("images", [9, 20])
def test_a_rotation_is_dissected_as_the_rotated_vectors(images, after_relu):
    """With after_relu the vectors are rotated after the ReLU, as the next layer would see them."""
    model, probe, turn = Net().eval(), probe_of(images), random_rotation(U, seed=3)
    found = measured(model, probe, basis=turn, exact=True, after_relu=after_relu, batch_size=4)
    raw = raw_of(model, probe)
    check(found, (np.maximum(raw, 0) if after_relu else raw) @ turn.numpy().T, probe)


@pytest.mark.parametrize("options", [{"exact": True}, {}, {"after_relu": True}])
@pytest.mark.parametrize("images", [9, 20, 150])
def test_a_permutation_gives_the_permuted_dissection(images, options):
    """150 images are three shards with a pilot; 20 are kept in memory; 9 are exact anyway."""
    model, probe, order = Net().eval(), probe_of(images), np.array([3, 0, 5, 1, 4, 2])
    plain = measured(model, probe, batch_size=8, **options)
    turned = measured(model, probe, basis=torch.eye(U)[order], batch_size=8, **options)
    if options.get("after_relu"):  # the units' own way notes no smallest activation: it is known to be 0 or more
        assert np.array_equal(plain["first"].threshold[order], turned["first"].threshold)
        assert np.array_equal(plain.iou()[order], turned.iou())
    else:
        same_layer(plain, turned, "first", order)


@pytest.mark.parametrize("images", [9, 20, 150])
def test_the_identity_equals_no_basis(images):
    model, probe = Net().eval(), probe_of(images)
    bases = None, {"first": torch.eye(U)}
    plain, same = (measured(model, probe, ["first", "second"], basis=basis) for basis in bases)
    for name in ("first", "second"):
        same_layer(plain, same, name)


def test_principal_axes_as_a_basis():
    model, probe = Net().eval(), probe_of(20)
    axes = principal_axes(model, "first", probe, 4, show_progress=False)
    raw = raw_of(model, probe)
    centred = raw.reshape(-1, U) - raw.reshape(-1, U).mean(0)
    spread = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][:4]
    np.testing.assert_allclose(np.abs(axes.numpy()), np.abs(spread), atol=1e-4)
    found = measured(model, probe, basis=axes, exact=True)
    assert found["first"].units == 4
    check(found, raw @ axes.numpy().T, probe)


@pytest.mark.parametrize("kind", ["module", "method", "function"])
def test_an_encoder_with_more_directions_than_units(kind):
    model, probe, encoder = Net().eval(), probe_of(20), Encoder()
    ways = {"module": encoder, "method": encoder.forward, "function": lambda x: encoder.eval()(x).detach().numpy()}
    basis = ways[kind]
    encoder.train()
    found = measured(model, probe, basis=basis, exact=True, quantile=0.95, batch_size=3)
    assert encoder.training is (kind != "function"), "run in eval mode, left as it was"
    assert found["first"].units == 11 and found["first"].top_map.shape[0] == 11
    weight, bias = (p.detach().numpy() for p in encoder.linear.parameters())
    code = np.maximum(raw_of(model, probe) @ weight.T + bias - np.float32(0.1), 0)
    assert (code == 0).mean() > 0.2
    check(found, code, probe, 0.95)


def test_brackets_of_a_pilot_serve_directions_as_they_serve_units():
    model, probe, turn = Net().eval(), probe_of(300), random_rotation(U, seed=8)
    near, exact = (measured(model, probe, basis=turn, quantile=0.98, exact=exact) for exact in (False, True))
    values = (raw_of(model, probe) @ turn.numpy().T).reshape(-1, U)
    share = (values > near["first"].threshold).mean(0)
    assert np.abs(share - 0.02).max() < 1e-3, "300 x 60 values: 18 of them"
    assert np.abs(near.iou() - exact.iou()).max() < 0.005


def test_a_basis_for_one_of_two_layers():
    model, probe, turn = Net().eval(), probe_of(20), random_rotation(U)
    both = measured(model, probe, ["first", "second"], basis={"first": turn, "second": None}, exact=True)
    check(both, raw_of(model, probe) @ turn.numpy().T, probe)
    same_layer(measured(model, probe, ["first", "second"], exact=True), both, "second")
    with pytest.raises(LayerNotFound, match="first"):
        measured(model, probe, basis={"frist": turn})
    with pytest.raises(ShapeMismatch, match="transpose"):
        measured(model, probe, basis=turn[:, :4])
    with pytest.raises(ShapeMismatch, match="5 units"):
        measured(model, probe, ["first", "second"], basis=turn)


# ---- the store -------------------------------------------------------------------------------------------------


def files(store: Path) -> set[str]:
    return {path.name for kind in ("dissection", "shard", "bracket") for path in (store / kind).glob("*.safetensors")}


@pytest.mark.parametrize("images", [9, 100])
def test_the_store_tells_bases_apart_and_opens_the_same_one(tmp_path, images):
    model, probe, store = Net().eval(), probe_of(images), Store(tmp_path)
    turn, encoder = random_rotation(U, seed=1), Encoder()
    bases = [None, turn, turn[:3], torch.eye(U), random_rotation(U, seed=2), encoder, Encoder(seed=1), encoder.forward]
    seen: list[set[str]] = [set()]
    for basis in bases:
        before = RUNS[id(model)]
        found = measured(model, probe, basis=basis, store=store)
        alone = measured(model, probe, basis=basis, store=False)
        assert RUNS[id(model)] > before and np.array_equal(found.iou(), alone.iou())
        seen.append(files(tmp_path))
        assert len(seen[-1] - seen[-2]) >= (3 if images <= 64 else 4), "a dissection, a bracket and shards of its own"
    runs = RUNS[id(model)]
    for basis in (turn.clone(), turn.numpy(), encoder, None):
        again = measured(model, probe, basis=basis, store=store)
        assert again.recipe["basis"] != [None]
    assert RUNS[id(model)] == runs and files(tmp_path) == seen[-1]
    with torch.no_grad():
        encoder.linear.bias[0] += 0.1
    measured(model, probe, basis=encoder, store=store)
    assert RUNS[id(model)] > runs, "an encoder that is trained on is another basis"


def test_a_function_without_a_fingerprint_warns_and_is_not_stored(tmp_path):
    model, probe, store = Net().eval(), probe_of(9), Store(tmp_path)
    for _ in range(2):
        before = RUNS[id(model)]
        with pytest.warns(DataWarning, match="because the basis cannot be recognised"):
            measured(model, probe, basis=lambda x: x[:, :2], store=store)
        assert RUNS[id(model)] > before and not files(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured(model, probe, basis=lambda x: x[:, :2], store=False)  # it is said that this is meant


def test_a_function_with_a_fingerprint_is_stored(tmp_path):
    model, probe, store = Net().eval(), probe_of(9), Store(tmp_path)

    def pick(x):
        return x[:, :2]

    pick.fingerprint = "the first two"
    first = measured(model, probe, basis=pick, store=store)
    runs = RUNS[id(model)]
    assert measured(model, probe, basis=pick, store=store) == first and RUNS[id(model)] == runs
    pick.fingerprint = "the first two, again"
    measured(model, probe, basis=pick, store=store)
    assert RUNS[id(model)] > runs
