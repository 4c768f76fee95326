"""Cards: the summary of a dissection and the portrait of one unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unitlens.display.gallery import (
    NO_CONCEPT,
    UnitFacts,
    best_per_concept,
    card_markup,
    check_count,
    check_unit,
    facts_of,
    facts_text,
    strip_markup,
)  # fmt: skip
from unitlens.display.markup import (
    aside,
    chip,
    columns,
    escape,
    finished,
    full_name,
    full_scale,
    legend,
    meter,
    page,
    plural,
    stack,
    three_digits,
    wrapped,
)  # fmt: skip
from unitlens.dissection.result import Dissection
from unitlens.rich import Html, renders

_NUMBER = ' class="ul-number"'


@renders(Dissection, "html")
def summary(dissection: Dissection) -> str:
    """The page a notebook shows for a dissection; its text twin is `dissection.text()`."""
    last = dissection.layer().name
    body = (
        f'<h2 class="ul-title">Dissection of {escape(dissection.notes.get("model", "model"))}</h2>'
        f'<p class="ul-muted">{escape(conditions(dissection))}</p>'
        f"{layers_markup(dissection)}{_best_markup(dissection, last)}"
        f'<p class="ul-note">{escape(how_to_read(dissection))}</p>'
    )
    return page(body)


def browser_twin(dissections: Sequence[Dissection]) -> Html:
    """What stands in the place of the unit browser where no widget can be shown: its layers and some of its units."""
    parts = [
        f'<p class="ul-muted">{escape(conditions(d))}</p>{layers_markup(d)}{_best_markup(d, d.layer().name, 4)}'
        for d in dissections
    ]
    names = " and ".join(dict.fromkeys(str(d.notes.get("model", "model")) for d in dissections))
    note = "The live view of all units opens where this cell is run, in JupyterLab for instance."
    body = f'<h2 class="ul-title">Units of {escape(names)}</h2><p class="ul-words">{note}</p>{"".join(parts)}'
    return finished(body, "\n".join([f"Units of {names}. {note}", *(d.text() for d in dissections)]))


def conditions(dissection: Dissection) -> str:
    """One line: images, layers, concepts, quantile and minimum IoU."""
    images, absent = int(dissection.notes.get("images", 0)), int((dissection.concept_area == 0).sum())
    return (
        f"{plural(images, 'image')} · {plural(len(dissection.layers), 'layer')} · "
        f"{plural(len(dissection.vocabulary), 'concept')}{f' ({absent} of them in no image)' if absent else ''}"
        f" · top {100 * (1 - dissection.quantile):.3g} % of pixels · minimum IoU {dissection.min_iou:g}"
    )


def how_to_read(dissection: Dissection) -> str:
    """The sentences that let a newcomer read every number of a page."""
    return (
        "How to read it: a unit fires where its activation is among its highest "
        f"{100 * (1 - dissection.quantile):.3g} % over all "
        "images. IoU compares those pixels with the pixels of a concept: 1 is the same area, 0 none in common. "
        "A unit whose best "
        f"IoU is at least {dissection.min_iou:g} is called a detector of that concept. The images are the ones "
        "that excite a "
        "unit most; the outline is where it fires."
    )


def layers_markup(dissection: Dissection) -> str:
    """A row per layer: its detected concepts as a stacked bar by category, and its detectors among its units."""
    counts = {name: dissection.concept_counts(name) for name in dissection.layers}
    full = max(1, *(sum(c.values()) for c in counts.values()))
    rows = "".join(_layer_row(dissection, name, counts[name], full) for name in dissection.layers)
    words = (
        ("layer", ""),
        ("detected concepts by category", ""),
        ("concepts", _NUMBER),
        ("detectors of units", _NUMBER),
    )
    header = "".join(f'<th scope="col"{look}>{word}</th>' for word, look in words)
    table = f'<table class="ul-layers"><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>'
    return table + legend(dissection.vocabulary.categories)


def _layer_row(dissection: Dissection, name: str, counts: dict[str, int], full: int) -> str:
    detectors, units, found = len(dissection.detectors(name)), dissection.layers[name].units, sum(counts.values())
    bar = stack(counts, full) if found else '<span class="ul-muted">no concept reaches the minimum IoU</span>'
    return (
        f'<tr><th scope="row">{escape(name)}</th><td class="ul-wide">{bar}</td>'
        f"<td{_NUMBER}><strong>{found}</strong></td><td{_NUMBER}>{detectors} of {units}</td></tr>"
    )


def _best_markup(dissection: Dissection, layer: str, count: int = 8) -> str:
    units = best_per_concept(dissection, layer, count)
    if not len(units):
        return (
            f'<p class="ul-words">No unit of {escape(layer)} is a detector at this minimum IoU. '
            "<code>dissection.with_min_iou(0.01)</code> reads the same counts with a lower one.</p>"
        )
    facts = facts_of(dissection, units, layer)
    full = full_scale(np.array([f.iou for f in facts]))
    cards = "".join(card_markup(dissection, f, full, images=4) for f in facts)
    return f'<h3 class="ul-sub">Best units of {escape(layer)}, one per concept</h3><div class="ul-two">{cards}</div>'


@renders(Dissection, "unit")
def unit_card(
    dissection: Dissection, unit: int, layer: str | None = None, *, style: str = "outline", images: int = 6
) -> Html:
    """The card of one unit: its top images, label, best concepts, threshold, and what they mean in plain words.

    unit: its number in the layer (the last one by default). style, images: as in `gallery`.
    Raises OptionError, LayerNotFound. Example: `dissection.unit(12, "conv5_3")`.
    """
    name = dissection.layer(layer).name
    number, images = check_unit(unit, dissection, name), check_count("images", images)
    facts = facts_of(dissection, np.array([number]), name)[0]
    words = [plain_words(dissection, facts), sure_words(dissection, facts), fires_words(dissection, facts)]
    told = "".join(f'<p class="ul-words">{escape(part)}</p>' for part in words if part)
    head = f'<span class="ul-muted">unit {number} of {escape(name)}</span>'
    label = f'<h2 class="ul-title">{escape(facts.concept.name)} {_chip(facts)}</h2>'
    strip = strip_markup(dissection, facts, images=images, style=style, tile=136)
    body = (
        f'{head}{label}<div class="ul-units">{strip}</div>{told}'
        f"{_facts_markup(dissection, facts)}{_bars(dissection, facts)}"
    )
    return finished(body, _unit_text(dissection, facts, " ".join(filter(None, words))))


def _chip(facts: UnitFacts) -> str:
    return "" if facts.concept is NO_CONCEPT else chip(facts.concept.category)


def plain_words(dissection: Dissection, facts: UnitFacts) -> str:
    """What a unit's label means, as shares of pixels: how often it is right where it fires, how much it finds."""
    if facts.concept is NO_CONCEPT:
        return "Where this unit fires, none of the concepts of the vocabulary is seen."
    counts, column = dissection.layer(facts.layer), dissection.vocabulary.index(facts.concept)
    both = int(counts.intersection[facts.unit, column])
    fired = int(counts.activation_area[facts.unit, dissection.vocabulary.category_index[column]])
    seen = int(dissection.concept_area[column])
    verdict = (
        "a detector"
        if facts.iou >= dissection.min_iou
        else f"below the minimum IoU of {dissection.min_iou:g}, so no detector"
    )
    return (
        f"Of the pixels where this unit fires, {both / max(fired, 1):.0%} show {facts.concept.name}; it fires on "
        f"{both / max(seen, 1):.0%} of all {facts.concept.name} pixels. Together that is an IoU of "
        f"{facts.iou:.2f}: {verdict}."
    )


def sure_words(dissection: Dissection, facts: UnitFacts) -> str:
    """How sure a unit's label is: the interval of its IoU, and whether it beats chance. "" where neither is known."""
    if facts.concept is NO_CONCEPT:
        return ""
    parts = []
    interval = _intervals(dissection, facts).get(dissection.vocabulary.index(facts.concept))
    if interval:
        parts.append(
            f"Measured on other images of the same kind, the IoU would mostly lie between {interval[0]:.2f} and "
            f"{interval[1]:.2f} (90 % interval)."
        )
    chance, units = dissection.chance(facts.layer), plural(dissection.layers[facts.layer].units, "unit")
    p = float(chance.p[facts.unit])
    if np.isfinite(p) and chance.beats[facts.unit]:
        parts.append(
            "It beats chance: paired with the labels of other images, the unit hardly ever matches any concept this "
            f"well (p = {p:.2g}, {units} tried)."
        )
    elif np.isfinite(p):
        parts.append(
            "It may be chance: paired with the labels of other images, the unit matches some concept this well in "
            f"{100 * p:.2g} % of the tries, and {units} were tried."
        )
    return " ".join(parts)


def _intervals(dissection: Dissection, facts: UnitFacts) -> dict[int, tuple[float, float]]:
    """The known 90 % intervals of a unit's IoUs: concept's number -> low and high end."""
    if dissection.layers[facts.layer].tails is None:
        return {}
    low, high = (ends[facts.unit] for ends in dissection.intervals(facts.layer))
    return {int(c): (float(low[c]), float(high[c])) for c in np.flatnonzero(np.isfinite(low) & np.isfinite(high))}


def fires_words(dissection: Dissection, facts: UnitFacts) -> str:
    """What "fires above" means."""
    share = 100 * (1 - dissection.quantile)
    return (
        f"Fires above {three_digits(facts.threshold)}: where its activation is higher than that. Over all images, "
        f"{share:.3g} % of the pixels are."
    )


def _facts_markup(dissection: Dissection, facts: UnitFacts) -> str:
    values = dissection.layer(facts.layer).top_value[facts.unit]
    items = {"IoU": f"{facts.iou:.3f}", "fires above": three_digits(facts.threshold)}
    if len(values):
        items["highest activation"] = three_digits(values[0])
    broken = int(dissection.layer(facts.layer).nonfinite[facts.unit])
    if broken:
        items["NaN or infinite"] = plural(broken, "activation")
    pairs = "".join(f"<span>{escape(k)} <strong>{escape(v)}</strong> </span>" for k, v in items.items())
    return f'<p class="ul-facts">{pairs}</p>'  # no <dl>: JupyterLab has its own layout for those


def _best_five(dissection: Dissection, facts: UnitFacts) -> list[tuple[Any, float]]:
    """The unit's five best concepts with their IoU, those of IoU 0 left out."""
    iou = dissection.iou(facts.layer)[facts.unit]
    order = np.argsort(-iou, kind="stable")[:5]
    return [(dissection.vocabulary[i], float(iou[i])) for i in order if iou[i] > 0]


def _bars(dissection: Dissection, facts: UnitFacts) -> str:
    best, known = _best_five(dissection, facts), _intervals(dissection, facts)
    ends = {c: known.get(dissection.vocabulary.index(c)) for c, _ in best}
    full = full_scale(np.array([iou for _, iou in best] + [high for _, high in filter(None, ends.values())]))
    rows = "".join(
        f'<tr><th scope="row">{escape(c.name)}</th><td>{chip(c.category)}</td><td class="ul-wide">'
        f"{meter(iou, full, c.category, dissection.min_iou, ends[c])}</td>"
        f"<td{_NUMBER}>{iou:.3f}{_span(ends[c])}</td></tr>"
        for c, iou in best
    )
    header = "".join(f'<th scope="col">{aside(word)}</th>' for word in ("concept", "category", "", "IoU"))
    table = f'<table class="ul-bars"><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<h3 class="ul-sub">Best concepts by IoU</h3>{table}' if rows else ""


def _span(ends: tuple[float, float] | None) -> str:
    return f' <span class="ul-muted">{ends[0]:.3f} to {ends[1]:.3f}</span>' if ends else ""


def _unit_text(dissection: Dissection, facts: UnitFacts, words: str) -> str:
    best = [[full_name(c), f"{iou:.3f}"] for c, iou in _best_five(dissection, facts)]
    parts = [f"{facts.name}: {facts.concept.name}", wrapped(words), facts_text([facts], dissection)]
    if best:
        parts.append(columns(["best concepts", "IoU"], best, right=[1]))
    return "\n".join(parts)
