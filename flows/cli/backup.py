"""`backup` and `restore`: the results database as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def backup(file: Annotated[Path, typer.Argument(help="File to write; must not exist.")]) -> None:
    """Write the results database into one file, as it is at this moment; experiments may go on meanwhile.

    Checkpoints, pools and reports are files: copy the artifact store besides.
    """
    from db.backup import backup as write
    from flows.workspace import database_of
    from infra.settings import load_settings

    with database_of(load_settings()) as url:
        manifest = write(url, file)
    print(f"{file}: {manifest.rows:,} rows in {len(manifest.tables)} tables, {file.stat().st_size:,} bytes")


def restore(
    file: Annotated[Path, typer.Argument(help="File made by `beyond-iid backup`.")],
    replace: Annotated[
        str | None,
        typer.Option(metavar="DATABASE", help="Replace what the database holds; its name, to be sure of it."),
    ] = None,
) -> None:
    """Load a backup into an empty results database, all or nothing; one of an older version is brought up to date."""
    from db.backup import restore as load
    from flows.workspace import database_of
    from infra.settings import load_settings

    with database_of(load_settings()) as url:
        manifest = load(url, file, replace)
    print(f"{file}: {manifest.rows:,} rows in {len(manifest.tables)} tables restored, as of {manifest.created}")
