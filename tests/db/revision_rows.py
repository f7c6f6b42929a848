"""Plausible rows for every table at every revision of the schema, written in plain SQL as old versions would have."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

HASHES = {letter: letter * 64 for letter in "abcdef"}
CONFIG = {
    "name": "e",
    "analysis": {"metric": "loss"},
    "resources": {"cpus_per_run": 0.5, "keep_checkpoints": True},
    "recipe": {"learning_rate": 1e-05},
}
RECORD = {"checkpoint": "runs/e/training/model", "losses": [[1, 2.3025850929940455], [2, 1e16]], "seconds": 5e-324}

Row = tuple[str, str, dict[str, Any]]
"""Revision that made the table (or allowed the row), table, column → value."""

_CELL = {
    "matrix_id": 1, "target": "add", "delta": 3.1, "standard_error": 0.5, "low": 2.0, "high": 4.0, "p_value": 0.01,
    "q_value": 0.02, "marginal": 0.155, "seed_delta": [2.5, 3.7],
}  # fmt: skip
_FINISHED = {
    "fingerprint": HASHES["e"], "name": "baseline, seed 7", "state": "finished", "attempts": 1,
    "started": "2026-01-02T03:04:05.678901Z", "finished": "2026-01-02T03:05:05Z", "host": "here", "device": "cpu",
    "engine": "torch", "steps": 3, "tokens": 2**40, "seconds": 0.1 + 0.2, "checkpoint": RECORD["checkpoint"],
    "record": RECORD, "record_hash": HASHES["f"], "score_count": 1, "spec": {"seed": 7},
}  # fmt: skip

ROWS: tuple[Row, ...] = (
    ("0001", "category", {"name": "add"}),
    ("0001", "category", {"name": 'copy, "quoted"\n\\N ü'}),
    ("0001", "pool_snapshot", {"name": "p", "content_hash": HASHES["a"], "path": "pools/x", "rejected": 0}),
    ("0001", "pool_category", {"snapshot_id": 1, "category": "add", "examples": 7}),
    ("0001", "dataset_event", {"dataset": "p", "snapshot_id": 1, "payload": {"by": "hand"}}),
    ("0001", "experiment", {"name": "e", "config": CONFIG, "config_hash": HASHES["b"], "snapshot_id": 1}),
    ("0001", "analysis", {"experiment_id": 1, "kind": "optimize", "parameters": {}, "parameters_hash": HASHES["c"],
                          "inputs_hash": HASHES["d"]}),
    ("0001", "intervention", {"experiment_id": 1, "phase": "measure", "position": 0, "name": "baseline"}),
    ("0001", "intervention_category", {"intervention_id": 1, "category": "add", "examples": 7}),
    ("0001", "run", {"fingerprint": HASHES["d"], "name": "to come, seed 8"}),
    ("0001", "run", {"fingerprint": HASHES["c"], "name": "lost, seed 9", "state": "failed", "error": ""}),
    ("0001", "planned_run", {"intervention_id": 1, "seed": 8, "run_id": 1}),
    # Scores need a metric, and metrics come with 0003.
    ("0003", "run", _FINISHED),
    ("0003", "score", {"run_id": 3, "category": "add", "metric": "loss", "value": 0.1 + 0.7, "n": 40}),
    ("0003", "planned_run", {"intervention_id": 1, "seed": 7, "run_id": 3}),
    ("0003", "analysis_run", {"analysis_id": 1, "run_id": 3}),
    ("0003", "effect_matrix", {"analysis_id": 1, "metric": "loss", "arm": "size-matched", "unit": "nats per token",
                               "seeds": 2, "confidence": 0.95}),
    ("0003", "effect_target", {"matrix_id": 1, "category": "add", "position": 0, "identified": True}),
    ("0003", "effect_source", {"matrix_id": 1, "category": "add", "position": 0, "amount": 20.0}),
    ("0003", "effect", {**_CELL, "source": "add", "gamma": 1.0, "gamma_low": 1.0, "gamma_high": 1.0}),
    ("0002", "proposal", {"analysis_id": 1, "name": "proposal", "status": "optimal", "solver": "GLOP", "total": 7,
                          "objective": 2.0, "baseline_objective": 1.0, "max_residual": 0.0, "duality_gap": 0.0,
                          "binding": ["box, upper: add"], "unidentified": [], "count_excess": []}),
    ("0002", "proposal_share", {"proposal_id": 1, "category": "add", "position": 0, "baseline_share": 1.0,
                                "share": 1.0, "count": 7}),
    ("0002", "proposal_shadow_price", {"proposal_id": 1, "position": 0, "limit": "box", "value": 0.25, "text": "t"}),
    ("0005", "proposal_range", {"proposal_id": 1, "category": "add", "position": 0, "optimal_low": 0.9,
                                "optimal_high": 1.0, "near_low": 0.8, "near_high": 1.0}),
    ("0002", "taxonomy", {"analysis_id": 1, "name": "taxonomy", "removed_exactly": True}),
    ("0002", "taxonomy_node", {"taxonomy_id": 1, "category": "add", "position": 0, "level": 0, "role": "base"}),
    ("0002", "taxonomy_node", {"taxonomy_id": 1, "category": 'copy, "quoted"\n\\N ü', "position": 1, "level": 1,
                               "role": "dependent"}),
    ("0002", "taxonomy_edge", {"taxonomy_id": 1, "source": "add", "target": 'copy, "quoted"\n\\N ü', "position": 0,
                               "removed": False, "reduced_position": 0, "delta": 1.0, "q_value": 0.01}),
    ("0002", "curriculum", {"analysis_id": 1, "name": "curriculum", "schedule": "paper", "seed": 2**40, "tilt": 1,
                            "tilt_requested": 2, "repeats": 1, "stages": 1, "examples": 7,
                            "manifest_sha256": HASHES["a"], "manifest_path": "curricula/a.jsonl", "note": ""}),
    ("0002", "curriculum_stage", {"curriculum_id": 1, "stage": 0, "category": "add", "examples": 7}),
    ("0002", "verdict", {"analysis_id": 1, "position": 0, "arm": "proposal", "control": "baseline", "unit": "nats",
                         "seeds": 3, "difference": 0.5, "confidence": 0.95, "outcome": "better", "text": "Better."}),
    ("0002", "verdict_category", {"verdict_id": 1, "category": "add", "position": 0, "difference": 0.5}),
    ("0008", "metric", {"name": "judge_rating", "higher_is_better": True, "unit": "points of 10"}),
    ("0006", "dataset_rerun", {"event_id": 1, "experiment": "e", "attempts": 2, "failure": "no disk"}),
    ("0006", "watched_file", {"place": "s3://in", "path": "a.jsonl", "signature": "1", "state": "seen"}),
)  # fmt: skip

LATER_COLUMNS: tuple[Row, ...] = (
    ("0004", "effect_matrix", {"estimator": "paired"}),
    ("0004", "effect", {"marginal_error": 0.025}),
    ("0005", "proposal", {"unit": "equivalent share", "decision": "change", "reason": "", "warnings": [], "slack": 0.0,
                          "robustness": 0.0, "protection": 0.0, "curve_gap": 0.0}),
    ("0005", "taxonomy_edge", {"unconfirmed": False}),
    ("0008", "score", {"standard_error": 0.1 + 0.2}),
)  # fmt: skip


def fill(connection: Connection, revision: str) -> None:
    """Insert the rows that a database at this revision may hold."""
    for since, table, values in ROWS:
        if since > revision:
            continue
        later = [columns for at, name, columns in LATER_COLUMNS if name == table and at <= revision]
        row = {key: value for columns in (values, *later) for key, value in columns.items()}
        if table == "experiment" and revision >= "0007":
            row["config"] = {**CONFIG, "resources": {"cpus_per_run": 0.5, "keep": "all"}}
        names = ", ".join(f'"{name}"' for name in row)
        places = ", ".join(f":{name}" for name in row)
        plain = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), plain)


def contents(connection: Connection, columns: dict[str, list[str]] | None = None) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every table as text, sorted; only these columns, where they are given."""
    chosen = columns or table_columns(connection)
    found = {}
    for table, names in chosen.items():
        listed = ", ".join(f'"{name}"::text' for name in names)
        rows = connection.execute(text(f'SELECT {listed} FROM "{table}"'))
        found[table] = sorted((tuple(row) for row in rows), key=str)
    return found


def table_columns(connection: Connection) -> dict[str, list[str]]:
    """Columns of the product's tables."""
    rows = connection.execute(
        text(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version'"
            " GROUP BY 1"
        )
    )
    return {table: list(names) for table, names in rows}
