"""Flow `rerun`: an experiment again with its recorded settings; only runs without scores are trained."""

from __future__ import annotations

from prefect import flow

from flows.cancellation import close_cancelled
from flows.config import ExperimentName
from flows.experiment import experiment
from flows.recorded import recorded_config


@flow(name="rerun", flow_run_name="rerun {name}", persist_result=False, on_cancellation=[close_cancelled])
def rerun(name: ExperimentName) -> None:
    """Repeat what failed or is missing, and draw the conclusions again.

    Args:
        name: The experiment's name. The settings are those that it was recorded with.

    Raises:
        InputError: no such experiment.
    """
    experiment(recorded_config(name))
