"""Gallery: rows of units, each with its top images, masked where the unit fires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.display import pixels
from unitlens.display.markup import (
    aside,
    chip,
    columns,
    escape,
    finished,
    full_name,
    full_scale,
    plural,
    score,
    three_digits,
    wrapped,
)  # fmt: skip
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError
from unitlens.rich import Html, renders

NO_CONCEPT = Concept("no concept", "other")


@dataclass(frozen=True)
class UnitFacts:
    """What a caption says of a unit: its number, the concept it is shown for, their IoU, and its own best concept."""

    unit: int
    layer: str
    concept: Concept
    iou: float
    own: Concept
    own_iou: float
    threshold: float

    @property
    def name(self) -> str:
        """Such as "unit 12 of conv5_3"."""
        return f"unit {self.unit} of {self.layer}"


def facts_of(dissection: Dissection, units: np.ndarray, layer: str, concept: Concept | None = None) -> list[UnitFacts]:
    """The captions of units: for one concept, or for each unit's own best concept.

    units: int64 (N,). Returns N facts in the same order.
    """
    iou, best = dissection.iou(layer)[units], dissection.best(layer)[0][units]
    words, rows = dissection.vocabulary, np.arange(len(units))
    asked = np.full(len(units), words.index(concept)) if concept else best
    score, own = np.where(asked >= 0, iou[rows, asked], 0.0), np.where(best >= 0, iou[rows, best], 0.0)
    threshold = dissection.layer(layer).threshold
    return [
        UnitFacts(
            int(unit), layer, words[asked[i]] if asked[i] >= 0 else NO_CONCEPT, float(score[i]),
            words[best[i]] if best[i] >= 0 else NO_CONCEPT, float(own[i]), float(threshold[unit]),
        )
        for i, unit in enumerate(units)
    ]  # fmt: skip


def alt_text(facts: UnitFacts, images: int) -> str:
    """What a strip shows, in words.

    >>> alt_text(UnitFacts(12, "conv5", Concept("tree"), 0.21, Concept("tree"), 0.21, 1.5), 5)
    'unit 12 of conv5: tree (object), IoU 0.21; five top images'
    """
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    count = words[images] if images < len(words) else str(images)
    noun = "top image" if images == 1 else "top images"
    return f"{facts.name}: {_concept_words(facts.concept)}, IoU {facts.iou:.2f}; {count} {noun}"


def strip_markup(
    dissection: Dissection, facts: UnitFacts, *, images: int = 6, lazy: bool = False, **options: Any
) -> str:
    """The <img> of a unit's top images (options of `pixels.strip`), or a line that says there are none.

    lazy: decoded when scrolled to; for pages of many hundreds (a printed notebook would miss them).
    """
    strip = pixels.strip(dissection, facts.unit, facts.layer, images=images, **options)
    if strip is None:
        return '<p class="ul-muted">No picture of this unit\'s top images is kept.</p>'
    later = 'loading="lazy" decoding="async" ' if lazy else ""
    return (
        f'<img class="ul-strip" style="--gaps:{strip.gaps};--share:{strip.share(images):.4f}" '
        f'width="{strip.width}" height="{strip.height}" '
        f'alt="{escape(alt_text(facts, strip.tiles))}" {later}src="{strip.uri}">'
    )


def row_markup(dissection: Dissection, facts: UnitFacts, full: float, **options: Any) -> str:
    """A unit with its caption on the left and its images on the right."""
    own = ""
    if facts.own != facts.concept:
        own = f'<div class="ul-muted ul-small">own label: {escape(full_name(facts.own))}, {facts.own_iou:.2f}</div>'
    caption = (
        f'<div class="ul-muted ul-small">unit {facts.unit}</div>'
        f'<div class="ul-label"><strong>{escape(facts.concept.name)}</strong></div>'
        f'<div class="ul-meta">{_chip(facts.concept)} {aside("IoU ")}'
        f"{score(facts.iou, full, facts.concept.category, dissection.min_iou)}"
        f'</div>{own}<div class="ul-muted ul-small">fires above {three_digits(facts.threshold)}</div>'
    )
    return f'<div class="ul-unit"><div>{caption}</div>{strip_markup(dissection, facts, **options)}</div>'


def card_markup(dissection: Dissection, facts: UnitFacts, full: float, **options: Any) -> str:
    """A unit as a small card: one caption line above its images."""
    head = (
        f'<div class="ul-head"><strong>{escape(facts.concept.name)}</strong> {_chip(facts.concept)} '
        f'<span class="ul-muted ul-small">unit {facts.unit}</span> {aside("IoU ")}'
        f"{score(facts.iou, full, facts.concept.category, dissection.min_iou)}</div>"
    )
    return f'<div class="ul-unit">{head}{strip_markup(dissection, facts, **options)}</div>'


def _chip(concept: Concept) -> str:
    return "" if concept is NO_CONCEPT else chip(concept.category)


def _concept_words(concept: Concept) -> str:
    return concept.name if concept is NO_CONCEPT else full_name(concept)


def facts_text(facts: list[UnitFacts], dissection: Dissection) -> str:
    """The text twin of several units: aligned columns with the positions of their top images in the probe set."""
    top = dissection.layer(facts[0].layer).top_index if facts else np.zeros((0, 0))
    rows = [
        [
            str(f.unit), f.concept.name, "-" if f.concept is NO_CONCEPT else f.concept.category, f"{f.iou:.2f}",
            three_digits(f.threshold), " ".join(str(i) for i in top[f.unit][:5] if i >= 0),
            "" if f.own == f.concept else f"{_concept_words(f.own)} {f.own_iou:.2f}",
        ]
        for f in facts
    ]  # fmt: skip
    header = ["unit", "concept", "category", "IoU", "threshold", "top images", "own label"]
    if not any(row[-1] for row in rows):
        return columns(header[:-1], [row[:-1] for row in rows], right=[0, 3, 4])
    # Units shown for one concept, which the title names: without its columns the lines fit 80 columns.
    return columns([header[0], *header[3:]], [[row[0], *row[3:]] for row in rows], right=[0, 1, 2])


def check_count(name: str, value: object, least: int = 1) -> int:
    """A whole number from `least` on. Raises OptionError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError(f"{name}: expected a whole number from {least} on, got {value!r}")
    return int(value)


def check_unit(unit: object, dissection: Dissection, layer: str) -> int:
    """A unit's number that the layer has. Raises OptionError."""
    units = dissection.layer(layer).units
    whole = isinstance(unit, (int, np.integer)) and not isinstance(unit, (bool, np.bool_))
    if not whole or not 0 <= int(unit) < units:  # type: ignore[call-overload]
        raise OptionError(
            f"unit: expected a whole number 0..{units - 1} (layer {layer!r} has {units} units), got {unit!r}"
        )
    return int(unit)  # type: ignore[call-overload]


def best_per_concept(dissection: Dissection, layer: str, count: int) -> np.ndarray:
    """The best detector of each detected concept, best first: int64 (at most `count`,)."""
    _, iou = dissection.best(layer)
    first = np.array([units[0] for units in dissection.concepts(layer).values()], dtype=np.int64)
    return first[np.argsort(-iou[first], kind="stable")][:count]


@dataclass(frozen=True)
class _Choice:
    """The units a gallery shows, and the sentences around them."""

    units: np.ndarray
    title: str
    note: str
    concept: Concept | None = None


_ORDER = "best IoU first"


def _choose(dissection: Dissection, what: Any, layer: str, count: int) -> _Choice:
    if what is None:
        return _choose_best(dissection, layer, count)
    if isinstance(what, (str, Concept)):
        concept = dissection.vocabulary[dissection.vocabulary.index(what)]
        chosen = _choose_concept(dissection, concept, layer, count)
        also = [c for c in dissection.vocabulary if what == c.name and c != concept]
        return replace(chosen, note=" ".join([chosen.note, *(_namesake(dissection, c, layer) for c in also)]))
    numbers = [what] if np.ndim(what) == 0 else list(what)
    units = np.array([check_unit(unit, dissection, layer) for unit in numbers], dtype=np.int64)
    title = f"Unit {units[0]} of {layer}" if len(units) == 1 else f"{plural(len(units), 'unit')} of {layer}"
    notes = ["No unit was asked for.", ""]
    return _Choice(units, title, notes[len(units)] if len(units) < 2 else "In the order asked for.")


def _choose_best(dissection: Dissection, layer: str, count: int) -> _Choice:
    detectors = dissection.detectors(layer)
    if len(detectors):
        note = f"{_some(count, len(detectors), 'detector')}, {_ORDER}."
        return _Choice(detectors[:count], f"Best units of {layer}", note)
    _, iou = dissection.best(layer)
    note = f"No unit of this layer reaches the minimum IoU of {dissection.min_iou:g}; these come nearest, {_ORDER}."
    return _Choice(np.argsort(-iou, kind="stable")[:count], f"Best units of {layer}", note)


def _namesake(dissection: Dissection, concept: Concept, layer: str) -> str:
    """What is said of a concept whose name another one has."""
    many = int((dissection.iou(layer)[:, dissection.vocabulary.index(concept)] >= dissection.min_iou).sum())
    return f'"{full_name(concept)}" is another concept, with {plural(many, "unit")} from there on.'


def _choose_concept(dissection: Dissection, concept: Concept, layer: str, count: int) -> _Choice:
    units = dissection.units_for(concept, layer)
    title = f"Units of {layer} for {full_name(concept)}"
    if not dissection.concept_area[dissection.vocabulary.index(concept)]:
        return _Choice(
            units[:count], title, "The probe set does not show this concept anywhere, so no unit can match it.", concept
        )
    if not len(units):
        return _Choice(units, title, "No unit of this layer overlaps with this concept.", concept)
    passing = int((dissection.iou(layer)[units, dissection.vocabulary.index(concept)] >= dissection.min_iou).sum())
    some = _some(count, len(units), "unit")
    note = f"{some} that overlap with it, {_ORDER}; {passing} of them from IoU {dissection.min_iou:g} on."
    return _Choice(units[:count], title, note, concept)


def _reading(style: str) -> str:
    """What the pictures of a row are."""
    masks = {
        "outline": "outlined where it fires", "dim": "darkened where it does not fire", "plain": "",
        "heat": "the brighter the stronger its activation",
    }  # fmt: skip
    words = "Beside each unit the images that excite it most, the strongest first"
    return f"{words}, {masks[style]}." if masks[style] else f"{words}."


def _some(shown: int, whole: int, noun: str) -> str:
    return f"The {shown} best of {whole:,} {noun}s" if shown < whole else plural(whole, noun)


@renders(Dissection, "gallery")
def gallery(
    dissection: Dissection,
    what: int | list[int] | str | Concept | None = None,
    layer: str | None = None,
    *,
    style: str = "outline",
    images: int = 6,
    units: int = 12,
) -> Html:
    """Rows of units with their top images, masked where they fire.

    what: a unit's number, several, a concept (its name or the Concept: the units by their IoU with it) or None for the
    best detectors. layer: the last one by default. style: "outline", "heat", "dim" or "plain". images: pictures a unit.
    units: rows at most, where `what` does not name them. Raises OptionError, ConceptError, LayerNotFound.
    Example: `dissection.gallery("tree", style="heat")`.
    """
    pixels.check_style(style)
    images, units = check_count("images", images), check_count("units", units)
    name = dissection.layer(layer).name
    choice = _choose(dissection, what, name, units)
    facts = facts_of(dissection, choice.units, name, choice.concept)
    full = full_scale(np.array([f.iou for f in facts]))
    rows = "".join(row_markup(dissection, f, full, images=images, style=style) for f in facts)
    about = " ".join(filter(None, [choice.note, _reading(style) if facts else ""]))
    note = f'<p class="ul-muted">{escape(about)}</p>' if about else ""
    body = f'<h2 class="ul-title">{escape(choice.title)}</h2>{note}<div class="ul-units">{rows}</div>'
    text = "\n".join(
        part for part in (choice.title, wrapped(choice.note), facts_text(facts, dissection) if facts else "") if part
    )
    return finished(body, text)
