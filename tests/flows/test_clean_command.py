"""`clean` from the command line: folder written, bad input refused."""

import json
from pathlib import Path

import pytest

from tests.flows.command import Command
from tests.tasks.hygiene.rows import read, row, write


def test_clean_writes_pool_reserve_rejects_and_report(command: Command, tmp_path: Path) -> None:
    rows = [row(f"question number {k} about the weather in town {k * k}", category="ab"[k % 2]) for k in range(20)]
    rows += [rows[0], {"messages": []}, row("please tell me what is the height of mount everest")]
    bench = write(tmp_path / "bench.jsonl", [{"question": "What is the height of Mount Everest?"}])
    pool = write(tmp_path / "pool.jsonl", rows)
    out = tmp_path / "out"
    result = command.run("clean", "--data", pool, "--out", str(out), "--benchmark", bench, "--reserve", "2", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads((out / "summary.json").read_text())
    assert found["dropped"] == {"duplicate content": 1, "no answer": 1, "benchmark item": 1}
    assert (found["kept"], found["reserve"]) == ({"a": 8, "b": 8}, {"a": 2, "b": 2})
    assert len(read(out / "pool.jsonl")) == 16
    assert len(read(out / "rejected.jsonl")) == 3
    (contact,) = read(out / "contamination.jsonl")
    assert (contact["line"], contact["item_line"], contact["measure"], contact["value"]) == (23, 1, "overlap", 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere.jsonl", "--out", "{}/out"], "nowhere.jsonl: no such file"),
        (["--data", "{}/pool.jsonl", "--out", "{}/pool.jsonl"], "is a file; expected a folder"),
        (["--data", "{}/pool.jsonl", "--out", "{}"], "pool.jsonl: would be replaced or removed"),
        (["--data", "{}/pool.jsonl", "--out", "{}/out", "--overlap", "2"], "overlap: Input should be less than"),
        (["--data", "{}/pool.jsonl", "--out", "{}/out", "--reserve", "9"], "leaves nothing of"),
    ],
)
def test_clean_bad_input_is_one_message(command: Command, tmp_path: Path, options: list[str], message: str) -> None:
    write(tmp_path / "pool.jsonl", [row("a"), row("b")])
    result = command.run("clean", *[option.format(tmp_path) for option in options])
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
