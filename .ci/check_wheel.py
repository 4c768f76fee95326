"""Run outside the checkout by .ci/run: the installed wheel holds everything, and works."""

import sys
from pathlib import Path

import torch

import unitlens as ul
from unitlens.lab import notebooks_folder

site = Path(sys.argv[1]).resolve()
package = Path(ul.__file__).resolve().parent
if package != site / "unitlens":
    sys.exit(f"unitlens comes from {package}, not from the wheel in {site}")
notebooks = sorted(path.name for path in (package / "notebooks").glob("*.ipynb"))
if not notebooks or not (package / "py.typed").exists():
    sys.exit(f"the wheel lacks notebooks or py.typed: {notebooks}")
model = ul.load_model("scenenet")
scores = model(torch.zeros(2, 3, 128, 128))
found = ul.dissect(model, "conv5_3", ul.load_probe("scenes", count=12), store=False, show_progress=False)
folder = Path("unitlens-notebooks")
place, lines = notebooks_folder()
if place != folder or len(lines) < len(notebooks):
    sys.exit(f"the wheel's notebooks were not copied: {place}, {lines}")
print(f"wheel: {ul.__version__}, {len(notebooks)} notebooks, scores {tuple(scores.shape)}, {found.layer().units} units")
