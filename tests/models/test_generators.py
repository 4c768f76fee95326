"""Any module as a generator: its latents, its pictures, its classes, and its layers under their own names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import unitlens as ul
from unitlens.errors import LayerNotFound, OptionError, ProbeError, ShapeMismatch
from unitlens.models.generators import Generator, as_generator
from unitlens.models.identity import model_digest


class Conditional(nn.Module):
    """Latents and classes to pictures; remembers which classes it was given."""

    def __init__(self, one_hot: bool = False):
        super().__init__()
        self.embed: nn.Module = nn.Linear(4, 5) if one_hot else nn.Embedding(4, 5)
        self.body = nn.ConvTranspose2d(10, 3, (2, 4))
        self.given: list[Tensor] = []

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        self.given.append(labels)
        return torch.tanh(self.body(torch.cat([latents.flatten(1), self.embed(labels)], 1)[:, :, None, None]))


def _plain(channels: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.ConvTranspose2d(5, 6, (2, 4)), nn.ReLU(inplace=True), nn.Conv2d(6, channels, 1), nn.Tanh())


def test_a_plain_module_gives_pictures_and_keeps_its_layers() -> None:
    net = _plain()
    gan = as_generator(net, (5, 1, 1))
    assert isinstance(gan, Generator) and isinstance(gan, nn.Module)
    z = gan.latents(7, seed=2)
    assert z.shape == (7, 5, 1, 1) and torch.equal(gan.latents(3, seed=2), z[:3])
    expected = np.random.RandomState(2).standard_normal(35).reshape(7, 5, 1, 1)
    np.testing.assert_allclose(z.numpy(), expected, rtol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(gan.generate(z), (net(z) + 1) / 2)
    assert ul.layers(gan)[:4] == ul.layers(net)
    with ul.edit(gan, {"0": lambda x: x * 0}):
        assert torch.equal(gan.generate(z)[0], gan.generate(z)[1])
    assert as_generator(gan) is gan
    with pytest.raises(LayerNotFound):
        ul.capture(gan, ["9"])


def test_grey_pictures_become_three_channels_and_other_ranges_are_told() -> None:
    grey = as_generator(_plain(channels=1), (5, 1, 1))
    made = grey.generate(grey.latents(2))
    assert made.shape == (2, 3, 2, 4) and torch.equal(made[:, 0], made[:, 2])
    raw = as_generator(nn.Sequential(nn.Flatten(), nn.Linear(5, 24), nn.Unflatten(1, (3, 2, 4))), 5, values=(10, -10))
    z = raw.latents(2)
    with torch.no_grad():
        torch.testing.assert_close(raw.generate(z), ((raw.inner(z) - 10) / -20).clamp(0, 1))


@pytest.mark.parametrize("one_hot", [0, 4])
def test_conditional_generators_are_given_classes(one_hot: int) -> None:
    net = Conditional(one_hot=bool(one_hot))
    gan = as_generator(net, (5,), classes=[1, 3], one_hot=one_hot)
    z = gan.latents(40, seed=6)
    assert z.shape == (40, 6) and torch.equal(gan.latents(9, seed=6), z[:9])
    gan.generate(z)
    said = net.given[-1].argmax(1) if one_hot else net.given[-1]
    assert set(said.tolist()) == {1, 3} and torch.equal(said.float(), z[:, -1])
    every = as_generator(net, (5,), classes=4).latents(60)
    assert set(every[:, -1].tolist()) == {0, 1, 2, 3}
    if not one_hot:
        again = as_generator(Conditional(), (5,), classes=[2])
        assert set(again.latents(5)[:, -1].tolist()) == {2}


def test_uniform_latents() -> None:
    z = as_generator(_plain(), (5, 1, 1), distribution="uniform").latents(200, seed=1)
    assert -1 <= z.min() < -0.9 and 0.9 < z.max() <= 1


def test_its_identity_is_that_of_weights_and_settings() -> None:
    digests = {
        model_digest(as_generator(_plain(), (5, 1, 1))),
        model_digest(as_generator(_plain(), (5, 1, 1), values=(0, 1))),
        model_digest(as_generator(_plain(), (5, 1, 1), distribution="uniform")),
        model_digest(as_generator(Conditional(), (5,), classes=[1])),
    }
    assert len(digests) == 4
    assert model_digest(as_generator(_plain(), (5, 1, 1))) in digests


@pytest.mark.parametrize(("change", "words"), [
    ({"model": 3}, "model: expected a torch.nn.Module"),
    ({"latent": None}, "latent: expected the shape of one latent"),
    ({"latent": (0, 2)}, "latent: expected the shape"),
    ({"values": (1, 1)}, "values: expected what stands for black"),
    ({"distribution": "cauchy"}, "distribution: expected one of 'normal', 'uniform'"),
    ({"classes": []}, "classes: expected how many"),
])  # fmt: skip
def test_wrong_arguments(change: dict[str, Any], words: str) -> None:
    given = {"model": _plain(), "latent": (5, 1, 1), **change}
    with pytest.raises(OptionError, match=words):
        as_generator(given.pop("model"), given.pop("latent"), **given)


def test_wrong_latents_and_outputs() -> None:
    gan = as_generator(_plain(), (5, 1, 1))
    with pytest.raises(ShapeMismatch, match=r"latents: expected \(B, 5, 1, 1\), got \(2, 5\)"):
        gan.generate(torch.zeros(2, 5))
    with pytest.raises(OptionError, match="count: expected 1 or more"):
        gan.latents(0)
    with pytest.raises(OptionError, match="seed: expected a whole number"):
        gan.latents(2, seed=-1)
    flat = as_generator(nn.Linear(5, 7), 5)
    with pytest.raises(ShapeMismatch, match="expected it to return pictures"):
        flat.generate(flat.latents(2))


class Counting(nn.Module):
    """A generator of another make: it only has latents and generate."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.calls = _plain(), 0

    def latents(self, count: int, seed: int = 0) -> Tensor:
        return torch.randn(count, 5, 1, 1, generator=torch.Generator().manual_seed(seed))

    def forward(self, latents: Tensor) -> Tensor:
        self.calls += len(latents)
        return self.body(latents)

    @torch.no_grad()
    def generate(self, latents: Tensor) -> Tensor:
        return (self(latents) + 1) / 2


def test_samples_are_made_when_they_are_needed() -> None:
    gan = Counting()
    samples = ul.from_generator(gan, 9, seed=3)
    assert gan.calls == 1 and len(samples) == 9 and samples.size == (2, 4)
    assert repr(samples) == "Samples(9 images of 4x2)"
    batch = samples.load([4, 2])
    assert gan.calls == 1 and len(batch) == 2
    assert batch.images.shape == (2, 3, 2, 4) and gan.calls == 3
    assert torch.equal(batch.images, gan.generate(gan.latents(9, seed=3)[[4, 2]]))
    assert samples.pictures([1]).shape == (1, 2, 4, 3)


def test_samples_are_known_by_generator_and_latents() -> None:
    gan = as_generator(_plain(), (5, 1, 1))
    samples = ul.from_generator(gan, 9)
    longer = ul.from_generator(gan, 20)
    assert samples.digest(range(4)) == longer.digest(range(4)) and samples.fingerprint != longer.fingerprint
    assert samples.fingerprint != ul.from_generator(gan, 9, seed=1).fingerprint
    torch.manual_seed(1)
    other = as_generator(nn.Sequential(*_plain()[:3], nn.Sigmoid()), (5, 1, 1))
    assert ul.from_generator(other, 9).fingerprint != samples.fingerprint
    some = samples.subset([5, 1])
    assert torch.equal(some.load([0]).images, samples.load([5]).images) and len(some) == 2
    assert len(samples.subset(slice(2, 6))) == 4
    with pytest.raises(ProbeError):
        samples.subset([9])
    with pytest.raises(OptionError, match="generator: expected a module with latents"):
        ul.from_generator(_plain(), 3)
