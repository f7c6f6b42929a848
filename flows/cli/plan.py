"""`plan`: what an experiment would train and could tell, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import JsonFlag

if TYPE_CHECKING:
    from tasks.interventions.designs.summary import DesignSummary
    from tasks.interventions.intervention import Intervention

_SHOWN_ROWS, _SHOWN_CATEGORIES, _SHOWN_CHANGES = 60, 12, 4


def plan(
    experiment: Annotated[Path, typer.Argument(help="Experiment file (YAML); examples in deployments/experiments/.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key: 'design={kind: factorial}'.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Show an experiment's design: its runs, and what they can and cannot tell. Starts no service, trains nothing.

    A pool that the experiment wants cleaned, tagged or selected from is, as `run` would do it and then finds it.
    """
    from flows.benchmarking import ready_benchmarks
    from flows.experiment_file import load_experiment
    from flows.material import gather_material
    from infra.settings import load_settings

    config = load_experiment(experiment, set_ or ())
    # The pool is written to the artifact store, where `run` finds it.
    material = gather_material(config, load_settings().artifact_folder)
    ready_benchmarks(config, material)
    interventions = config.design.interventions(material.baseline, material.available)
    summary = config.design.summary(material.baseline, material.available)
    if json_output:
        plain = plan_to_json(config.name, config.estimator, config.design.seeds, interventions, summary)
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        _show(config.name, config.estimator, config.design.seeds, interventions, summary)


def plan_to_json(
    name: str,
    estimator: str,
    seeds: tuple[int, ...],
    interventions: tuple[Intervention, ...],
    summary: DesignSummary,
) -> dict[str, Any]:
    """The plan as plain data: interventions with their counts, seeds, runs, what they can and cannot tell."""
    return {
        "experiment": name,
        "design": summary.design,
        "estimator": estimator,
        "seeds": list(seeds),
        "runs": summary.runs,
        "most_runs": summary.most_runs,
        "interventions": [
            {"name": one.name, "arm": one.arm, "removed": list(one.removed), "total": one.total,
             "counts": dict(one.counts)}
            for one in interventions
        ],
        "estimates": list(summary.estimates),
        "cannot": list(summary.cannot),
        "notes": list(summary.notes),
    }  # fmt: skip


def _show(
    name: str, estimator: str, seeds: tuple[int, ...], interventions: tuple[Intervention, ...], summary: DesignSummary
) -> None:
    runs = f"{summary.runs} runs"
    if summary.runs < summary.most_runs:
        runs = f"{summary.runs} runs at first, at most {summary.most_runs}"
    print(f"{name}: {summary.design}, estimator {estimator}")
    print(f"{runs}: {summary.interventions} training sets, seeds {', '.join(map(str, seeds))}\n")
    few = len(interventions[0].counts) <= _SHOWN_CATEGORIES
    for line in _counts(interventions[:_SHOWN_ROWS]) if few else _changes(interventions[:_SHOWN_ROWS]):
        print(line)
    if len(interventions) > _SHOWN_ROWS:
        print(f"… and {len(interventions) - _SHOWN_ROWS} more training sets; --json lists all.")
    parts = {"It can estimate": summary.estimates, "It cannot": summary.cannot, "Note": summary.notes}
    for title, sentences in parts.items():
        if sentences:
            print(f"\n{title}")
        for sentence in sentences:
            print(f"  - {sentence}")


def _counts(interventions: tuple[Intervention, ...]) -> list[str]:
    """A table of all counts, the categories numbered: their names are too long for columns."""
    categories = [category for category, _ in interventions[0].counts]
    width = max(5, *(len(str(one.total)) + 2 for one in interventions))
    names = max(len(one.name) for one in interventions)
    heads = "".join(f"{f'({k})':>{width}}" for k in range(1, len(categories) + 1))
    lines = [f"({k}) {category}" for k, category in enumerate(categories, 1)]
    lines += ["", f"{'training set':<{names}}{'total':>{width + 2}}{heads}"]
    for one in interventions:
        counts = "".join(f"{n:>{width}}" for _, n in one.counts)
        lines.append(f"{one.name:<{names}}{one.total:>{width + 2}}{counts}")
    return lines


def _changes(interventions: tuple[Intervention, ...]) -> list[str]:
    """What differs from the baseline, the largest changes first."""
    baseline = dict(interventions[0].counts)
    lines = []
    for one in interventions:
        changed = sorted((-abs(n - baseline[c]), c, n) for c, n in one.counts if n != baseline[c])
        shown = [f"{c} {baseline[c]} → {n}" for _, c, n in changed[:_SHOWN_CHANGES]]
        more = f" and {len(changed) - _SHOWN_CHANGES} more" if len(changed) > _SHOWN_CHANGES else ""
        lines.append(f"{one.name}, {one.total} examples" + (f": {', '.join(shown)}{more}" if shown else ""))
    return lines
