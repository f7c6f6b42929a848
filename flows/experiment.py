"""Flow `experiment`: measure, optimize, validate and report in one flow run; what the command line's `run` starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from db.experiments import recall_experiment
from flows.cancellation import close_cancelled
from flows.config import ExperimentConfig
from flows.fan_out import FanOutResult
from flows.measure import measure_interventions, prepared_experiment
from flows.monitor_markdown import escaped
from flows.optimize import Analyzed, analyze
from flows.preparation import Prepared
from flows.progress import artifact_key
from flows.reporting import write_stored_report
from flows.validate import Validated, validate_conclusions


@dataclass(frozen=True)
class Outcome:
    """What an experiment's flow run ends with.

    Attributes:
        name: the experiment.
        measured: what became of the interventions' runs.
        analyzed: effects, proposal, taxonomy, curriculum.
        validated: verdicts, or None where no validation was asked for.
        report: the HTML file.
        seconds: wall-clock seconds of this flow run.
    """

    name: str
    measured: FanOutResult
    analyzed: Analyzed
    validated: Validated | None
    report: Path
    seconds: float


@flow(name="experiment", flow_run_name="{config.name}", persist_result=False, on_cancellation=[close_cancelled])
def experiment(config: ExperimentConfig) -> Outcome:
    """Measure what each category's data does, solve the proportions, order the curriculum, retrain to prove it.

    Args:
        config: The experiment: its pool, design, recipe, analysis, validation and where runs go.

    Raises:
        BeyondIIDError: see the phases; what has finished is stored, and the next start goes on from there.
    """
    start = time.monotonic()
    with prepared_experiment(config) as prepared:
        measured = measure_interventions(prepared)
        analyzed = analyze(prepared)
        validated = None
        if config.validation:
            # The effects are worth reading while the validation's training, which may take hours, goes on.
            interim = partial(_report, prepared, "before its validation")
            validated = validate_conclusions(prepared, analyzed, config.validation, before_training=interim)
        report = _report(prepared, "complete")
    if validated:
        _publish_verdicts(config.name, validated)
    return Outcome(config.name, measured, analyzed, validated, report, time.monotonic() - start)


def _report(prepared: Prepared, state: str) -> Path:
    """Write the report as far as it goes and link it on the flow run's page."""
    name = prepared.config.name
    path = prepared.workspace.reports / f"{name}.html"
    with prepared.workspace.database.session() as session:
        # Another start with this name and other settings may have come in between.
        recall_experiment(session, prepared.experiment_id)
    write_stored_report(prepared.workspace, name, path)
    create_link_artifact(
        link=path.as_uri(),
        link_text=f"Report of {name}",
        key=f"{artifact_key(name)}-report",
        # Browsers open no local file from a page: the path is there to be copied.
        description=f"{state}: `{path}`",
    )
    return path


def _publish_verdicts(name: str, validated: Validated) -> None:
    lines = [f"- {escaped(verdict.text)}" for verdict in validated.verdicts]
    create_markdown_artifact(
        markdown="\n".join(lines), key=f"{artifact_key(name)}-verdicts", description=f"Verdicts of {name}"
    )
