"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from tasks.pool.lines_file import LinesFile, csv_lines


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
