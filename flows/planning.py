"""Planned runs: an intervention, a seed and a phase become a specification with a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from db.base import Phase
from flows.benchmarking import ReadyBenchmarks
from flows.config import ExperimentConfig
from flows.material import Material
from flows.worker import SPEC_FILE
from tasks.finetune.recipe import Engine, Lora, Recipe, recipe_identity
from tasks.finetune.spec import TRAINER_VERSION, RunSpec
from tasks.finetune.spec_file import write_spec
from tasks.fingerprint import fingerprint
from tasks.interventions.draw import training_manifest
from tasks.interventions.intervention import Intervention
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import write_manifest


@dataclass(frozen=True)
class PlannedRun:
    """One run to be done (or found done).

    Attributes:
        intervention: what is trained on.
        seed: repetition.
        phase: which held-out part scores it.
        manifest: the training order.
        spec: the complete specification.
        folder: where the specification, the progress, the checkpoint and the record lie.
    """

    intervention: Intervention
    seed: int
    phase: Phase
    manifest: Manifest
    spec: RunSpec
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Identity of the run."""
        return self.spec.fingerprint

    @property
    def label(self) -> str:
        """For people."""
        return self.spec.name

    def write(self) -> None:
        """Write the specification and the manifest, so that the run can be done from its folder alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_manifest(self.folder / "manifest.jsonl", self.manifest)
        write_spec(self.folder / SPEC_FILE, self.spec)


class Planner:
    """Turns interventions into planned runs of one experiment."""

    def __init__(
        self,
        config: ExperimentConfig,
        material: Material,
        base_model: Path,
        artifacts: Path,
        benchmarks: ReadyBenchmarks,
    ) -> None:
        """Read what all runs share: contents for the identity, the engine's configuration.

        Args:
            config: the experiment.
            material: its pool.
            base_model: the prepared base checkpoint.
            artifacts: the artifact store.
            benchmarks: what its runs are scored with (`flows.benchmarking.ready_benchmarks`).
        """
        self._config, self._material, self._base, self._artifacts = config, material, base_model, artifacts
        self._contents = {i.id: i.content_hash for i in material.split.train.instructions}
        self._recipe = _resolved(config.recipe, config.resources.gpus_per_run)
        self._deepspeed = _deepspeed_config(self._recipe)
        self._benchmarks = benchmarks
        self._shared = _identity_of_all_runs(config, self._recipe, base_model, self._deepspeed, self._benchmarks)

    def drawn(self, interventions: Iterable[Intervention], seeds: Iterable[int], phase: Phase) -> Iterator[PlannedRun]:
        """Runs whose order is the seed's random one: all interventions of a seed, then the next seed."""
        seeds, material, epochs = tuple(seeds), self._material, self._config.recipe.epochs
        interventions = tuple(interventions)
        for seed in seeds:
            for intervention in interventions:
                manifest = training_manifest(material.split.train, intervention, seed, epochs, material.selected)
                yield self.ordered(intervention, manifest, seed, phase)

    def ordered(self, intervention: Intervention, manifest: Manifest, seed: int, phase: Phase) -> PlannedRun:
        """A run with a given order (a curriculum)."""
        config = self._config
        held_out = self._material.split.measure if phase is Phase.MEASURE else self._material.split.validate
        content = [[stage, self._contents[i]] for stage, i in zip(manifest.stages, manifest.ids, strict=True)]
        identity = fingerprint(
            {**self._shared, "training": fingerprint(content), "held_out": held_out.content_hash, "seed": seed}
        )
        folder = self._artifacts / "runs" / identity
        spec = RunSpec(
            fingerprint=identity,
            name=f"{intervention.name}, seed {seed}",
            seed=seed,
            recipe=self._recipe,
            base_model=str(self._base),
            train_data=str(self._material.folder / "train.jsonl"),
            manifest=str(folder / "manifest.jsonl"),
            manifest_sha256=manifest.sha256,
            held_out=str(self._material.folder / f"{phase.value}.jsonl"),
            benchmark_batch_size=config.resources.benchmark_batch_size,
            workers=config.resources.workers_per_run,
            threads=max(1, int(config.resources.cpus_per_run)),
            deepspeed=self._deepspeed,
            benchmarks=self._benchmarks.spec,
            gpu_share=min(config.resources.gpus_per_run, 1.0) or 1.0,
        )
        return PlannedRun(intervention, seed, phase, manifest, spec, folder)


def _resolved(recipe: Recipe, gpus_per_run: float) -> Recipe:
    """The recipe with the engine that `auto` means for these resources: it decides numbers, so it has to be known."""
    if recipe.engine is not Engine.AUTO:
        return recipe
    return recipe.model_copy(update={"engine": Engine.DEEPSPEED if gpus_per_run else Engine.TORCH})


def _identity_of_all_runs(
    config: ExperimentConfig,
    recipe: Recipe,
    base_model: Path,
    deepspeed: dict[str, Any] | None,
    benchmarks: ReadyBenchmarks,
) -> dict[str, Any]:
    """Everything that decides the numbers of every run of the experiment.

    How often a checkpoint is written is not part of it, nor the longest allowed example (nothing is ever cut), nor how
    a batch is cut and spread: that changes sums by rounding only, except where dropout draws its numbers by piece.
    """
    from tasks.benchmarks.evaluate import EVALUATOR_VERSION

    identity: dict[str, Any] = {
        "recipe": recipe_identity(recipe),
        "base": base_model.name,
        "deepspeed": deepspeed,
        "trainer": TRAINER_VERSION,
        "benchmarks": {"held-out answers": EVALUATOR_VERSION},
        **benchmarks.in_identity,
    }
    if isinstance(recipe.method, Lora) and recipe.method.dropout:
        identity["pieces"] = [recipe.micro_batch_size, config.resources.workers_per_run]
    return identity


def _deepspeed_config(recipe: Recipe) -> dict[str, Any] | None:
    if recipe.engine is Engine.TORCH:
        return None
    text = (files("infra") / "deepspeed" / f"zero{recipe.zero_stage}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
