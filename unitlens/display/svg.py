"""SVG: elements, colours and words of a drawing that any page may hold.

Only presentation attributes are written (`fill=`, never `style=`), no ids and no patterns: nbviewer and older nbconvert
put an SVG output into the page through an HTML cleaner that empties `style` and drops what it does not know.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any

from unitlens.display.figures import GREY
from unitlens.display.theme import contrast, page_colour, page_rules

Looks = dict[str, Any]  # attributes of an element; None is not written
#: The roles of words and grounds: CSS class, and the name of the page's colour.
_ROLES = {"ink": ("ul-k", "ink"), "muted": ("ul-m", "muted"), "surface": ("ul-s", "surface")}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0 has no way to write them
_TAG = re.compile(r"(</?(?:b|i|sup|sub|em|strong|span|a)(?:\s[^<>]*)?/?>|<br\s*/?>)", re.IGNORECASE)
_NUMBERS = re.compile(r"rgba?\(\s*([\d.]+)[,\s]+([\d.]+)[,\s]+([\d.]+)(?:[,/\s]+([\d.]+))?\s*\)")


def number(value: float) -> str:
    """A coordinate with one digit after the point at most.

    >>> number(12.04), number(-0.01), number(-0.25)
    ('12', '0', '-.2')
    """
    words = f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # + 0.0 makes -0.0 plain
    return words.replace("0.", ".", 1) if words.startswith(("0.", "-0.")) else words


def element(tag: str, body: str = "", /, **attributes: Any) -> str:
    """One element; an attribute that is None is left out, `text_anchor` is written `text-anchor`.

    >>> element("rect", x=1.5, fill='a"b', rx=None)
    '<rect x="1.5" fill="a&quot;b"/>'
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is not None:
            words = number(value) if isinstance(value, float) else safe(value)
            parts.append(f'{name.rstrip("_").replace("_", "-")}="{words}"')
    return f"<{' '.join(parts)}>{body}</{tag}>" if body else f"<{' '.join(parts)}/>"


def safe(value: object) -> str:
    """Any value as text that is safe in XML, between tags and inside quotes."""
    return html.escape(_FORBIDDEN.sub("", str(value)), quote=True)


def paint(name: str, colour: str | None, opacity: float = 1.0) -> Looks:
    """A colour as attributes "fill" or "stroke", its transparency apart, which every SVG reader knows.

    >>> paint("fill", "rgba(255,0,0,0.5)")
    {'fill': '#ff0000', 'fill_opacity': '0.5'}
    """
    if colour is None or colour in ("none", "transparent"):
        return {name: "none"}
    found = _NUMBERS.fullmatch(colour.strip())
    if found:
        red, green, blue = (min(255, round(float(channel))) for channel in found.groups()[:3])
        colour, opacity = f"#{red:02x}{green:02x}{blue:02x}", opacity * float(found[4] or 1)
    if opacity <= 0:
        return {name: "none"}
    return {name: colour, f"{name}_opacity": f"{opacity:.2g}" if opacity < 1 else None}


def role(name: str) -> Looks:
    """The colour of a role, "ink", "muted" or "surface": its light one, and the class that the dark page changes."""
    css, colour = _ROLES[name]
    return {"fill": page_colour(colour), "class_": css}


def text_looks(colour: str | None, name: str = "muted") -> Looks:
    """The colour of words: the one asked for; where that is none or the figures' grey, the page's, by its role."""
    return role(name) if colour in (None, GREY) else paint("fill", colour)


def on(fill: str) -> str:
    """The colour of words on a fill: white or nearly black, whichever is told better from it."""
    plain = paint("fill", fill)["fill"] or ""
    if not re.fullmatch("#[0-9a-fA-F]{6}", plain):
        return "#101216"
    return max(("#ffffff", "#101216"), key=lambda words: contrast(words, plain))


def words(markup: object) -> Iterator[str]:
    """The lines of plotly's little markup as SVG: `<b>` and `<i>` stay, other tags of it go, the rest is text.

    >>> list(words("<b>12</b> &lt;b&gt;<br>x <y>"))
    ['<tspan font-weight="600">12</tspan> &lt;b&gt;', 'x &lt;y&gt;']
    """
    line, bold, italic = "", False, False
    for piece in _TAG.split(str(markup)):
        tag = _TAG.fullmatch(piece) and re.sub(r"[<>/\s].*|[</]", "", piece.lstrip("</")).lower()
        if tag == "br":
            yield line
            line = ""
        elif tag in ("b", "strong"):
            bold = not piece.startswith("</")
        elif tag in ("i", "em"):
            italic = not piece.startswith("</")
        elif not tag and piece:
            text = safe(html.unescape(piece))
            looks = {"font_weight": "600" if bold else None, "font_style": "italic" if italic else None}
            line += element("tspan", text, **looks) if bold or italic else text
    yield line


def plain_words(markup: object) -> str:
    """Plotly's little markup as bare text, its lines joined by spaces."""
    parts = [re.sub(r"<br.*", " ", piece) if _TAG.fullmatch(piece) else piece for piece in _TAG.split(str(markup))]
    return html.unescape("".join("" if _TAG.fullmatch(part) else part for part in parts))


def text_width(markup: object, size: float) -> float:
    """About how wide words stand, in pixels; a system font is not known exactly."""
    return size * sum(_wide(letter) for letter in plain_words(markup))


def _wide(letter: str) -> float:
    if letter in "ijl.,:;'|!I":
        return 0.27
    if letter in "frt()[]- /":
        return 0.36
    if letter in "mwMW@%":
        return 0.86
    return 1.0 if ord(letter) > 0x2E80 else 0.67 if letter.isupper() else 0.56


def alike(parts: Iterable[tuple[str, Looks]]) -> str:
    """Elements with the looks of each; those that look the same stand in one group, which says so once."""
    groups: dict[tuple[tuple[str, Any], ...], str] = {}
    for part, looks in parts:
        if part:
            groups[tuple(looks.items())] = groups.get(tuple(looks.items()), "") + part
    return "".join(element("g", body, **dict(looks)) for looks, body in groups.items())


def style() -> str:
    """The rules for dark pages. Where a page drops them, the drawing stays as on a light page, ground included.

    The system's preference says nothing of the page: exported notebooks are light on dark systems, too.
    """
    light, dark = (
        "".join(f"--{css}:{page_colour(colour, mode)};" for css, colour in _ROLES.values())
        for mode in ("light", "dark")
    )
    rules = "".join(f".ul-vector .{css}{{fill:var(--{css})}}" for css, _ in _ROLES.values())
    page = page_rules(".ul-vector", light, dark, system=False)
    return element("style", f"{page}{rules}@media print{{.ul-vector{{{light}}}}}")
