"""Flow `validate`: retrain with the proposal, the curriculum and their controls on fresh seeds, and judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prefect import flow

from db import experiments, verdicts
from db import runs as run_store
from db.base import AnalysisKind, Phase
from db.measurements import run_table
from flows.cancellation import close_cancelled
from flows.conclusions import METHOD_VERSION, Conclusions, target_weights
from flows.config import ExperimentName, Validation
from flows.fan_out import FanOutResult
from flows.measure import do_runs, prepared_experiment
from flows.optimize import Analyzed, analyze
from flows.preparation import Prepared
from flows.recorded import recorded_config
from flows.validation_arms import Counts, arms_to_try, distinct_runs
from tasks.effects.matrix import RunTable
from tasks.fingerprint import fingerprint
from tasks.validation.arms import BASELINE, PROPOSAL, PROPOSAL_CURRICULUM, default_comparisons, is_random_step
from tasks.validation.judge import judge
from tasks.validation.predicted import predicted_gains
from tasks.validation.regret import Regret, regrets
from tasks.validation.verdict import Prediction, Verdict


@dataclass(frozen=True)
class Validated:
    """Verdicts and what they rest on.

    Attributes:
        verdicts: one per comparison.
        regrets: each arm behind the best one, smallest first; empty where nothing was trained.
        fan_out: what was reused and trained.
        skipped: (arm, reason) of arms that there was nothing to try for.
    """

    verdicts: tuple[Verdict, ...]
    regrets: tuple[Regret, ...]
    fan_out: FanOutResult
    skipped: tuple[tuple[str, str], ...]


@flow(name="validate", flow_run_name="validate {name}", on_cancellation=[close_cancelled])
def validate(name: ExperimentName) -> None:
    """Retrain on fresh seeds and judge every arm against its controls.

    Args:
        name: The experiment's name. The settings are those that it was measured with.
    """
    config = recorded_config(name)
    with prepared_experiment(config) as prepared:
        validate_conclusions(prepared, analyze(prepared), config.validation or Validation())


def validate_conclusions(
    prepared: Prepared, analyzed: Analyzed, plan: Validation, before_training: Callable[[], object] = lambda: None
) -> Validated:
    """Do the validation runs that have no scores yet, judge, and store the verdicts.

    Where the conclusions propose nothing, there is nothing to train.

    Args:
        prepared: the experiment.
        analyzed: its conclusions.
        plan: which arms to try.
        before_training: called once where some runs have no scores yet.

    Raises:
        RunError: runs without scores at the end.
    """
    found = analyzed.conclusions
    arms, skipped = arms_to_try(plan, found, prepared.material.available)
    runs, copies = distinct_runs(prepared, plan, found, arms)
    comparisons = default_comparisons(runs)
    if not comparisons:
        return Validated((), (), FanOutResult((), (), ()), (*skipped, *copies))
    seed_by_seed = [run for of_seed in zip(*runs.values(), strict=True) for run in of_seed]
    identities = {run.fingerprint for run in seed_by_seed}
    with prepared.workspace.database.session() as session:
        train = bool(identities - run_store.finished(session, identities))
    if train:
        before_training()
    result = do_runs(prepared, Phase.VALIDATE, seed_by_seed, analyzed.analysis_id)
    config = prepared.config.analysis
    with prepared.workspace.database.session() as session:
        table = run_table(
            session, prepared.experiment_id, Phase.VALIDATE, config.metric, analysis_id=analyzed.analysis_id
        )
    weights = target_weights(found.baseline)
    plain = {name: arm.counts for name, arm in arms.items() if name in runs and arm.schedule is None}
    predicted = _predicted(found, weights, plain)
    judged = judge(table, weights, comparisons, predicted, config.confidence, _notes(found))
    _store(prepared, analyzed, plan, table, judged)
    return Validated(judged, regrets(table, weights), result, (*skipped, *copies))


def _predicted(found: Conclusions, weights: Mapping[str, float], arms: Mapping[str, Counts]) -> dict[str, Prediction]:
    """What was expected of the arms that change the counts.

    For the proposal it is the program's own gain where that is in the performance's unit: its lower end accounts for
    the choice of the best-looking change.
    """
    tried = {name: counts for name, counts in arms.items() if name != BASELINE and not is_random_step(name)}
    predicted = predicted_gains(found.effects, weights, found.baseline_counts, tried)
    gain = found.proposal.gain
    if PROPOSAL in tried and gain is not None and gain.unit == found.effects.unit:
        predicted[PROPOSAL] = Prediction(gain.value, gain.low, gain.high)
    return predicted


def _notes(found: Conclusions) -> dict[str, str]:
    if found.proposal.decision == "change":
        return {}
    note = f"The program itself had advised to keep the baseline: {found.proposal.reason}."
    return {PROPOSAL: note, PROPOSAL_CURRICULUM: note}


def _store(
    prepared: Prepared, analyzed: Analyzed, plan: Validation, table: RunTable, judged: tuple[Verdict, ...]
) -> None:
    with prepared.workspace.database.session() as session:
        runs = experiments.plan_fingerprints(session, prepared.experiment_id, Phase.VALIDATE, analyzed.analysis_id)
        analysis = experiments.record_analysis(
            session,
            prepared.experiment_id,
            AnalysisKind.VALIDATE,
            {**plan.model_dump(mode="json"), "optimize": analyzed.analysis_id, "method": METHOD_VERSION},
            fingerprint([table.runs, table.performance.tolist()]),
            runs,
        )
        verdicts.store_verdicts(session, analysis.id, judged)
