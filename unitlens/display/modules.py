"""Modules: our JavaScript files as one, since a notebook takes a widget's code as a single module without imports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from unitlens.display.theme import STATIC, stylesheet

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) +(?:\[([^\]]+)\]|(\w+))", re.MULTILINE)


@cache
def module(name: str) -> str:
    """A file of display/static with all that it imports, as one ES module that imports nothing.

    Every file is in it once, those that are imported first; only the file itself exports.
    Raises ValueError where two files declare the same name, which one module cannot hold.
    """
    return joined(name, {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")})


def joined(name: str, sources: Mapping[str, str]) -> str:
    """`module`, of the given sources.

    >>> joined("b.js", {"a.js": "export const one = 1;", "b.js": 'import { one } from "./a.js";\\nexport default one;'})
    'const one = 1;\\nexport default one;'
    """
    order: list[str] = []

    def visit(file: str) -> None:
        if file in order:
            return
        for imported in _IMPORT.findall(sources[file]):
            visit(imported)
        order.append(file)

    visit(name)
    owner: dict[str, str] = {}
    parts = []
    for file in order:
        text = _IMPORT.sub("", sources[file])
        for several, single in _DECLARED.findall(text):
            for declared in (several or single).split(","):
                if owner.setdefault(declared.strip(), file) != file:
                    raise ValueError(f"{declared.strip()} is declared in {owner[declared.strip()]} and in {file}")
        parts.append(text if file == name else re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return "\n".join(parts)


@cache
def browser_stylesheet() -> str:
    """The stylesheet of every display and what the browser adds to it."""
    return f"{stylesheet()}\n{(STATIC / 'browser.css').read_text(encoding='utf-8')}"
