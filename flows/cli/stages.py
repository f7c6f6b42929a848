"""`effects`, `proportions`, `taxonomy`, `curriculum`: one stage on the user's own files, no services."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ScheduleName(StrEnum):
    """The curriculum schedules, repeated here so that help needs no heavy import."""

    paper = "paper"
    tilted = "tilted"
    strict = "strict"
    reversed = "reversed"
    shuffled = "shuffled"


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def effects(
    runs: Annotated[
        Path, typer.Option(help="CSV or Parquet: run, optional seed, optional arm, one column per source category.")
    ],
    scores: Annotated[
        Path, typer.Option(help="CSV or Parquet: run, category, value (long), or run and one column each.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for gamma.csv, delta.csv, standard_error.csv, … and summary.json.")],
    higher_is_better: Annotated[
        bool, typer.Option("--higher-is-better/--lower-is-better", help="Direction of the scores; a loss is lower.")
    ] = False,
    metric: Annotated[str | None, typer.Option(help="Which metric, where the scores hold several.")] = None,
    confidence: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
) -> None:
    """Effects of each category's data on each category's score, from leave-one-out runs in paired seeds."""
    from tasks.effects.effect_files import write_effects
    from tasks.effects.paired import paired_effects
    from tasks.effects.run_files import read_runs

    table = read_runs(runs, scores, higher_is_better=higher_is_better, metric=metric)
    matrix = paired_effects(table, confidence)
    write_effects(matrix, out)
    significant = int((matrix.q_value <= 1 - confidence).sum())
    print(
        f"{len(matrix.targets)} targets × {len(matrix.sources)} sources from {matrix.seeds} paired seeds: "
        f"{significant} of {matrix.delta.size} effects at a false discovery rate of {1 - confidence:.2g}. In {out}"
    )


def proportions(  # noqa: PLR0913, PLR0917 - one option each
    effects: Annotated[
        Path, typer.Option(help="Coefficients γ: first column targets, other columns sources (gamma.csv).")
    ],
    baseline: Annotated[Path, typer.Option(help="CSV: category, share; optional available, minimum, maximum.")],
    max_shift: Annotated[float | None, typer.Option(help="Upper limit of half the sum of |new − old| shares.")] = 0.03,
    box: Annotated[float | None, typer.Option(help="Each share stays within (1 ± box) times its baseline.")] = 0.5,
    total: Annotated[int, typer.Option(help="Examples in the training set.")] = 10_000,
    max_repeats: Annotated[float, typer.Option(help="How often one available example may be used.")] = 1.0,
    out: Annotated[Path | None, typer.Option(help="CSV to write: category, baseline, share, count.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Solve the category proportions as a linear program; prints shares, counts, shadow prices, binding limits."""
    from tasks.effects.effect_files import read_matrix
    from tasks.proportions.files import proposal_to_json, read_baseline, write_proposal_csv
    from tasks.proportions.program import solve
    from tasks.proportions.proposal import Coefficients, Limits

    targets, sources, gamma = read_matrix(effects, blank_rows=True)
    start = read_baseline(baseline, sources)
    proposal = solve(Coefficients(targets, sources, gamma), start, Limits(total, max_shift, box, max_repeats))
    if out:
        write_proposal_csv(proposal, out)
    plain = proposal_to_json(proposal)
    if json_output:
        print(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("category", "baseline", "share", "count")
    for category, share in plain["shares"].items():
        before = plain["baseline_shares"][category]
        table.add_row(escape(category), f"{before:.4f}", f"{share:.4f}", str(plain["counts"][category]))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{proposal.status}: objective {proposal.objective:.6g}, baseline {proposal.baseline_objective:.6g}")
    for price in proposal.shadow_prices:
        console.print(f"  {price.text}", markup=False, soft_wrap=True)


def taxonomy(
    effects: Annotated[Path, typer.Option(help="Effects in the score's unit, positive = helps (delta.csv).")],
    out: Annotated[Path, typer.Option(help="Folder for taxonomy.json and roles.csv.")],
    standard_errors: Annotated[
        Path | None, typer.Option(help="Their standard errors, same shape (standard_error.csv).")
    ] = None,
    fdr: Annotated[float, typer.Option(help="False discovery rate of the edges.")] = 0.05,
    threshold: Annotated[
        float | None, typer.Option(help="Smallest effect that counts; needed without --standard-errors.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Induce the dependency graph, levels and roles from effects."""
    from tasks.effects.effect_files import read_matching_matrix, read_matrix
    from tasks.taxonomy.induce import induce_from_values
    from tasks.taxonomy.taxonomy_files import taxonomy_to_json, write_roles, write_taxonomy

    targets, sources, delta = read_matrix(effects)
    errors = read_matching_matrix(standard_errors, targets, sources) if standard_errors else None
    found = induce_from_values(targets, sources, delta, errors, fdr, threshold)
    out.mkdir(parents=True, exist_ok=True)
    write_taxonomy(found, out / "taxonomy.json")
    write_roles(found, out / "roles.csv")
    if json_output:
        print(json.dumps(taxonomy_to_json(found), indent=2, ensure_ascii=False))
        return
    for edge in found.edges:
        print(f"{edge.source} → {edge.target}  {edge.delta:+.4g}")
    removed = f", {len(found.removed)} removed to break cycles" if found.removed else ""
    print(f"{len(found.edges)} edges{removed}. In {out}")


def curriculum(  # noqa: PLR0913, PLR0917 - one option each
    data: Annotated[Path, typer.Option(help="Instructions: JSON lines (also .gz) or Parquet.")],
    roles: Annotated[Path, typer.Option(help="CSV: category,role (base, middle, dependent) or category,level.")],
    out: Annotated[Path, typer.Option(help="Manifest to write (JSON lines); its stage plan goes beside it.")],
    schedule: Annotated[ScheduleName, typer.Option(help="How the order is tilted.")] = ScheduleName.paper,
    seed: Annotated[int, typer.Option(help="Decides which examples go where and the order inside stages.")] = 0,
    stages: Annotated[int, typer.Option(help="Stages; each example appears once per stage on average.")] = 3,
    tilt: Annotated[int | None, typer.Option(help="Examples moved between first and last stage; default N/10.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Order your instructions into stages; each example appears exactly as often as in uniform training."""
    from tasks.curriculum.curriculum import Schedule
    from tasks.curriculum.files import curriculum_to_json, read_roles, write_curriculum
    from tasks.curriculum.schedule import build_curriculum
    from tasks.pool.config import FilesSource
    from tasks.pool.reader import read_pool, write_rejects

    pool = read_pool(FilesSource(paths=(str(data),)))
    ids = {category: [i.id for i in rows] for category, rows in pool.by_category().items()}
    built = build_curriculum(ids, read_roles(roles, pool.categories), Schedule(schedule.value), seed, stages, tilt)
    plan = write_curriculum(built, out)
    if pool.rejected:
        write_rejects(pool.rejected, out.with_suffix(".rejected.jsonl"))
    if json_output:
        print(json.dumps(curriculum_to_json(built), indent=2, ensure_ascii=False))
        return
    print(
        f"{len(built.manifest.ids)} examples in {len(built.stage_counts)} stages, tilt {built.tilt}.",
        built.note,
    )
    rejected = (
        f"; {len(pool.rejected)} rows rejected, see {out.with_suffix('.rejected.jsonl')}" if pool.rejected else ""
    )
    print(f"Manifest {out} (SHA-256 {built.manifest.sha256}), plan {plan}{rejected}")
