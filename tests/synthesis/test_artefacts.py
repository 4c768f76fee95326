"""Units that make pictures worse: one that does by construction is found, and pictures without it are better."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from painted import Painter
from torch import Tensor, nn

import unitlens as ul
from unitlens.errors import OptionError
from unitlens.stats.frechet import frechet_distance, frechet_distances


class Spoiled(Painter):
    """A painter whose unit 4 lays white over all of the picture where it is above 1."""

    def __init__(self) -> None:
        super().__init__()
        self.paint = nn.Sequential()
        self.paint.forward = self._spoilt  # type: ignore[method-assign]
        self.own = Painter().paint

    def _spoilt(self, units: Tensor) -> Tensor:
        pictures = self.own(units)
        white = (units[:, 4] > 1).float().mean((1, 2))[:, None, None, None]
        return pictures * (1 - white) + white

    def forward(self, latents: Tensor) -> Tensor:
        return self.paint(self.units(latents))


class Colours(nn.Module):
    """Mean and spread of the colours of the four quarters of a picture: 24 numbers."""

    def forward(self, images: Tensor) -> Tensor:
        rows, columns = images.shape[-2] // 2, images.shape[-1] // 2
        quarters = images[..., : 2 * rows, : 2 * columns].unflatten(-1, (2, columns)).unflatten(-3, (2, rows))
        quarters = quarters.permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(1, 3)
        return torch.cat([quarters.mean(-1), quarters.std(-1)], 1)


@pytest.fixture(scope="module")
def real() -> ul.ArrayProbe:
    painter = Painter().eval()
    return ul.ArrayProbe(painter.generate(painter.latents(300, seed=9)))


@pytest.fixture(scope="module")
def found(real: ul.ArrayProbe) -> ul.Artefacts:
    samples = ul.from_generator(Spoiled().eval(), 300)
    return ul.artefact_units(
        samples, "units", real, features=Colours(), counts=(1, 2), draws=2, store=False, show_progress=False
    )


def test_the_unit_that_spoils_pictures_is_found_and_they_are_better_without_it(found: ul.Artefacts) -> None:
    assert found.units[0] == 4 and found.distance[4] > found.whole
    own, chance = found.change(0), found.change_at_random(0)
    assert own.high < 0 and own.value < chance.value
    clean = frechet_distance(found.after[0], found.real)
    assert clean < 0.5 * frechet_distance(found.before, found.real)
    frame = found.frame()
    assert frame.units.tolist() == [1, 2] and frame.change[0] == pytest.approx(own.value)
    assert "without the 1 worst" in found.text() and "[4, " in repr(found)


def test_its_numbers_are_those_of_the_features(found: ul.Artefacts, real: ul.ArrayProbe) -> None:
    features = Colours()
    true = features(real.images).double().numpy()
    spoiled = Spoiled().eval()
    z = spoiled.latents(300)
    made = features(spoiled.generate(z)).double().numpy()
    assert found.whole == pytest.approx(frechet_distance(made, true), rel=1e-4)  # 24 numbers: all directions are kept
    loud = spoiled.units(z)[:, 3].mean((1, 2)).numpy()
    top = np.argsort(-loud, kind="stable")[:60]
    assert found.distance[3] == pytest.approx(frechet_distance(made[top], true), rel=1e-4)
    with ul.edit(spoiled, {"units": lambda x: x.index_fill(1, torch.tensor([4]), 0)}):
        without = features(spoiled.generate(z)).double().numpy()
    assert found.change(0).value == pytest.approx(
        frechet_distance(without, true) - frechet_distance(made, true), rel=1e-3
    )


def test_many_clouds_at_once_are_one_after_the_other() -> None:
    dice = np.random.RandomState(0)
    points, other, weights = dice.randn(9, 3), dice.randn(12, 3), dice.randint(0, 3, (5, 9))
    expected = [frechet_distance(np.repeat(points, row, axis=0), other) for row in weights]
    np.testing.assert_allclose(frechet_distances(points, weights, other), expected)


def test_its_page(found: ul.Artefacts) -> None:
    import unitlens.display  # noqa: F401

    markup = found._repr_html_()
    assert "make pictures worse" in markup and f"{found.distance[4]:.2f}" in markup


@pytest.mark.parametrize(("change", "words"), [
    ({"counts": (7,)}, "counts: expected numbers 1 to 6"),
    ({"draws": 0}, "draws: expected 1 or more"),
    ({"real": 5}, "real: expected a probe set"),
    ({"features": nn.Identity()}, r"features: expected the module to return \(B, D\)"),
])  # fmt: skip
def test_wrong_arguments(real: ul.ArrayProbe, change: dict[str, Any], words: str) -> None:
    given = {"real": real, "features": Colours(), "counts": (1,), **change}
    samples = ul.from_generator(Painter().eval(), 20)
    with pytest.raises(OptionError, match=words):
        ul.artefact_units(samples, "units", given.pop("real"), store=False, show_progress=False, **given)
