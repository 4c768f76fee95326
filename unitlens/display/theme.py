"""Theme: the one palette and the one stylesheet of every display, for light and dark pages, print and high contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True)
class Shade:
    """The colours of a category on a page: bars (`fill`), text (`ink`), text on bars (`on`), chip (`tint`)."""

    fill: str
    ink: str
    on: str
    tint: str


#: Fill and text colour on light pages, then on dark pages. The fills are the Okabe-Ito colours, told apart by
#: readers with every common colour-vision deficiency (a test simulates them).
_COLOURS = {
    "object": ("#0072b2", "#005a8f", "#3f9fdc", "#86c8f2"),
    "part": ("#009e73", "#006a4d", "#2fbf95", "#74dcbb"),
    "material": ("#e69f00", "#7a5000", "#f2bd4a", "#f5cb72"),
    "texture": ("#d55e00", "#9a4100", "#e8702c", "#ffab7d"),
    "colour": ("#cc79a7", "#8f3a68", "#e08fbd", "#f2b5d6"),
    "other": ("#6b7280", "#4b5563", "#9aa3b0", "#c3cad4"),
}
_PAGE = {
    "light": {
        "ink": "#16181d", "muted": "#5a6170", "surface": "#ffffff", "raised": "#f5f6f8", "line": "#dfe2e8",
        "track": "#e8eaef", "accent": "#0067a3", "mark": "#16181d",
    },
    "dark": {
        "ink": "#eceef2", "muted": "#a3abb9", "surface": "#15171c", "raised": "#1e2128", "line": "#333843",
        "track": "#2b2f38", "accent": "#6fbdf0", "mark": "#eceef2",
    },
}  # fmt: skip
#: The type scale: every text of a page has one of these sizes. "l" is running text.
_SIZES = {"xs": 11, "s": 12, "m": 13, "l": 14, "xl": 15, "2xl": 17, "3xl": 22, "4xl": 32}
#: What readers who ask for more contrast get instead.
_STRONG = {
    "muted": "var(--ul-ink)", "line": "var(--ul-ink)", "accent": "var(--ul-ink)", "focus": "3px solid var(--ul-ink)",
    **{f"{category}-ink": "var(--ul-ink)" for category in _COLOURS},
}  # fmt: skip
#: Selectors by which notebooks and sites say which page colour they show.
_HOSTS = {
    "light": (
        '[data-jp-theme-light="true"]', '[data-theme="light"]', ".light", ".vscode-light",
        ".vscode-high-contrast-light", 'html[theme="light"]',
    ),
    "dark": (
        '[data-jp-theme-light="false"]', '[data-theme="dark"]', ".dark", ".vscode-dark",
        ".vscode-high-contrast:not(.vscode-high-contrast-light)",  # VS Code's light one has both classes
        'html[theme="dark"]',
    ),
}


def category_key(category: str) -> str:
    """The palette's name for a category: itself, "colour" for "color", "other" for one the palette does not know.

    >>> category_key("color"), category_key("<script>")
    ('colour', 'other')
    """
    category = "colour" if category == "color" else category
    return category if category in _COLOURS else "other"


def shade(category: str, mode: str = "light") -> Shade:
    """The colours of a category on "light" or "dark" pages.

    >>> shade("object").fill
    '#0072b2'
    """
    light_fill, light_ink, dark_fill, dark_ink = _COLOURS[category_key(category)]
    fill, ink = (light_fill, light_ink) if mode == "light" else (dark_fill, dark_ink)
    on = max(("#ffffff", "#101216"), key=lambda text: contrast(text, fill))
    return Shade(fill, ink, on, mix(fill, _PAGE[mode]["surface"], 0.14))


def page_colour(name: str, mode: str = "light") -> str:
    """A colour of the page itself: "ink", "muted", "surface", "raised", "line", "track", "accent" or "mark"."""
    return _PAGE[mode][name]


def mix(first: str, second: str, share: float) -> str:
    """`share` of the first colour over the second, as "#rrggbb".

    >>> mix("#ffffff", "#000000", 0.5)
    '#808080'
    """
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(share * a + (1 - share) * b + 1e-9):02x}" for a, b in pairs)


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two "#rrggbb" colours, 1..21, as WCAG 2.1 defines it; text needs 4.5.

    >>> round(contrast("#ffffff", "#000000"))
    21
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _variables(mode: str) -> str:
    values = dict(_PAGE[mode])
    for category in _COLOURS:
        colours = shade(category, mode)
        values |= {category: colours.fill, f"{category}-ink": colours.ink, f"{category}-on": colours.on}
        values[f"{category}-tint"] = colours.tint
    return f"color-scheme:{mode};{_declared(values)}"


def _classes() -> str:
    """`.ul-object` and its like set four variables that every chip, bar and drawing inside reads."""
    return "".join(
        ".unitlens "
        f".ul-{c}{{--fill:var(--ul-{c});--cat-ink:var(--ul-{c}-ink);--on:var(--ul-{c}-on);--tint:var(--ul-{c}-tint)}}"
        for c in _COLOURS
    )


def page_rules(selector: str, light: str, dark: str, system: bool = True) -> str:
    """CSS that gives a selector the declarations of the page's colour.

    A page that names its colour (JupyterLab, VS Code, Colab, `data-theme`) wins over the system's preference, which
    counts only where `system` says so.
    """
    hosts = {mode: ",".join(f"{host} {selector}" for host in names) for mode, names in _HOSTS.items()}
    preferred = f"@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}" if system else ""
    return (
        f"{selector}{{{light}}}{preferred}\n{hosts['dark']}{{{dark}}}{hosts['light']}{{{light}}}"
    )


def _declared(values: Mapping[str, str]) -> str:
    return "".join(f"--ul-{name}:{value};" for name, value in values.items())


@cache
def stylesheet() -> str:
    """The CSS that every output carries once; all of it is scoped under the class `unitlens`.

    `.unitlens.unitlens` wins over what JupyterLab and its like say about every table.
    """
    light, dark = _variables("light"), _variables("dark")
    shared = _declared({**{f"text-{k}": f"{v}px" for k, v in _SIZES.items()}, "focus": "2px solid var(--ul-accent)"})
    parts = [
        f".unitlens{{{shared}}}",
        page_rules(".unitlens", light, dark),
        _classes(),
        (STATIC / "theme.css").read_text(encoding="utf-8"),
        f"@media (prefers-contrast:more){{.unitlens.unitlens.unitlens{{{_declared(_STRONG)}}}}}",
        "@media print{"
        f".unitlens.unitlens.unitlens{{{light}print-color-adjust:exact;-webkit-print-color-adjust:exact}}}}",
    ]
    return "\n".join(parts)
