"""The engine against a naive oracle, planted units with known IoU, and every kind of bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe
from unitlens.dissection.engine import dissect
from unitlens.errors import DataWarning, LayerError, LayerNotFound, OptionError, ProbeError
from unitlens.models.capture import edit
from unitlens.segment.custom import Custom
from unitlens.store import Store

WORDS = Vocabulary([("left", "object"), ("top", "part"), ("dot", "object"), ("never", "material")])
N, H, W = 7, 12, 20


def make_probe(seed: int = 0, annotated: np.ndarray | None = None) -> ArrayProbe:
    """Seven pictures of 20 x 12 whose labels have nothing to do with each other."""
    rng = np.random.RandomState(seed)
    labels = np.zeros((N, 2, H, W), dtype=np.int16)
    for n in range(N):
        labels[n, 0, :, : rng.randint(3, 15)] = 1
        labels[n, 1, : rng.randint(2, 9)] = 2
        labels[n, 0, rng.randint(H), rng.randint(W)] = 3
    known = None if annotated is None else torch.as_tensor(annotated)
    images = rng.random_sample((N, 3, H, W)).astype(np.float32)
    return ArrayProbe(torch.from_numpy(images), labels=torch.from_numpy(labels), vocabulary=WORDS, annotated=known)


class Net(nn.Module):
    """Two convolutions of 5 and 6 units on grids of 6 x 10 and 3 x 5."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 5, 3, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(5, 6, 3, 2, 1)

    def forward(self, x):
        return self.second(self.relu(self.first(x))).mean((2, 3))


def bilinear(grid: np.ndarray, size: tuple[int, int], stride: int) -> np.ndarray:
    """(h, w) -> size, edges clamped, a pixel at a time; the centre of cell k is image pixel k * stride (padding 1)."""
    out = np.zeros(size)
    for r in range(size[0]):
        for c in range(size[1]):
            y = min(max(((r + 0.5) * H / size[0] - 0.5) / stride, 0), grid.shape[0] - 1)
            x = min(max(((c + 0.5) * W / size[1] - 0.5) / stride, 0), grid.shape[1] - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, grid.shape[0] - 1), min(x0 + 1, grid.shape[1] - 1)
            upper = grid[y0, x0] * (1 - (x - x0)) + grid[y0, x1] * (x - x0)
            lower = grid[y1, x0] * (1 - (x - x0)) + grid[y1, x1] * (x - x0)
            out[r, c] = upper * (1 - (y - y0)) + lower * (y - y0)
    return out


def oracle(activations: np.ndarray, labels: np.ndarray, size: tuple[int, int], quantile: float, stride: int):
    """Thresholds and IoU of (N, U, h, w) activations, by loops over units, images and pixels."""
    ups = np.stack([[bilinear(m, size, stride) for m in image] for image in activations]).astype(np.float32)
    rows = [int((r + 0.5) * H / size[0]) for r in range(size[0])]
    columns = [int((c + 0.5) * W / size[1]) for c in range(size[1])]
    small = labels[:, :, rows][:, :, :, columns]
    thresholds, table = [], np.zeros((ups.shape[1], len(WORDS)))
    for u in range(ups.shape[1]):
        values = sorted(ups[:, u].ravel(), reverse=True)
        thresholds.append(values[int(len(values) * (1 - quantile) + 1e-9)])
        for c in range(len(WORDS)):
            both = either = 0
            for n in range(len(ups)):
                fires, seen = ups[n, u] > thresholds[-1], (small[n] == c + 1).any(0)
                both += (fires & seen).sum()
                either += (fires | seen).sum()
            table[u, c] = both / either if either else 0.0
    return np.array(thresholds), table


@pytest.mark.parametrize(("batch_size", "after_relu"), [(1, False), (3, True), (50, False)])
def test_thresholds_and_iou_equal_the_naive_oracle(batch_size, after_relu):
    probe, model, size = make_probe(), Net().eval(), (6, 9)
    found = dissect(
        model, ["first", "second"], probe, quantile=0.9, grid=size, batch_size=batch_size, after_relu=after_relu,
        store=False, show_progress=False,
    )  # fmt: skip
    first = model.first(probe.images).detach()
    raw = {"first": first, "second": model.second(first.relu()).detach()}
    for name, activation in raw.items():
        activation = activation.relu() if after_relu else activation
        stride = {"first": 2, "second": 4}[name]
        thresholds, table = oracle(activation.numpy(), probe.truth.labels.numpy(), size, 0.9, stride)
        np.testing.assert_allclose(found[name].threshold, thresholds, rtol=2e-6, atol=1e-7)
        np.testing.assert_allclose(found.iou(name), table, atol=1e-12)
        peaks = activation.amax((2, 3)).numpy()
        top = found[name].top_value
        np.testing.assert_allclose(top[:, :N], -np.sort(-peaks, axis=0).T[:, : top.shape[1]], rtol=1e-5)


class Planted(nn.Module):
    """Units that are known masks: exactly "left", its left half in width, nothing, everything."""

    def __init__(self, masks: torch.Tensor):
        super().__init__()
        self.masks = nn.Parameter(masks.float())
        self.layer = nn.Identity()
        self.seen = 0

    def forward(self, x):
        which = (x[:, 0, 0, 0] * 1000).round().long()  # the first pixel names the picture
        return self.layer(self.masks[which])


def planted_case() -> tuple[Planted, ArrayProbe]:
    labels = np.zeros((4, 1, 8, 16), dtype=np.int16)
    labels[:2, 0, :, :4] = 1  # 8 x 4 pixels of "left" in two of four pictures
    images = torch.zeros(4, 3, 8, 16)
    images[:, 0, 0, 0] = torch.arange(4) / 1000
    masks = torch.zeros(4, 4, 8, 16)
    masks[:2, 0, :, :4] = 1.0
    masks[:2, 1, :, 2:6] = 1.0  # overlaps half of it
    masks[:, 3] = 1.0
    return Planted(masks), ArrayProbe(images, labels=torch.from_numpy(labels), vocabulary=WORDS)


def test_a_planted_unit_has_iou_one_and_a_half_overlap_one_third():
    model, probe = planted_case()
    found = dissect(model, "layer", probe, quantile=0.875, grid=(8, 16), store=False, show_progress=False)
    iou = found.iou()
    assert iou[0, 0] == 1.0
    assert iou[1, 0] == 1 / 3  # intersection 2 of 4 columns, union 6
    assert (iou[2] == 0).all() and (iou[3] == 0).all(), "a constant unit never is strictly above its threshold"
    assert found.frame()["concept"].tolist() == ["left", "left", "-", "-"]
    assert found.frame()["detector"].tolist() == [True, True, False, False]
    assert found.units_for("left").tolist() == [0, 1]


def test_an_absent_concept_has_iou_zero_and_never_nan():
    model, probe = planted_case()
    found = dissect(model, "layer", probe, quantile=0.875, grid=(8, 16), store=False, show_progress=False)
    assert found.concept_area[3] == 0 and found.absent() == list(WORDS[1:])
    assert (found.iou()[:, 3] == 0).all() and np.isfinite(found.iou()).all()


def test_images_without_annotations_of_a_category_are_left_out_of_its_denominators():
    model, probe = planted_case()
    annotated = np.ones((4, 3), dtype=bool)
    annotated[1, WORDS.categories.index("object")] = False  # "left" was not looked for in the second picture
    probe = ArrayProbe(probe.images, labels=probe.truth.labels, vocabulary=WORDS, annotated=torch.as_tensor(annotated))
    found = dissect(model, "layer", probe, quantile=0.875, grid=(8, 16), store=False, show_progress=False)
    assert found.concept_area[0] == 32 and found.pixels.tolist() == [3 * 128, 4 * 128, 4 * 128]
    assert found.iou()[0, 0] == 1.0 and found["layer"].intersection[0, 0] == 32


def test_nan_never_fires_infinity_is_the_highest_value_and_both_are_counted():
    model, probe = planted_case()
    with torch.no_grad():
        model.masks[0, 0, 0, 0] = float("nan")  # inside "left"
        model.masks[3, 2, 5, 5] = float("inf")
    with pytest.warns(DataWarning, match="2 activations of 2 units"):
        found = dissect(model, "layer", probe, quantile=0.875, grid=(8, 16), store=False, show_progress=False)
    assert found["layer"].nonfinite.tolist() == [1, 0, 1, 0]
    assert found.iou()[0, 0] == 63 / 64, "63 of its 64 pixels are left"
    assert found["layer"].activation_area[2].tolist() == [1, 1, 1]


def test_the_model_is_left_as_it_was():
    model = Net().train()
    before = [p.clone() for p in model.parameters()]
    state = torch.get_rng_state()
    dissect(model, ["first"], make_probe(), store=False, show_progress=False)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"layers": "secnod"}, LayerNotFound, "'second'"),
        ({"layers": []}, OptionError, "at least one layer"),
        ({"layers": ["first", "first"]}, OptionError, "twice"),
        ({"quantile": 0.01}, OptionError, "did you mean 0.99"),
        ({"quantile": 1.0}, OptionError, "between 0 and 1"),
        ({"min_iou": 4}, OptionError, "min_iou"),
        ({"top": 0}, OptionError, "top"),
        ({"segmenter": "treu"}, OptionError, "Accepted"),
        ({"layers": 5}, OptionError, "list of them, got 5"),
        ({"quantile": "0.99"}, OptionError, "quantile: expected a number"),
        ({"call": "second"}, OptionError, "call"),
        ({"grid": 56}, OptionError, "grid"),
        ({"grid": (0, 5)}, OptionError, "grid"),
    ],
)
def test_bad_options_are_refused_with_words(options, error, words):
    arguments = {"layers": "first", **options}
    with pytest.raises(error, match=words):
        dissect(Net(), arguments.pop("layers"), make_probe(), store=False, show_progress=False, **arguments)


def test_an_unknown_layer_is_told_before_any_image_is_read():
    class Untouchable(ArrayProbe):
        def prepare(self, *, progress=True):
            pytest.fail("images were prepared")

        load = fingerprint = property(lambda self: pytest.fail("images were read"))

    with pytest.raises(LayerNotFound):
        dissect(Net(), "secnod", Untouchable(torch.zeros(2, 3, 8, 9)), show_progress=False)


def test_a_model_under_an_edit_is_measured_as_edited_and_never_stored(tmp_path):
    model, store = Net(), Store(tmp_path)
    plain = dissect(model, "second", make_probe(), store=store, show_progress=False)
    files = sorted(tmp_path.rglob("*.safetensors"))
    with edit(model, {"first": lambda x: x * 0}), pytest.warns(DataWarning, match="model cannot be recognised"):
        edited = dissect(model, "second", make_probe(), store=store, show_progress=False)
    assert not np.array_equal(edited.layer().threshold, plain.layer().threshold)
    assert sorted(tmp_path.rglob("*.safetensors")) == files
    assert dissect(model, "second", make_probe(), store=store, show_progress=False) == plain


def test_a_layer_without_a_grid_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 10 * 18, 7))
    with pytest.raises(LayerError, match=r"\(7, 7\).*spatial grid"):
        dissect(model, "2", make_probe(), store=False, show_progress=False)


@pytest.mark.parametrize("probe", ["/folder", np.zeros((2, 3, 8, 8))])
def test_something_else_than_a_probe_set_is_refused(probe):
    with pytest.raises(OptionError, match=r"expected a probe set, got (str|ndarray).*from_folder"):
        dissect(Net(), "first", probe, store=False, show_progress=False)


def test_labels_of_another_shape_than_the_images_are_refused():
    from unitlens.errors import ShapeMismatch

    whole = make_probe()
    turned = ArrayProbe(whole.images, labels=whole.truth.labels.transpose(2, 3), vocabulary=WORDS)
    with pytest.raises(ShapeMismatch, match=r"12 x 20 .*got 20 x 12"):
        dissect(Net(), "first", turned, store=False, show_progress=False)
    half = ArrayProbe(whole.images, labels=whole.truth.labels[:, :, ::2, ::2], vocabulary=WORDS)
    assert dissect(Net(), "first", half, store=False, show_progress=False).notes["images"] == N


def test_a_layer_that_was_not_dissected_is_named():
    found = dissect(Net(), "first", make_probe(), store=False, show_progress=False)
    with pytest.raises(LayerNotFound, match="'second' was not dissected; dissected: 'first'"):
        found.iou("second")


def test_an_empty_probe_set_is_refused():
    with pytest.raises(ProbeError, match="empty probe set"):
        dissect(Net(), "first", ArrayProbe(torch.zeros(0, 3, 8, 8)), store=False, show_progress=False)


def test_a_second_call_opens_the_stored_result_without_running_the_model(tmp_path, monkeypatch):
    store, probe, model = Store(tmp_path), make_probe(), Net()
    first = dissect(model, ["first"], probe, store=store, show_progress=False)
    monkeypatch.setattr(Net, "forward", lambda *_: pytest.fail("the model ran again"))
    second = dissect(model, ["first"], probe, store=store, show_progress=False, batch_size=2, min_iou=0.2)
    assert second == first.with_min_iou(0.2)
    assert dissect(model, ["first"], probe, store=store, show_progress=False) == first


def test_every_input_that_changes_the_result_changes_the_key(tmp_path):
    from unitlens.models.preprocess import Normalize
    store, calls = Store(tmp_path), []

    def run(model=None, layers=("first",), probe=None, **options):
        dissect(model or Net(), list(layers), probe or make_probe(), store=store, show_progress=False, **options)
        calls.append(len(list(tmp_path.glob("dissection/*.safetensors"))))

    other = Net()
    with torch.no_grad():
        other.first.weight[0, 0, 0, 0] += 1e-3
    run()
    run(model=other)
    run(layers=("first", "second"))
    run(probe=make_probe(seed=1))
    run(quantile=0.95)
    run(after_relu=True)
    run(grid=(4, 5))
    run(top=3)
    run(segmenter="colours")
    run(preprocess=Normalize([0.5] * 3, [0.5] * 3))
    assert calls == list(range(1, 11))
    run(batch_size=2)
    run(min_iou=0.1)
    run(name="another name")
    assert calls[-3:] == [10, 10, 10]


def test_a_part_without_identity_is_never_stored(tmp_path):
    store = Store(tmp_path)
    custom = Custom(lambda images: torch.ones(len(images), H, W, dtype=torch.int16), Vocabulary([("all", "object")]))
    with pytest.warns(DataWarning, match="segmenter cannot be recognised"):
        dissect(Net(), "first", make_probe(), segmenter=custom, store=store, show_progress=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dissect(Net(), "first", make_probe(), segmenter=custom, store=False, show_progress=False)


def test_a_corrupt_file_is_computed_again_with_a_warning(tmp_path):
    from unitlens.errors import StoreWarning
    store = Store(tmp_path)
    first = dissect(Net(), "first", make_probe(), store=store, show_progress=False)
    path = next(tmp_path.glob("dissection/*.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(StoreWarning, match="computed again"):
        again = dissect(Net(), "first", make_probe(), store=store, show_progress=False)
    assert np.array_equal(again.iou(), first.iou())
    assert dissect(Net(), "first", make_probe(), store=store, show_progress=False) == again


def test_a_store_that_cannot_be_written_costs_a_warning_and_not_the_result(tmp_path):
    from unitlens.errors import StoreWarning
    (tmp_path / "taken").write_text("a file where the store's folder should be")
    with pytest.warns(StoreWarning, match="could not be kept"):
        found = dissect(Net(), "first", make_probe(), store=Store(tmp_path / "taken"), show_progress=False)
    assert np.array_equal(found.iou(), dissect(Net(), "first", make_probe(), store=False, show_progress=False).iou())


class Interrupted(ArrayProbe):
    """Ctrl-C when the given number of images have been loaded."""

    left = 10**9

    def load(self, index):
        self.left -= len(index)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().load(index)


@pytest.mark.parametrize(
    ("rounds", "kept"), [(0, set()), (1, {"lender"}), (2, {"lender", "bracket"})], ids=["pilot", "exact", "counting"]
)
def test_ctrl_c_loses_nothing_that_was_finished(tmp_path, rounds, kept):
    """The images are loaded for the labels that are lent, for exact thresholds, for counting, and for thumbnails."""
    model, whole, store = Net(), make_probe(), Store(tmp_path)
    probe = Interrupted(whole.images, labels=whole.truth.labels, vocabulary=WORDS)
    probe.left = rounds * N + N // 2
    with pytest.raises(KeyboardInterrupt):
        dissect(model, "first", probe, store=store, show_progress=False, batch_size=2)
    assert {path.parent.name for path in tmp_path.rglob("*.safetensors")} == kept
    assert not model.first._forward_hooks
    probe.left = (3 - rounds) * N + N  # what is missing, and the thumbnails
    again = dissect(model, "first", probe, store=store, show_progress=False, batch_size=2)
    fresh = dissect(model, "first", whole, store=False, show_progress=False, batch_size=2)
    assert np.array_equal(again.iou(), fresh.iou())


def test_save_and_load_is_equality(tmp_path):
    from unitlens.dissection.result import load

    found = dissect(Net(), ["first", "second"], make_probe(), store=False, show_progress=False)
    assert load(found.save(tmp_path / "result.safetensors")) == found
    from unitlens.errors import AssetError

    (tmp_path / "other").write_text("no result")
    with pytest.raises(AssetError, match="not a saved dissection"):
        load(tmp_path / "other")
