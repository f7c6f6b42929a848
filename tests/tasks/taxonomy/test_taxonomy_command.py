"""The command `taxonomy` on a folder that `effects` wrote, and on a matrix of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from flows.cli.taxonomy import taxonomy
from tasks.effects.effect_files import write_matrix
from tasks.effects.effects_folder import write_effects
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.errors import InputError
from tasks.taxonomy.taxonomy_files import read_taxonomy

NAMES = ("add", "copy", "reverse", "story")


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(taxonomy)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    truth = 2 * np.eye(4)
    truth[2, 1], truth[3, 0] = 0.8, 0.6
    difference = truth + rng.normal(0, 0.03, (4, 4, 1)) + rng.normal(0, 0.03, (4, 4, 4))
    paired = PairedDifferences(NAMES, NAMES, "nats", np.full(4, 100.0), difference)
    write_effects(effects_from_differences(paired), tmp_path / "effects")
    return tmp_path / "effects"


def test_taxonomy_of_a_folder_of_effects_has_stability_and_asymmetry(folder: Path, tmp_path: Path) -> None:
    result = run("--effects", folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "copy → reverse  +0.8" in result.output
    assert "found again in 100% of resamples" in result.output
    found = read_taxonomy(tmp_path / "out" / "taxonomy.json")
    assert {(edge.source, edge.target) for edge in found.edges} == {("copy", "reverse"), ("add", "story")}
    assert all(edge.stability > 0.9 and edge.asymmetry_p < 0.05 for edge in found.edges)


def test_taxonomy_of_a_matrix_alone_has_no_stability_to_show(folder: Path, tmp_path: Path) -> None:
    delta = tmp_path / "delta.csv"
    write_matrix(delta, NAMES, NAMES, np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0.8, 2, 0], [0, 0, 0, 2]]))
    result = run("--effects", delta, "--threshold", "0.5", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "copy → reverse  +0.8\n" in result.output


def test_taxonomy_of_a_folder_refuses_other_standard_errors(folder: Path, tmp_path: Path) -> None:
    errors = folder / "standard_error.csv"
    result = run("--effects", folder, "--standard-errors", errors, "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert "holds its own" in str(result.exception)


def test_taxonomy_of_targets_that_are_no_sources_is_refused_with_the_near_misses(tmp_path: Path) -> None:
    delta = tmp_path / "delta.csv"
    write_matrix(delta, ("Copy", "reversed"), ("copy", "reverse"), np.eye(2))
    result = run("--effects", delta, "--threshold", "0.5", "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert f"{delta}: no target is also a source" in str(result.exception)
    assert "reversed (is it reverse?)" in str(result.exception)
    assert not (tmp_path / "out").exists()
