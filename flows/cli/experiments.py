"""`run`, `show`, `report`: whole experiments."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tasks.errors import BeyondIIDError

if TYPE_CHECKING:
    from flows.config import ExperimentConfig


class StoppedError(BeyondIIDError):
    """Ctrl-C: the shell's usual code for it."""

    exit_code = 130


_FAREWELL_SECONDS = 3.0
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
    run_to_the_end(lambda: config, verbose)


def show(
    name: Name,
    json_output: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show everything known about an experiment: decision, verdicts, state of its runs, design, effects, taxonomy."""
    from db.overview import as_json, experiment_overview
    from flows.cli.overview import print_overview
    from flows.reporting import report_data
    from flows.workspace import workspace
    from tasks.report.summary import plain_headline

    with workspace() as opened, opened.database.session() as session:
        overview = experiment_overview(session, name)
        data = report_data(session, name)
    if json_output:
        further = {"design": data.design, "regrets": data.regrets, "untried": data.untried}
        summary = dict(plain_headline(data))
        print(json.dumps({**overview, **as_json({**further, "summary": summary})}, indent=2, ensure_ascii=False))
    else:
        print_overview(overview, data)


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


def run_to_the_end(config: Callable[[], ExperimentConfig], verbose: bool) -> None:
    """Run an experiment and print what came out.

    Args:
        config: gives its configuration; called once Prefect may be imported.
        verbose: show Prefect's log lines.

    Raises:
        StoppedError: Ctrl-C.
    """
    with prefect_environment(verbose):
        from flows.cli.outcome import print_outcome
        from flows.experiment import experiment

        try:
            outcome = experiment(config())
        except KeyboardInterrupt:
            raise StoppedError("Stopped. What has finished is stored; run the same command again to go on.") from None
        print_outcome(outcome)


@contextmanager
def prefect_environment(verbose: bool) -> Iterator[None]:
    """Have a Prefect API before Prefect is imported: it reads its settings then. Services that are up are used.

    Raises:
        ServerLostError: the server was lost while it was in use.
    """
    from httpx import TransportError

    from infra.errors import ServerLostError
    from infra.prefect_server import prefect_api
    from infra.services import use_services
    from infra.settings import load_settings

    home = load_settings().home_folder
    use_services(home)
    own = not os.environ.get("PREFECT_API_URL")
    with prefect_api(home) as url:
        os.environ["PREFECT_API_URL"] = url
        os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
        # Waits of 2, 4, 8 and 16 seconds: `up` has a crashed server back by then. Nobody starts a command's own again.
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1" if own else "4")
        if not verbose:
            os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
            # Log lines and events that do not reach the server are no news for the terminal.
            os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
            logging.raiseExceptions = False
        print(f"Watch it in the Prefect UI: {url.removesuffix('/api')}", file=sys.stderr)
        try:
            yield
        except (TransportError, RuntimeError) as error:
            # RuntimeError is what Prefect makes of it when a flow starts.
            if not isinstance(error, TransportError) and not isinstance(error.__cause__, TransportError):
                raise
            print(file=sys.stderr)  # Prefect's own complaints end without one
            raise ServerLostError(
                f"The Prefect server at {url} stopped answering ({error}). Run the same command again: what has "
                "finished is stored, and nothing is trained twice."
            ) from error


def leave_at_once(code: int) -> NoReturn:
    """End this process without Prefect's farewell, which tries every log line and event again, without a limit."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker

        # All of its services, not only this one; a server that is back by now gets the rest.
        EventsWorker.drain_all(timeout=_FAREWELL_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
