"""`predict`: scores of mixtures that nobody has trained yet, from the user's own runs, no services."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.effects import (
    Confidence,
    FileFormat,
    Higher,
    IncludeAdaptive,
    Metric,
    RunsFile,
    ScoresFile,
    SurfaceKind,
    fitted,
    say_notes,
    without_adaptive,
)
from flows.cli.places import check_file

if TYPE_CHECKING:
    from tasks.effects.extrapolation import Far


def predict(  # noqa: PLR0913, PLR0917 - one option each
    runs: RunsFile,
    scores: ScoresFile,
    at: Annotated[Path, typer.Option(help="CSV or Parquet of new mixtures: run and the source columns of the runs.")],
    out: Annotated[Path, typer.Option(help="CSV to write: run, category, mean, low, high.")],
    surface: SurfaceKind = "combined",
    file_format: FileFormat = "long",
    include_adaptive: IncludeAdaptive = False,
    higher_is_better: Higher = False,
    metric: Metric = None,
    confidence: Confidence = 0.95,
) -> None:
    """Predict the scores of new mixtures from a response surface over all runs, in the scores' own direction.

    low and high hold the score of one new run, its own noise included, with the given confidence. Mixtures far
    outside the runs are named on standard error.
    """
    from tasks.effects.extrapolation import far_mixtures
    from tasks.effects.mixture_files import read_mixtures, write_predictions
    from tasks.effects.notes import seed_notes
    from tasks.effects.run_files import read_runs

    check_file(out)
    table = read_runs(runs, scores, higher_is_better=higher_is_better, metric=metric, layout=file_format)
    names, amounts = read_mixtures(at, table.sources, file_format)
    used = without_adaptive(runs, table, include_adaptive)
    predicted = fitted(runs, used, confidence, surface).predict(amounts)
    write_predictions(out, names, table.targets, predicted, higher_is_better)
    _warn(names, far_mixtures(table.sources, used.amounts, amounts))
    say_notes(*seed_notes(used))
    print(
        f"{len(names)} mixtures × {len(table.targets)} categories predicted from {len(used.runs)} runs, "
        f"{confidence:.0%} intervals. In {out}"
    )


def _warn(names: tuple[str, ...], far: tuple[Far, ...], shown: int = 10) -> None:
    """Say on standard error which mixtures lie far outside the runs, and by what mark."""
    if not far:
        return
    print(
        f"beyond-iid: {len(far)} of {len(names)} mixtures lie far outside the runs, so their predictions extrapolate. "
        "Far: an amount or the total is beyond the runs' range by more than half of it, or the nearest run is farther "
        "than any run is from its own nearest (distance of square-rooted amounts; 1 = the largest among the runs).",
        file=sys.stderr,
    )
    for mixture in far[:shown]:
        reasons = [f"nearest run at {mixture.distance:.2g}"] if mixture.distance > 1 else []
        reasons += [f"{name} is {value:.6g}, runs {low:.6g} to {high:.6g}" for name, value, low, high in mixture.beyond]
        print(f"- {names[mixture.row]}: {'; '.join(reasons)}", file=sys.stderr)
    if len(far) > shown:
        print(f"- … and {len(far) - shown} more", file=sys.stderr)
