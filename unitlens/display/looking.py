"""Looking: one picture through the units of a layer, segmented by the units that fire most in it."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from unitlens.data.concepts import Concept
from unitlens.display.gallery import NO_CONCEPT, check_count
from unitlens.display.markup import (
    aside,
    chip,
    escape,
    finished,
    full_name,
    meter,
    page,
    plural,
    three_digits,
    wrapped,
)  # fmt: skip
from unitlens.display.pixels import check_style, paint
from unitlens.display.regions import COLOURS, Pin, colour_of, painted_regions, pins
from unitlens.dissection.looked import Look, Sighting
from unitlens.errors import OptionError
from unitlens.rich import Html, renders

_WIDE, _TILE = 640, 300  # JPEG pixels across of the two large pictures, and of a unit's
_NUMBER = ' class="ul-number"'
_CONCEPTS = 10  # shown at most


@renders(Look, "html")
def seen(look: Look) -> str:
    """The page a notebook shows for a look; its text twin is `look.text()`."""
    return page(_body(look, 6, "outline"))


@renders(Look, "show")
def show(look: Look, count: int = 6, *, style: str = "outline") -> Html:
    """The picture, segmented by its strongest units; these units; the concepts they see.

    count: units, at most as many as there are colours that all readers can tell apart. style: as in `gallery`.
    Raises OptionError.
    """
    check_style(style)
    if check_count("count", count) > len(COLOURS):
        raise OptionError(f"count: expected 1 to {len(COLOURS)} units, each with a colour of its own, got {count}")
    return finished(_body(look, count, style), look.text())


@renders(Look, "unit")
def unit_look(look: Look, unit: int) -> Html:
    """One unit in the picture: where it fires, how its activation runs, and what its label says."""
    concept = look.concept(unit) or NO_CONCEPT  # raises for a unit that the layer does not have
    number = int(unit)
    words = _unit_words(look, number)
    shots = "".join(
        f"<figure>{_img(_painted(look, number, style, _WIDE), _unit_alt(look, number, style))}"
        f'<figcaption class="ul-muted">{escape(caption)}</figcaption></figure>'
        for style, caption in (("outline", "Where it fires"), ("heat", "Its activation: the brighter the stronger"))
    )
    category = "" if concept is NO_CONCEPT else chip(concept.category)
    body = (
        f'<span class="ul-muted">unit {number} of {escape(look.layer)}, one picture</span>'
        f'<h2 class="ul-title">{escape(concept.name)} {category}</h2><div class="ul-pair">{shots}</div>'
        f'<p class="ul-words">{escape(words)}</p>'
    )
    return finished(body, f"unit {number} of {look.layer}: {concept.name}\n{wrapped(words)}")


def _body(look: Look, count: int, style: str) -> str:
    units = look.strongest(count)
    title = f"Where {look.layer} of {look.model} fires in this picture"
    firing = int(look.fires.any(axis=(1, 2)).sum())
    found = look.concepts()
    facts = (
        f"{firing} of {plural(look.units, 'unit')} fire · "
        f"{plural(len(found), 'concept')} among the detectors' labels · "
        f"on average a unit fires on {_usual(look)} of a picture"
    )
    return (
        f'<h2 class="ul-title">{escape(title)}</h2><p class="ul-muted">{escape(facts)}</p>'
        f"{_pair(look, units, found)}{_units_markup(look, units, style)}{_concepts_markup(found)}"
        f'<p class="ul-note">{escape(_how_to_read(look))}</p>'
    )


def _how_to_read(look: Look) -> str:
    return (
        "How to read it: a unit fires where its activation is above its threshold, which it is on "
        f"{_usual(look)} of all pixels of the probe set. The strongest units are those that fire on the "
        "largest part of this picture. Where several fire, the segmented picture gives the place to the one that "
        "is nearest to the highest activation it ever had. The concept of a unit is the one it matches best over "
        f"the probe set; from an IoU of {look.min_iou:g} on it is a detector. That is a habit, not a sight: in this "
        "picture it may fire on something else."
    )


# ---- the two large pictures ---------------------------------------------------------------------------------


def _pair(look: Look, units: np.ndarray, found: list[Sighting]) -> str:
    height, width = look.size
    whole = (max(1, round(height * _WIDE / width)), _WIDE)
    picture = _resized(look.picture, whole)
    regions = look.segmentation(len(units) or 1, size=whole)
    names = pins(regions, [(int(unit), _name(look, unit)) for unit in units])
    seen = ", ".join(f"{full_name(one.concept)} {_percent(one.share)}" for one in found[:_CONCEPTS])
    alt = f"The picture, {width} by {height} pixels. Labels of detectors that fire: {seen or 'none'}"
    ours = ", ".join(f"unit {unit} ({_name(look, unit)}) {_percent((regions == unit).mean())}" for unit in units)
    segmented = _img(painted_regions(picture, regions, units), f"The picture segmented by its units: {ours or 'none'}")
    none = "" if len(units) else '<p class="ul-muted">No unit of this layer fires in this picture.</p>'
    return (
        f'<div class="ul-pair"><figure>{_img(picture, alt)}<figcaption class="ul-muted">'
        f"The picture as the model sees it, {width}×{height} pixels</figcaption></figure>"
        f'<figure><div class="ul-pinned">{segmented}{"".join(map(_pin, names))}</div>'
        f'<figcaption class="ul-muted">Segmented by its strongest units</figcaption></figure></div>'
        f"{none}{_legend(look, units, regions)}"
    )


def _pin(pin: Pin) -> str:
    return (
        f'<span class="ul-pin" aria-hidden="true" style="--x:{pin.x:.2f}%;--y:{pin.y:.2f}%;--c:{pin.colour};'
        f'--on:{pin.on}">{escape(pin.words)} <b>{pin.unit}</b></span>'
    )


def _legend(look: Look, units: np.ndarray, regions: np.ndarray) -> str:
    """The colours that the segmented picture shows; a unit that others outdo everywhere has none."""
    items = " ".join(
        f'<span><i style="--fill:{colour_of(place)}"></i>{escape(_name(look, unit))} · unit {unit}</span>'
        for place, unit in enumerate(units)
        if (regions == unit).any()
    )
    return f'<div class="ul-legend">{items}</div>' if items else ""


# ---- the strongest units, and the concepts ------------------------------------------------------------------


def _units_markup(look: Look, units: np.ndarray, style: str) -> str:
    if not len(units):
        return ""
    full = float(look.share[units].max())
    cards = "".join(_card(look, int(unit), full, style) for unit in units)
    return f'<h3 class="ul-sub">Its strongest units</h3><div class="ul-shots">{cards}</div>'


def _card(look: Look, unit: int, full: float, style: str) -> str:
    concept, share = look.concept(unit) or NO_CONCEPT, float(look.share[unit])
    category = "" if concept is NO_CONCEPT else chip(concept.category)
    weak = "no detector" if concept is not NO_CONCEPT and not look.detector[unit] else ""
    return (
        f"<figure>{_img(_painted(look, unit, style, _TILE), _unit_alt(look, unit, style))}<figcaption>"
        f'<strong>{escape(concept.name)}</strong> <span class="ul-head">{category} '
        f'<span class="ul-muted ul-small">{weak}</span></span> '
        f'<span class="ul-muted ul-small">unit {unit} · IoU {look.iou[unit]:.2f}</span> '
        f"{meter(share, full, concept.category)} "
        f'<span class="ul-small"><strong>{_percent(share)}</strong> of the picture,</span> '
        f'<span class="ul-muted ul-small">{_times(look.times[unit])} its average</span></figcaption></figure>'
    )


def _concepts_markup(found: list[Sighting]) -> str:
    if not found:
        return '<p class="ul-words">No detector fires in this picture.</p>'
    full = max(one.share for one in found)
    rows = "".join(
        f'<tr><th scope="row">{escape(one.concept.name)}</th><td>{chip(one.concept.category)}</td>'
        f'<td class="ul-wide">{meter(one.share, full, one.concept.category)}</td>'
        f"<td{_NUMBER}>{_percent(one.share)}</td>"
        f'<td class="ul-number ul-last">{escape(_numbers(one.units))}</td></tr>'
        for one in found[:_CONCEPTS]
    )
    words = ("concept", "category", "", "share of the picture", "units")
    header = "".join(f'<th scope="col">{aside(word)}</th>' for word in words)
    more = len(found) - _CONCEPTS
    rest = f'<p class="ul-muted">and {plural(more, "concept")} more: look.concepts()</p>' if more > 0 else ""
    return (
        '<h3 class="ul-sub">Labels of the detectors that fire, by their share of the picture</h3>'
        f'<table class="ul-bars"><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>{rest}'
    )


def _numbers(units: tuple[int, ...]) -> str:
    some = ", ".join(map(str, units[:3]))
    noun = "unit" if len(units) == 1 else "units"
    return f"{noun} {some}{f' + {len(units) - 3}' if len(units) > 3 else ''}"


# ---- words --------------------------------------------------------------------------------------------------


def _name(look: Look, unit: int) -> str:
    return (look.concept(unit) or NO_CONCEPT).name


def _concept_words(concept: Concept) -> str:
    return concept.name if concept is NO_CONCEPT else full_name(concept)


def _unit_alt(look: Look, unit: int, style: str) -> str:
    drawn = {"outline": "outlined", "heat": "as heat", "dim": "bright", "plain": "not drawn"}[style]
    concept = _concept_words(look.concept(unit) or NO_CONCEPT)
    return f"Where unit {unit} fires, {drawn}: {concept}, {_percent(float(look.share[unit]))} of the picture"


def _unit_words(look: Look, unit: int) -> str:
    share, concept = float(look.share[unit]), look.concept(unit)
    fires = (
        f"This unit fires on {_percent(share)} of this picture, {_times(look.times[unit])} its average of "
        f"{_usual(look)}."
        if share
        else f"This unit does not fire in this picture (on average it does on {_usual(look)} of one)."
    )
    levels = (
        f"Its highest activation here is {three_digits(look.peak[unit])}; it fires above "
        f"{three_digits(look.threshold[unit])}, and the highest over the probe set was "
        f"{three_digits(look.highest[unit])}."
    )
    if concept is None:
        return f"{fires} {levels} Over the probe set it overlaps with no concept of the vocabulary."
    kind = "a detector" if look.detector[unit] else f"below {look.min_iou:g}, so no detector"
    label = f"Over the probe set its best concept is {full_name(concept)}, IoU {look.iou[unit]:.2f}: {kind}."
    return f"{fires} {levels} {label}"


def _percent(share: float) -> str:
    """A share of a picture in words.

    >>> _percent(0.143), _percent(0.0123), _percent(0.0001), _percent(0)
    ('14 %', '1.2 %', 'under 0.1 %', '0 %')
    """
    hundred = 100 * share
    if 0 < hundred < 0.1:
        return "under 0.1 %"
    return f"{hundred:.0f} %" if hundred >= 9.95 or not hundred else f"{hundred:.1f} %"


def _usual(look: Look) -> str:
    return f"{100 * look.usual:.3g} %"


def _times(times: float) -> str:
    """How many times in words.

    >>> _times(14.3), _times(2.04), _times(0.5)
    ('14 times', '2 times', '0.5 times')
    """
    return (f"{times:.0f}" if times >= 9.95 else f"{times:.1f}".removesuffix(".0")) + " times"


# ---- pictures -----------------------------------------------------------------------------------------------


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _painted(look: Look, unit: int, style: str, width: int) -> np.ndarray:
    """The picture with a unit's firing drawn on it: uint8 (H, W, 3), so many pixels wide."""
    size = max(1, round(look.size[0] * width / look.size[1])), width
    heights = look.activation(unit, size)
    return paint(_resized(look.picture, size)[None], heights, float(look.threshold[unit]), style)[0]


def _img(picture: np.ndarray, alt: str) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=82, subsampling=0, optimize=True)
    source = base64.b64encode(file.getvalue()).decode("ascii")
    height, width = picture.shape[:2]
    return f'<img width="{width}" height="{height}" alt="{escape(alt)}" src="data:image/jpeg;base64,{source}">'
