"""One whole experiment on real components: what it leaves in the database, on disk and on the screen."""

from __future__ import annotations

import ast
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.flows.command import BASELINE, CATEGORIES, SEEDS, Command, small_experiment

# Such short trainings copy nothing right, but what they write, and how long, depends on what they saw.
MEASURES = {
    "measures": {
        "letters": [{"kind": "pattern", "pattern": "[a-d]$", "max_new_tokens": 8}],
        "digits": [
            {"kind": "numeric", "max_new_tokens": 8},
            {"kind": "code", "metric": "runs", "items": "programs.jsonl", "max_new_tokens": 8},
        ],
        "[/names]": [{"kind": "pattern", "pattern": "[A-H]{5,6}", "whole": True, "max_new_tokens": 8}],
    }
}


def test_experiment_run_twice_measures_decides_reports_and_trains_nothing_again(
    beside_others: Command, tmp_path: Path
) -> None:
    command = beside_others
    programs = [{"prompt": f"copy {number}", "tests": "assert True"} for number in (1, 22, 333, 1234567)]
    (tmp_path / "programs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in programs))
    experiment = small_experiment(tmp_path, resources={"keep": "best", "max_parallel": 1}, benchmarks=MEASURES)

    first = command.run("run", str(experiment))

    assert first.returncode == 0, first.stderr
    report = Path(first.stdout.split("Report: ")[1].strip()).read_text()
    overview = command.shown()
    check_deltas_against_records(command, overview)
    check_accuracy_against_answers(command, overview)
    check_training_order(command, overview)
    check_weights(command, overview)
    assert '<th scope="col" class="n">accuracy</th>' in report
    for run in (run for phase in overview["phases"].values() for run in phase["runs"]):
        assert f'id="run-{run["fingerprint"][:12]}"' in report

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert re.search(r": 0 runs trained, \d+ reused", again.stdout)
    seen = command.shown()
    assert seen["analyses"] == overview["analyses"]
    check_weights(command, seen)

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


def check_accuracy_against_answers(command: Command, overview: dict[str, Any]) -> None:
    """What the database holds of generated answers follows from the answers that the workers wrote down."""
    stored = {}
    for delta in overview["phases"]["measure"]["deltas"]:
        if delta["metric"] == "accuracy":
            keys = ((delta["intervention"], ""), (BASELINE, "baseline_"))
            for arm, prefix in keys:
                value = delta["value" if not prefix else "baseline"]
                stored[arm, delta["seed"], delta["category"]] = (value, delta["n"], delta[f"{prefix}standard_error"])
    assert len(stored) == (1 + len(CATEGORIES)) * len(SEEDS) * len(CATEGORIES)
    for run in overview["phases"]["measure"]["runs"]:
        lines = (command.home / "artifacts" / "runs" / run["fingerprint"] / "generations.jsonl").read_text()
        answers = [json.loads(line) for line in lines.splitlines()]
        for category in CATEGORIES:
            mine = [row for row in answers if (row["category"], row["metric"]) == (category, "accuracy")]
            right = [float(is_right(category, row["answer"], row["reference"])) for row in mine]
            value, n, error = stored[run["intervention"], run["seed"], category]
            assert (value, n) == (statistics.mean(right), len(right))
            assert error == pytest.approx(statistics.stdev(right) / len(right) ** 0.5)
        programs = [row for row in answers if row["metric"] == "runs"]
        assert [row["verdict"] for row in programs] == [is_program(row["answer"]) for row in programs]
        assert len(programs) == 4
    assert 0 < statistics.mean(value for value, _, _ in stored.values()) < 1


def is_right(category: str, answer: str, reference: str) -> bool:
    """By hand, not with the product's checkers."""
    if category == "letters":
        return answer[-1:] in tuple("abcd")
    if category != "digits":
        return len(answer.strip()) in (5, 6) and set(answer.strip()) <= set("ABCDEFGH")
    numbers = re.findall(r"\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(reference)


def is_program(answer: str) -> bool:
    """Whether Python runs it without an error: such answers hold letters and digits at most, so numbers alone do."""
    try:
        statements = ast.parse(answer).body
    except SyntaxError:
        return False
    return all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in statements)


def check_training_order(command: Command, overview: dict[str, Any]) -> None:
    """The ids each model saw are the manifest's, in its order."""
    for phase in overview["phases"].values():
        for run in phase["runs"]:
            folder = command.home / "artifacts" / "runs" / run["fingerprint"]
            record = json.loads((folder / "record.json").read_text())
            specification = json.loads((folder / "spec.json").read_text())
            assert record["training"]["seen_sha256"] == specification["manifest_sha256"]


def check_weights(command: Command, overview: dict[str, Any]) -> None:
    """Of all runs only one's weights are left, of the arm that regrets are measured from; its row names them."""
    runs = [run for phase in overview["phases"].values() for run in phase["runs"]]
    (kept,) = [run for run in runs if run["checkpoint"]]
    assert kept["intervention"] == overview["regrets"][0]["best"]
    assert list((command.home / "artifacts" / "runs").glob("*/training/model")) == [Path(kept["checkpoint"])]


def check_one_run_alone(command: Command, overview: dict[str, Any], tmp_path: Path) -> None:
    """One run repeated from its specification file, without services, scores the same."""
    fingerprint = overview["phases"]["measure"]["runs"][0]["fingerprint"]
    folder = command.home / "artifacts" / "runs" / fingerprint
    repeated = command.run("finetune", str(folder / "spec.json"), "--out", str(tmp_path / "alone"))
    assert repeated.returncode == 0, repeated.stderr
    found = json.loads(repeated.stdout)["scores"]
    assert found == json.loads((folder / "record.json").read_text())["scores"]
