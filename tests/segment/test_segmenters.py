"""Segmenters: truth, colour names, functions, several as one, and arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unitlens.data.colours import COLOUR_NAMES, name_colours
from unitlens.data.concepts import Concept, Vocabulary
from unitlens.data.probe import ArrayProbe, Batch
from unitlens.data.segmentation import Segmentation
from unitlens.errors import ConceptError, OptionError, ProbeError, ShapeMismatch, UnitLensError
from unitlens.segment.colours import ColourNames
from unitlens.segment.custom import Custom
from unitlens.segment.segmenter import Segmenter, as_segmenter, check_segmentation, join
from unitlens.segment.truth import Truth

B, C, H, W = 3, 4, 5, 7
WORDS = Vocabulary([("sky", "object"), ("roof", "part"), ("tree", "object"), ("red", "colour")])


def make_probe(annotated=None, labelled=True) -> ArrayProbe:
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(B, 3, H, W, generator=draw)
    labels = torch.randint(0, C + 1, (B, 2, H, W), generator=draw).to(torch.int16)
    labels[:, 1].masked_fill_(labels[:, 1] == labels[:, 0], 0)
    return ArrayProbe(images, labels=labels, vocabulary=WORDS, annotated=annotated) if labelled else ArrayProbe(images)


def whole(probe: ArrayProbe) -> Batch:
    return probe.load(range(len(probe)))


def shown(segmentation: Segmentation) -> list[list[list[list[Concept]]]]:
    """The concepts of every pixel, in the order of the planes, without the empty ones."""
    words = segmentation.vocabulary
    stacks = segmentation.labels.permute(0, 2, 3, 1).tolist()
    return [[[[words[i - 1] for i in pixel if i] for pixel in row] for row in image] for image in stacks]


# ---- truth


def test_truth_gives_what_comes_with_the_images():
    batch = whole(make_probe())
    assert Truth(WORDS)(batch) is batch.truth


def test_truth_without_segmentation_says_what_to_do():
    with pytest.raises(ProbeError, match="from_folder"):
        Truth(WORDS)(whole(make_probe(labelled=False)))
    with pytest.raises(ProbeError, match="from_folder"):
        Truth(None)


def test_truth_in_another_vocabulary_is_refused():
    with pytest.raises(ConceptError, match=r"Truth\(probe.vocabulary\)"):
        Truth(Vocabulary([("sky", "object")]))(whole(make_probe()))


# ---- colours


def test_colour_of_every_pixel_is_that_of_its_bytes():
    probe = make_probe()
    seen = ColourNames()(whole(probe))
    assert seen.labels.dtype == torch.int16
    assert seen.labels.shape == (B, 1, H, W)
    pictures = probe.pictures(range(B))
    for b in range(B):
        for y in range(H):
            for x in range(W):
                assert seen.labels[b, 0, y, x] == name_colours(pictures[b, y, x]) + 1


def test_colours_are_one_category_in_the_order_of_the_names():
    assert [c.name for c in ColourNames().vocabulary] == list(COLOUR_NAMES)
    assert ColourNames().vocabulary.categories == ("colour",)
    assert ColourNames().fingerprint == ColourNames().fingerprint


# ---- custom


def test_custom_labels_of_one_and_several_planes():
    labels = whole(make_probe()).truth.labels
    for answer in (labels[:, 0].long(), labels.int()):
        seen = Custom(lambda images, answer=answer: answer, WORDS)(whole(make_probe()))
        assert torch.equal(seen.labels, answer if answer.ndim == 4 else answer[:, None])


def test_custom_masks_show_every_concept_of_every_pixel_once():
    masks = torch.rand(B, C, H, W, generator=torch.Generator().manual_seed(2)) < 0.4
    given = masks.clone()
    seen = Custom(lambda images: masks, WORDS)(whole(make_probe()))
    assert torch.equal(masks, given)
    assert seen.labels.shape[1] == int(masks.sum(1).max())
    pixels = shown(seen)
    for b in range(B):
        for y in range(H):
            for x in range(W):
                assert pixels[b][y][x] == [WORDS[c] for c in range(C) if masks[b, c, y, x]]


def test_custom_empty_masks_give_one_empty_plane():
    seen = Custom(lambda images: torch.zeros(B, C, H, W, dtype=torch.bool), WORDS)(whole(make_probe()))
    assert seen.labels.shape == (B, 1, H, W)
    assert not seen.labels.any()


def test_custom_coarse_labels_come_to_image_size():
    coarse = torch.arange(B * 6).reshape(B, 2, 3) % (C + 1)
    seen = Custom(lambda images: coarse, WORDS)(whole(make_probe()))
    assert torch.equal(seen.labels, Segmentation(coarse[:, None], WORDS).resized((H, W)).labels)
    assert seen.labels.shape == (B, 1, H, W)


def test_custom_runs_without_gradients():
    weight = torch.ones(1, requires_grad=True)
    states = []

    def function(images):
        states.append((images * weight).requires_grad)
        return (images[:, 0] > 0.5).long()

    Custom(function, WORDS)(whole(make_probe()))
    assert states == [False]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (torch.rand(B, C, H, W), ShapeMismatch, "argmax"),
        (torch.ones(B + 1, H, W, dtype=torch.int64), ShapeMismatch, r"\(3, h, w\)"),
        (torch.ones(B, dtype=torch.int64), ShapeMismatch, r"\(3, h, w\)"),
        (torch.ones(B, C + 1, H, W, dtype=torch.bool), ShapeMismatch, r"\(3, 4, h, w\)"),
        (torch.ones(B, H, W, dtype=torch.bool), ShapeMismatch, "order of the vocabulary"),
        (torch.full((B, H, W), 255), ConceptError, "ignored pixels"),
        (torch.full((B, H, W), -1), ConceptError, "ignored pixels"),
        (np.ones((B, H, W)), ShapeMismatch, "expected a tensor"),
    ],
)
def test_custom_answer_of_another_form_is_refused_with_words(answer, error, words):
    with pytest.raises(error, match=words):
        Custom(lambda images: answer, WORDS)(whole(make_probe()))


def test_custom_says_what_its_function_was_called_with():
    def broken(images):
        raise KeyError("masks")

    with pytest.raises(UnitLensError, match=r"broken.*KeyError.*\(3, 3, 5, 7\)") as caught:
        Custom(broken, WORDS)(whole(make_probe()))
    assert isinstance(caught.value.__cause__, KeyError)


def test_custom_without_fingerprint_has_none():
    assert Custom(torch.sign, WORDS).fingerprint is None
    assert Custom(torch.sign, WORDS, "a").fingerprint != Custom(torch.sign, WORDS, "b").fingerprint


# ---- several as one


def test_join_shows_the_concepts_of_all_and_shared_ones_once():
    truth, colours = Truth(WORDS), ColourNames()
    batch = whole(make_probe())
    seen = join(truth, colours)(batch)
    assert seen.vocabulary.categories == ("object", "part", "colour")
    assert len(seen.vocabulary) == C + 11 - 1  # "red" is in both
    assert seen.annotated is None
    merged = 0
    ours, first, second = shown(seen), shown(truth(batch)), shown(colours(batch))
    for b in range(B):
        for y in range(H):
            for x in range(W):
                expected = list(dict.fromkeys(first[b][y][x] + second[b][y][x]))
                merged += len(expected) < len(first[b][y][x] + second[b][y][x])
                assert ours[b][y][x] == expected
    assert merged, "no pixel is red in both: the case is not tested"


def test_join_of_segmenters_on_other_grids_is_at_image_size():
    coarse = Custom(lambda images: torch.ones(B, 2, 2, dtype=torch.int64), [("dog", "object")])
    assert join(coarse, ColourNames())(whole(make_probe())).labels.shape == (B, 2, H, W)


def test_join_looked_for_a_category_where_one_of_them_did():
    looked = torch.tensor([[True, False, False], [False, True, True], [False, False, False]])  # object part colour
    batch = whole(make_probe(annotated=looked))
    seen = join(ColourNames(), Truth(WORDS))(batch)
    assert seen.vocabulary.categories == ("object", "part", "colour")
    assert seen.annotated.tolist() == [[True, False, True], [False, True, True], [False, False, True]]


def test_join_is_unstored_where_one_is():
    named, unnamed = Custom(torch.sign, WORDS, "a"), Custom(torch.sign, WORDS)
    assert join(named, unnamed).fingerprint is None
    assert join(named, ColourNames()).fingerprint not in (None, join(ColourNames(), named).fingerprint)
    assert join(named) is named


@pytest.mark.parametrize("wrong", [(), (ColourNames(), "truth"), (3,)])
def test_join_refuses_what_is_no_segmenter(wrong):
    with pytest.raises(OptionError, match="Accepted"):
        join(*wrong)


# ---- the contract


def test_all_of_them_are_segmenters_and_pass_the_check():
    batch = whole(make_probe())
    custom = Custom(lambda images: (images[:, 0] > 0.5).long(), WORDS)
    for segmenter in (Truth(WORDS), ColourNames(), custom, join(ColourNames(), custom)):
        assert isinstance(segmenter, Segmenter)
        check_segmentation(segmenter(batch), batch, segmenter.vocabulary)


def test_check_refuses_other_counts_vocabularies_and_things():
    batch = whole(make_probe())
    with pytest.raises(ShapeMismatch, match="expected 3 segmentations, one per image, got 2"):
        check_segmentation(Segmentation(batch.truth.labels[:2], WORDS), batch, WORDS)
    with pytest.raises(ConceptError, match=r"labels 0\.\.2, got 4"):
        check_segmentation(batch.truth, batch, Vocabulary(WORDS[:2]))
    with pytest.raises(ConceptError, match=r"self\.vocabulary"):
        check_segmentation(batch.truth, batch, Vocabulary(WORDS[::-1]))
    with pytest.raises(ShapeMismatch, match="Custom"):
        check_segmentation(batch.truth.labels, batch, WORDS)


def test_argument_names_a_segmenter():
    probe, bare, colours = make_probe(), make_probe(labelled=False), ColourNames()
    assert isinstance(as_segmenter(None, probe), Truth)
    assert isinstance(as_segmenter(None, bare), ColourNames)
    assert isinstance(as_segmenter("truth", probe), Truth)
    assert isinstance(as_segmenter("colours", probe), ColourNames)
    assert as_segmenter(colours, probe) is colours
    both = join(Truth(WORDS), colours).fingerprint
    assert as_segmenter("truth+colours", probe).fingerprint == both
    assert as_segmenter(["truth", colours], probe).fingerprint == both
    assert as_segmenter((Truth(WORDS), "colours"), probe).vocabulary == join(Truth(WORDS), colours).vocabulary


@pytest.mark.parametrize("wrong", ["color", "truth+truth", "", [], 3, ColourNames, ["truth", 3]])
def test_other_arguments_are_refused_with_the_list(wrong):
    with pytest.raises(OptionError, match="'truth\\+colours'"):
        as_segmenter(wrong, make_probe())


def test_truth_by_name_needs_a_probe_set_that_has_it():
    with pytest.raises(ProbeError, match="masks"):
        as_segmenter("truth+colours", make_probe(labelled=False))
