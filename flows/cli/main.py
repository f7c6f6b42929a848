"""Entry point: commands, exit codes, and errors without tracebacks."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from flows.cli import experiments, machine, stages, workers
from infra.errors import InfraError
from tasks.errors import BeyondIIDError

_HELP = """Measure how categories of instruction data help, hurt and build on each other, and act on it.

Start with: beyond-iid run deployments/experiments/quickstart.yaml

Exit codes: 0 done; 2 bad input or configuration; 3 refused on the evidence (contradictory limits); 1 anything else.

State lies in the folder BEYOND_IID_HOME (default: .beyond-iid).
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_EXPERIMENTS = "Experiments"
_STAGES = "Single stages on your own files (no services needed)"
_WORKERS = "On a worker (no services needed)"

app.command(rich_help_panel=_EXPERIMENTS)(experiments.run)
app.command(rich_help_panel=_EXPERIMENTS)(experiments.show)
app.command(rich_help_panel=_EXPERIMENTS)(experiments.report)
app.command(rich_help_panel=_EXPERIMENTS)(machine.doctor)
app.command(rich_help_panel=_STAGES)(stages.effects)
app.command(rich_help_panel=_STAGES)(stages.proportions)
app.command(rich_help_panel=_STAGES)(stages.taxonomy)
app.command(rich_help_panel=_STAGES)(stages.curriculum)
app.command(rich_help_panel=_WORKERS)(workers.finetune)
app.command(rich_help_panel=_WORKERS)(workers.benchmark)


def main() -> None:
    """Run the command line; every error made for users ends as one message on standard error."""
    try:
        app()
    except (BeyondIIDError, InfraError) as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _say(f"unexpected {type(error).__name__}: {error}\nThe details are in {_write_details()}.")
        sys.exit(1)


def _write_details() -> Path:
    """Write the current exception's traceback to a file of its own."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="beyond-iid-", suffix=".log", delete=False, encoding="utf-8"
    ) as details:
        traceback.print_exc(file=details)
    return Path(details.name)


def _say(text: str) -> None:
    print(f"beyond-iid: {text}", file=sys.stderr)
