"""The program over the shares as an OR-Tools MathOpt model: w = α + u − v with bounded moves u and v."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf

import numpy as np
from numpy.typing import NDArray
from ortools.glop import parameters_pb2
from ortools.math_opt.python import mathopt

from tasks.errors import BeyondIIDError
from tasks.proportions.limits import FEASIBILITY_TOLERANCE, NamedLimit, Vector, bounds

CUT_TOLERANCE = 1e-9
"""Share by which a no-harm limit may be broken before its row enters the model."""
_MOST_ROUNDS = 500
_ROWS_AT_ONCE = 100
_INFINITY = float("inf")
# GLOP's own 1e-8 on rows would leave a sum of shares that is not 1 to nine digits. Whether an answer is precise
# enough is checked afterward, on the shares.
_PRECISE = parameters_pb2.GlopParameters(
    primal_feasibility_tolerance=1e-10, dual_feasibility_tolerance=1e-9, change_status_to_imprecise=False
)
Indices = NDArray[np.int64]


class SolverError(BeyondIIDError):
    """The solver ended without an answer, or its answer failed the check and is not returned."""


@dataclass(frozen=True)
class Point:
    """An optimal point of the model as it was when it was solved.

    Attributes:
        values: [n] all variables; u and v first.
        shares: [K] w.
        objective: the objective's value.
        duals: [R] dual values of the rows; for a maximum ≥ 0 where an upper bound of the row holds it down.
    """

    values: Vector
    shares: Vector
    objective: float
    duals: Vector


class ShareModel:
    """A linear program over the shares of a set of limits; callers add variables, rows, cuts and an objective.

    Variables 0…K−1 are the moves up u, K…2K−1 the moves down v. Limits on single categories are bounds of u and v,
    rows only where they are elastic. Row 0 is Σw = 1. No-harm limits are dense: their rows enter once a solution
    breaks them, and the model is solved again until none is broken.

    Args:
        alpha: [K] baseline shares.
        limits: what the shares must keep.
        elastic: limit name → (name of its slack variable, share of widening per unit of slack); several limits may
            have the same slack. Slacks are ≥ 0.
    """

    def __init__(
        self, alpha: Vector, limits: Sequence[NamedLimit], elastic: Mapping[str, tuple[str, float]] | None = None
    ) -> None:
        self.alpha = alpha
        self.slacks: dict[str, int] = {}
        self.limit_rows: dict[str, int] = {}
        self.cuts: list[Callable[[Vector], bool]] = []
        self._model = mathopt.Model()
        self._solver: mathopt.IncrementalSolver | None = None
        self._variables: list[mathopt.Variable] = []
        self._rows: list[mathopt.LinearConstraint] = []
        self._entries: list[tuple[Indices, Vector]] = []
        self._bounds: list[tuple[float, float]] = []
        self._row_bounds: list[tuple[float, float]] = []
        self._costs: Vector = np.zeros(0)
        self._elastic = elastic or {}
        self._dense = [limit for limit in limits if limit.weights is not None]
        self._dense_weights = np.array([limit.weights for limit in self._dense])
        self._dense_bounds = np.array([limit.bound for limit in self._dense])
        self._waiting = np.ones(len(self._dense), dtype=bool)
        self._add_shares([limit for limit in limits if limit.weights is None])
        if self._dense:
            self.cuts.append(self._cut_dense)

    @property
    def size(self) -> int:
        """Number of variables."""
        return len(self._variables)

    def add_variables(self, lower: Sequence[float], upper: Sequence[float]) -> Indices:
        """New variables within these bounds; their indices."""
        first = len(self._variables)
        for low, high in zip(lower, upper, strict=True):
            self._variables.append(self._model.add_variable(lb=low, ub=high))
            self._bounds.append((low, high))
        return np.arange(first, len(self._variables))

    def add_row(self, indices: Indices, weights: Vector, lower: float, upper: float) -> int:
        """A new row lower ≤ Σ weights·variables ≤ upper; its index."""
        row = self._model.add_linear_constraint(lb=lower, ub=upper)
        for index, weight in zip(indices.tolist(), weights.tolist(), strict=True):
            if weight:
                row.set_coefficient(self._variables[index], weight)
        self._rows.append(row)
        self._entries.append((indices, weights))
        self._row_bounds.append((lower, upper))
        return len(self._rows) - 1

    def on_shares(self, weights: Vector) -> tuple[Indices, Vector]:
        """Indices and coefficients of Σ weights·(w − α)."""
        return np.arange(2 * len(self.alpha)), np.concatenate([weights, -weights])

    def maximize(self, costs: Vector) -> None:
        """Set the objective Σ costs·variables; variables beyond its length have none."""
        self._costs = np.concatenate([costs, np.zeros(self.size - len(costs))])
        self._model.objective.clear()
        self._model.objective.is_maximize = True
        for variable, cost in zip(self._variables, self._costs.tolist(), strict=True):
            if cost:
                self._model.objective.set_linear_coefficient(variable, cost)

    def solve(self) -> Point | None:
        """Solve, cut, and solve again until nothing is left to cut; None where nothing keeps all limits.

        Raises:
            SolverError: the solver ended otherwise.
        """
        if any(low > high for low, high in self._bounds):
            return None
        for _ in range(_MOST_ROUNDS):
            result = self._solved()
            if result is None:
                return None
            values = np.array(result.variable_values(self._variables))
            cuts = [cut(values) for cut in self.cuts]
            if not any(cuts):
                duals = np.array(result.dual_values(self._rows))
                return Point(values, self.shares(values), float(result.objective_value()), duals)
        raise SolverError(f"the program was not solved after {_MOST_ROUNDS} rounds of cuts")

    def _solved(self) -> mathopt.SolveResult | None:
        """The optimum of the model as it is; None where it is infeasible."""
        # Simplex methods can cycle on degenerate programs: where one does not end, the other one starts anew.
        most = 2_000 + 10 * (len(self._variables) + len(self._rows))
        detail = ""
        for algorithm in (mathopt.LPAlgorithm.DUAL_SIMPLEX, mathopt.LPAlgorithm.PRIMAL_SIMPLEX):
            if self._solver is None:
                self._solver = mathopt.IncrementalSolver(self._model, mathopt.SolverType.GLOP)
            parameters = mathopt.SolveParameters(lp_algorithm=algorithm, iteration_limit=most, glop=_PRECISE)
            result = self._solver.solve(params=parameters)
            reason = result.termination.reason
            if reason == mathopt.TerminationReason.OPTIMAL:
                return result
            if reason in (mathopt.TerminationReason.INFEASIBLE, mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED):
                return None
            detail = f"{reason.name.lower()}: {result.termination.detail}"
            self._solver = None
        raise SolverError(f"the solver ended {detail}")

    def shares(self, values: Vector) -> Vector:
        """[K] w of these variables."""
        size = len(self.alpha)
        return self.alpha + values[:size] - values[size : 2 * size]

    def bound(self, duals: Vector) -> float:
        """An upper bound of the objective that these duals prove (weak duality).

        Σ c x ≤ Σ_r max(y_r U_r, y_r L_r) + Σ_j max(r_j ub_j, r_j lb_j) with r = c − Aᵀy, for any y that is 0 or has
        the right sign where a row has no bound on one side. All variables need both bounds.
        """
        lower, upper = np.array(self._bounds).T
        reduced = self.reduced_costs(duals)
        rows = sum(dual * side for dual, side in self._held(duals) if dual)
        return float(rows + np.maximum(reduced * lower, reduced * upper).sum())

    def reduced_costs(self, duals: Vector) -> Vector:
        """[n] r = c − Aᵀy, what one more unit of each variable adds."""
        reduced = self._costs.copy()
        for (dual, _), (indices, weights) in zip(self._held(duals), self._entries, strict=True):
            if dual:
                reduced[indices] -= dual * weights
        return reduced

    def _held(self, duals: Vector) -> list[tuple[float, float]]:
        """Per row its dual (0 where the sign is wrong for a missing bound) and the bound it stands for."""
        sides = [
            (dual, upper if dual > 0 else lower)
            for dual, (lower, upper) in zip(duals.tolist(), self._row_bounds, strict=True)
        ]
        return [(0.0, 0.0) if isinf(side) else (dual, side) for dual, side in sides]

    def _add_shares(self, limits: Sequence[NamedLimit]) -> None:
        alpha, size = self.alpha, len(self.alpha)
        low, high = bounds([limit for limit in limits if limit.name not in self._elastic], size)
        # Bounds that cross by rounding alone are one value; others stay crossed: then nothing fits.
        high = np.where((low > high) & (low <= high + FEASIBILITY_TOLERANCE), low, high)
        self.add_variables(np.maximum(low - alpha, 0).tolist(), np.maximum(high - alpha, 0).tolist())
        self.add_variables(np.maximum(alpha - high, 0).tolist(), np.maximum(alpha - low, 0).tolist())
        for key in dict.fromkeys(key for key, _ in self._elastic.values()):
            self.slacks[key] = int(self.add_variables([0.0], [_INFINITY])[0])
        moves, ones = np.arange(2 * size), np.ones(size)
        rest = 1.0 - float(alpha.sum())
        self.add_row(moves, np.concatenate([ones, -ones]), rest, rest)
        for limit in limits:
            if limit.category is None:
                # ½Σ(u + v) ≤ ρ: the dual is per unit of ρ.
                self._add_limit(limit, moves, np.full(2 * size, 0.5), limit.bound)
            elif limit.name in self._elastic:
                k = limit.category
                self._add_limit(limit, np.array([k, size + k]), np.array([1.0, -1.0]), limit.bound - float(alpha[k]))

    def _add_limit(self, limit: NamedLimit, indices: Indices, weights: Vector, bound: float) -> None:
        if limit.name in self._elastic:
            key, width = self._elastic[limit.name]
            indices = np.append(indices, self.slacks[key])
            weights = np.append(weights, -width if limit.upper else width)
        lower, upper = (-_INFINITY, bound) if limit.upper else (bound, _INFINITY)
        self.limit_rows[limit.name] = self.add_row(indices, weights, lower, upper)

    def _cut_dense(self, values: Vector) -> bool:
        """Add the rows of the no-harm limits that are broken most; False if none is."""
        broken = np.where(self._waiting, self._dense_bounds - self._dense_weights @ self.shares(values), 0.0)
        worst = [int(i) for i in np.argsort(-broken)[:_ROWS_AT_ONCE] if broken[i] > CUT_TOLERANCE]
        for i in worst:
            limit, weights = self._dense[i], self._dense_weights[i]
            self._add_limit(limit, *self.on_shares(weights), limit.bound - float(weights @ self.alpha))
        self._waiting[worst] = False
        return bool(worst)

    def farthest_moves(self) -> Vector:
        """[K] the largest |w − α| that the bounds of single categories allow."""
        ends = np.array([high for _, high in self._bounds[: 2 * len(self.alpha)]])
        return np.maximum(ends[: len(self.alpha)], ends[len(self.alpha) :])
