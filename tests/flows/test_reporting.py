"""Reports and `show` from what a real database holds: any design, decision and age."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import create_engine, text

import db.migrate
from db import curricula, effects, proposals, runs, taxonomies, verdicts
from db.base import AnalysisKind, Phase
from db.experiments import record_analysis, record_experiment
from db.interventions import Planned, set_plan
from db.measurements import run_table
from db.metrics import declare_metrics
from db.overview import as_json, experiment_overview
from db.pools import record_snapshot
from db.session import Database, open_database
from flows.cli.overview import print_overview
from flows.conclusions import Conclusions, conclude
from flows.config import ExperimentConfig
from flows.experiment_file import load_experiment
from flows.material import Material, gather_material
from flows.monitor_effects import PreliminaryEffects
from flows.planning import PlannedRun
from flows.reporting import report_data
from flows.reporting_plan import untried_arms
from infra.postgres import embedded_postgres
from tasks.benchmarks.scores import EXACT_MATCH, LOSS, Metric, Score
from tasks.finetune.spec import RunSpec, TrainingRecord
from tasks.fingerprint import fingerprint
from tasks.interventions.design import mixture
from tasks.interventions.intervention import Intervention
from tasks.interventions.manifest import Manifest
from tasks.report.content import ReportData
from tasks.report.render import render
from tasks.validation.arms import default_comparisons
from tasks.validation.judge import judge
from tasks.validation.verdict import Prediction
from tests.flows.command import CATEGORIES, NAME, small_experiment

VALIDATION_SEEDS = (11, 12, 13)
RATING = Metric("rating", True, "points of 10")
"""Measured in one category alone."""


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    # Not pytest's folder: as root the server runs as another user, who must be able to enter.
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as server:
        yield server.url


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    opened = open_database(server_url)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Stored:
    """An experiment in the database, its runs finished with planted scores."""

    database: Database
    config: ExperimentConfig
    material: Material
    experiment: int

    def measure(self, later: Mapping[str, int] | None = None, finish: bool = True) -> list[Planned]:
        """Plan and do the design's runs; `later`: intervention → one more, adaptively chosen seed."""
        design, material = self.config.design, self.material
        sets = design.interventions(material.baseline, material.available)
        planned = [self._planned(one, seed) for one in sets for seed in self._seeds()]
        planned += [self._planned(one, later[one.name], adaptive=True) for one in sets if one.name in (later or {})]
        self._do(Phase.MEASURE, planned, None, finish)
        return planned

    def _seeds(self) -> tuple[int, ...]:
        seeds = self.config.design.seeds
        return seeds[: getattr(self.config.design, "first_seeds", len(seeds))]

    def conclude(self) -> tuple[int, Conclusions]:
        """Draw and store conclusions as the flow does."""
        metric = LOSS
        with self.database.session() as session:
            table = run_table(session, self.experiment, Phase.MEASURE, metric)
            found = conclude(self.config, self.material, {self.config.design.label: table})
            made = record_analysis(
                session, self.experiment, AnalysisKind.OPTIMIZE, {"fdr": 0.05}, fingerprint("scores")
            )
            for name, matrix in ((self.config.design.label, found.effects), *found.further_effects):
                effects.store_effects(session, made.id, metric, name, matrix)
            proposals.store_proposal(session, made.id, found.proposal)
            taxonomies.store_taxonomy(session, made.id, found.taxonomy)
            curricula.store_curriculum(session, made.id, found.curriculum, "gone.jsonl")
            return made.id, found

    def validate(self, analysis: int, arms: Mapping[str, Mapping[str, int]]) -> None:
        """Plan, do and judge these arms."""
        planned = [self._planned(mixture(a, counts), s) for a, counts in arms.items() for s in VALIDATION_SEEDS]
        self._do(Phase.VALIDATE, planned, analysis, finish=True)
        total = sum(self.material.baseline.values())
        weights = {c: n / total for c, n in self.material.baseline.items()}
        with self.database.session() as session:
            table = run_table(session, self.experiment, Phase.VALIDATE, LOSS, analysis_id=analysis)
            predicted = {"sign-rule": Prediction(0.01, -0.02, 0.04)}
            judged = judge(table, weights, default_comparisons(table.arms), predicted)
            made = record_analysis(
                session, self.experiment, AnalysisKind.VALIDATE, {"optimize": analysis}, fingerprint("validation")
            )
            verdicts.store_verdicts(session, made.id, judged)

    def report(self) -> ReportData:
        with self.database.session() as session:
            return report_data(session, NAME)

    def overview(self) -> dict[str, Any]:
        with self.database.session() as session:
            return experiment_overview(session, NAME)

    def _planned(self, one: Intervention, seed: int, adaptive: bool = False) -> Planned:
        return Planned(one, seed, fingerprint([one.name, seed]), f"{one.name}, seed {seed}", {}, adaptive)

    def _do(self, phase: Phase, planned: list[Planned], analysis: int | None, finish: bool) -> None:
        with self.database.session() as session:
            set_plan(session, self.experiment, phase, planned, analysis)
            declare_metrics(session, (RATING,))
            for one in planned if finish else ():
                runs.mark_running(session, one.fingerprint)
                runs.record_finished(session, one.fingerprint, record(one.fingerprint), scores(one))


def scores(planned: Planned) -> list[Score]:
    """Losses that fall with a category's own examples, with noise; "digits" also live on "letters"."""
    counts = dict(planned.intervention.counts)
    noise = np.random.default_rng(int(planned.fingerprint[:8], 16)).normal(0, 0.01, len(CATEGORIES))
    helped = {"digits": 0.5 * counts["letters"]}
    losses = [(counts[c] + helped.get(c, 0.0) + 8) ** -0.5 * 3 + e for c, e in zip(CATEGORIES, noise, strict=True)]
    found = [Score(c, LOSS, float(loss), 8) for c, loss in zip(CATEGORIES, losses, strict=True)]
    rated = Score("letters", RATING.name, 5 - losses[CATEGORIES.index("letters")], 8)
    return [rated, *found, *(Score(c, EXACT_MATCH, 0.25 + 0.25 * (planned.seed == 1), 8, 0.2) for c in CATEGORIES)]


def record(key: str) -> TrainingRecord:
    versions = (("torch", "2.13.0"),)
    return TrainingRecord(
        key, "runs/x", 20, 60, 4321, ((20, 0.3),), fingerprint("seen"), 1.5, "cpu", "torch", "here", 0, versions
    )


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Any:
    def stored(**changes: Any) -> Stored:
        config = load_experiment(small_experiment(tmp_path, **changes), ())
        material = gather_material(config, tmp_path / "artifacts")
        with database.session() as session:
            pool = material.pool
            snapshot = record_snapshot(session, pool.name, pool.content_hash, pool.counts(), str(material.folder), 0)
            experiment = record_experiment(
                session, NAME, config.model_dump(mode="json"), fingerprint(config.model_dump(mode="json")), snapshot.id
            )
            return Stored(database, config, material, experiment.id)

    return stored


def test_preliminary_effects_have_a_section_for_every_metric_with_the_categories_it_is_measured_in(store: Any) -> None:
    stored = store()
    planned = stored.measure()
    plan = {
        one.fingerprint: PlannedRun(
            one.intervention,
            one.seed,
            Phase.MEASURE,
            Manifest((), ()),
            RunSpec(one.fingerprint, one.name, one.seed, stored.config.recipe, "b", "t", "m", "0" * 64, "h"),
            Path(one.fingerprint),
        )
        for one in planned
    }
    text = PreliminaryEffects(plan, stored.database).text(list(plan))
    loss, exact, rating = text.split("### ")[1:]
    assert loss.startswith("size-reduced, loss (nats per token)")
    assert exact.startswith("size-reduced, exact_match (share)")
    assert rating.startswith("size-reduced, rating (points of 10)")
    assert [category in rating.replace("\\", "").split("| --- |")[-1] for category in ("letters |", "digits |")] == [
        True,
        False,
    ]
    # A rating of 5 − loss has the effects of the loss on the same category.
    cells = []
    for part in (loss, rating):
        row = next(line for line in part.splitlines() if line.startswith("| letters"))
        cells.append([float(number) for number in re.findall(r"\d\.\d{3}", row)])
    assert len(cells[0]) == 2 * len(CATEGORIES)
    assert cells[0] == pytest.approx(cells[1], abs=0.0011)


def test_report_shows_the_baselines_scores_of_every_metric_with_their_errors(store: Any) -> None:
    stored = store()
    stored.measure()
    stored.conclude()
    found = {(one.score.category, one.metric.name): one for one in stored.report().baseline_scores}
    always = {(category, metric) for category in CATEGORIES for metric in (LOSS, EXACT_MATCH)}
    assert set(found) == always | {("letters", RATING.name)}
    assert found["letters", RATING.name].metric == RATING
    for category in CATEGORIES:
        exact, loss = found[category, EXACT_MATCH], found[category, LOSS]
        assert (exact.score.value, exact.score.n, exact.metric.unit) == (0.375, 8, "share")
        assert exact.score.standard_error == pytest.approx(0.2)
        assert (loss.score.standard_error, loss.metric.higher_is_better) == (None, False)


def test_report_of_a_factorial_design_names_its_label_estimator_and_worth(store) -> None:
    experiment = store(design={"kind": "factorial", "seeds": [1, 2]})
    experiment.measure()
    experiment.conclude()
    report = experiment.report()
    assert report.arm == "factorial" and report.effects is not None and report.effects.estimator == "surface"
    assert report.design is not None and report.design.runs == len(report.runs) == 10
    html = render(report)
    assert "Estimator: <b>surface</b>" in html and "its examples go down to 0.5 times" in html
    counts = {one.category: (one.low, one.high) for one in report.allowed}
    assert counts["letters"] == pytest.approx((12, 36))


def test_report_of_a_sequential_design_marks_runs_chosen_later(store) -> None:
    experiment = store(design={"kind": "sequential", "arm": "size-reduced", "seeds": [1, 2, 3], "first_seeds": 2})
    experiment.measure(later={"baseline": 3, "without letters (size-reduced)": 3})
    experiment.conclude()
    report = experiment.report()
    assert [(run.label, run.seed) for run in report.adaptive] == [
        ("baseline", 3),
        ("without letters (size-reduced)", 3),
    ]
    assert [name for name, _ in report.other_effects] == ["size-reduced, planned runs only"]
    assert len(report.measured("letters", "size-reduced")) == 3
    assert len(report.measured("letters", "size-reduced, planned runs only")) == 2
    assert "2 of the 10 runs were chosen after a look at earlier results" in render(report)
    assert experiment.overview()["phases"]["measure"]["adaptive"] == 2


def test_report_of_a_dose_design_finds_the_runs_behind_each_column(store) -> None:
    experiment = store(design={"kind": "dose", "arm": "size-reduced", "doses": [0.5], "seeds": [1, 2]})
    experiment.measure()
    experiment.conclude()
    report = experiment.report()
    for category in CATEGORIES:
        names = {run.label for run in report.measured(category, "size-reduced")}
        assert names == {f"{category} × 0.5 (size-reduced)"}


def test_report_of_a_validated_experiment_has_verdicts_regrets_and_untried_arms(store, capsys) -> None:
    validation = {"seeds": [11, 12, 13], "arms": ["uniform", "sign-rule", "proposal", "curriculum"]}
    experiment = store(validation=validation)
    experiment.measure()
    analysis, found = experiment.conclude()
    baseline = experiment.material.baseline
    starved = {"letters": 2, "digits": 29, "[/names]": 29}
    experiment.validate(analysis, {"baseline": baseline, "uniform": dict.fromkeys(baseline, 20), "sign-rule": starved})
    report = experiment.report()
    means = {p.arm: np.mean(p.values) for p in report.performances}
    best = max(means.values())
    assert {r.arm: r.regret for r in report.regrets} == pytest.approx({arm: best - m for arm, m in means.items()})
    verdict = next(v for v in report.verdicts if v.arm == "sign-rule")
    assert (verdict.predicted_low, verdict.predicted_high) == (-0.02, 0.04)
    reasons = dict(report.untried)
    assert set(reasons) == {"proposal", "curriculum"} if not found.taxonomy.edges else {"proposal"}
    page = render(report).replace("&#39;", "'")
    assert all(v.text in page for v in report.verdicts)

    print_overview(experiment.overview(), report)
    shown = capsys.readouterr().out
    assert shown.index("Decision: ") < shown.index("Verdict: ") < shown.index("Design leave-one-out")
    assert all(v.text in shown for v in report.verdicts)
    assert "[/names]" in shown and "so gaps of that size mean nothing" in shown


def test_report_of_a_refused_proposal_keeps_the_baseline_and_says_what_was_not_tried(store, capsys) -> None:
    experiment = store(analysis={"max_shift": 0.0001})
    experiment.measure()
    experiment.conclude()
    report = experiment.report()
    assert report.proposal is not None
    untried = dict(report.untried)
    assert untried["proposal"] == untried["random step"] == "the proposal is the baseline itself"
    print_overview(experiment.overview(), report)
    assert "Nothing was trained to validate. Not tried: random step, proposal, because" in capsys.readouterr().out


def test_untried_arms_of_a_refused_proposal_wait_for_a_reason_to_change(store) -> None:
    experiment = store()
    experiment.measure()
    _, found = experiment.conclude()
    refused = replace(found.proposal, decision="keep", counts=(30, 15, 15))
    asked = experiment.config.validation
    assert asked is not None
    tried = experiment.config.model_copy(update={"validation": asked.model_copy(update={"refused": "try"})})
    overview = experiment.overview()
    left_out = dict(untried_arms(experiment.config, overview, refused, found.taxonomy))
    assert left_out["proposal"] == left_out["random step"] == "the baseline is to be kept"
    assert "proposal" not in dict(untried_arms(tried, overview, refused, found.taxonomy))


def test_report_before_any_run_says_so(store, capsys) -> None:
    experiment = store()
    experiment.measure(finish=False)
    report = experiment.report()
    assert report.effects is None and report.design is not None
    assert "Not decided yet" in render(report)
    print_overview(experiment.overview(), report)
    assert "missing: baseline, seed 1 (planned)" in capsys.readouterr().out


def test_report_of_an_experiment_stored_by_an_earlier_version(store, database: Database) -> None:
    """Its tables as they were, its configuration without the keys of today, its pool's files gone."""
    experiment = store()
    experiment.measure()
    analysis, found = experiment.conclude()
    changed = dict(zip(found.proposal.categories, found.proposal.counts, strict=True))
    experiment.validate(analysis, {"baseline": experiment.material.baseline, "proposal": changed})
    config = experiment.config.model_dump(mode="json")
    for key in ("estimator", "objective", "robustness", "no_harm", "concave", "require_pair_out"):
        del config["analysis"][key]
    del config["validation"]["refused"]
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE experiment SET config = :new"), {"new": json.dumps(config)})
        connection.execute(text("UPDATE pool_snapshot SET path = '/nowhere'"))
    there_and_back(database)

    report = experiment.report()
    assert report.proposal is not None and report.proposal.gain is None and report.design is None
    assert report.effects is not None and report.effects.estimator == "paired"
    assert report.effects.marginal_error == pytest.approx(found.effects.marginal_error)
    page = render(report)
    assert "whether it gains more than chance was not computed" in page
    assert "What the design can tell is not known here" in page


def there_and_back(database: Database) -> None:
    """Leave in the tables only what they held before effects named their estimator."""
    with database.engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(db.migrate.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        alembic.downgrade(config, "0003")
        alembic.upgrade(config, "head")


def test_further_keys_of_show_json_are_plain(store) -> None:
    experiment = store()
    experiment.measure()
    experiment.conclude()
    report = experiment.report()
    plain = as_json({"design": report.design, "regrets": report.regrets, "untried": report.untried})
    assert json.loads(json.dumps(plain)) == plain
    assert plain["design"]["runs"] == 8
