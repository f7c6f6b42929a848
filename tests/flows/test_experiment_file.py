"""Experiment files: every problem at once, each with its key; the shipped files are valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flows.config import ExperimentConfig
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
        ("design.seeds", [1], ("design.leave-one-out.seeds", "at least 2")),
        ("design.sedes", [1], ("design.leave-one-out.sedes", "unknown key", "'seeds'")),
        ("design", {"kind": "factorail"}, ("design", "factorail", "'leave-one-out'", "'factorial'", "'sequential'")),
        ("design", {"kind": "factorial", "arm": "size-matched"}, ("design.factorial.arm", "unknown key", "foldover")),
        ("design", {"kind": "factorial", "high": 1.0}, ("design.factorial.high", "greater than 1")),
        ("design", {"kind": "dose", "doses": [0.5, 1]}, ("design.dose", "none of them 1")),
        ("design", {"kind": "pair-out", "pairs": [["a", "b", "c"]]}, ("design.pair-out.pairs", "at most 2")),
        ("design", {"kind": "mixtures", "number": 0}, ("design.mixtures.number", "greater than or equal to 1")),
        ("design", {"kind": "sequential", "seeds": [1, 2], "first_seeds": 3}, ("first_seeds is 3", "[1, 2]", "lower")),
        ("design", {"kind": "sequential", "seeds": [11, 12]}, ("validation.seeds", "[11, 12]")),
        ("analysis.robustness", -1, ("analysis.robustness", "greater than or equal to 0")),
        ("analysis.no_harm", 2, ("analysis.no_harm", "less than or equal to 1")),
        ("analysis.objective", "speed", ("analysis.objective", "'equivalence'", "'performance'")),
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


@pytest.mark.parametrize(
    ("design", "estimator", "label"),
    [
        ({"seeds": [1, 2]}, "paired", "size-matched"),
        ({"kind": "leave-one-out", "arm": "size-reduced"}, "paired", "size-reduced"),
        ({"kind": "dose", "doses": [0.5]}, "paired", "size-matched"),
        ({"kind": "dose"}, "surface", "size-matched"),
        ({"kind": "pair-out"}, "paired", "size-matched"),
        ({"kind": "sequential"}, "paired", "size-matched"),
        ({"kind": "factorial"}, "surface", "factorial"),
        ({"kind": "mixtures", "seeds": [1]}, "surface", "mixtures"),
    ],
)
def test_estimator_follows_from_the_design_unless_it_is_given(
    design: dict[str, object], estimator: str, label: str, tmp_path: Path
) -> None:
    path = small_experiment(tmp_path, design=design)
    config = load_experiment(path)
    assert (config.estimator, config.design.label) == (estimator, label)
    assert load_experiment(path, ["analysis.estimator=surface"]).estimator == "surface"


@pytest.mark.parametrize("design", [{"kind": "factorial"}, {"kind": "mixtures"}, {"kind": "dose"}])
def test_paired_estimator_of_runs_that_cannot_be_paired_is_refused_with_the_fix(
    design: dict[str, object], tmp_path: Path
) -> None:
    path = small_experiment(tmp_path, design=design)
    with pytest.raises(InputError, match=r"analysis.estimator is 'paired'.*set analysis.estimator to 'surface' or"):
        load_experiment(path, ["analysis.estimator=paired"])


def test_design_without_a_kind_is_the_same_as_leave_one_out(tmp_path: Path) -> None:
    path = small_experiment(tmp_path)
    plain = load_experiment(path)
    assert plain.design == load_experiment(path, ["design.kind=leave-one-out"]).design
    assert ExperimentConfig.model_validate(plain.model_dump(mode="json")) == plain


def test_every_key_of_the_designs_and_the_analysis_has_a_title_and_a_description_for_the_form() -> None:
    definitions = ExperimentConfig.model_json_schema()["$defs"]
    designs = ("LeaveOneOut", "Dose", "PairOut", "Factorial", "Mixtures", "Sequential")
    for name in (*designs, "Analysis"):
        for key, field in definitions[name]["properties"].items():
            # A reference to an enumeration of the same title leaves the title out.
            assert key == "kind" or ("description" in field and field.keys() & {"title", "$ref"}), f"{name}.{key}"


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
