"""One whole experiment on real components: what it leaves in the database, on disk and on the screen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.flows.command import BASELINE, CATEGORIES, SEEDS, Command, small_experiment


def test_experiment_run_twice_measures_decides_reports_and_trains_nothing_again(
    command: Command, tmp_path: Path
) -> None:
    experiment = small_experiment(tmp_path)

    first = command.run("run", str(experiment))

    assert first.returncode == 0, first.stderr
    report = Path(first.stdout.split("Report: ")[1].strip()).read_text()
    overview = command.overview()
    check_deltas_against_records(command, overview)
    check_training_order(command, overview)
    for run in (run for phase in overview["phases"].values() for run in phase["runs"]):
        assert f'id="run-{run["fingerprint"][:12]}"' in report

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert re.search(r": 0 runs trained, \d+ reused", again.stdout)
    assert command.overview()["analyses"] == overview["analyses"]

    check_one_run_alone(command, overview, tmp_path)


def check_deltas_against_records(command: Command, overview: dict[str, Any]) -> None:
    """Every delta equals the difference of the two losses the workers wrote down."""
    losses: dict[tuple[str, int, str], float] = {}
    for run in overview["phases"]["measure"]["runs"]:
        record = json.loads((command.home / "artifacts" / "runs" / run["fingerprint"] / "record.json").read_text())
        for score in record["scores"]:
            if score["metric"] == "loss":
                losses[run["intervention"], run["seed"], score["category"]] = score["value"]
    deltas = [d for d in overview["phases"]["measure"]["deltas"] if d["metric"] == "loss"]
    assert len(deltas) == len(CATEGORIES) ** 2 * len(SEEDS)
    for delta in deltas:
        key = (delta["seed"], delta["category"])
        assert delta["delta"] == losses[delta["intervention"], *key] - losses[BASELINE, *key]
    own = [d["delta"] for d in deltas if d["intervention"].startswith(f"without {d['category']} ")]
    assert min(own) > 0, "taking all of a category's data away must hurt that category"


def check_training_order(command: Command, overview: dict[str, Any]) -> None:
    """The ids each model saw are the manifest's, in its order."""
    for phase in overview["phases"].values():
        for run in phase["runs"]:
            folder = command.home / "artifacts" / "runs" / run["fingerprint"]
            record = json.loads((folder / "record.json").read_text())
            specification = json.loads((folder / "spec.json").read_text())
            assert record["training"]["seen_sha256"] == specification["manifest_sha256"]


def check_one_run_alone(command: Command, overview: dict[str, Any], tmp_path: Path) -> None:
    """One run repeated from its specification file, without services, scores the same."""
    fingerprint = overview["phases"]["measure"]["runs"][0]["fingerprint"]
    folder = command.home / "artifacts" / "runs" / fingerprint
    repeated = command.run("finetune", str(folder / "spec.json"), "--out", str(tmp_path / "alone"))
    assert repeated.returncode == 0, repeated.stderr
    found = json.loads(repeated.stdout)["scores"]
    assert found == json.loads((folder / "record.json").read_text())["scores"]
