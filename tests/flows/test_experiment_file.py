"""Experiment files: every problem at once, each with its key; the shipped files are valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flows.experiment_file import load_experiment
from tasks.errors import InputError
from tests.flows.command import small_experiment

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "deployments" / "experiments").glob("*.yaml"))


def change(path: Path, key: str, value: object) -> None:
    content = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    node = content
    for part in parents:
        node = node[part]
    node[last] = value
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiment_is_valid_and_named_after_its_file(path: Path) -> None:
    assert load_experiment(path).name == path.stem


def test_load_experiment_resolves_paths_from_its_own_folder(tmp_path: Path) -> None:
    config = load_experiment(small_experiment(tmp_path))
    assert config.pool.kind == "files"
    assert config.pool.paths == (str(tmp_path / "pool.jsonl"),)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("recipe.epochs", "many", ("recipe.epochs", "integer", "'many'")),
        ("design.seeds", [1], ("design.seeds", "at least 2")),
        ("design.seeds", [1, 1], ("design.seeds", "twice")),
        ("validation.seeds", [1, 12], ("validation.seeds", "[1]")),
        ("recipe.model", {"kind": "huge"}, ("recipe.model", "huge", "tiny")),
        ("held_out.measure", 3, ("held_out.measure", "unknown key", "measure_per_category")),
        ("name", "../escape", ("name",)),
        ("recipe.epochs", 2, ("recipe.epochs", "'paper'", "3", "'tilted'")),
    ],
)
def test_load_experiment_wrong_value_names_key_and_expectation(
    key: str, value: object, words: tuple[str, ...], tmp_path: Path
) -> None:
    path = small_experiment(tmp_path)
    change(path, key, value)
    with pytest.raises(InputError) as caught:
        load_experiment(path)
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_load_experiment_reports_all_problems_together(tmp_path: Path) -> None:
    path = small_experiment(tmp_path)
    change(path, "recipe.epochs", 0)
    change(path, "analysis.box", 7)
    with pytest.raises(InputError, match="2 problem") as caught:
        load_experiment(path)
    assert "recipe.epochs" in str(caught.value)
    assert "analysis.box" in str(caught.value)


def test_override_changes_a_nested_key_and_bad_ones_are_refused(tmp_path: Path) -> None:
    path = small_experiment(tmp_path)
    assert load_experiment(path, ["design.seeds=[4, 5]", "validation=null"]).design.seeds == (4, 5)
    with pytest.raises(InputError, match=r"expected dotted\.key=value"):
        load_experiment(path, ["design.seeds"])
    with pytest.raises(InputError, match="no group of keys"):
        load_experiment(path, ["name.first=x"])


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "a: [", "\x00"])
def test_load_experiment_not_a_mapping_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"odd\.yaml"):
        load_experiment(path)
