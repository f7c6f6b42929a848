"""`simulate`: score designs, estimators and decisions on worlds whose truth is known; no services, no training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.places import check_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from tasks.worlds.simulation import Simulation, Trial
    from tasks.worlds.summary import Rate, Summary

_NARROWEST = 150


def simulate(  # noqa: PLR0913, PLR0917 - one option each
    design: Annotated[
        list[str] | None,
        typer.Option(
            help="leave-one-out, half-dose, dose, pair-out, factorial, factorial-and-removals, mixtures, sequential; "
            "repeatable."
        ),
    ] = None,
    estimator: Annotated[
        list[str] | None, typer.Option(help="paired, surface, surface-law, surface-gp; repeatable.")
    ] = None,
    runs: Annotated[list[int] | None, typer.Option(help="Fine-tunes that a design may spend; repeatable.")] = None,
    worlds: Annotated[int, typer.Option(help="Worlds to draw.")] = 100,
    categories: Annotated[int, typer.Option(help="Categories per world.")] = 8,
    noise: Annotated[
        float, typer.Option(help="Noise of a run, as a fraction of the typical effect of removing a category.")
    ] = 0.2,
    seed_noise: Annotated[float, typer.Option(help="What runs of a seed share, as a multiple of that noise.")] = 1.0,
    correlation: Annotated[float, typer.Option(help="Correlation of a run's noise between categories.")] = 0.3,
    edges: Annotated[float, typer.Option(help="Planted dependencies per category.")] = 1.0,
    conflicts: Annotated[float, typer.Option(help="Planted conflicts per category.")] = 0.25,
    universal: Annotated[int, typer.Option(help="Categories that are good for all that come after them.")] = 0,
    curvature_spread: Annotated[
        float, typer.Option(help="How much the shapes of the learning curves differ, 0 to 1.")
    ] = 1.0,
    null_share: Annotated[float, typer.Option(help="Part of the worlds in which there is nothing to find.")] = 0.2,
    max_shift: Annotated[float, typer.Option(help="A proposal's limit on half the sum of |new − old| shares.")] = 0.03,
    box: Annotated[float, typer.Option(help="A proposal keeps each share within (1 ± box) times its baseline.")] = 0.5,
    objective: Annotated[
        Literal["performance", "equivalence"],
        typer.Option(help="What a proposal maximizes; its gain is scored in true performance either way."),
    ] = "performance",
    confidence: Annotated[float, typer.Option(help="Level of the intervals and decisions.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the worlds.")] = 1,
    out: Annotated[Path | None, typer.Option(help="CSV to write: one row per world and combination.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Designs, estimators and decisions against worlds whose effects, dependencies and best mixture are known."""
    from tasks.worlds.drawing import WorldSpec
    from tasks.worlds.simulation import Simulation
    from tasks.worlds.summary import summarize
    from tasks.worlds.trial_files import write_trials

    simulation = Simulation(
        worlds=worlds,
        spec=WorldSpec(
            categories, noise, seed_noise, correlation, edges, conflicts, universal, curvature_spread=curvature_spread
        ),
        designs=tuple(dict.fromkeys(design or ["leave-one-out"])),
        estimators=tuple(dict.fromkeys(estimator or ["paired"])),
        budgets=tuple(dict.fromkeys(runs or [36])),
        null_share=null_share,
        seed=seed,
        confidence=confidence,
        max_shift=max_shift,
        box=box,
        objective=objective,
    )
    simulation.check()
    if out:
        check_file(out)
    trials = _run(simulation, workers)
    if out:
        write_trials(out, trials)
    _show(simulation, summarize(trials))
    if out:
        print(f"One row per world and combination in {out}")


def _run(simulation: Simulation, workers: int) -> list[Trial]:
    from rich.console import Console
    from rich.progress import track

    from tasks.worlds.simulation import simulate as simulated

    console = Console(stderr=True)
    found = track(simulated(simulation, workers), "Worlds", total=simulation.worlds, console=console)
    return sorted((trial for trials in found for trial in trials), key=lambda trial: trial.world)


def _show(simulation: Simulation, summaries: Sequence[Summary]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if console.width < _NARROWEST:
        console = Console(highlight=False, width=_NARROWEST)
    for table in (_intervals(summaries, simulation.confidence), _effects(summaries), _decisions(summaries)):
        console.print(table)
    console.print(
        "Each rate: value (95% interval; number of cells). The interval allows for what the cells of a world share."
    )
    for reason in simulation.left_out.values():
        console.print(f"Left out: {reason}", markup=False)
    for summary in summaries:
        for reason in summary.refusals:
            name = f"{summary.design}, {summary.estimator}, {summary.budget} runs"
            console.print(f"Refused in some of {summary.refused} worlds ({name}): {reason}", markup=False)


def _intervals(summaries: Sequence[Summary], confidence: float) -> Table:
    table = _table(f"Coverage of {confidence:.0%} intervals", "Δ, others", "Δ, own", "γ as estimated", "γ at baseline")
    table.add_column("unseen mixtures", justify="right")
    for one in summaries:
        rates = (one.delta_others, one.delta_own, one.gamma, one.gamma_local, one.prediction)
        table.add_row(*_names(one), *map(_rate, rates))
    return table


def _effects(summaries: Sequence[Summary]) -> Table:
    table = _table(
        "Marginal effects (relative error) and dependencies", "others", "own", "all", "edge precision", "edge recall"
    )
    table.add_column("false share", justify="right")
    for one in summaries:
        errors = (f"{value:.3f}" for value in (one.error_others, one.error_own, one.error_all))
        false = f"{one.false_discoveries:.1%}"
        table.add_row(*_names(one), *errors, _rate(one.precision), _rate(one.recall), false)
    return table


def _decisions(summaries: Sequence[Summary]) -> Table:
    table = _table("Decisions", "changes in null worlds", "changes in others", "harmful changes", "regret")
    for one in summaries:
        regret = "–" if one.regret != one.regret else f"{one.regret:.1%}"
        table.add_row(*_names(one), _rate(one.false_changes), _rate(one.changes), _rate(one.harmful), regret)
    return table


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table("design", "estimator", title=title, title_justify="left")
    for name in ("budget", "runs", "worlds", *columns):
        table.add_column(name, justify="right")
    return table


def _names(summary: Summary) -> tuple[str, ...]:
    return summary.design, summary.estimator, str(summary.budget), f"{summary.runs:.0f}", str(summary.worlds)


def _rate(rate: Rate) -> str:
    if not rate.cells:
        return "–"
    return f"{rate.value:.1%} ({rate.low:.1%}–{rate.high:.1%}; {rate.cells})"
