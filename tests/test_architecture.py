"""The house of the package: who imports whom, what an import costs, what is public, how long a file may be."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

import unitlens

PACKAGE = Path(unitlens.__file__).resolve().parent
ROOT = PACKAGE.parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "notebooks" not in path.relative_to(PACKAGE).parts)
NAMES = [path.relative_to(PACKAGE).as_posix() for path in FILES]

RANK_0 = {"errors", "rich", "progress", "store", "arrays", "claims", "entries", "listing"}
CAUSES = {"intervene", "attack", "invert"}
HOUSE = [RANK_0, {"data"}, {"models"}, {"segment", "stats"}, {"dissection"}, CAUSES, {"synthesis"}, {"display"}]


def _ranks(highest: int) -> set[str]:
    return set().union(*HOUSE[: highest + 1])


#: layer -> layers it may import; its own is always allowed. "facade" is `unitlens` itself.
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(RANK_0, RANK_0),
    "data": RANK_0,
    "models": _ranks(1),
    "segment": _ranks(2),
    "stats": RANK_0,
    "dissection": _ranks(3),
    "intervene": _ranks(4),
    "attack": _ranks(4),
    "invert": _ranks(4),
    "synthesis": _ranks(5),
    "display": RANK_0 | {"data", "result"},
    "widgets": _ranks(7),
    "lab": RANK_0,
    "cli": RANK_0 | {"facade", "lab", "store_cli", "dissect_cli"},
    "store_cli": RANK_0,
    "dissect_cli": RANK_0 | {"facade", "dissect_inputs"},
    "dissect_inputs": RANK_0 | {"facade", "models"},
    "__main__": {"cli"},
    "train": _ranks(6) | {"facade"},  # it makes what the facade ships, so it needs what is below the facade
}
#: Modules of results: plain data that the displays may know.
RESULTS = {
    "unitlens.dissection.result", "unitlens.dissection.looked", "unitlens.intervene.effect",
    "unitlens.intervene.importance", "unitlens.intervene.curve", "unitlens.intervene.roles",
    "unitlens.intervene.detector", "unitlens.attack.result", "unitlens.synthesis.content",
    "unitlens.synthesis.removal", "unitlens.synthesis.insertion", "unitlens.synthesis.ranked",
    "unitlens.synthesis.artefact",
    "unitlens.synthesis.ratios",
}  # fmt: skip
TENSORS = {"numpy", "safetensors", "torch"}
THIRD_PARTY: dict[str, set[str]] = {
    **{name: {"numpy", "safetensors"} for name in RANK_0},
    "stats": TENSORS,
    **{name: TENSORS | {"PIL"} for name in ("data", "models", "segment", "dissection", "synthesis", *CAUSES)},
    "display": {"numpy", "PIL", "plotly", "pandas"},
    "widgets": {"numpy", "PIL", "anywidget", "ipywidgets", "traitlets"},
    "lab": set(),
    **{name: {"typer"} for name in ("cli", "store_cli", "dissect_cli")},
    "dissect_inputs": set(),
    "__main__": set(),
    "train": TENSORS | {"PIL"},
}


def layer_of(module: str) -> str:
    """unitlens.data.world.land -> data; unitlens -> facade; a result class's module -> result."""
    if module in RESULTS:
        return "result"
    return module.split(".")[1] if "." in module else "facade"


def imported(tree: ast.Module, module: str, is_package: bool) -> list[tuple[str, int, bool]]:
    """(module, line, runs at import time) of each import; `from a import b` counts as a.b where that is a module."""
    found: list[tuple[str, int, bool]] = []

    def visit(node: ast.AST, at_import: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: None if is_package and node.level == 1 else -(node.level - is_package)]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.append((whole if is_module(whole) else base, node.lineno, at_import))
        lazy = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        lazy = lazy or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            visit(child, at_import and not lazy)

    visit(tree, True)
    return found


def is_module(name: str) -> bool:
    if not name.startswith("unitlens."):
        return False
    place = PACKAGE.joinpath(*name.split(".")[1:])
    return place.with_suffix(".py").is_file() or place.is_dir()


def imports_of(name: str) -> tuple[str, list[tuple[str, int, bool]]]:
    path = PACKAGE / name
    parts = ["unitlens", *path.relative_to(PACKAGE).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    return module, imported(ast.parse(path.read_text()), module, is_package)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__init__.py"])
def test_imports_go_in_one_direction(name: str) -> None:
    module, imports = imports_of(name)
    own = layer_of(module)
    own = module.split(".")[1] if own == "result" else own
    assert own in ALLOWED, f"{name}: a layer that design.md does not know; add it there and here"
    for target, line, _ in imports:
        if target.split(".")[0] == "unitlens" and layer_of(target) != own:
            kind = layer_of(target)
            allowed = ALLOWED[own] | ({"result"} if "dissection" in ALLOWED[own] | {own} else set())
            assert kind in allowed, f"{name}:{line} imports {target}; {own} may import {sorted(allowed)}"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__init__.py"])
def test_third_party_packages_at_import_time_are_those_of_the_layer(name: str) -> None:
    module, imports = imports_of(name)
    own = module.split(".")[1] if layer_of(module) == "result" else layer_of(module)
    outside = {target.split(".")[0] for target, _, at_import in imports if at_import}
    outside -= set(sys.stdlib_module_names) | {"unitlens", "typing_extensions"}
    assert outside <= THIRD_PARTY[own], f"{name} imports {sorted(outside - THIRD_PARTY[own])} when it is imported"


def test_the_import_reader_sees_functions_relatives_and_type_checking() -> None:
    source = (
        "import numpy\nfrom . import errors\nfrom ..data import probe\n"
        "def f():\n    import pandas\nif TYPE_CHECKING:\n    import plotly\n"
    )
    imports = imported(ast.parse(source), "unitlens.dissection.engine", False)
    assert {(name, at_import) for name, _, at_import in imports} == {
        ("numpy", True), ("unitlens.dissection", True), ("unitlens.data.probe", True), ("pandas", False),
        ("plotly", False),
    }  # fmt: skip


QUIET = """
import sys, random, torch, numpy
before = random.getstate(), torch.get_rng_state(), numpy.random.get_state()[1].tolist()
import unitlens
loud = {"pandas", "plotly", "ipywidgets", "anywidget", "IPython", "torchvision", "typer"} & set(sys.modules)
assert not loud, f"import unitlens loads {sorted(loud)}"
assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1]), "a global generator moved"
assert numpy.random.get_state()[1].tolist() == before[2], "the global generator of numpy moved"
"""


def test_import_is_quiet() -> None:
    command = [sys.executable, "-W", "error", "-c", QUIET]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_all_is_sorted_complete_and_can_be_had() -> None:
    public = list(unitlens.__all__)
    assert public == sorted(public)
    assert len(public) == len(set(public))
    for name in public:
        assert getattr(unitlens, name) is not None
    modules = {name for name, value in vars(unitlens).items() if isinstance(value, types.ModuleType)}
    extra = {name for name in vars(unitlens) if not name.startswith("_")} - modules - set(public)
    extra -= {"annotations", "Any", "TYPE_CHECKING", "view_modules"}
    assert not extra, f"in the facade, not in __all__: {sorted(extra)}"
    assert set(public) <= set(dir(unitlens))


ORDER = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import unitlens
print([name for name in unitlens.__all__ if not callable(getattr(unitlens, name))])
"""


def test_no_module_is_called_like_a_public_name() -> None:
    """Importing `unitlens.a.b` binds `unitlens.a`: a package `dissect` would shadow the verb, so it is `dissection`."""
    modules = {name.split("/")[0].removesuffix(".py") for name in NAMES}
    assert not modules & set(unitlens.__all__)


def test_public_names_do_not_depend_on_what_was_imported_before() -> None:
    modules = [imports_of(name)[0] for name in NAMES if not name.startswith(("train/", "cli"))]
    command = [sys.executable, "-c", ORDER, *modules]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (run.stdout, run.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", sorted(unitlens.__all__))
def test_public_name_has_a_docstring(name: str) -> None:
    value = getattr(unitlens, name)
    assert callable(value), f"{name} is {type(value).__name__}: public names are verbs and classes"
    text = value.__doc__ or ""  # not inspect.getdoc, which would give the base class's
    assert text.strip(), f"{name} has no docstring of its own"
    assert not text.startswith(f"{name}("), f"{name} only has the signature that dataclass wrote"


@pytest.mark.parametrize("name", NAMES)
def test_module_is_short_documented_and_never_asserts(name: str) -> None:
    path = PACKAGE / name
    text = path.read_text()
    lines = text.splitlines()
    assert len(lines) <= 350, f"{name} has {len(lines)} lines"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name} does not say what it is"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"{name}:{node.lineno} asserts; raise an error of unitlens.errors"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            assert length <= 40, f"{name}:{node.lineno} {node.name} has {length} lines without its docstring"


@pytest.mark.parametrize("name", NAMES)
def test_no_handler_hides_every_error(name: str) -> None:
    for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
        if isinstance(node, ast.ExceptHandler):
            kinds = ast.walk(node.type) if node.type else [ast.Name("everything")]
            caught = {ast.unparse(kind) for kind in kinds if isinstance(kind, ast.expr)}
            raises_again = any(isinstance(n, ast.Raise) for n in ast.walk(node))
            broad = caught & {"everything", "Exception", "BaseException"}
            assert not broad or raises_again, f"{name}:{node.lineno} catches {sorted(broad)} and goes on"


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None or len(node.body) == 1:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


def test_every_module_can_be_imported_alone() -> None:
    for name in NAMES:
        if name.startswith("train/") or name.endswith("__main__.py"):
            continue
        module, _ = imports_of(name)
        importlib.import_module(module)
