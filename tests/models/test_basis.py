"""Another basis of unit space: matrices, components, encoders; rotations and principal axes."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from unitlens.data.probe import ArrayProbe
from unitlens.errors import DataWarning, DeviceMismatch, LayerError, OptionError, ProbeError, ShapeMismatch
from unitlens.models.basis import Basis, as_basis, principal_axes, random_rotation
from unitlens.models.identity import model_digest
from unitlens.models.preprocess import Normalize

B, U, V, h, w = 3, 5, 4, 6, 7


@pytest.fixture
def activation():
    return torch.randn(B, U, h, w, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def matrix():
    return torch.randn(V, U, generator=torch.Generator().manual_seed(1))


class Encoder(nn.Module):
    """The encoder of a sparse autoencoder: relu(W (x - b) + c); dropout, to show that it runs in eval mode."""

    def __init__(self, width=U, code=V):
        super().__init__()
        self.bias, self.linear, self.drop = nn.Parameter(torch.ones(width)), nn.Linear(width, code), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.linear(x - self.bias).relu())


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), nn.Linear(V, U)

    def encode(self, x):
        return self.encoder(x)

    def forward(self, x):
        code = self.encode(x)
        return self.decoder(code), code


def cell_by_cell(activation, function, count):
    out = torch.zeros(len(activation), count, *activation.shape[2:])
    for image in range(out.shape[0]):
        for y in range(out.shape[2]):
            for x in range(out.shape[3]):
                out[image, :, y, x] = function(activation[image, :, y, x])
    return out


def test_none_is_the_units_themselves():
    assert as_basis(None, U) is None


@pytest.mark.parametrize("kind", ["tensor", "array", "float64", "transposed", "read-only", "parameter", "reversed"])
def test_a_matrix_gives_scalar_products(activation, matrix, kind):
    given = {
        "tensor": matrix, "array": matrix.numpy(), "float64": matrix.double(), "transposed": matrix.T.contiguous().T,
        "read-only": np.broadcast_to(matrix.numpy(), (V, U)), "parameter": nn.Parameter(matrix),
        "reversed": matrix.flip(1).numpy()[:, ::-1],
    }[kind]  # fmt: skip
    basis = as_basis(given, U)
    assert (basis.units, basis.inputs) == (V, U)
    got = basis(activation)
    assert got.shape == (B, V, h, w) and got.dtype == torch.float32 and not got.requires_grad
    assert torch.allclose(got, cell_by_cell(activation, lambda x: (matrix * x).sum(1), V), atol=1e-5)


def test_the_batch_size_does_not_matter(activation, matrix):
    for argument in (matrix, Encoder()):
        basis = as_basis(argument, U)
        assert torch.allclose(basis(activation), torch.cat([basis(one[None]) for one in activation]), atol=1e-6)


def test_the_identity_and_whole_numbers_are_exact(activation):
    assert torch.equal(as_basis(torch.eye(U), U)(activation), activation)
    pick = np.array([[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]])
    assert torch.equal(as_basis(pick, U)(activation), activation[:, [1, 4]])
    assert torch.equal(as_basis(pick.astype(bool), U)(activation.half()), activation.half()[:, [1, 4]].float())


def test_a_later_change_of_the_matrix_does_not_reach_the_basis(activation, matrix):
    basis = as_basis(matrix, U)
    before = basis(activation)
    matrix.zero_()
    assert torch.equal(basis(activation), before)


def test_the_fingerprint_of_a_matrix_is_that_of_its_numbers(matrix):
    known = hashlib.sha256(f"torch.float32 ({V}, {U}) ".encode() + matrix.numpy().tobytes()).hexdigest()
    assert as_basis(matrix, U).fingerprint == known == as_basis(matrix.numpy(), U).fingerprint
    assert as_basis(matrix.T.contiguous().T, U).fingerprint == known
    others = [matrix + 1e-6, matrix.double(), matrix.flip(0), matrix[:2]]
    prints = {as_basis(other, U).fingerprint for other in others}
    assert len(prints) == 4 and known not in prints
    assert as_basis(matrix.view(U, V), V).fingerprint != known


@pytest.mark.parametrize("name", ["module", "method", "function", "array"])
def test_an_encoder_works_as_a_basis(activation, name):
    torch.manual_seed(0)
    sae = Autoencoder()
    sae.encoder.linear.eval()
    argument = {
        "module": sae.encoder, "method": sae.encode, "function": lambda x: sae.encoder.linear(x - 1).relu(),
        "array": lambda x: sae.encoder.linear(x - 1).relu().numpy(),
    }[name]  # fmt: skip
    basis, state = as_basis(argument, U), torch.get_rng_state()
    assert basis.units is None and "unknown" in repr(basis)
    got = basis(activation)
    with torch.no_grad():
        expected = cell_by_cell(activation, lambda x: sae.encoder.linear(x - 1).relu(), V)  # no dropout
    assert torch.allclose(got, expected, atol=1e-6)
    assert (basis.units, got.requires_grad, got.dtype) == (V, False, torch.float32)
    assert [sae.training, sae.encoder.drop.training, sae.encoder.linear.training] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), state)


def test_an_encoder_in_double_precision_gets_double(activation):
    got = as_basis(Encoder().double(), U)(activation)
    assert got.dtype == torch.float32 and got.shape == (B, V, h, w)


def test_nonnegative_components_work_as_a_basis():
    """NMF by multiplicative updates (Lee and Seung): the planted parts come back as rows of the basis."""
    random = np.random.default_rng(0)
    parts = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 2, 0], [0, 0, 0, 0, 1]], dtype=float)
    amounts = random.random((B * h * w, 3)) * (random.random((B * h * w, 3)) < 0.5)
    vectors = amounts @ parts
    left, right = random.random((len(vectors), 3)), random.random((3, U))
    for _ in range(400):
        right *= left.T @ vectors / (left.T @ left @ right + 1e-12)
        left *= vectors @ right.T / (left @ right @ right.T + 1e-12)
    activation = torch.from_numpy(vectors).float().view(B, h, w, U).permute(0, 3, 1, 2)
    got = as_basis(np.linalg.pinv(right).T, U)(activation).permute(1, 0, 2, 3).reshape(3, -1).numpy()
    match = np.abs(np.corrcoef(got, amounts.T)[:3, 3:])
    assert (match.max(0) > 0.99).all() and sorted(match.argmax(0)) == [0, 1, 2]


def test_the_fingerprint_of_a_function_is_its_own_or_that_of_its_module():
    sae = Autoencoder()
    assert as_basis(sae.encoder, U).fingerprint == model_digest(sae.encoder)
    assert as_basis(sae.encode, U).fingerprint == f"{model_digest(sae)} encode"
    assert as_basis(lambda x: x, U).fingerprint is None

    def named(x):
        return x

    named.fingerprint = "mine"
    assert as_basis(named, U).fingerprint == "mine"
    handle = sae.encoder.register_forward_hook(lambda *_: None)  # may change the answers, and no digest shows it
    assert as_basis(sae.encoder, U).fingerprint is None
    handle.remove()
    named.fingerprint = 3
    with pytest.raises(OptionError, match="fingerprint"):
        as_basis(named, U)


def test_wrong_matrices_are_told(matrix):
    with pytest.raises(ShapeMismatch, match=r"\(V, 5\).*\(5, 4\).*transpose"):
        as_basis(matrix.T, U)
    for wrong in (matrix[0], matrix[:, :3], matrix[:0], matrix[None]):
        with pytest.raises(ShapeMismatch, match=r"one row per direction"):
            as_basis(wrong, U)
    for value in (float("nan"), float("inf")):
        matrix[1, 2] = value
        with pytest.raises(OptionError, match="1 of 4 rows"):
            as_basis(matrix, U)
    for wrong in (matrix.to(torch.complex64), np.array([["a"] * U]), np.array([[None] * U])):
        with pytest.raises(OptionError, match="real numbers"):
            as_basis(wrong, U)
    for wrong in ("pca", [[1.0] * U], Encoder):
        with pytest.raises(OptionError, match=r"basis: expected a matrix \(V, 5\)"):
            as_basis(wrong, U)


def test_wrong_answers_are_told(activation):
    rows = B * h * w
    for function in (
        lambda x: x[:1], lambda x: x.T, lambda x: x.sum(1), lambda x: x[:, :0], lambda x: None, Autoencoder()
    ):  # fmt: skip
        with pytest.raises(ShapeMismatch, match=rf"\({rows}, V\).*the encoder alone"):
            as_basis(function, U)(activation)
    widths = iter([2, 3])
    basis = as_basis(lambda x: x[:, : next(widths)], U)
    basis(activation)
    with pytest.raises(ShapeMismatch, match="expected 2 units as before"):
        basis(activation)
    with pytest.raises(DeviceMismatch, match=r"meta.*cpu"):
        Basis(U, None, Encoder().to("meta"), None)(activation)


def test_activations_of_another_width_are_refused(activation, matrix):
    for basis in (as_basis(matrix, U), as_basis(Encoder(), U)):
        for wrong in (activation[:, :3], activation[0], activation.flatten(2)):
            with pytest.raises(ShapeMismatch, match=r"expected \(B, 5, h, w\)"):
                basis(wrong)
    assert as_basis(basis, U) is basis
    with pytest.raises(ShapeMismatch, match="for 7 units"):
        as_basis(basis, 7)


def test_random_rotations_are_orthogonal_reproducible_and_leave_the_generator_alone():
    state = torch.get_rng_state()
    turn = random_rotation(37, seed=5)
    assert turn.dtype == torch.float32 and turn.shape == (37, 37)
    assert torch.allclose(turn.double() @ turn.double().T, torch.eye(37, dtype=torch.float64), atol=1e-5)
    assert torch.equal(turn, random_rotation(37, seed=5))
    assert not torch.allclose(turn, random_rotation(37, seed=6), atol=0.1)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(OptionError, match="units"):
        random_rotation(0)


def test_random_rotations_are_uniform():
    """Haar: the trace has mean 0 and variance 1, every entry mean 0 and variance 1/n; raw QR has trace below 0."""
    turns = torch.stack([random_rotation(3, seed) for seed in range(3000)]).double()
    trace = turns.diagonal(dim1=1, dim2=2).sum(1)
    assert abs(float(trace.mean())) < 5 / 3000**0.5
    assert abs(float(trace.var()) - 1) < 0.15
    assert turns.mean(0).abs().max() < 5 * (1 / 3 / 3000) ** 0.5
    assert (turns.square().mean(0) - 1 / 3).abs().max() < 0.04
    assert abs(float((torch.linalg.det(turns) > 0).double().mean()) - 0.5) < 0.05


@pytest.fixture
def probe():
    return ArrayProbe(np.random.default_rng(2).random((7, 3, 12, 20), dtype=np.float32))


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, U, 4, stride=4), nn.ReLU(inplace=True), nn.Flatten(2))


def vectors_of(model, probe, after_relu=False, preprocess=None):
    images = probe.load(range(len(probe))).images
    with torch.no_grad():
        x = model[0](images if preprocess is None else preprocess(images)).double()
    x = x.relu() if after_relu else x
    return x.permute(0, 2, 3, 1).reshape(-1, U).numpy()


@pytest.mark.parametrize("after_relu", [False, True])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_principal_axes_are_those_of_the_singular_values(model, probe, after_relu, batch_size):
    normalize, state = Normalize((0.5,) * 3, (0.1,) * 3), torch.get_rng_state()
    axes = principal_axes(model, "0", probe, 3, after_relu=after_relu, preprocess=normalize, batch_size=batch_size,
                          show_progress=False)  # fmt: skip
    vectors = vectors_of(model, probe, after_relu, normalize)
    rows = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)[2][:3]
    rows *= np.sign(rows[np.arange(3), np.abs(rows).argmax(1)])[:, None]
    assert axes.dtype == torch.float32 and axes.shape == (3, U)
    assert np.allclose(axes.numpy(), rows, atol=1e-5)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    variances = (vectors @ axes.numpy().T).var(0)
    assert (np.diff(variances) < 0).all()


def test_principal_axes_stand_far_from_zero_too(model, probe):
    """A mean of thousands of standard deviations: sums in float32 without a shift would lose the axes."""
    with torch.no_grad():
        model[0].bias += 3000.0
    vectors = vectors_of(model, probe)
    rows = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)[2]
    axes = principal_axes(model, "0", probe, batch_size=3, show_progress=False).numpy()
    assert axes.shape == (U, U)
    assert np.allclose(np.abs((axes * rows).sum(1)), 1, atol=1e-5)


def test_principal_axes_of_tokens_are_those_of_the_grid(model, probe):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.tokens = model[0], nn.Identity()

        def forward(self, x):
            x = self.conv(x).flatten(2).transpose(1, 2)
            return self.tokens(torch.cat([torch.full_like(x[:, :1], 50.0), x], 1))  # a class token like no other

    expected = principal_axes(model, "0", probe, show_progress=False)
    assert torch.allclose(principal_axes(Tokens(), "tokens", probe, show_progress=False), expected, atol=1e-5)


def test_principal_axes_leave_out_what_is_not_finite(probe):
    class Holes(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(3, U, 4, stride=4), nn.Identity()

        def forward(self, x):
            x = self.conv(x)
            x[0, 1, 0, 0], x[0, 2, 1, 1] = float("nan"), float("inf")
            return self.out(x)

    torch.manual_seed(1)
    model = Holes()
    with pytest.warns(DataWarning, match="'out': 2 cells"):
        axes = principal_axes(model, "out", probe, show_progress=False)
    vectors = vectors_of([model.conv], probe)
    keep = np.ones(len(vectors), bool)
    keep[[0, 5 + 1]] = False  # cells (0, 0) and (1, 1) of the first 3 x 5 grid
    rows = np.linalg.svd(vectors[keep] - vectors[keep].mean(0))[2]
    assert np.allclose(np.abs((axes.numpy() * rows).sum(1)), 1, atol=1e-5)


def test_principal_axes_say_what_is_wrong(model, probe):
    for count in (0, U + 1):
        with pytest.raises(OptionError, match=r"1\.\.5"):
            principal_axes(model, "0", probe, count, show_progress=False)
    flat = nn.Sequential(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(LayerError, match=r"'0' returns \(7, 3\).*spatial grid"):
        principal_axes(flat, "0", probe, show_progress=False)
    one = nn.Sequential(nn.AdaptiveAvgPool2d(1))
    with pytest.raises(ProbeError, match="two cells"):
        principal_axes(one, "0", probe.subset([0]), show_progress=False)
    assert not any(m._forward_hooks for m in model.modules())
