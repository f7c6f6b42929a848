"""`run`, `show`, `report`: whole experiments."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tasks.errors import BeyondIIDError


class StoppedError(BeyondIIDError):
    """Ctrl-C: the shell's usual code for it."""

    exit_code = 130


Name = Annotated[str, typer.Argument(help="The experiment's name.")]


def run(
    experiment: Annotated[Path, typer.Argument(help="Experiment file (YAML); examples in deployments/experiments/.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. design.seeds=[1,2].")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log lines.")] = False,
) -> None:
    """Run a whole experiment: measure, optimize, validate, report.

    Safe to interrupt and to run again: what has finished is never trained twice.
    """
    from flows.experiment_file import load_experiment

    config = load_experiment(experiment, set_ or ())
    with prefect_environment(verbose):
        from flows.cli.outcome import print_outcome
        from flows.experiment import experiment as flow

        try:
            outcome = flow(config)
        except KeyboardInterrupt:
            raise StoppedError("Stopped. What has finished is stored; run the same command again to go on.") from None
        print_outcome(outcome)


def show(
    name: Name,
    json_output: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show everything known about an experiment: state of its runs, effects, proposal, taxonomy, verdicts."""
    from db.overview import experiment_overview
    from flows.cli.outcome import print_overview
    from flows.workspace import workspace

    with workspace() as opened, opened.database.session() as session:
        overview = experiment_overview(session, name)
    if json_output:
        print(json.dumps(overview, indent=2, ensure_ascii=False))
    else:
        print_overview(overview)


def report(
    name: Name,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(help="Folder for the heat map and the taxonomy as PNG and SVG.")
    ] = None,
) -> None:
    """Write an experiment's report (one self-contained HTML file) from what is stored; an unfinished one too."""
    from flows.reporting import write_stored_figures, write_stored_report
    from flows.workspace import workspace

    with workspace() as opened:
        write_stored_report(opened, name, out)
        pictures = write_stored_figures(opened, name, figures) if figures else ()
    for path in (out, *pictures):
        print(path)


@contextmanager
def prefect_environment(verbose: bool) -> Iterator[None]:
    """Have a Prefect API before Prefect is imported: it reads its settings then."""
    from infra.prefect_server import prefect_api
    from infra.settings import load_settings

    home = load_settings().home_folder
    with prefect_api(home) as url:
        os.environ["PREFECT_API_URL"] = url
        os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
        if not verbose:
            os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        print(f"Watch it in the Prefect UI: {url.removesuffix('/api')}", file=sys.stderr)
        yield
