"""Runs and experiments without the younger keys keep the fingerprints that they had before these keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from db.base import Phase
from flows.benchmarking import ready_benchmarks
from flows.config import ExperimentConfig
from flows.material import gather_material
from flows.planning import Planner
from flows.preparation import base_fingerprint, decisive
from tasks.finetune.recipe import Recipe, TinyModel, recipe_identity
from tasks.fingerprint import fingerprint
from tests.flows.command import small_experiment

QUICKSTART = Path(__file__).resolve().parents[2] / "deployments" / "experiments" / "quickstart.yaml"
# Computed with the version before the keys hygiene, tagging, selection, masking and packing.
BEFORE = {
    "small": (
        "972629f5b50104a9fc5ef9dfb0c2001ff7d1681b0d67fcd9858bc30379de078e",
        "ad7986ca3c4cf25c774b834049c66cc460ad085a0838f8b712a359cfa571f8f4",
        "e476fd1c2cfb4a1a8599a126c2dd8ab0ed80b281634239466e7603165e53febe",
    ),
    "quickstart": (
        "95e12ec0b5d7323e7d3922055e35617fe7dfc5016fa05f62ddadf32523306cbc",
        "3dffd53baee9607af15e0de0d932ee20d957154c9e884198dafa4b71a2de391a",
        "a1c8eefd9adec2be617a745f81e3705d008d5da6af9f3f879bd2767e72b53a30",
    ),
}
"""Base checkpoint, all measured runs together, experiment."""


def identities(content: dict[str, Any], folder: Path) -> tuple[str, str, str]:
    config = ExperimentConfig.model_validate(content)
    material = gather_material(config, folder)
    base = base_fingerprint(config.recipe.model, material)
    benchmarks = ready_benchmarks(config, material)
    planner = Planner(config, material, folder / base, folder, benchmarks)
    interventions = config.design.interventions(material.baseline, material.available)
    runs = [one.fingerprint for one in planner.drawn(interventions, config.design.seeds, Phase.MEASURE)]
    return base, fingerprint(runs), fingerprint({**decisive(config), **benchmarks.in_identity, "base": base})


@pytest.mark.parametrize("name", BEFORE)
def test_default_choices_leave_every_fingerprint_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = small_experiment(tmp_path) if name == "small" else QUICKSTART
    assert identities(yaml.safe_load(file.read_text()), tmp_path) == BEFORE[name]


def test_masking_and_packing_enter_the_identity_only_where_they_are_chosen() -> None:
    plain = recipe_identity(Recipe(model=TinyModel()))
    assert not {"masking", "packing"} & plain.keys()
    assert recipe_identity(Recipe(model=TinyModel(), masking="last-answer", packing="none")) == plain
    chosen = recipe_identity(Recipe(model=TinyModel(), masking="all-answers", packing="padding-free"))
    assert chosen == {**plain, "masking": "all-answers", "packing": "padding-free"}
