"""Vocabulary and Segmentation: order, labels, and what is refused with words."""

from __future__ import annotations

import pytest
import torch

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.data.segmentation import Segmentation
from unitlens.errors import ConceptError, ShapeMismatch

WORDS = Vocabulary([("red", "colour"), ("door", "part"), ("door", "object"), ("tree", "object"), ("night", "mood")])


def test_categories_stand_in_chart_order_and_unknown_ones_last():
    assert WORDS.categories == ("object", "part", "colour", "mood")
    assert WORDS.category_index.tolist() == [2, 1, 0, 0, 3]


def test_index_tells_one_name_in_two_categories_apart():
    assert WORDS.index("door (part)") == 1
    assert WORDS.index("door (object)") == 2
    assert WORDS.index(Concept("door", "object")) == 2
    assert WORDS.label("tree") == 4


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConceptError, match="'tree'"):
        WORDS.index("treee")


def test_concept_twice_is_refused_by_name():
    with pytest.raises(ConceptError, match=r"'sky' .*twice"):
        Vocabulary([("sky", "object"), ("sky", "object")])
    with pytest.raises(ConceptError, match="twice"):
        WORDS + Vocabulary([("tree", "object")])


@pytest.mark.parametrize("wrong", [["up"], ["tree"], [("a", "b", "c")], [("a", 1)], [3]])
def test_vocabulary_refuses_what_is_no_pair(wrong):
    with pytest.raises(ConceptError, match="pair"):
        Vocabulary(wrong)


def test_equal_vocabularies_have_equal_order():
    pairs = [("a", "x"), ("b", "x")]
    assert Vocabulary(pairs) == Vocabulary(pairs)
    assert hash(Vocabulary(pairs)) == hash(Vocabulary(pairs))
    assert Vocabulary(pairs) != Vocabulary(pairs[::-1])


@pytest.mark.parametrize("label", [-1, 6])
def test_labels_outside_the_vocabulary_are_refused(label):
    labels = torch.zeros(2, 1, 3, 4, dtype=torch.int16)
    labels[1, 0, 2, 3] = label
    with pytest.raises(ConceptError, match=r"expected 0\.\.5"):
        Segmentation(labels, WORDS)


@pytest.mark.parametrize("labels", [torch.zeros(2, 3, 4, dtype=torch.int16), torch.zeros(2, 1, 3, 4), [[0]]])
def test_labels_of_another_form_are_refused(labels):
    with pytest.raises(ShapeMismatch, match="segmentation labels"):
        Segmentation(labels, WORDS)


@pytest.mark.parametrize("looked", [torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 4)])
def test_annotated_must_be_bool_per_image_and_category(looked):
    with pytest.raises(ShapeMismatch, match=r"annotated: expected bool .* \(2, 4\)"):
        Segmentation(torch.zeros(2, 1, 3, 4, dtype=torch.int16), WORDS, looked)


@pytest.mark.parametrize("size", [(3, 7), (10, 4), (5, 6), (1, 1), (11, 13)])
def test_resized_takes_the_label_under_each_centre(size):
    labels = torch.randint(0, 6, (2, 3, 5, 6), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    small = Segmentation(labels, WORDS).resized(size).labels
    assert small.shape == (2, 3, *size)
    for y in range(size[0]):
        for x in range(size[1]):
            row, column = (2 * y + 1) * 5 // (2 * size[0]), (2 * x + 1) * 6 // (2 * size[1])  # exact, in whole numbers
            assert torch.equal(small[:, :, y, x], labels[:, :, row, column])
