"""Ink: the words of a live plotly figure in the text colour of the page that shows it.

No grey has a contrast of 4.5 with white and with a dark page alike: on white and #15171c the best has the root of
1.05 / 0.0585, 4.24. So the words ask the page. plotly.js keeps the `style` of a `<span>` in any text; JupyterLab and VS
Code say their text colours in CSS variables; on a page that says none, the words are the figures' grey.
"""

from __future__ import annotations

from typing import Any

from unitlens.display.figures import GREY

#: The page's text colours, for titles and for all other words.
INK = f"var(--jp-content-font-color1,var(--vscode-foreground,{GREY}))"
MUTED = f"var(--jp-content-font-color2,var(--vscode-foreground,{GREY}))"
#: More names on an axis than this stay grey: the colour takes ten times the room of a name.
MOST_NAMES = 80


def inked(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure as plotly's JSON, its grey words in the page's ink; words that have a colour of their own keep it."""
    layout = dict(figure.get("layout") or {})
    template = (layout.get("template") or {}).get("layout") or {}
    colour = (layout.get("font") or {}).get("color") or (template.get("font") or {}).get("color")
    if colour != GREY:
        return figure
    if layout.get("title"):
        layout["title"] = _titled(layout["title"], INK)
    for name in {"xaxis", "yaxis", *(key for key in layout if key[1:5] == "axis")}:
        layout[name] = _axis(layout.get(name) or {})
    layout["annotations"] = [_worded(note, "text", note.get("font")) for note in layout.get("annotations") or ()]
    font = (layout.get("legend") or {}).get("font")
    data = []
    for trace in figure.get("data") or ():
        trace = _worded(trace, "name", font)
        data.append(_worded(trace, "text", trace.get("textfont")) if trace.get("type") == "scatter" else trace)
    return {**figure, "data": data, "layout": layout}


def span(words: Any, colour: str = MUTED) -> Any:
    """Words in a colour of the page; a list of words one by one."""
    if isinstance(words, (list, tuple)):
        return [span(word, colour) for word in words]
    return f'<span style="color:{colour}">{words}</span>' if isinstance(words, str) and words else words


def _grey(font: Any) -> bool:
    return (font or {}).get("color") in (None, GREY)


def _worded(part: dict[str, Any], name: str, font: Any) -> dict[str, Any]:
    return {**part, name: span(part[name])} if part.get(name) and _grey(font) else part


def _titled(title: Any, colour: str) -> Any:
    if isinstance(title, str):
        return span(title, colour)
    return {**title, "text": span(title.get("text"), colour)} if _grey(title.get("font")) else title


def _axis(axis: dict[str, Any]) -> dict[str, Any]:
    """Numbers at the ticks stand between a prefix and a suffix, since plotly writes them anew at every zoom."""
    made = {**axis, "title": _titled(axis["title"], MUTED)} if axis.get("title") else dict(axis)
    if _grey(axis.get("tickfont")) and axis.get("ticktext") is not None:
        if len(axis["ticktext"]) <= MOST_NAMES:
            made["ticktext"] = span(axis["ticktext"])  # plotly puts no prefix before these
    elif _grey(axis.get("tickfont")):
        made["tickprefix"] = f'<span style="color:{MUTED}">{axis.get("tickprefix") or ""}'
        made["ticksuffix"] = f"{axis.get('ticksuffix') or ''}</span>"
    return made
