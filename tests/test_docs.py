"""The examples run: README's python blocks, and the doctests of the public names."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest

import unitlens

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of README.md in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.S | re.M)


def test_readme_gives_the_two_commands() -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    assert 'python -m pip install -e ".[lab]" && unitlens lab' in lines
    assert 'python -m pip install -e ".[test]" && python -m pytest' in lines


def test_readme_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks("python")
    assert found, "README.md shows no Python"
    scope: dict[str, object] = {"__name__": "readme"}
    for number, block in enumerate(found):
        exec(compile(block, f"README.md, python block {number}", "exec"), scope)


def test_readme_names_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README):
        place = "".join(target)
        if not place.startswith("http"):
            assert (ROOT / place).exists(), f"README.md points to {place}"


@pytest.mark.parametrize("name", sorted(unitlens.__all__))
def test_public_docstring_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    output: list[str] = []
    for example in doctest.DocTestFinder(recurse=True).find(getattr(unitlens, name), name):
        example.globs.setdefault("ul", unitlens)
        runner.run(example, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


@pytest.mark.parametrize("name", sorted(unitlens.__all__))
def test_public_verb_has_an_example(name: str) -> None:
    value = getattr(unitlens, name)
    if inspect.isfunction(value):
        assert doctest.DocTestParser().get_examples(value.__doc__ or ""), f"the docstring of {name} shows no example"
