"""Entry point: commands, exit codes, and errors without tracebacks."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from flows.cli import (
    backup,
    clean,
    curriculum,
    deploy,
    effects,
    experiments,
    gc,
    land,
    machine,
    metrics,
    plan,
    predict,
    proportions,
    roles,
    secrets,
    select,
    services,
    simulate,
    tag,
    taxonomy,
    workers,
)
from flows.monitor_log import without_known_secrets, without_secrets
from infra.errors import InfraError, ServerLostError
from tasks.errors import BeyondIIDError

_HELP = """Measure how categories of instruction data help, hurt and build on each other, and act on it.

Start with: beyond-iid run deployments/experiments/quickstart.yaml

Exit codes: 0 done; 2 bad input or configuration; 3 refused on the evidence (contradictory limits); 1 anything else.

State lies in the folder BEYOND_IID_HOME (default: .beyond-iid).
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_EXPERIMENTS = "Experiments"
_POOL = "Pool: tags and quality"
_STAGES = "Single stages on your own files (no services needed)"
_BENCH = "Test bench with known truth (no services needed)"
_WORKERS = "On a worker (no services needed)"
_CLUSTER = "A cluster of your own"
_HOUSEKEEPING = "Housekeeping"
_SERVICES = "Services"
_SCHEDULE = "Schedule and rerun"

app.command(rich_help_panel=_EXPERIMENTS)(experiments.run)
app.command(rich_help_panel=_EXPERIMENTS)(plan.plan)
app.command(rich_help_panel=_EXPERIMENTS)(experiments.show)
app.command(rich_help_panel=_EXPERIMENTS)(experiments.report)
app.command(rich_help_panel=_EXPERIMENTS)(machine.doctor)
app.command(rich_help_panel=_POOL)(clean.clean)
app.command(rich_help_panel=_POOL)(select.select)
app.command(rich_help_panel=_HOUSEKEEPING)(gc.gc)
app.command(rich_help_panel=_HOUSEKEEPING)(backup.backup)
app.command(rich_help_panel=_HOUSEKEEPING)(backup.restore)
app.command(rich_help_panel=_SERVICES)(services.up)
app.command(rich_help_panel=_SERVICES)(services.status)
app.command(rich_help_panel=_SERVICES)(services.down)
app.command(rich_help_panel=_SCHEDULE)(deploy.deploy)
app.command(rich_help_panel=_SCHEDULE)(land.land)
app.command(rich_help_panel=_SCHEDULE)(land.rerun)
app.command(rich_help_panel=_POOL)(tag.tag)
app.command(rich_help_panel=_STAGES)(effects.effects)
app.command(rich_help_panel=_STAGES)(predict.predict)
app.command(rich_help_panel=_STAGES)(proportions.proportions)
app.command(rich_help_panel=_STAGES)(taxonomy.taxonomy)
app.command(rich_help_panel=_STAGES)(curriculum.curriculum)
app.command(rich_help_panel=_BENCH)(simulate.simulate)
app.command(rich_help_panel=_WORKERS)(workers.finetune)
app.command(rich_help_panel=_WORKERS)(workers.benchmark)
app.command(rich_help_panel=_CLUSTER)(secrets.secrets)
app.command("db-roles", rich_help_panel=_CLUSTER)(roles.db_roles)
app.command(rich_help_panel=_CLUSTER)(metrics.metrics)


def main() -> None:
    """Run the command line; every error made for users ends as one message on standard error."""
    try:
        app()
    except (BeyondIIDError, InfraError) as error:
        _say(str(error))
        if isinstance(error, ServerLostError):
            experiments.leave_at_once(error.exit_code)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        text, code = _unexpected(error)
        _say(f"{text}\nThe details are in {_write_details()}.")
        sys.exit(code)


def _unexpected(error: Exception) -> tuple[str, int]:
    """Message and exit code: a file that the system refuses is the user's to mend, anything else is ours."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}", 2
    return f"unexpected {type(error).__name__}: {without_secrets(str(error))}", 1


def _write_details() -> Path:
    """Write the current exception's traceback, without credentials, to a file of its own."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="beyond-iid-", suffix=".log", delete=False, encoding="utf-8"
    ) as details:
        details.write(without_secrets(traceback.format_exc()))
    return Path(details.name)


def _say(text: str) -> None:
    print(f"beyond-iid: {without_known_secrets(text)}", file=sys.stderr)
