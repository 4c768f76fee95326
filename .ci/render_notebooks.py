"""Runs the notebooks and keeps what they show: `python .ci/render_notebooks.py [names]` (needs the extra `test`).

Outputs are static: no widget state, no live views, no timestamps, so that GitHub and nbviewer show them. Each code cell
keeps the digest of the source it was run from: tests/lab/test_notebooks.py finds a source that was changed since, and
compares what a fresh run says with what is kept, by `differences`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
DIGEST = "source_digest"
LARGEST = 1_500_000  # bytes of a notebook; GitHub gives up on larger ones
_TIME = re.compile(r"(?<![\w.])\d[\d.,:]*\s?(?:µs|us|ms|s|sec|seconds?|min|minutes?|h|hours?)\b")
_BARE = re.compile(r"<[\w.]+ object(?: at 0x[0-9a-f]+)?>")  # says nothing but the class
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")


def digest(source: str) -> str:
    """What a source is known by, in the metadata of its cell."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def stale(notebook: Any) -> list[int]:
    """The numbers of the code cells whose outputs come from another source than theirs."""
    cells = [(number, cell) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    return [number for number, cell in cells if cell.metadata.get(DIGEST) != digest(cell.source)]


def tidy(notebook: Any) -> None:
    """Takes out of an executed notebook what is not static, and notes each code cell's source."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.metadata[DIGEST] = digest(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                data.pop(WIDGET, None)
            if "image/jpeg" in data:  # a PIL image shows itself as both: six times the bytes for the same picture
                data.pop("image/png", None)


def render(path: Path) -> None:
    """Executes one notebook from a clean kernel and writes it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}}).execute()
    tidy(notebook)
    nbformat.write(notebook, path)
    size = path.stat().st_size
    print(f"{path.name}: {size / 1e6:.2f} MB", flush=True)
    if size > LARGEST:
        raise SystemExit(f"{path.name} is larger than {LARGEST / 1e6:g} MB: show fewer or smaller pictures")


def said(cell: Mapping[str, Any]) -> list[str]:
    """What the outputs of a cell say in words: printed text, Markdown, or the text twin, in their order."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        text = data.get("text/markdown") or data.get("text/plain") or output.get("text") or ""
        text = text if isinstance(text, str) else "".join(text)
        if text and not _BARE.fullmatch(text.strip()):
            texts.append(text)
    return texts


def differences(kept: Sequence[Mapping[str, Any]], fresh: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where two runs of the same cells say something else, in words; empty where they agree.

    Times are not compared. Numbers may differ by one in their last digit or by a hundredth, as between machines.
    """
    found = [] if len(kept) == len(fresh) else [f"{len(kept)} cells are kept, {len(fresh)} were run"]
    for number, (old, new) in enumerate(zip(kept, fresh)):
        before, after = ([list(_tokens(text)) for text in said(cell)] for cell in (old, new))
        if [len(text) for text in before] != [len(text) for text in after]:
            found.append(f"cell {number} says {said(new)}, kept is {said(old)}")
            continue
        pairs = [pair for texts in zip(before, after) for pair in zip(*texts) if not _alike(*pair)]
        found += [f"cell {number} says {b!r}, kept is {a!r}" for a, b in pairs[:3]]
    return found


def _tokens(text: str) -> Iterator[str]:
    """The words and numbers of a text without its times; how it is laid out does not count."""
    text = re.sub(r"0x[0-9a-f]+", "", _TIME.sub(" ", text))
    for word in text.split():
        yield from (part for part in re.split(rf"({_NUMBER.pattern})", word) if part and part.strip("-|"))


def _alike(first: str, second: str) -> bool:
    if first == second or not (_NUMBER.fullmatch(first) and _NUMBER.fullmatch(second)):
        return first == second
    a, b = (float(word.replace(",", "").replace("−", "-")) for word in (first, second))
    digits = len(first.partition(".")[2].partition("e")[0])
    return abs(a - b) <= max(1.001 * 10.0**-digits, 0.01 * abs(a))


def chosen(names: Sequence[str]) -> list[Path]:
    """The notebooks of these names, with or without `.ipynb`; all without names."""
    found = {path.stem: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    wanted = [Path(name).stem for name in names] or list(found)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise SystemExit(f"no notebook {', '.join(unknown)}; there are {', '.join(found)}")
    return [found[name] for name in wanted]


def main() -> None:
    """Renders into a fresh store, so that what is kept does not depend on what was computed here before."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["UNITLENS_HOME"] = home
        for path in chosen(sys.argv[1:]):
            render(path)


if __name__ == "__main__":
    main()
