"""The command line of the store: `unitlens store ls`, `rm` and `size`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

Kind = Annotated[str | None, typer.Option(help="Results of this kind only, as `ls` shows it.")]


def ls(kind: Kind = None) -> None:
    """List what is stored: kind, key, size, when it was last used, and what it is."""
    from unitlens.store import default_store

    typer.echo(default_store().ls(kind).text())


def rm(
    key: Annotated[str | None, typer.Argument(help="The first digits of a key, as `ls` shows it.")] = None,
    kind: Kind = None,
    unused_days: Annotated[float | None, typer.Option(min=0, help="Not used for so many days.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All results; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove stored results to which all that is given applies. They are computed again when they are needed."""
    from unitlens.listing import in_words
    from unitlens.store import default_store

    store = default_store()
    if everything and not yes:
        typer.confirm(f"Remove all results in {store.root}?", abort=True)
    files, freed = store.rm(kind=kind, key=key, unused_days=unused_days, everything=everything)
    typer.echo(f"{files:,} {'file' if files == 1 else 'files'} removed, {in_words(freed)} freed.")


def size() -> None:
    """Say how much is stored, by kind, and what the limit is."""
    from unitlens.listing import in_words
    from unitlens.store import default_store

    store = default_store()
    sums = store.size()
    for kind, (files, held) in sums.items():
        typer.echo(f"{kind}: {files:,} {'file' if files == 1 else 'files'}, {in_words(held)}")
    total = in_words(sum(held for _, held in sums.values()))
    typer.echo(f"{total} in {store.root}; limit (UNITLENS_STORE_GB): {in_words(store.limit)}")


def commands(worded: Callable[[Any], Any]) -> typer.Typer:
    """The sub-commands, to be mounted as `store`; worded: what turns errors of unitlens into one red line."""
    app = typer.Typer(name="store", help="The results kept on this disk: list, remove, sum up.", no_args_is_help=True)
    for command in (ls, rm, size):
        app.command()(worded(command))
    return app
