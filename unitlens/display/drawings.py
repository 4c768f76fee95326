"""Drawings: small inline SVG charts for pages that carry no plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from unitlens.data.concepts import Concept
from unitlens.display.markup import escape, full_name, plural
from unitlens.display.theme import category_key

_TALL, _LEFT, _TOP = 130, 46, 22
_WIDEST = 1120  # pixels that many bars share


def units_bars(counts: Mapping[Concept, int], title: str) -> str:
    """Units per concept as an SVG bar graph, the concepts grouped by category (the paper's Fig. 1).

    counts: Concept -> number of units, concepts of a category side by side. The alternative text holds every number.
    """
    if not counts:
        return '<p class="ul-muted">No concept is detected in this layer.</p>'
    most, concepts = max(counts.values()), list(counts)
    step = min(28, max(16, _WIDEST // len(concepts)))
    width = _LEFT + step * len(concepts) + 8
    below = 14 + min(120, int(4.6 * max(len(c.name) for c in concepts)))
    words = ", ".join(f"{full_name(c)} {n}" for c, n in counts.items())
    parts = [
        _ticks(most, width),
        _bands(concepts, step),
        *(_bar(_LEFT + step * i, step, c, counts[c], most) for i, c in enumerate(concepts)),
    ]
    height = _TOP + _TALL + below
    return (
        f'<svg class="ul-chart" role="img" aria-label="{escape(f"{title}: {words}")}" width="{width}" '
        f'height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'
    )


def _ticks(most: int, width: int) -> str:
    values = sorted({most, (most + 1) // 2} if most > 1 else {most})
    lines = []
    for value in values:
        y = _TOP + _TALL * (1 - value / most)
        lines.append(
            f'<line class="ul-tick" x1="{_LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
        )
    y = _TOP + _TALL / 2
    label = f'<text transform="translate(10 {y:.1f}) rotate(-90)" text-anchor="middle">units</text>'
    return "".join(lines) + label


def _bands(concepts: Sequence[Concept], step: int) -> str:
    """A pale field behind each category, with its name and number of concepts on top where there is room."""
    parts, start = [], 0
    for category, group in groupby(concepts, key=lambda c: c.category):
        count = len(list(group))
        x, wide = _LEFT + step * start, step * count - 3
        name = plural(count, category)
        label = name if wide > 6.2 * len(name) else str(count)
        parts.append(
            f'<g class="ul-{category_key(category)}"><title>{escape(name)}</title>'
            f'<rect class="ul-band" x="{x}" y="{_TOP}" width="{wide}" height="{_TALL}" rx="4"/>'
            f'<text class="ul-band-label" x="{x + 3}" y="{_TOP - 7}">{escape(label)}</text></g>'
        )
        start += count
    return "".join(parts)


def _bar(left: int, step: int, concept: Concept, count: int, most: int) -> str:
    wide = step - 6
    x, tall = left + 1.5, _TALL * count / most
    name = concept.name if len(concept.name) <= 26 else concept.name[:25] + "…"
    words = f"{full_name(concept)}: {plural(count, 'unit')}"
    return (
        f'<g class="ul-{category_key(concept.category)}"><title>{escape(words)}</title>'
        f'<rect class="ul-bar" x="{x:.1f}" y="{_TOP + _TALL - tall:.1f}" width="{wide}" height="{tall:.1f}" rx="2"/>'
        f'<text transform="translate({x + wide / 2 + 3:.1f} {_TOP + _TALL + 12}) rotate(-50)" text-anchor="end">'
        f"{escape(name)}</text></g>"
    )
