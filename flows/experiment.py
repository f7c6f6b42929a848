"""Flow `experiment`: measure, optimize, validate and report in one flow run; what the command line's `run` starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from db.experiments import recall_experiment
from flows.config import ExperimentConfig
from flows.fan_out import FanOutResult
from flows.measure import measure_interventions, prepared_experiment
from flows.optimize import Analyzed, analyze
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


@flow(name="experiment", flow_run_name="{config.name}", persist_result=False)
def experiment(config: ExperimentConfig) -> Outcome:
    """Measure what each category's data does, solve the proportions, order the curriculum, retrain to prove it.

    Raises:
        BeyondIIDError: see the phases; what has finished is stored, and the next start goes on from there.
    """
    start = time.monotonic()
    with prepared_experiment(config) as prepared:
        measured = measure_interventions(prepared)
        analyzed = analyze(prepared)
        validated = validate_conclusions(prepared, analyzed, config.validation) if config.validation else None
        with prepared.workspace.database.session() as session:
            # Another start with this name and other settings may have come in between.
            recall_experiment(session, prepared.experiment_id)
        report = prepared.workspace.reports / f"{config.name}.html"
        write_stored_report(prepared.workspace, config.name, report)
    _publish(config.name, report, validated)
    return Outcome(config.name, measured, analyzed, validated, report, time.monotonic() - start)


def _publish(name: str, report: Path, validated: Validated | None) -> None:
    key = artifact_key(name)
    create_link_artifact(link=report.as_uri(), link_text=f"Report of {name}", key=f"{key}-report")
    if validated:
        lines = [f"- {verdict.text}" for verdict in validated.verdicts]
        create_markdown_artifact(markdown="\n".join(lines), key=f"{key}-verdicts", description=f"Verdicts of {name}")
