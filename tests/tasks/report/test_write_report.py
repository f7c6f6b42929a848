"""The report's files: whole or not at all, the same text everywhere."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.report.content import ReportData
from tasks.report.render import render, write_figures, write_report

ROOT = Path(__file__).resolve().parents[3]


def test_render_in_other_processes_is_the_same_text(small_report: ReportData, tmp_path: Path) -> None:
    (tmp_path / "report.pickle").write_bytes(pickle.dumps(small_report))
    script = (
        "import pickle, pathlib, sys; from tasks.report.render import render;"
        "folder = pathlib.Path(sys.argv[1]);"
        "report = pickle.loads((folder / 'report.pickle').read_bytes());"
        "(folder / 'out.html').write_text(render(report), encoding='utf-8')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment, cwd=tmp_path)
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == render(small_report)


def test_import_content_does_not_load_the_plotting_library() -> None:
    script = "import sys, tasks.report, tasks.report.content; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_write_report_replaces_the_old_file_and_leaves_no_part(interim_report: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(interim_report, path)
    first = path.read_text(encoding="utf-8")
    path.write_text("old")
    write_report(interim_report, path)
    assert path.read_text(encoding="utf-8") == first == render(interim_report)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_write_report_failing_render_keeps_the_old_file(small_report: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="baseline counts lack"):
        write_report(replace(small_report, baseline_counts=()), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_write_report_below_a_file_names_the_path(interim_report: ReportData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="report\\.html"):
        write_report(interim_report, tmp_path / "file" / "report.html")


def test_write_figures_gives_vector_and_pixel_files(small_report: ReportData, tmp_path: Path) -> None:
    paths = write_figures(small_report, tmp_path / "figures")
    assert {p.name for p in paths} == {"effects.svg", "effects.png", "taxonomy.svg", "taxonomy.png"}
    for path in paths:
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else start.startswith(b"<?xml")


def test_write_figures_without_effects_writes_nothing(interim_report: ReportData, tmp_path: Path) -> None:
    assert write_figures(interim_report, tmp_path) == ()
