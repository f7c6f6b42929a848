"""The program's feasible set as an OR-Tools MathOpt model: simplex, named limits, split variables for the shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ortools.math_opt.python import mathopt

from tasks.errors import BeyondIIDError
from tasks.proportions.limits import NamedLimit, Vector


class SolverError(BeyondIIDError):
    """The solver ended without an answer, or its answer failed the check and is not returned."""


@dataclass(frozen=True)
class LinearModel:
    """A MathOpt model and the handles needed to read primal and dual values.

    Attributes:
        model: maximize or minimize something on it.
        shares: K variables w ≥ 0.
        moves: 2K variables u, v ≥ 0 with w − u + v = α.
        simplex: the row Σw = 1.
        links: K rows w − u + v = α.
        rows: one row per named limit.
        slacks: variables ≥ 0 that widen the elastic limits.
    """

    model: mathopt.Model
    shares: tuple[mathopt.Variable, ...]
    moves: tuple[mathopt.Variable, ...]
    simplex: mathopt.LinearConstraint
    links: tuple[mathopt.LinearConstraint, ...]
    rows: tuple[mathopt.LinearConstraint, ...]
    slacks: dict[str, mathopt.Variable]


def linear_model(
    alpha: Vector, limits: Sequence[NamedLimit], elastic: Mapping[str, tuple[str, float]] | None = None
) -> LinearModel:
    """Build {w ≥ 0, Σw = 1, limits}; limits named in `elastic` are widened by slack variables.

    α: [K] baseline shares. `elastic`: limit name → (name of its slack variable, share of widening per unit of slack);
    several limits may have the same variable. The shift row is ½Σ(u + v) ≤ ρ, so that its dual is per unit of ρ.
    """
    model = mathopt.Model()
    shares = tuple(model.add_variable(lb=0.0) for _ in alpha)
    ups = tuple(model.add_variable(lb=0.0) for _ in alpha)
    downs = tuple(model.add_variable(lb=0.0) for _ in alpha)
    simplex = model.add_linear_constraint(mathopt.fast_sum(shares) == 1.0)
    links = tuple(
        model.add_linear_constraint(w - u + v == float(a)) for w, u, v, a in zip(shares, ups, downs, alpha, strict=True)
    )
    slacks: dict[str, mathopt.Variable] = {}
    rows = []
    for limit in limits:
        row = model.add_linear_constraint(
            ub=limit.bound if limit.upper else float("inf"), lb=float("-inf") if limit.upper else limit.bound
        )
        if limit.category is None:
            for variable in (*ups, *downs):
                row.set_coefficient(variable, 0.5)
        else:
            row.set_coefficient(shares[limit.category], 1.0)
        if elastic and limit.name in elastic:
            key, width = elastic[limit.name]
            if key not in slacks:
                slacks[key] = model.add_variable(lb=0.0)
            row.set_coefficient(slacks[key], -width if limit.upper else width)
        rows.append(row)
    return LinearModel(model, shares, (*ups, *downs), simplex, links, tuple(rows), slacks)


def solve_glop(model: mathopt.Model) -> mathopt.SolveResult:
    """Solve a linear program with GLOP (simplex, one thread, deterministic)."""
    return mathopt.solve(model, mathopt.SolverType.GLOP)
