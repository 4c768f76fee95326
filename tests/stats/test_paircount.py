"""PairCount and LabelCount against loops over every pixel."""

import pytest
import torch

from unitlens.errors import ConceptError, OptionError, RecipeMismatch, ShapeMismatch
from unitlens.stats.paircount import LabelCount, PairCount, dedupe

B, U, K, C, G, H, W = 4, 3, 3, 6, 2, 5, 7
GROUPS = [0, 1, 0, 1, 1, 0]


def world(share_annotated: float = 0.6):
    draw = torch.Generator().manual_seed(0)
    activation = torch.randn(B, U, H, W, generator=draw)
    labels = torch.randint(0, C, (B, K, H, W), generator=draw).short()  # concept 5 never occurs
    annotated = torch.rand(B, G, generator=draw) < share_annotated
    return activation, torch.tensor([0.5, 1.0, 9.0]), labels, annotated  # unit 2 never fires


def naive(activation, thresholds, labels, annotated):
    """Sets of concepts per pixel, counted one pixel at a time."""
    both, fired = torch.zeros(U, C, dtype=torch.int64), torch.zeros(U, G, dtype=torch.int64)
    area, pixels = torch.zeros(C, dtype=torch.int64), torch.zeros(G, dtype=torch.int64)
    for b in range(B):
        for y in range(H):
            for x in range(W):
                shown = {int(label) - 1 for label in labels[b, :, y, x] if label}
                shown = {c for c in shown if annotated[b, GROUPS[c]]}
                for c in shown:
                    area[c] += 1
                for g in range(G):
                    pixels[g] += bool(annotated[b, g])
                for u in range(U):
                    if activation[b, u, y, x] > thresholds[u]:
                        for g in range(G):
                            fired[u, g] += bool(annotated[b, g])
                        for c in shown:
                            both[u, c] += 1
    return both, fired, area, pixels


def counters() -> tuple[PairCount, LabelCount]:
    return PairCount(U, C, G, GROUPS), LabelCount(C, G, GROUPS)


@pytest.mark.parametrize("all_annotated", [True, False])
@pytest.mark.parametrize("as_bool", [True, False])
def test_counts_and_iou_equal_a_loop_over_pixels(all_annotated, as_bool):
    activation, thresholds, labels, annotated = world()
    annotated = torch.ones_like(annotated) if all_annotated else annotated
    assert all_annotated or 0 < annotated.sum() < annotated.numel()
    given = None if all_annotated else annotated
    pairs, seen = counters()
    if as_bool:
        pairs.update(activation > thresholds[:, None, None], labels, given)
    else:
        pairs.update(activation.flatten(2), labels.flatten(2), given, thresholds=thresholds)
    seen.update(labels, given)
    both, fired, area, pixels = naive(activation, thresholds, labels, annotated)
    assert torch.equal(pairs.compute().intersection, both)
    assert torch.equal(pairs.compute().activation_area, fired)
    assert torch.equal(seen.compute().concept_area, area)
    assert torch.equal(seen.compute().pixels, pixels)
    iou = pairs.iou(seen)
    assert iou.dtype == torch.float64
    for u in range(U):
        for c in range(C):
            union = int(fired[u, GROUPS[c]] + area[c] - both[u, c])
            assert float(iou[u, c]) == (int(both[u, c]) / union if union else 0.0)


def test_a_planted_unit_gets_one_and_half_of_it_a_half():
    labels = torch.zeros(2, 1, 4, 6, dtype=torch.int16)
    labels[:, 0, 1:3] = 2
    mask = labels[:, 0] == 2
    half = mask.clone()
    half[..., 3:] = False
    pairs, seen = PairCount(2, 3, 1, [0, 0, 0]), LabelCount(3, 1, [0, 0, 0])
    pairs.update(torch.stack([mask, half], 1), labels)
    seen.update(labels)
    assert pairs.iou(seen).tolist() == [[0.0, 1.0, 0.0], [0.0, 0.5, 0.0]]


def test_firing_is_strictly_above_the_threshold():
    pairs = PairCount(1, 1, 1, [0])
    pairs.update(torch.tensor([[[0.0, 0.0, 1.0, float("nan")]]]), torch.ones(1, 1, 4).long(), thresholds=torch.zeros(1))
    assert pairs.compute().intersection.item() == pairs.compute().activation_area.item() == 1


def test_a_label_in_several_planes_of_one_pixel_counts_once():
    labels = torch.tensor([[[4, 0, 1], [4, 4, 2], [4, 4, 1]]], dtype=torch.int16)
    assert dedupe(labels).tolist() == [[[4, 0, 1], [0, 4, 2], [0, 0, 0]]]
    assert labels[0, 2].tolist() == [4, 4, 1]  # the input is left as it was
    seen = LabelCount(4, 1, [0] * 4)
    seen.update(labels)
    assert seen.compute().concept_area.tolist() == [1, 1, 0, 2]


def test_counts_pass_the_limit_of_float32():
    pairs = PairCount(1, 1, 1, [0])
    pairs.intersection += 2**24
    pairs.activation_area += 2**24
    pairs.update(torch.ones(1, 1, 3, dtype=torch.bool), torch.ones(1, 1, 3).short())
    assert pairs.compute().intersection.item() == pairs.compute().activation_area.item() == 2**24 + 3


def test_an_image_where_nothing_fires_or_nothing_is_shown_counts_nothing():
    pairs = PairCount(2, 3, 1, [0, 0, 0])
    pairs.update(torch.zeros(2, 2, 4, dtype=torch.bool), torch.ones(2, 1, 4).short())
    pairs.update(torch.ones(2, 2, 4, dtype=torch.bool), torch.zeros(2, 1, 4).short())
    assert pairs.compute().intersection.sum() == 0
    assert pairs.compute().activation_area.tolist() == [[8], [8]]


@pytest.mark.parametrize("wrong", [C + 1, -1])
def test_a_label_outside_the_vocabulary_names_image_and_label(wrong):
    activation, thresholds, labels, annotated = world()
    labels[2, 1, 3, 4] = wrong
    pairs, seen = counters()
    with pytest.raises(ConceptError, match=f"got {wrong} in image 2 of the batch, plane 1"):
        pairs.update(activation, labels, annotated, thresholds=thresholds)
    with pytest.raises(ConceptError, match=f"got {wrong} in image 2"):
        seen.update(labels)
    assert pairs.compute().intersection.sum() == seen.compute().concept_area.sum() == 0


def test_other_labels_cannot_be_divided_by():
    pairs, _ = counters()
    with pytest.raises(RecipeMismatch, match="one vocabulary"):
        pairs.iou(LabelCount(C, G, GROUPS[::-1]))


def test_wrong_shapes_and_types_are_named():
    activation, thresholds, labels, annotated = world()
    pairs, seen = counters()
    with pytest.raises(ShapeMismatch, match="fires: expected bool"):
        pairs.update(activation, labels)
    with pytest.raises(ShapeMismatch, match="fires: expected activations"):
        pairs.update(activation > 0, labels, thresholds=thresholds)
    with pytest.raises(ShapeMismatch, match="thresholds"):
        pairs.update(activation, labels, thresholds=thresholds[:2])
    with pytest.raises(ShapeMismatch, match="one grid"):
        pairs.update(activation[..., :-1], labels, thresholds=thresholds)
    with pytest.raises(ShapeMismatch, match="3 units"):
        pairs.update(activation[:, :2], labels, thresholds=thresholds)
    with pytest.raises(ShapeMismatch, match="annotated"):
        seen.update(labels, annotated[:, :1])
    with pytest.raises(ShapeMismatch, match="whole numbers"):
        seen.update(labels.float())
    with pytest.raises(ShapeMismatch, match="group_of_concept"):
        LabelCount(C, G, GROUPS[1:])
    with pytest.raises(OptionError, match=r"0\.\.1, got 0\.\.2"):
        LabelCount(C, G, [0, 1, 2, 0, 1, 0])
