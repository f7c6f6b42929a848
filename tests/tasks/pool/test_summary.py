import json
from pathlib import Path

from tasks.pool.instruction import Instruction, Pool, RejectedRow
from tasks.pool.reader import write_rejects
from tasks.pool.summary import summary

REJECTED = (
    RejectedRow("a.jsonl", 2, "broken JSON: at character 7"),
    RejectedRow("a.jsonl", 5, "no category: field missing"),
    RejectedRow("b.jsonl", 1, "broken JSON: at character 1"),
)


def test_summary_counts_categories_and_kinds_of_reason() -> None:
    rows = [Instruction(str(n), (("user", str(n)), ("assistant", "x")), "b" if n else "a") for n in range(3)]
    result = summary(Pool("pool", tuple(rows), REJECTED))
    assert result.kept == (("a", 1), ("b", 2))
    assert result.rejected == (("broken JSON", 2), ("no category", 1))
    assert (result.kept_total, result.rejected_total) == (3, 3)
    assert result.text().splitlines()[0] == "pool: 3 rows kept in 2 categories"
    assert result.text().splitlines()[-2:] == ["          2  broken JSON", "          1  no category"]


def test_write_rejects_gives_one_object_a_row(tmp_path: Path) -> None:
    write_rejects(REJECTED, tmp_path / "rejected.jsonl")
    lines = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"file": r.file, "line": r.line, "reason": r.reason} for r in REJECTED
    ]
