"""Rich: results show themselves as HTML through registered views, and as text without any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unitlens import rich
from unitlens.errors import UnitLensError
from unitlens.rich import Html, Rich, renders


class Base(Rich):
    def __repr__(self) -> str:
        return "Base(<5 units> & more)"


class Child(Base):
    pass


@pytest.fixture(autouse=True)
def private_registry(monkeypatch):
    monkeypatch.setattr(rich, "_views", {})
    monkeypatch.setattr(rich, "view_modules", [])


def test_a_registered_view_is_the_html():
    @renders(Base)
    def page(result: Base) -> str:
        return f"<b>{type(result).__name__}</b>"

    assert page(Base()) == "<b>Base</b>", "the decorator gives the function back"
    assert Base()._repr_html_() == "<b>Base</b>"
    assert Child()._repr_html_() == "<b>Child</b>", "a subclass inherits the view"


def test_the_nearest_class_draws():
    renders(Base, "card")(lambda result: "base")
    renders(Child, "card")(lambda result: "child")
    assert (Base().view("card"), Child().view("card")) == ("base", "child")


def test_a_view_gets_the_arguments():
    renders(Base, "table")(lambda result, *rows, **options: (rows, options))
    assert Base().view("table", 3, 5, sort="iou") == ((3, 5), {"sort": "iou"})


def test_views_of_different_names_do_not_meet():
    renders(Base, "table")(lambda result: "table")
    with pytest.raises(UnitLensError, match="Base has no view 'gallery': import unitlens"):
        Base().view("gallery")


def test_without_a_page_the_text_is_shown_and_escaped():
    renders(Base)(lambda result: None)
    assert Base()._repr_html_() == "<pre>Base(&lt;5 units&gt; &amp; more)</pre>"
    assert Base().text() == repr(Base())


def test_a_finished_page_has_a_text_twin():
    page = Html("<p>5 units</p>", "5 units")
    assert page._repr_html_() == "<p>5 units</p>"
    assert page.text() == repr(page) == str(page) == "5 units"


def test_the_displays_are_imported_at_the_first_question_and_not_before(tmp_path):
    module = "from unitlens.rich import Rich, renders\nrenders(Rich)(lambda result: '<i>here</i>')\n"
    (tmp_path / "drawings.py").write_text(module)
    code = (
        "import sys; from unitlens import rich; rich.view_modules[:] = ['drawings']\n"
        "assert repr(rich.Rich()) and 'drawings' not in sys.modules\n"
        "assert rich.Rich()._repr_html_() == '<i>here</i>' and 'drawings' in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(rich.__file__).parents[1])])}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
