"""The command line: `unitlens lab` opens the notebooks, `unitlens demo` does the main job without a browser."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from unitlens.dissect_cli import mounted
from unitlens.errors import OptionError, UnitLensError
from unitlens.store_cli import commands

app = typer.Typer(
    name="unitlens",
    help="Network dissection for PyTorch: which concepts the units of a network match.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PAGE = Path("unitlens-demo.html")
Command = TypeVar("Command", bound=Callable[..., Any])


def worded(command: Command) -> Command:
    """Errors that unitlens raises on purpose become one red line and exit code 1; Ctrl-C one line and 130."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except UnitLensError as error:
            typer.secho(f"unitlens: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error
        except OSError as error:  # a disk that is full, a file that cannot be written
            typer.secho(f"unitlens: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as stop:
            typer.echo("\nunitlens: stopped by Ctrl-C; what was finished is in the store.", err=True)
            raise typer.Exit(130) from stop

    return run  # type: ignore[return-value]


def _show_version(asked: bool) -> None:
    if asked:
        from unitlens import __version__

        typer.echo(f"unitlens {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Network dissection for PyTorch: which concepts the units of a network match."""


@app.command()
@worded
def lab(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="A free one from 8888 up by default.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser tab.")] = True,
) -> None:
    """Open JupyterLab on the notebooks (a wheel's are copied to ./unitlens-notebooks first)."""
    from unitlens.lab import notebooks_folder, serve

    folder, lines = notebooks_folder()
    for line in lines:
        typer.echo(line)
    serve(folder, port=port, browser=browser)


@app.command()
@worded
def demo(
    output: Annotated[Path, typer.Option(help="The page to write.", dir_okay=False, writable=True)] = PAGE,
    images: Annotated[int, typer.Option(min=1, help="Images of the probe set.")] = 1000,
    layers: Annotated[str, typer.Option(help="Layer names, comma-separated; the last block by default.")] = "",
    store: Annotated[bool, typer.Option(help="Open the result if it was computed before, and keep it.")] = True,
) -> None:
    """Dissect the shipped scene classifier, print its concepts and write one self-contained page."""
    started = time.perf_counter()
    try:  # said now, not after the work is done
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--output: the folder {output.absolute().parent} cannot be made ({error})") from error
    import unitlens as ul

    model = ul.load_model("scenenet")
    probe = ul.load_probe("scenes", count=images)
    names = [name.strip() for name in layers.split(",") if name.strip()] or _last_block(ul.layers(model))
    dissection = ul.dissect(model, names, probe, store=store)
    typer.echo(dissection.text())
    for name in names:
        typer.echo("")
        typer.echo(dissection.table(name, detectors_only=True, rows=20).text())
    page = ul.report(dissection, output)
    typer.echo(f"\n{page.resolve()}: open it in a browser. {time.perf_counter() - started:.1f} s in all.")


mounted(app, worded)  # unitlens dissect
app.add_typer(commands(worded))


def _last_block(names: list[str]) -> list[str]:
    """The convolutions of the last block: conv5_1, conv5_2, ... of a net whose layers are named in the field's way."""
    convolutions = [name for name in names if name.startswith("conv")]
    block = max((name.partition("_")[0] for name in convolutions), default="")
    return [name for name in convolutions if name.partition("_")[0] == block]
