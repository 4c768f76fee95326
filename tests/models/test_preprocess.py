import pytest
import torch
from torch.nn import functional
from torchvision import models

from unitlens.errors import DataWarning, OptionError, ShapeMismatch
from unitlens.models.preprocess import IMAGENET, Normalize, as_preprocess

B, H, W = 2, 9, 7


@pytest.fixture
def images():
    return torch.rand(B, 3, H, W, generator=torch.Generator().manual_seed(0))


def test_normalize_is_the_formula_per_channel(images):
    got = Normalize(*IMAGENET)(images)
    for c, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        assert torch.allclose(got[:, c], (images[:, c] - mean) / std, atol=1e-6)


def test_resize_is_antialiased_and_skipped_at_the_right_size(images):
    plain = Normalize((0, 0, 0), (1, 1, 1), size=(4, 5))
    assert torch.equal(plain(images), functional.interpolate(images, (4, 5), mode="bilinear", antialias=True))
    assert torch.equal(Normalize((0, 0, 0), (1, 1, 1), size=(H, W))(images), images)
    assert plain(images.half()).dtype == torch.float32


def test_fingerprint_holds_every_setting():
    made = [Normalize(*IMAGENET, size=size) for size in (None, 4, (4, 5))] + [Normalize([0.5] * 3, [1] * 3)]
    assert len({m.fingerprint for m in made}) == 4
    assert Normalize(*IMAGENET, 4).fingerprint == Normalize(*IMAGENET, (4, 4)).double().fingerprint
    assert "0.485," in made[0].fingerprint


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, H, W), torch.zeros(B, 1, H, W), torch.zeros(B, 3, H, W, dtype=torch.uint8)]
)
def test_images_that_do_not_fit_are_told(bad):
    with pytest.raises(ShapeMismatch, match="images"):
        Normalize(*IMAGENET)(bad)


@pytest.mark.parametrize("settings", [((0, 0), (1,)), ((0,), (0,)), ((), ()), ((0,), (1,), 0)])
def test_bad_settings_are_told(settings):
    with pytest.raises(OptionError):
        Normalize(*settings)


def test_as_preprocess_knows_each_kind(images):
    assert as_preprocess(None)(images) is images
    normal = as_preprocess(Normalize(*IMAGENET))
    assert normal.fingerprint == Normalize(*IMAGENET).fingerprint
    assert as_preprocess(normal) is normal
    assert as_preprocess(lambda x: x).fingerprint is None

    class Named:
        fingerprint = "named"

        def __call__(self, x):
            return x * 2

    assert as_preprocess(Named()).fingerprint == "named"
    assert torch.equal(as_preprocess(Named())(images), images * 2)


def test_torchvision_presets_are_known_by_their_repr(images):
    preset = models.AlexNet_Weights.DEFAULT.transforms(resize_size=224)
    ready = as_preprocess(preset)
    assert ready.fingerprint == repr(preset)
    assert ready(images).shape == (B, 3, 224, 224)
    with pytest.raises(OptionError, match=r"weights.transforms\(\)"):
        as_preprocess(models.AlexNet_Weights.DEFAULT.transforms)


def test_a_preset_that_cuts_the_edges_off_is_told():
    with pytest.warns(DataWarning, match=r"\[256\] and cuts the middle \[224\].*Normalize\(\(0\.485.*size=224\)"):
        as_preprocess(models.AlexNet_Weights.DEFAULT.transforms())


def test_wrong_results_and_objects_are_told(images):
    with pytest.raises(ShapeMismatch, match="2 images"):
        as_preprocess(lambda x: x[0])(images)
    with pytest.raises(OptionError, match="preprocess"):
        as_preprocess(3)
