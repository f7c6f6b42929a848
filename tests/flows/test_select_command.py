"""`select` from the command line: what is written adds up, bad input is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.flows.command import Command
from tests.tasks.hygiene.rows import read, row, write


@pytest.fixture
def pool(tmp_path: Path) -> str:
    return write(
        tmp_path / "pool.jsonl", [row(f"q{k}", "x" * k, n=k, complexity=k / 2 + 1, quality=2) for k in range(1, 9)]
    )


def test_select_deita_from_fields_and_vectors(command: Command, tmp_path: Path, pool: str) -> None:
    vectors = np.eye(8, dtype=np.float32)
    vectors[6] = vectors[7]
    np.save(tmp_path / "v.npy", vectors)
    out = str(tmp_path / "out")
    options = ("--data", pool, "--size", "3", "--vectors", str(tmp_path / "v.npy"), "--out", out, "--json")
    result = command.run("select", *options)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["too_similar"], found["score_of_taken"]["highest"]) == (1, 10.0)
    assert [r["n"] for r in read(tmp_path / "out" / "pool.jsonl")] == [5, 6, 8]
    assert [r["n"] for r in read(tmp_path / "out" / "reserve.jsonl")] == [1, 2, 3, 4]
    (passed,) = read(tmp_path / "out" / "passed_over.jsonl")
    assert passed == {"file": pool, "line": 7, "reason": f"too similar: to {pool}, line 8"}


def test_select_by_length(command: Command, tmp_path: Path, pool: str) -> None:
    result = command.run("select", "--data", pool, "--size", "2", "--method", "length", "--out", str(tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    assert [r["n"] for r in read(tmp_path / "out" / "pool.jsonl")] == [7, 8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "9", "--method", "random"], "only 8 of the 9 rows asked for"),
        (
            ["--size", "2", "--method", "random", "--scorer", "x"],
            "neither scorer nor vectors: --scorer would",
        ),
        (["--size", "2", "--method", "random", "--similarity", "0.5"], "--similarity would be ignored"),
        (["--size", "2", "--scorer", "{}/none"], "cannot be loaded"),
        (["--size", "2", "--scorer", "x", "--scorer-engine", "endpoint"], "needs --endpoint URL and --scorer NAME"),
        (["--size", "2", "--vectors", "{}/none.npy"], "cannot be read as a NumPy file"),
        (["--size", "2", "--scorer", "x", "--quality-template", "{}/pool.jsonl"], "template lacks {prompt}"),
    ],
)
def test_select_bad_input_is_one_message(
    command: Command, tmp_path: Path, pool: str, options: list[str], message: str
) -> None:
    result = command.run(
        "select", "--data", pool, "--out", str(tmp_path / "out"), *[o.replace("{}", str(tmp_path)) for o in options]
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
