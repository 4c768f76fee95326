"""Segmenters: what they have in common, several as one, and the one that an argument means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import Batch, ProbeSet
from unitlens.data.segmentation import Segmentation
from unitlens.errors import ConceptError, OptionError, ShapeMismatch
from unitlens.segment.colours import ColourNames
from unitlens.segment.truth import Truth


@runtime_checkable
class Segmenter(Protocol):
    """Says which concepts every pixel of a batch shows.

    vocabulary: the concepts it can show. fingerprint: text that changes whenever its answers change; None = results
    made with it are not kept in the store.
    """

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def fingerprint(self) -> str | None: ...

    def __call__(self, batch: Batch) -> Segmentation: ...


def check_segmentation(segmentation: Segmentation, batch: Batch, vocabulary: Vocabulary) -> Segmentation:
    """The segmentation, if it is one of this batch in this vocabulary.

    Raises ShapeMismatch for another thing, another number of images or another shape, ConceptError for another
    vocabulary or labels outside it.

    >>> from unitlens.data.probe import ArrayProbe
    >>> batch = ArrayProbe(torch.rand(2, 3, 4, 5)).load([0, 1])
    >>> colours = ColourNames()
    >>> len(check_segmentation(colours(batch), batch, colours.vocabulary))
    2
    """
    if not isinstance(segmentation, Segmentation):
        raise ShapeMismatch(
            f"segmenter: expected a Segmentation, got {type(segmentation).__name__}. "
            "Custom(function, vocabulary) makes a segmenter of a function that returns labels."
        )
    if len(segmentation) != len(batch):
        raise ShapeMismatch(f"segmenter: expected {len(batch)} segmentations, one per image, got {len(segmentation)}")
    (height, width), (rows, columns) = segmentation.labels.shape[-2:], batch.images.shape[-2:]
    if abs(height * columns - width * rows) > max(rows, columns):  # a rounded half or quarter of the size is fine
        raise ShapeMismatch(
            f"segmenter: expected labels in the shape of the images, {rows} x {columns} (height x width) or a "
            f"smaller grid of the same shape, got {height} x {width}. Are height and width the other way round?"
        )
    if segmentation.vocabulary != vocabulary:
        labels = segmentation.labels
        if labels.numel() and int(labels.max()) > len(vocabulary):
            raise ConceptError(f"segmenter: expected labels 0..{len(vocabulary)}, got {int(labels.max())}")
        raise ConceptError(
            f"segmenter: expected its own {vocabulary!r}, got labels in {segmentation.vocabulary!r}. "
            "Return Segmentation(labels, self.vocabulary)."
        )
    return segmentation


def join(*segmenters: Segmenter) -> Segmenter:
    """Several segmenters as one: all their concepts, all their planes.

    A concept (name and category) that two of them have is one concept, and a pixel that both call by it shows it once.
    A category counts as looked for in an image where at least one segmenter looked for it. The fingerprint is None
    where one of theirs is.

    Raises OptionError for no segmenter, or for something that is none.

    >>> both = join(ColourNames(), Truth(Vocabulary([("sky", "object")])))
    >>> both.vocabulary
    Vocabulary(12 concepts: 1 object, 11 colour)
    """
    strange = [s for s in segmenters if not isinstance(s, Segmenter)]
    if strange or not segmenters:
        got = f"{type(strange[0]).__name__}" if strange else "none"
        raise OptionError(f"join: expected one or more segmenters, got {got}. {ACCEPTED}")
    return segmenters[0] if len(segmenters) == 1 else Joined(segmenters)


class Joined:
    """Several segmenters as one; made by `join`."""

    def __init__(self, segmenters: Sequence[Segmenter]):
        self.segmenters = tuple(segmenters)
        self.vocabulary = Vocabulary(dict.fromkeys(c for s in self.segmenters for c in s.vocabulary))
        prints = [s.fingerprint for s in self.segmenters]
        known = [p for p in prints if p is not None]
        self.fingerprint = f"join({','.join(known)})" if len(known) == len(prints) else None

    def __call__(self, batch: Batch) -> Segmentation:
        """All the segmentations of a batch at image size: labels int16 (B, K1 + K2 + ..., H, W).

        Raises what `check_segmentation` raises.
        """
        size = (batch.images.shape[-2], batch.images.shape[-1])
        parts = [check_segmentation(s(batch), batch, s.vocabulary).resized(size) for s in self.segmenters]
        planes: list[torch.Tensor] = []
        for part in parts:
            new = self._relabelled(part).to(batch.images.device)
            planes.append(_without_repeats(new, planes) if self._shares(part.vocabulary) else new)
        return Segmentation(torch.cat(planes, dim=1), self.vocabulary, self._annotated(parts))

    def _relabelled(self, part: Segmentation) -> torch.Tensor:
        """The labels of one segmenter in the joined vocabulary."""
        label = torch.tensor([0, *(self.vocabulary.label(c) for c in part.vocabulary)], dtype=torch.int16)
        return label.to(part.labels.device)[part.labels.long()]  # (B, K, H, W)

    def _shares(self, vocabulary: Vocabulary) -> bool:
        """Whether another segmenter has one of these concepts too."""
        return sum(len(set(vocabulary) & set(s.vocabulary)) > 0 for s in self.segmenters) > 1

    def _annotated(self, parts: Sequence[Segmentation]) -> torch.Tensor | None:
        """Which categories at least one segmenter looked for: bool (B, G), or None where all looked for all."""
        if all(part.annotated is None for part in parts):
            return None
        categories = self.vocabulary.categories
        looked = torch.zeros(len(parts[0]), len(categories), dtype=torch.bool)
        for part in parts:
            own = [categories.index(g) for g in part.vocabulary.categories]
            looked[:, own] |= torch.ones(1, dtype=torch.bool) if part.annotated is None else part.annotated.cpu()
        return looked

    def __repr__(self) -> str:
        return f"join({', '.join(map(repr, self.segmenters))})"


def _without_repeats(planes: torch.Tensor, earlier: Sequence[torch.Tensor]) -> torch.Tensor:
    """Planes with 0 where an earlier plane already shows the same concept: a pixel counts once per concept."""
    for plane in (p[:, k : k + 1] for p in earlier for k in range(p.shape[1])):
        planes = planes.masked_fill(planes == plane, 0)
    return planes


ACCEPTED = (
    "Accepted: None (the truth if the probe set has one, else colours), 'truth', 'colours', 'scenes' (objects and "
    "parts of villages, by SceneSegmenter), several as 'truth+colours', a segmenter (vocabulary, fingerprint, call), "
    "or a list of these."
)
WORDS = ("truth", "colours", "scenes")


def as_segmenter(argument: object, probe: ProbeSet) -> Segmenter:
    """The segmenter that an argument means, for a probe set.

    argument: None (the truth if the probe set has one; for samples of SceneGenerator "scenes+colours"; else colours),
        "truth", "colours", "scenes", several as "truth+colours", a Segmenter, or a list or tuple of these, joined.

    Raises ProbeError for "truth" where the probe set has none, OptionError with the list above for anything else.

    >>> from unitlens.data.probe import ArrayProbe
    >>> as_segmenter(None, ArrayProbe(torch.rand(2, 3, 4, 5)))
    ColourNames(11 concepts)
    """
    if argument is None:
        if probe.vocabulary is not None:
            return Truth(probe.vocabulary)
        return join(_named(probe.segments, probe), ColourNames()) if probe.segments else ColourNames()
    if isinstance(argument, str):
        names = [name.strip() for name in argument.split("+")]
        if len(set(names)) == len(names) and set(names) <= set(WORDS):
            return join(*(_named(name, probe) for name in names))
    elif isinstance(argument, (list, tuple)) and argument:
        return join(*(as_segmenter(part, probe) for part in argument))
    elif isinstance(argument, Segmenter) and not isinstance(argument, type):
        return argument
    got = repr(argument) if isinstance(argument, (str, int, float, list, tuple)) else type(argument).__name__
    raise OptionError(f"segmenter: got {got}. {ACCEPTED}")


def _named(word: str, probe: ProbeSet) -> Segmenter:
    if word == "scenes":
        from unitlens.segment.scenes import SceneLabels  # here: it loads a network

        return SceneLabels()
    return Truth(probe.vocabulary) if word == "truth" else ColourNames()
