"""`gc`: remove what nothing refers to any more, or forget an experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import JsonFlag

if TYPE_CHECKING:
    from flows.housekeeping import Removal, Waste


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    older_than: Annotated[
        float,
        typer.Option(min=0, metavar="DAYS", help="Only what has not changed for this long; never less than an hour."),
    ] = 1.0,
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Forget this experiment instead: its results and its files.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Remove from the artifact store what no experiment refers to any more; nothing that is being worked on.

    With --experiment NAME: remove this experiment from the database, all its configurations and conclusions, and what
    only it used on disk. Runs that another experiment shares stay. Take a backup first: it cannot be undone.
    """
    from flows.workspace import workspace

    with workspace() as opened:
        if experiment is None:
            from flows.housekeeping import find_waste, remove_waste

            found = find_waste(opened, older_than)
            done = None if dry_run else remove_waste(opened, found, older_than)
            further: dict[str, Any] = {}
        else:
            from flows.housekeeping_forget import forget, plan_forgetting

            if dry_run:
                planned, done = plan_forgetting(opened, experiment), None
            else:
                planned, done = forget(opened, experiment)
            found = planned.files
            further = {"experiment": experiment, "rows": planned.rows.rows, "shared_runs": planned.rows.shared}
    if json_output:
        print(json.dumps({"dry_run": dry_run, **further, **_as_json(found, done)}, indent=2))
    else:
        _print(found, done, further)
    if done is not None and done.left:
        raise typer.Exit(1)


def _as_json(found: Sequence[Waste], done: Removal | None) -> dict[str, Any]:
    listed = found if done is None else done.removed
    left = () if done is None else done.left
    return {
        "items": [{"path": str(w.path), "bytes": w.bytes, "days": w.days, "reason": w.reason} for w in listed],
        "bytes": sum(waste.bytes for waste in listed),
        "left": [{"path": str(path), "reason": why} for path, why in left],
    }


def _print(found: Sequence[Waste], done: Removal | None, further: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    listed = found if done is None else done.removed
    if listed:
        table = Table(
            "path", "size", "days", "reason", title="Removed" if done else "To be removed", title_justify="left"
        )
        for waste in listed:
            table.add_row(_literal(waste.path), decimal(waste.bytes), f"{waste.days:.1f}", Text(waste.reason))
        console.print(table)
    if further:
        rows = ", ".join(f"{count} {table}" for table, count in sorted(further["rows"].items()))
        _line(
            console, f"{further['experiment']}, rows: {rows}. Runs shared with others, kept: {further['shared_runs']}."
        )
    for path, why in done.left if done else ():
        _line(console, f"Left: {path}: {why}")
    verb = "would be freed; nothing was removed" if done is None else "freed"
    _line(console, f"{len(listed)} files and folders, {decimal(sum(waste.bytes for waste in listed))} {verb}.")


def _literal(path: Path) -> Any:
    from rich.text import Text

    return Text(str(path), overflow="fold")


def _line(console: Any, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
