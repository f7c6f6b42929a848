"""`effects`: effects from the user's own runs and scores, no services."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.places import check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasks.effects.matrix import EffectMatrix, RunTable
    from tasks.effects.pair_out import PairInteractions
    from tasks.effects.pairing import Unused
    from tasks.effects.surface import Surface

RunsFile = Annotated[
    Path,
    typer.Option(
        help="CSV or Parquet: run, optional seed, arm, adaptive (0 or 1), one column per source category with its "
        "amount, share or weight."
    ),
]
ScoresFile = Annotated[
    Path, typer.Option(help="CSV or Parquet: run, category, value (long), or run and one column per category (wide).")
]
FileFormat = Annotated[
    Literal["long", "regmix", "olmix"],
    typer.Option("--format", help="Whose columns the files have: this product's (long), RegMix's or olmix's."),
]
Higher = Annotated[
    bool, typer.Option("--higher-is-better/--lower-is-better", help="Direction of the scores; a loss is lower.")
]
Metric = Annotated[str | None, typer.Option(help="Which metric, where the scores hold several.")]
Confidence = Annotated[float, typer.Option(help="Level of the intervals.")]
SurfaceName = Literal["law", "gp", "combined"]
SurfaceKind = Annotated[
    SurfaceName,
    typer.Option(help="Response surface: effective-data law, Gaussian process, or the two combined."),
]
IncludeAdaptive = Annotated[
    bool, typer.Option("--include-adaptive", help="Also use runs that were chosen after seeing earlier results.")
]


def effects(  # noqa: PLR0913, PLR0917 - one option each
    runs: RunsFile,
    scores: ScoresFile,
    out: Annotated[Path, typer.Option(help="Folder for gamma.csv, delta.csv, standard_error.csv, … and summary.json.")],
    estimator: Annotated[
        Literal["paired", "surface"],
        typer.Option(
            help="paired: baseline and leave-one-out runs of the same seeds. surface: one model of all runs, whatever "
            "their mixtures."
        ),
    ] = "paired",
    surface: SurfaceKind = "combined",
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="CSV: category, share or amount: the mixture around which the surface is read. Without it the mean of "
            "the runs with arm baseline, else of all runs."
        ),
    ] = None,
    file_format: FileFormat = "long",
    include_adaptive: IncludeAdaptive = False,
    higher_is_better: Higher = False,
    metric: Metric = None,
    confidence: Confidence = 0.95,
) -> None:
    """Effects of each category's data on each category's score, with intervals."""
    from tasks.effects.effects_folder import write_effects
    from tasks.effects.notes import name_notes, seed_notes, yardstick_notes
    from tasks.effects.pair_out_file import PAIR_INTERACTIONS, write_interactions
    from tasks.effects.run_files import read_runs
    from tasks.errors import InputError

    check_folder(out)
    if estimator == "paired" and baseline:
        raise InputError("--baseline goes with --estimator surface; paired effects are measured at the baseline runs.")
    table = read_runs(runs, scores, higher_is_better=higher_is_better, metric=metric, layout=file_format)
    used = without_adaptive(runs, table, include_adaptive)
    far: tuple[str, ...] = ()
    interactions, notes = None, seed_notes(used)
    if estimator == "paired":
        (matrix, interactions), basis = _paired(runs, used, confidence), "paired seeds"
    else:
        matrix, far, further = _surface(runs, used, baseline, confidence, surface)
        basis, notes = f"runs by the surface ({surface})", (*notes, *further)
    write_effects(matrix, out, far)
    write_interactions(out, interactions)
    number = matrix.seeds if estimator == "paired" else len(used.runs)
    significant = int((matrix.q_value <= 1 - confidence).sum())
    print(
        f"{len(matrix.targets)} targets × {len(matrix.sources)} sources from {number} {basis}: "
        f"{significant} of {matrix.delta.size} effects at a false discovery rate of {1 - confidence:.2g}. In {out}"
    )
    if interactions:
        print(
            f"Pair-out runs: {len(interactions.sources)} interactions in {out / PAIR_INTERACTIONS}; "
            "`taxonomy --require-pair-out` keeps the edges they confirm"
        )
    say_notes(*name_notes(matrix.targets, matrix.sources), *yardstick_notes(matrix), *notes)


def say_notes(*notes: str) -> None:
    """Print notes for the reader on standard error."""
    for note in notes:
        print(f"beyond-iid: note: {note}.", file=sys.stderr)


def without_adaptive(runs: Path, table: RunTable, include: bool) -> RunTable:
    """The runs to estimate from; says how many adaptively chosen ones are left out or among them.

    Raises:
        InputError: no run is left.
    """
    from tasks.errors import InputError

    count = sum(table.adaptive)
    if not count:
        return table
    if include:
        print(
            f"{count} of {len(table.runs)} runs were chosen after seeing earlier results; they are used, and the "
            "intervals take no account of that choice."
        )
        return table
    used = table.confirmatory()
    if not used.runs:
        raise InputError(f"{runs}: every run is marked adaptive; --include-adaptive uses them all the same.")
    print(
        f"{count} of {len(table.runs)} runs were chosen after seeing earlier results and are left out "
        "(--include-adaptive uses them)."
    )
    return used


def fitted(runs: Path, table: RunTable, confidence: float, kind: SurfaceName) -> Surface:
    """The surface of these runs; what is wrong with them is said with the file's name."""
    from tasks.effects.surface import fit_surface

    with _naming(runs):
        return fit_surface(table, confidence, kind)


@contextmanager
def _naming(runs: Path) -> Iterator[None]:
    from tasks.errors import InputError

    try:
        yield
    except InputError as error:
        raise InputError(f"{runs}: {error}") from error


def _paired(runs: Path, table: RunTable, confidence: float) -> tuple[EffectMatrix, PairInteractions | None]:
    """The effects, and what pair-out runs say, where there are any; names the runs that serve neither."""
    from tasks.effects.paired import effects_from_differences
    from tasks.effects.pairing import BASELINE, pair_leave_one_out
    from tasks.errors import InputError

    if BASELINE not in table.arms:
        raise InputError(
            f"{runs}: no run is a baseline. Mark the baseline runs with {BASELINE!r} in a column arm, or use "
            "--estimator surface, which takes any runs."
        )
    with _naming(runs):
        differences = pair_leave_one_out(table)
        matrix = effects_from_differences(differences, confidence)
    interactions = _interactions(table)
    if differences.unused:
        number = f"{len(differences.unused)} of {len(table.runs)}"
        say_notes(f"{number} runs not used for the effects: {_reasons(differences.unused)}")
    if interactions and interactions.unused:
        say_notes(f"{len(interactions.unused)} pair-out runs confirm nothing: {_reasons(interactions.unused)}")
    return matrix, interactions


def _reasons(unused: Sequence[Unused], shown: int = 8) -> str:
    counts = Counter(one.reason for one in unused).most_common()
    said = [f"{reason} ({count} runs)" if count > 1 else reason for reason, count in counts[:shown]]
    return "; ".join(said + ([f"and {len(counts) - shown} reasons more"] if len(counts) > shown else []))


def _interactions(table: RunTable) -> PairInteractions | None:
    from tasks.effects.pair_out import pair_interaction
    from tasks.errors import InputError

    try:
        found = pair_interaction(table)
    except InputError as refusal:
        say_notes(f"pair-out runs confirm nothing: {refusal}".rstrip("."))
        return None
    return found if found.sources else None


def _surface(
    runs: Path, table: RunTable, baseline: Path | None, confidence: float, kind: SurfaceName
) -> tuple[EffectMatrix, tuple[str, ...], tuple[str, ...]]:
    """The effects, the sources whose removal is an extrapolation, and notes for the reader."""
    from tasks.effects.mixture_files import read_baseline_amounts
    from tasks.effects.notes import extrapolated, extrapolation_note, unbent_notes

    around = read_baseline_amounts(baseline, table) if baseline else None
    surface = fitted(runs, table, confidence, kind)
    matrix = surface.effects(around)
    far = extrapolated(table, surface.without_each(around))
    return matrix, far, (*unbent_notes(table, matrix.amounts), *([extrapolation_note(far)] if far else []))
