"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from tasks.pool.lines_file import LinesFile, ResultFiles, csv_lines


def test_lines_file_without_lines_takes_an_older_one_away_unless_empty_ones_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    for keep, expected in ((False, None), (True, b"")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("old\n")
        with LinesFile(path, keep_empty=keep):
            assert path.read_text() == "old\n"
        assert (path.read_bytes() if path.exists() else None) == expected


def test_lines_file_left_by_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old\n")
    with pytest.raises(KeyError), LinesFile(path) as file:
        file.write("new")
        raise KeyError
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.jsonl", "old\n")]


def test_lines_file_packed_twice_has_equal_bytes_and_counts_both_ways_of_writing(tmp_path: Path) -> None:
    found = []
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with LinesFile(tmp_path / name) as file:
            file.write("é")
            file.write_encoded([b"1", b"2"])
            file.write_encoded([])
            assert file.count == 3
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1]
    assert gzip.decompress(found[0]).decode() == "é\n1\n2\n"


def test_csv_lines_are_read_back_as_they_were() -> None:
    table = [["a, b", 'say "x"'], ["", "é"]]
    assert list(csv.reader(csv_lines(table))) == table


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_result_files_appear_together_and_take_unwanted_ones_away(tmp_path: Path) -> None:
    (tmp_path / "stale.csv").write_text("old\n")
    with ResultFiles() as files:
        files.lines(tmp_path / "new" / "a.jsonl").write("1")
        files.binary(tmp_path / "b").stream.write(b"2")
        files.lines(tmp_path / "no-lines.jsonl")
        files.write(tmp_path / "c", [])
        files.without([tmp_path / "stale.csv", tmp_path / "never.csv"])
        assert (tmp_path / "stale.csv").exists()
        assert not (tmp_path / "new" / "a.jsonl").exists()
    assert contents(tmp_path) == {"new/a.jsonl": "1\n", "b": "2", "c": ""}


def test_result_files_change_nothing_where_one_of_them_cannot_appear(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old\n")
    (tmp_path / "summary").mkdir()
    with pytest.raises(IsADirectoryError, match="summary"), ResultFiles() as files:
        files.write(tmp_path / "a", ["new"])
        files.write(tmp_path / "made" / "for" / "nothing", ["new"])
        files.write(tmp_path / "summary", ["new"])
    assert contents(tmp_path) == {"a": "old\n"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "summary"]


def test_result_files_left_by_an_error_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ResultFiles() as files:
        files.write(tmp_path / "made" / "a.jsonl.gz", ["new"])
        raise KeyError
    assert list(tmp_path.iterdir()) == []
