"""How outputs are read as activations (B, U, h, w), on the real architectures of torchvision with random weights."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torchvision import models as zoo
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

from unitlens.errors import LayerError, OptionError, ShapeMismatch
from unitlens.models.capture import capture, layers
from unitlens.models.layertable import layer_table
from unitlens.models.layout import Layout, layout_of
from unitlens.models.upsample import layer_geometry

B = 2


def pictures(height, width, count=B):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def outputs_of(model, images):
    """What every called layer returns, where it is a tensor."""
    shapes = {}
    for name in layers(model):
        with capture(model, [name], call="first") as captured:
            try:
                shapes[name] = captured.run(images)[name]
            except LayerError:
                continue
    return shapes


def vit(image=32, patch=8, width=12):
    torch.manual_seed(0)
    return zoo.VisionTransformer(image, patch, num_layers=2, num_heads=3, hidden_dim=width, mlp_dim=20).eval()


class WideTransformer(nn.Module):
    """A vision transformer for images of any proportions, with as many extra tokens as told."""

    def __init__(self, patch, units, extra):
        super().__init__()
        self.patches = nn.Conv2d(3, units, patch, patch)
        self.extra = nn.Parameter(torch.full((1, extra, units), 9.0))
        self.tokens = nn.Identity()
        self.block = nn.TransformerEncoderLayer(units, 2, 8, batch_first=True)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.block(self.tokens(torch.cat([self.extra.expand(len(x), -1, -1), x], 1)))


def test_vit_tokens_lie_where_their_patches_are():
    model, images = vit(), pictures(32, 32)
    with torch.no_grad():
        model.encoder.pos_embedding.zero_()
    with capture(model, ["conv_proj", "encoder.dropout", "encoder.layers.encoder_layer_1.mlp.0"]) as captured:
        found = captured.run(images)
    layout = layout_of(found["encoder.dropout"].shape, (32, 32), batch=B)
    assert layout == Layout("tokens", 12, (4, 4), 1, -1)
    grid = layout.to_grid(found["encoder.dropout"])
    assert torch.equal(grid, found["conv_proj"])
    assert grid.data_ptr() == found["encoder.dropout"].data_ptr() + 12 * 4  # a view, behind one class token
    assert layout_of(found["encoder.layers.encoder_layer_1.mlp.0"].shape, (32, 32)).units == 20


@pytest.mark.parametrize("extra", [0, 1, 2, 5])  # none, class, class + distillation, class + four registers
@pytest.mark.parametrize(("height", "width"), [(40, 24), (24, 40), (56, 56), (48, 64)])
def test_tokens_of_images_of_any_proportions(height, width, extra):
    model, images = WideTransformer(8, 6, extra).eval(), pictures(height, width)
    with capture(model, ["patches", "tokens", "block"]) as captured:
        found = captured.run(images)
    layout = layout_of(found["tokens"].shape, (height, width))
    assert layout == Layout("tokens", 6, (height // 8, width // 8), extra, -1)
    assert torch.equal(layout.to_grid(found["tokens"]), found["patches"])
    block = layout_of(found["block"].shape, (height, width)).to_grid(found["block"])
    for row in range(height // 8):
        for column in range(width // 8):
            place = extra + row * (width // 8) + column
            assert torch.equal(block[:, :, row, column], found["block"][:, place])


def naive_tokens(count, size):
    """The smallest extra by trying every grid."""
    for extra in range(17):
        for h in range(1, count + 1):
            for w in range(1, count + 1):
                if extra + h * w == count and h * size[1] == w * size[0] and h * w > extra:
                    return extra, (h, w)
    return None


@pytest.mark.parametrize("size", [(224, 224), (96, 64), (60, 80), (50, 20)])
def test_tokens_are_laid_out_as_by_trying_every_grid(size):
    for count in range(1, 90):
        expected = naive_tokens(count, size)
        if expected is None:
            with pytest.raises(LayerError, match=f"{count} tokens are none"):
                layout_of((B, count, 7), size)
        else:
            layout = layout_of((B, count, 7), size)
            assert (layout.extra, layout.grid) == expected


def test_tokens_of_the_models_in_use():
    assert layout_of((8, 257, 1024), (224, 224)) == Layout("tokens", 1024, (16, 16), 1, -1)  # ViT-L/14, DINOv2
    assert layout_of((8, 261, 1024), (224, 224)).extra == 5  # DINOv2 with registers
    assert layout_of((8, 198, 192), (224, 224)).extra == 2  # DeiT, distilled
    assert layout_of((8, 50, 768), (224, 224)).grid == (7, 7)  # CLIP B/32
    assert layout_of((8, 3136, 96), (224, 224)) == Layout("tokens", 96, (56, 56), 0, -1)  # Swin in transformers
    assert layout_of((8, 1 + 24 * 32, 384), (384, 512)).grid == (24, 32)


def test_swin_is_read_channels_last():
    torch.manual_seed(0)
    model, images = zoo.swin_t().eval(), pictures(52, 76)  # sides that round: 13 x 19, 7 x 10, 4 x 5, 2 x 3
    with capture(model, ["features.0.0", "features.0.1", "features.3", "features.7", "permute"]) as captured:
        found = captured.run(images)
    size = (52, 76)
    first, turned = (layout_of(found[name].shape, size) for name in ("features.0.0", "features.0.1"))
    assert (first.kind, turned.kind) == ("grid", "channels last")
    assert torch.equal(turned.to_grid(found["features.0.1"]), found["features.0.0"])
    assert layout_of(found["features.3"].shape, size) == Layout("channels last", 192, (7, 10), 0, -1)
    assert layout_of(found["permute"].shape, size) == Layout("grid", 768, (2, 3))
    last = layout_of(found["features.7"].shape, size)
    assert torch.equal(last.to_grid(found["features.7"]).mean(), found["features.7"].mean())
    table = {row.name: row for row in layer_table(model, images)}
    assert (table["features.5.1.mlp.0"].units, table["features.5.1.mlp.0"].grid) == (4 * 384, (4, 5))
    assert (table["norm"].units, table["norm"].grid) == (768, (2, 3))
    assert (table["head"].units, table["head"].grid) == (1000, None)
    assert layer_geometry(model, "features.3", images) is None
    assert layer_geometry(model, "features.7.1.attn", images) is None


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (100, 75)])
def test_convnext_is_read_both_ways(size):
    torch.manual_seed(0)
    model = ConvNeXt([CNBlockConfig(6, 10, 1), CNBlockConfig(10, None, 1)]).eval()
    images = pictures(*size)
    names = ["features.1.0.block.0", "features.1.0.block.1", "features.1.0.block.3", "features.3"]
    with capture(model, names) as captured:
        found = captured.run(images)
    layouts = {name: layout_of(found[name].shape, size) for name in names}
    assert [layouts[name].kind for name in names] == ["grid", "channels last", "channels last", "grid"]
    assert [layouts[name].units for name in names] == [6, 6, 24, 10]
    assert torch.equal(layouts[names[1]].to_grid(found[names[1]]), found[names[0]])
    assert all(layer_geometry(model, name, images) is None for name in names[1:3])


@pytest.mark.parametrize("size", [(64, 64), (97, 61), (64, 160)])
def test_mobilenet_is_units_first_everywhere(size):
    torch.manual_seed(0)
    model, images = zoo.mobilenet_v2(width_mult=0.25).eval(), pictures(*size)
    for name, output in outputs_of(model, images).items():
        if output.ndim == 4:
            layout = layout_of(output.shape, size, batch=B)
            assert layout == Layout("grid", output.shape[1], tuple(output.shape[2:])), name
            assert layout.to_grid(output) is output


@pytest.mark.parametrize("make", [partial(zoo.alexnet), partial(zoo.googlenet, aux_logits=False, init_weights=False)])
def test_classifiers_on_wide_images_are_units_first(make):
    torch.manual_seed(0)
    model, size = make().eval(), (127, 190)
    for row in layer_table(model, pictures(*size, count=1)):
        if row.kind in ("Conv2d", "MaxPool2d", "BatchNorm2d"):
            module = model.get_submodule(row.name)
            assert row.units == getattr(module, "out_channels", row.units), row
            assert row.grid is not None and math.isclose(row.grid[1] / row.grid[0], 1.5, rel_tol=0.3), row


def test_layers_of_transformers_have_no_geometry_and_do_not_crash():
    images = pictures(32, 32)
    model = vit()
    block = "encoder.layers.encoder_layer_1"
    for name in ("conv_proj", block, f"{block}.self_attention[0]", f"{block}.mlp.0", "encoder.ln", "heads"):
        assert layer_geometry(model, name, images) is None
    wide = WideTransformer(8, 6, 1).eval()  # the fused attention of nn.TransformerEncoderLayer
    assert all(layer_geometry(wide, name, pictures(40, 24)) is None for name in ("tokens", "block"))


def test_geometry_follows_the_layout_asked_for():
    model, images = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2)), pictures(33, 41)
    assert layer_geometry(model, "0", images) is not None
    assert layer_geometry(model, "0", images, unit_axis=1) == layer_geometry(model, "0", images)
    assert layer_geometry(model, "0", images, unit_axis=-1) is None


def test_a_module_called_twice_is_read_by_its_wanted_call():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.down = nn.Identity(), nn.Conv2d(3, 5, 2, 2)

        def forward(self, x):
            return self.norm(self.down(self.norm(x)).permute(0, 2, 3, 1))

    images = pictures(16, 24)
    first, last = Layout("grid", 3, (16, 24)), Layout("channels last", 5, (8, 12), 0, -1)
    for call, expected in (("first", first), ("last", last)):
        with capture(Shared(), ["norm"], call=call) as captured:
            assert layout_of(captured.run(images)["norm"].shape, (16, 24)) == expected


def test_units_first_where_both_readings_fit_and_where_none_does():
    assert layout_of((B, 7, 7, 7), (64, 64)).kind == "grid"
    assert layout_of((B, 6, 4, 6), (30, 20)).kind == "channels last"
    assert layout_of((B, 5, 4, 3), (64, 64)) == Layout("grid", 5, (4, 3))  # as where strides differ by axis
    assert layout_of((B, 12, 197, 64), (224, 224)).kind == "grid"
    assert layout_of((B, 7, 5, 6), None) == Layout("grid", 7, (5, 6))


def test_unit_axis_decides():
    x = torch.arange(2 * 4 * 4 * 5.0).view(2, 4, 4, 5)
    first, last = (layout_of(x.shape, (16, 16), axis) for axis in (1, -1))
    assert (first.kind, first.units, first.grid) == ("grid", 4, (4, 5))
    assert (last.kind, last.units, last.grid) == ("channels last", 5, (4, 4))
    assert torch.equal(last.to_grid(x)[1, 3], x[1, :, :, 3])
    tokens = layout_of((2, 5, 16), (16, 16), 1)  # (B, U, T)
    assert tokens == Layout("tokens", 5, (4, 4), 0, 1)
    x = torch.rand(2, 5, 16)
    assert torch.equal(tokens.to_grid(x), x.view(2, 5, 4, 4))
    with pytest.raises(OptionError, match="unit_axis"):
        layout_of((2, 5, 16), (16, 16), 2)


def test_outputs_without_a_grid_are_told_with_words():
    for shape in [(7, 7), (7,), (2, 3, 4, 5, 6), ()]:
        with pytest.raises(LayerError, match=r"layer 'fc' returns \(.*spatial grid.*before the pooling"):
            layout_of(shape, (64, 64), name="fc")
    with pytest.raises(LayerError, match=r"returns \(2, 43, 8\).*43 tokens.*h : w = 2 : 3.*64 x 96"):
        layout_of((2, 43, 8), (64, 96))
    with pytest.raises(LayerError, match=r"returns \(17, 2, 8\) for 2 images.*[Ss]equence-first"):
        layout_of((17, 2, 8), (32, 32), batch=2)
    with pytest.raises(LayerError, match="only be laid out for images"):
        layout_of((2, 16, 8), None)
    with pytest.raises(LayerError, match="at least one unit"):
        layout_of((2, 16, 0, 8), (32, 32))


def test_another_shape_than_before_is_refused():
    with pytest.raises(ShapeMismatch, match=r"\(B, 17, 5\).*\(2, 26, 5\)"):
        layout_of((2, 17, 5), (32, 32)).to_grid(torch.zeros(2, 26, 5))
    assert layout_of((2, 17, 5), (32, 32)).to_grid(torch.zeros(3, 17, 5)).shape == (3, 5, 4, 4)
