"""The linear program: agreement with HiGHS, time by size, an Adam loop side by side, and how often it proposes.

Names as arguments of `python -m tests.bench.program` choose parts: highs, times, adam, decisions.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from tasks.effects.slopes import Slopes
from tasks.proportions.coefficients import aligned
from tasks.proportions.conflict import InfeasibleLimitsError
from tasks.proportions.program import solve, solve_slopes
from tasks.proportions.proposal import Baseline, Coefficients, Limits, Options

INSTANCES = {8: 50, 28: 50, 100: 20, 500: 3}
SIZES = (28, 100, 300, 1000, 2000, 5000)
SHIFT, BOX = 0.03, 0.5
ADAM_STEPS = 2000
WORLDS = 1000
QUICK = Options(amount=1.0, sensitivity=False)


def main(parts: tuple[str, ...] = ()) -> None:
    """Print one Markdown table per part."""
    known: dict[str, Callable[[], None]] = {"highs": highs, "times": times, "adam": adam, "decisions": decisions}
    for name in parts or known:
        known[name]()


def highs() -> None:
    """The largest difference of the optima and the ratio of the times."""
    print("\n| categories | instances | largest difference of the optimum | ours, s | scipy, s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size, count in INSTANCES.items():
        difference, ours, theirs = 0.0, 0.0, 0.0
        for seed in range(count):
            gamma, baseline = _instance(size, seed)
            start = time.perf_counter()
            proposal = solve(gamma, baseline, Limits(10_000, SHIFT, BOX), options=QUICK)
            ours += time.perf_counter() - start
            start = time.perf_counter()
            expected = _scipy(gamma.values, np.array(baseline.shares))
            difference = max(difference, abs(proposal.objective - expected))
            theirs += time.perf_counter() - start
        print(
            f"| {size} | {count} | {difference:.1e} | {ours / count:.3f} | {theirs / count:.3f} | {ours / theirs:.1f} |"
        )


def times() -> None:
    """Seconds by size, from coefficients to whole counts, model building included."""
    print(
        "\n| categories | program, s | robust with interval, s | with the gain's interval, 400 draws, s "
        "| limits that conflict, explained, s |"
    )
    print("| --- | --- | --- | --- | --- |")
    for size in SIZES:
        gamma, baseline = _instance(size, 0)
        limits = Limits(20 * size, SHIFT, BOX)
        available = tuple(np.ceil(np.array(baseline.shares) * limits.total * 1.3).tolist())
        baseline = replace(baseline, available=available)
        errors = np.random.default_rng(1).normal(0, 0.3, (400, size))
        slopes = Slopes(baseline.categories, aligned(gamma, baseline).gains, errors, "equivalent share")
        ends = [time.perf_counter()]
        solve(gamma, baseline, limits, options=QUICK)
        ends.append(time.perf_counter())
        solve_slopes(slopes, baseline, limits, replace(QUICK, robustness=10.5))
        ends.append(time.perf_counter())
        solve_slopes(slopes, baseline, limits, QUICK)
        ends.append(time.perf_counter())
        _explain(gamma, baseline, limits)
        ends.append(time.perf_counter())
        row = np.diff(ends).tolist()
        print(f"| {size} | {' | '.join(f'{seconds:.2f}' for seconds in row)} |", flush=True)


def adam() -> None:
    """The gain over the baseline and the time of a 2,000-step Adam loop, beside the program's on the same limits."""
    print(
        f"\nAdam: {ADAM_STEPS} steps on −αᵀΓw/Σw. Scaled: clipped to the box, scaled to sum 1, pulled into the shift."
    )
    print("Projected: the nearest weights that keep the limits instead (Dykstra's algorithm).")
    print(
        "\n| categories | limits | gain of the program | Adam, scaled | Adam, projected | ever above the program "
        "| program, s | Adam scaled / program, time | Adam projected / program, time |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in (28, 100, 300, 1000):
        for shift in (SHIFT, None):
            count = 5 if size < 1000 else 1
            rows = np.array([_beside_adam(size, seed, shift) for seed in range(count)])
            gain, scaled, projected, seconds, *others = rows.mean(axis=0).tolist()
            above = "YES" if np.any(rows[:, 1:3] > rows[:, :1] + 1e-9) else "no"
            limit = f"box {BOX:g}" + (f", shift {shift:g}" if shift else "")
            print(
                f"| {size} | {limit} | {gain:.6f} | {100 * scaled / gain:.2f} % | {100 * projected / gain:.2f} % "
                f"| {above} | {seconds:.3f} | {others[0] / seconds:.0f} | {others[1] / seconds:.0f} |",
                flush=True,
            )


def _beside_adam(size: int, seed: int, shift: float | None) -> tuple[float, ...]:
    """Gains of the program, of Adam scaled and projected; seconds of the three."""
    gamma, baseline = _instance(size, seed)
    alpha = np.array(baseline.shares)
    start = time.perf_counter()
    proposal = solve(gamma, baseline, Limits(100 * size, shift, BOX), options=QUICK)
    ends = [start, time.perf_counter()]
    gains = [proposal.objective]
    for keep in (_pulled, _projected):
        gains.append(_adam(gamma.values, alpha, lambda step, keep=keep: keep(step, alpha, shift)))
        ends.append(time.perf_counter())
    return (*(gain - proposal.baseline_objective for gain in gains), *np.diff(ends).tolist())


def decisions() -> None:
    """How often a change is proposed where nothing gains anything, and where something does; and the intervals."""
    print(f"\n{WORLDS} worlds each, 400 error draws, 95 % confidence.")
    print(
        "\n| categories | errors | limits | null: changes proposed | null: naive interval above 0 "
        "| real (signal 3 × noise): proposed | true gain below low | above high |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in (8, 28):
        for kind in ("independent", "shared baseline", "unequal", "two factors"):
            for shift in (SHIFT, None):
                null = _worlds(size, kind, shift, 0.0)
                real = _worlds(size, kind, shift, 3.0)
                limit = f"box {BOX:g}" + (f", shift {shift:g}" if shift else "")
                print(
                    f"| {size} | {kind} | {limit} | {100 * null[0]:.1f} % | {100 * null[1]:.1f} % "
                    f"| {100 * real[0]:.1f} % | {100 * real[2]:.1f} % | {100 * real[3]:.1f} % |",
                    flush=True,
                )


def _worlds(size: int, kind: str, shift: float | None, signal: float) -> tuple[float, float, float, float]:
    """Rates: a change is proposed; the naive interval lies above 0; the true gain below and above the interval."""
    generator = np.random.default_rng(size)
    rates = np.zeros(4)
    for _ in range(WORLDS):
        root = _error_root(kind, size, generator)
        spread = np.sqrt((root**2).sum(axis=1).mean())
        truth = 1.0 + signal * spread * generator.normal(size=size)
        baseline = _baseline(generator.dirichlet(np.full(size, 4.0)))
        value = truth + root @ generator.normal(size=root.shape[1])
        errors = generator.normal(size=(400, root.shape[1])) @ root.T
        proposal = solve_slopes(
            Slopes(baseline.categories, value, errors, "points"), baseline, Limits(100_000, shift, BOX), QUICK
        )
        gain = proposal.gain
        assert gain is not None
        true_gain = float(truth @ (np.array(proposal.shares) - np.array(baseline.shares)))
        naive = gain.value - (gain.high - gain.value)
        rates += [proposal.decision == "change", naive > 0, true_gain < gain.low, true_gain > gain.high]
    low, high, below, above = (rates / WORLDS).tolist()
    return low, high, below, above


def _error_root(kind: str, size: int, generator: np.random.Generator) -> np.ndarray:
    if kind == "independent":
        return np.eye(size)
    if kind == "shared baseline":
        return np.hstack([np.eye(size), np.ones((size, 1))])
    if kind == "unequal":
        return np.diag(generator.lognormal(0, 1.0, size))
    return np.hstack([0.3 * np.eye(size), generator.normal(size=(size, 2))])


def _instance(size: int, seed: int) -> tuple[Coefficients, Baseline]:
    generator = np.random.default_rng((size, seed))
    gamma = generator.normal(0, 0.4, (size, size))
    np.fill_diagonal(gamma, 1)
    baseline = _baseline(generator.dirichlet(np.full(size, 5.0)))
    return Coefficients(baseline.categories, baseline.categories, gamma), baseline


def _baseline(alpha: np.ndarray) -> Baseline:
    size = len(alpha)
    names = tuple(f"c{i}" for i in range(size))
    return Baseline(names, tuple(alpha.tolist()), (None,) * size, (0.0,) * size, (1.0,) * size)


def _explain(gamma: Coefficients, baseline: Baseline, limits: Limits) -> None:
    """Limits that conflict: every third category must grow by a fifth."""
    minimum = tuple(1.2 * share if k % 3 == 0 else 0.0 for k, share in enumerate(baseline.shares))
    with suppress(InfeasibleLimitsError):
        solve(gamma, replace(baseline, minimum=minimum), limits, options=QUICK)
        raise AssertionError("these limits conflict")


def _adam(gamma: np.ndarray, alpha: np.ndarray, keep: Callable[[np.ndarray], np.ndarray]) -> float:
    """αᵀΓw of the best weights of an Adam loop on −αᵀΓw/Σw whose weights are brought back into the limits each step."""
    import torch

    start, matrix = torch.tensor(alpha), torch.tensor(gamma)
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=float(alpha.mean()) / 20)
    gains, best = alpha @ gamma, float(alpha @ gamma @ alpha)
    for _ in range(ADAM_STEPS):
        optimizer.zero_grad()
        loss = -(start @ (matrix @ weights)) / weights.sum()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            found = weights.numpy().clip((1 - BOX) * alpha, (1 + BOX) * alpha)
            weights.copy_(torch.tensor(alpha + keep(found / found.sum() - alpha)))
        best = max(best, float(gains @ weights.detach().numpy()))
    return best


def _pulled(step: np.ndarray, alpha: np.ndarray, shift: float | None) -> np.ndarray:
    """The step, shortened as a whole until it keeps box and shift."""
    part = min(1.0, float((BOX * alpha / np.maximum(np.abs(step), 1e-300)).min()))
    if shift is not None:
        part = min(part, shift / max(float(np.abs(step).sum()) / 2, 1e-300))
    return part * step


def _projected(step: np.ndarray, alpha: np.ndarray, shift: float | None) -> np.ndarray:
    """The nearest step with sum 0 in the box and the shift (20 rounds of Dykstra), then shortened for exactness."""
    point, corrections = step.copy(), np.zeros((3, len(step)))

    def in_shift(x: np.ndarray) -> np.ndarray:
        if shift is None or np.abs(x).sum() <= 2 * shift:
            return x
        sizes = np.sort(np.abs(x))[::-1]
        thresholds = (np.cumsum(sizes) - 2 * shift) / np.arange(1, len(x) + 1)
        threshold = thresholds[np.flatnonzero(sizes > thresholds)[-1]]
        return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)

    sets = (lambda x: np.clip(x, -BOX * alpha, BOX * alpha), in_shift, lambda x: x - x.mean())
    for _ in range(20):
        for k, nearest in enumerate(sets):
            moved = nearest(point + corrections[k])
            corrections[k] += point - moved
            point = moved
    return _pulled(point, alpha, shift)


def _scipy(gamma: np.ndarray, alpha: np.ndarray) -> float:
    """Shares w and excess u ≥ w − α: maximize αᵀΓw with Σw = 1, Σu ≤ ρ, box."""
    size = len(alpha)
    result = linprog(
        np.concatenate([-(gamma.T @ alpha), np.zeros(size)]),
        A_ub=np.vstack([np.hstack([np.eye(size), -np.eye(size)]), np.concatenate([np.zeros(size), np.ones(size)])]),
        b_ub=np.concatenate([alpha, [SHIFT]]),
        A_eq=np.concatenate([np.ones(size), np.zeros(size)])[None, :],
        b_eq=[1.0],
        bounds=[*zip((1 - BOX) * alpha, (1 + BOX) * alpha, strict=True), *[(0, None)] * size],
    )
    return float(-result.fun)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
