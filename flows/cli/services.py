"""`up`, `down`, `status`: the local services."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import JsonFlag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from infra.services import ServiceState

_GOOD = frozenset({"healthy", "external"})


def up(
    prefect_port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="Port of the Prefect server and UI; default 4200 or next.")
    ] = None,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="Port of the Ray dashboard; default 8265 or next.")
    ] = None,
    ray_port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="Port of the Ray cluster; default 6379 or next.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Start Postgres, the Prefect server and worker, and Ray, on this machine only; what runs already is left alone.

    They stay up until `down`; what crashes is started again. Chosen ports are kept from one `up` to the next. What
    BEYOND_IID_DATABASE_URL, PREFECT_API_URL or BEYOND_IID_RAY_ADDRESS names is used instead of started.
    """
    from infra import services
    from infra.settings import load_settings

    given = {"prefect": prefect_port, "dashboard": dashboard_port, "ray": ray_port}
    fixed = {name: port for name, port in given.items() if port is not None}
    _show(services.up(load_settings().home_folder, fixed), json_output)


def down() -> None:
    """Stop what `up` started, and nothing else; experiments that are going on are cancelled and named."""
    from infra import services
    from infra.settings import load_settings

    home = load_settings().home_folder
    done = services.down(home)
    if not done.was_running:
        print(f"No services are up in {home}.")
        return
    if done.flow_runs:
        print("Cancelled, as they were going on (start them again to go on; nothing finished is lost):")
        for name in done.flow_runs:
            print(f"  {name}")
    if done.leftovers:
        print(f"Their supervisor had been killed; {done.leftovers} processes it left were ended.")
    print("Stopped.")


def status(
    experiment: Annotated[
        str | None, typer.Argument(help="Follow this experiment in the terminal instead of listing the services.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Show each service with its address and health, or one experiment live. Exit code 1 if a service is not well."""
    if experiment is not None:
        from flows.cli.watch import watch
        from tasks.errors import InputError

        if json_output:
            raise InputError(
                f"status {experiment} is for the terminal; beyond-iid show {experiment} --json prints JSON."
            )
        watch(experiment)
        return
    from infra.services import services
    from infra.settings import load_settings

    home = load_settings().home_folder
    found = services(home)
    if not found and not json_output:
        print(f"No services are up in {home}. Start them: beyond-iid up")
        return
    _show(found, json_output)


def _show(found: Sequence[ServiceState], json_output: bool) -> None:
    if json_output:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    else:
        _print_table(found)
    if any(one.state not in _GOOD for one in found):
        raise typer.Exit(1)


def _print_table(found: Sequence[ServiceState]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not sys.stdout.isatty():
        console = Console(highlight=False, width=200)
    table = Table("service", "state", "process", "since", "restarts", "last exit")
    table.add_column("address", overflow="fold")
    for one in found:
        color = "green" if one.state in _GOOD else "red"
        ended = f"{one.last_exit}, {_at(one.last_exit_at)}" if one.last_exit else ""
        cells = (str(one.pid or ""), _at(one.since), str(one.restarts or ""), ended, one.address)
        table.add_row(one.name, f"[{color}]{one.state}[/]", *map(_plain, cells))
    console.print(table)
    for one in found:
        if one.note:
            console.print(f"{one.name}: {one.note}", markup=False, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _at(when: datetime | None) -> str:
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S") if when else ""
