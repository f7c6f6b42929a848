"""Why limits leave no room: a minimal conflicting set, and the nearest relaxations that make room again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import floor, sqrt

import numpy as np
from ortools.math_opt.python import mathopt

from tasks.errors import EvidenceError
from tasks.proportions.limits import FEASIBILITY_TOLERANCE, SHIFT, NamedLimit, Vector, feasible, named_limits
from tasks.proportions.linear_model import linear_model, solve_glop
from tasks.proportions.proposal import Baseline, Limits

SHOWN = 6


BOX = "box"


@dataclass(frozen=True)
class Relaxation:
    """The nearest value of one limit that makes room (alone, or with the others of its list).

    Attributes:
        limit: the limit's name as in `NamedLimit`; "box" for the relative box, which is one number for all.
        now: its present value (share; for "box" the relative width b).
        needed: the nearest value that makes room.
    """

    limit: str
    now: float
    needed: float


class InfeasibleLimitsError(EvidenceError):
    """No shares keep all limits.

    Attributes:
        conflict: names of a minimal conflicting set: without any one of them the rest can be kept.
        relaxations: what would make room, see `alone`.
        alone: True: each relaxation suffices by itself; False: all of them together are needed.
    """

    def __init__(self, message: str, conflict: tuple[str, ...], relaxations: tuple[Relaxation, ...], alone: bool):
        super().__init__(message)
        self.conflict = conflict
        self.relaxations = relaxations
        self.alone = alone


def minimal_conflict(alpha: Vector, limits: Sequence[NamedLimit]) -> tuple[NamedLimit, ...]:
    """Deletion filter: drop each limit in turn, and keep out those without which the rest still conflicts.

    Raises:
        ValueError: the limits do not conflict.
    """
    if feasible(alpha, limits):
        raise ValueError("these limits do not conflict")
    kept = list(limits)
    for limit in limits:
        rest = [other for other in kept if other is not limit]
        if not feasible(alpha, rest):
            kept = rest
    return tuple(kept)


def nearest_relaxation(
    alpha: Vector, all_limits: Sequence[NamedLimit], box: float | None, elastic: Collection[str]
) -> tuple[Relaxation, ...] | None:
    """Elastic program: the smallest total widening of the elastic limits that makes room.

    Widening the box by t widens all categories' boxes together by t in share (Σα = 1), so units agree.

    Returns:
        The limits that must give way, with their new values; None where the elastic limits alone cannot make room.
    """
    widths = {
        limit.name: (key, float(alpha[limit.category]) if limit.category is not None and key == BOX else 1.0)
        for limit in all_limits
        if (key := _key(limit)) in elastic
    }
    program = linear_model(alpha, all_limits, widths)
    program.model.minimize(mathopt.fast_sum(program.slacks.values()))
    result = solve_glop(program.model)
    if result.termination.reason != mathopt.TerminationReason.OPTIMAL:
        return None
    values = result.variable_values()
    slack = {key: values[variable] for key, variable in program.slacks.items()}
    slack = {key: value for key, value in slack.items() if value > FEASIBILITY_TOLERANCE}
    moved = [Relaxation(BOX, box, box + slack[BOX])] if box is not None and BOX in slack else []
    moved += [
        Relaxation(limit.name, limit.bound, limit.bound + slack[limit.name] * (1 if limit.upper else -1))
        for limit in all_limits
        if limit.name in slack
    ]
    return tuple(moved)


def explain(baseline: Baseline, limits: Limits) -> InfeasibleLimitsError:
    """The error for limits that conflict: who conflicts with whom, and what would help.

    Raises:
        ValueError: the limits do not conflict.
    """
    alpha, all_limits = np.array(baseline.shares, dtype=np.float64), named_limits(baseline, limits)
    conflict = minimal_conflict(alpha, all_limits)
    keys = list(dict.fromkeys(_key(limit) for limit in conflict))
    alternatives = [nearest_relaxation(alpha, all_limits, limits.box, {key}) for key in keys[:SHOWN]]
    relaxations = tuple(found[0] for found in alternatives if found)
    alone = bool(relaxations)
    if not alone:
        every = {_key(limit) for limit in all_limits}
        relaxations = nearest_relaxation(alpha, all_limits, limits.box, every) or ()
    named = _shown([_describe(limit, baseline.categories, limits) for limit in conflict])
    message = f"the limits leave no room; these conflict: {named}"
    factor = availability_factor(alpha, all_limits) if any(c.kind == "available" for c in conflict) else None
    if factor is not None:
        total, repeats = floor(limits.total / factor + 1e-6), limits.max_repeats * factor
        message += f". Fix: max-repeats above {_up(repeats)} (now {limits.max_repeats:g})"
        message += f" or total at most {total} (now {limits.total})" if total else ""
    if relaxations:
        fixes = [_fix(relaxation, limits) for relaxation in relaxations]
        message += f". Nearest change of limits ({'any one of' if alone else 'all together'}): {_shown(fixes)}"
    return InfeasibleLimitsError(message, tuple(limit.name for limit in conflict), relaxations, alone)


def availability_factor(alpha: Vector, all_limits: Sequence[NamedLimit]) -> float | None:
    """Smallest factor ≥ 1 on all that is available that makes room (bisection); None where none does."""

    def makes_room(factor: float) -> bool:
        scaled = [
            replace(limit, bound=limit.bound * factor) if limit.kind == "available" else limit for limit in all_limits
        ]
        return feasible(alpha, scaled)

    low, high = 1.0, 1e9
    if not makes_room(high):
        return None
    while high - low > 1e-9 * high:
        # Geometric, because the range spans nine powers of ten.
        middle = sqrt(low * high)
        low, high = (low, middle) if makes_room(middle) else (middle, high)
    return high


def _key(limit: NamedLimit) -> str:
    return BOX if limit.kind.startswith(BOX) else limit.name


def _shown(items: Sequence[str]) -> str:
    rest = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + rest


def _describe(limit: NamedLimit, categories: Sequence[str], limits: Limits) -> str:
    if limit.category is None:
        return f"max-shift {limit.bound:.6g}"
    name = categories[limit.category]
    if limit.kind == "available":
        examples = limit.bound * limits.total / limits.max_repeats
        return (
            f"available of {name!r}: {examples:.6g} examples × max-repeats {limits.max_repeats:g} = "
            f"share {limit.bound:.6g} of {limits.total}"
        )
    if _key(limit) == BOX:
        return f"box {limits.box:g}: share of {name!r} {'at most' if limit.upper else 'at least'} {limit.bound:.6g}"
    return f"{limit.kind} of {name!r} {limit.bound:.6g}"


def _fix(relaxation: Relaxation, limits: Limits) -> str:
    kind, _, name = relaxation.limit.partition(":")
    now, needed = relaxation.now, relaxation.needed
    if kind == "available":
        examples = limits.total / limits.max_repeats
        return f"at least {_up(needed * examples)} available examples of {name!r} (now {now * examples:.6g})"
    if kind == "minimum":
        return f"lower minimum of {name!r} from {now:.6g} to at most {_down(needed)}"
    if kind == "maximum":
        return f"raise maximum of {name!r} from {now:.6g} to at least {_up(needed)}"
    if kind in (BOX, SHIFT):
        return f"{kind} at least {_up(needed)} (now {now:.6g})"
    raise AssertionError(f"unknown limit {relaxation.limit!r}")


def _up(value: float) -> str:
    """Six decimals, rounded so that a limit at the printed value really makes room."""
    text = f"{value:.6f}"
    if float(text) < value - 1e-9:
        text = f"{float(text) + 1e-6:.6f}"
    return text.rstrip("0").rstrip(".")


def _down(value: float) -> str:
    text = f"{value:.6f}"
    if float(text) > value + 1e-9:
        text = f"{float(text) - 1e-6:.6f}"
    return text.rstrip("0").rstrip(".")
