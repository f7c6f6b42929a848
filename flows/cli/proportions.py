"""`proportions`: solve the category proportions from the user's own effects, no services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.options import JsonFlag
from flows.cli.places import check_file

if TYPE_CHECKING:
    from rich.table import Table

    from tasks.proportions.goal import Goal
    from tasks.proportions.proposal import Baseline, Proposal

_PRICES = 10
"""Shadow prices shown: the largest."""


def proportions(  # noqa: PLR0913, PLR0917 - one option each
    effects: Annotated[
        Path,
        typer.Option(
            help="Folder written by `effects`, or one matrix (CSV or Parquet; first column targets, other columns "
            "sources): coefficients γ, or marginal effects for --objective performance."
        ),
    ],
    baseline: Annotated[Path, typer.Option(help="CSV: category, share; optional available, minimum, maximum.")],
    max_shift: Annotated[float | None, typer.Option(help="Upper limit of half the sum of |new − old| shares.")] = 0.03,
    box: Annotated[float | None, typer.Option(help="Each share stays within (1 ± box) times its baseline.")] = 0.5,
    total: Annotated[int, typer.Option(help="Examples in the training set.")] = 10_000,
    max_repeats: Annotated[float, typer.Option(help="How often one available example may be used.")] = 1.0,
    no_harm: Annotated[
        float | None, typer.Option(help="No category's equivalent amount may fall by more than this fraction.")
    ] = None,
    objective: Annotated[
        Literal["equivalence", "performance"],
        typer.Option(help="Maximize equivalent shares, or the weighted performance in its own unit."),
    ] = "equivalence",
    amount: Annotated[
        float | None,
        typer.Option(
            help="Performance: what the whole training set amounts to in the runs' unit; default: --total, or 1 "
            "where the runs hold shares."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="CSV: category, weight of each target; default: the baseline's shares.")
    ] = None,
    standard_errors: Annotated[
        Path | None, typer.Option(help="Standard errors of the matrix, same shape; errors are taken as independent.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Level of the gain's interval and of the decision.")] = 0.95,
    robustness: Annotated[
        float, typer.Option(help="How many sources may be at their worst at once; 0 trusts the estimates.")
    ] = 0.0,
    concave: Annotated[bool, typer.Option("--concave/--linear", help="Diminishing returns: for large shifts.")] = False,
    exponent: Annotated[float, typer.Option(help="Concave: exponent of the diminishing returns; 0 = logarithm.")] = 0.0,
    sensitivity: Annotated[
        bool | None,
        typer.Option(
            "--sensitivity/--no-sensitivity", help="Range of each share; default: up to 200 categories, if linear."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write: shares, counts, ranges of each category.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Solve the category proportions as a linear program: shares, counts, gain with interval, decision, prices."""
    from tasks.proportions.files import proposal_to_json, write_proposal_csv
    from tasks.proportions.goal import propose
    from tasks.proportions.proposal import Limits, Options

    if out:
        check_file(out)
    goal, start = _read(effects, baseline, objective, weights, standard_errors)
    options = Options(
        amount=amount,
        robustness=robustness,
        confidence=confidence,
        exponent=exponent if concave else None,
        sensitivity=sensitivity,
    )
    proposal = propose(goal, start, Limits(total, max_shift, box, max_repeats, no_harm), options)
    if out:
        write_proposal_csv(proposal, out)
    if json_output:
        print(json.dumps(proposal_to_json(proposal), indent=2, ensure_ascii=False))
    else:
        _print(proposal)


def _read(
    effects: Path,
    baseline: Path,
    objective: Literal["equivalence", "performance"],
    weights: Path | None,
    standard_errors: Path | None,
) -> tuple[Goal, Baseline]:
    from tasks.effects.effect_files import read_matrix
    from tasks.effects.effects_folder import read_effects
    from tasks.errors import InputError
    from tasks.proportions.files import read_baseline, read_standard_errors, read_weights
    from tasks.proportions.goal import goal_from_effects, goal_from_file
    from tasks.proportions.proposal import Coefficients

    given = None if weights is None else read_weights(weights)
    if effects.is_dir():
        if standard_errors is not None:
            raise InputError(
                f"--standard-errors: {effects} is a folder and holds its own errors; leave the option out."
            )
        matrix = read_effects(effects)
        start = read_baseline(baseline, matrix.sources)
        return goal_from_effects(matrix, start, objective, given), start
    targets, sources, values = read_matrix(effects, blank_rows=objective == "equivalence")
    start = read_baseline(baseline, sources)
    matrix_given = Coefficients(targets, sources, values)
    errors = None if standard_errors is None else read_standard_errors(standard_errors, matrix_given)
    return goal_from_file(matrix_given, start, objective, given, errors), start


def _print(proposal: Proposal) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_table(proposal))

    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    line(f"{proposal.status}: objective {proposal.objective:.6g}, baseline {proposal.baseline_objective:.6g}")
    if proposal.robustness:
        line(f"worst case of {proposal.robustness:g} sources: {proposal.protection:.4g} less gain")
    for text in (*proposal.warnings, *proposal.count_excess):
        line(f"warning: {text}")
    for price in sorted(proposal.shadow_prices, key=lambda price: -price.value)[:_PRICES]:
        line(f"  {price.text}")
    if len(proposal.shadow_prices) > _PRICES:
        line(f"  … and {len(proposal.shadow_prices) - _PRICES} smaller prices (--json has all)")
    gain = proposal.gain
    if gain is not None:
        ends = f"{gain.low:.4g} to {gain.high:.4g}"
        line(f"gain {gain.value:.4g} {gain.unit}, {100 * gain.confidence:.4g} % interval {ends}")
    line(f"{'change' if proposal.decision == 'change' else 'keep the baseline'}: {proposal.reason}")


def _table(proposal: Proposal) -> Table:
    from rich.markup import escape
    from rich.table import Table

    keep = ("considered",) if proposal.decision == "keep" else ()
    ranges = ("optimal range", f"range at {100 * proposal.slack:g} % less gain") if proposal.sensitivity else ()
    table = Table("category", "baseline", "share", *keep, "count", *ranges)
    for k, category in enumerate(proposal.categories):
        row = [escape(category), f"{proposal.baseline_shares[k]:.4f}", f"{proposal.shares[k]:.4f}"]
        row += [str(proposal.counts[k])] if keep else []
        row.append(str(proposal.recommended_counts[k]))
        if ranges:
            r = proposal.sensitivity[k]
            row += [f"{r.optimal_low:.4f}–{r.optimal_high:.4f}", f"{r.near_low:.4f}–{r.near_high:.4f}"]
        table.add_row(*row)
    return table
