"""The quick start's recipe on several planted worlds: do the proposal and the curriculum hold on fresh seeds?

`python -m tests.bench.worlds` takes about 2.5 minutes a world on two quiet cores. The worlds are what is repeated:
every pooled interval is a t interval over the worlds' mean differences, so it speaks about worlds of this kind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tasks.pool.skillworld import skill_world
from tasks.validation.arms import (
    BASELINE,
    CURRICULUM,
    PROPOSAL,
    RANDOM_STEP,
    REVERSED_CURRICULUM,
    SHUFFLED_CURRICULUM,
    STRICT_CURRICULUM,
    Comparison,
    is_random_step,
)
from tasks.validation.power import detectable_difference
from tests.bench.recovery import edges_of, run_quickstart

WORLDS = (1, 2, 3, 4, 5)
SEEDS = (101, 102, 103, 104)
RANDOM_STEPS = 2
ARMS = (RANDOM_STEP, PROPOSAL, CURRICULUM, STRICT_CURRICULUM, REVERSED_CURRICULUM)
"""The curriculum is the tilted one."""
ADVICE = "the program's advice"
"""The proposal where the program decides for it, else the baseline."""
CONFIDENCE = 0.95

QUESTIONS: tuple[Comparison, ...] = (
    (PROPOSAL, BASELINE),
    (PROPOSAL, RANDOM_STEP),
    (ADVICE, BASELINE),
    (CURRICULUM, BASELINE),
    (CURRICULUM, SHUFFLED_CURRICULUM),
)
SCHEDULES: tuple[Comparison, ...] = (
    (CURRICULUM, SHUFFLED_CURRICULUM),
    (STRICT_CURRICULUM, SHUFFLED_CURRICULUM),
    (REVERSED_CURRICULUM, SHUFFLED_CURRICULUM),
    (CURRICULUM, REVERSED_CURRICULUM),
    (CURRICULUM, STRICT_CURRICULUM),
)


@dataclass(frozen=True)
class World:
    """What one world's validation says.

    Attributes:
        number: the pool's seed.
        found: planted direct edges that were found, "5 of 5", and how many others were.
        decision: the program's, "change" or "keep".
        predicted: gain that the effects predicted for the proposal; None where it was not tried.
        performance: [seeds] share-weighted performance relative to the baseline of the same seed, by arm.
        outcomes: the product's own verdicts, by comparison.
        seconds: by the clock.
    """

    number: int
    found: str
    decision: str
    predicted: float | None
    performance: dict[str, np.ndarray]
    outcomes: dict[Comparison, str]
    seconds: float

    def difference(self, comparison: Comparison) -> float | None:
        """Mean paired difference over the seeds; None where one of the two was not tried."""
        arm, control = (self._values(name) for name in comparison)
        return None if arm is None or control is None else float((arm - control).mean())

    def _values(self, name: str) -> np.ndarray | None:
        if name == RANDOM_STEP:
            steps = [values for arm, values in self.performance.items() if is_random_step(arm)]
            return np.mean(steps, axis=0) if steps else None
        if name == ADVICE:
            name = PROPOSAL if self.decision == "change" else BASELINE
        return self.performance.get(name)


def main(arguments: Sequence[str] = ()) -> None:
    """Run the worlds one after the other and print what they say, as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.worlds", description=__doc__)
    parser.add_argument("--worlds", type=int, nargs="+", default=WORLDS, help="pool seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="validation seeds, at least two")
    parser.add_argument("--random-steps", type=int, default=RANDOM_STEPS, help="random steps of the proposal's size")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for `beyond-iid run`")
    options = parser.parse_args(arguments)
    changes = (
        "analysis.schedule=tilted",
        f"validation.seeds={list(options.seeds)}",
        f"validation.arms={list(ARMS)}",
        f"validation.random_steps={options.random_steps}",
        "validation.refused=try",
        *options.set,
    )
    worlds = []
    with tempfile.TemporaryDirectory(prefix="beyond-iid-bench-") as home:
        for number in options.worlds:
            start = time.perf_counter()
            overview = run_quickstart(Path(home), number, *changes)
            worlds.append(read_world(number, overview, time.perf_counter() - start))
            print(f"world {number}: {worlds[-1].seconds:.0f} s", file=sys.stderr)
    print(f"\nA world: {len(options.seeds)} fresh seeds, {options.random_steps} random steps; in nats per token.")
    print_worlds(worlds)
    print_pooled("proposal and curriculum", worlds, QUESTIONS)
    print_pooled("schedules (the curriculum is the tilted one)", worlds, SCHEDULES)


def read_world(number: int, overview: dict[str, Any], seconds: float) -> World:
    """Performances from the stored deltas, checked against the product's own verdicts."""
    baseline = next(i for i in overview["phases"]["measure"]["interventions"] if i["name"] == BASELINE)
    total = sum(n for _, n in baseline["counts"])
    weight = {category: n / total for category, n in baseline["counts"]}
    validation = overview["phases"]["validate"]
    seeds = sorted({run["seed"] for run in validation["runs"]})
    names = [i["name"] for i in validation["interventions"]]
    performance = {name: np.zeros(len(seeds)) for name in names}
    for delta in validation["deltas"]:
        if delta["metric"] == "loss":
            # a delta is P(baseline) − P(arm)
            performance[delta["intervention"]][seeds.index(delta["seed"])] -= weight[delta["category"]] * delta["delta"]
    graph = skill_world(number).graph
    recall, wrong = graph.recovery(edges_of(overview))
    verdicts = {(v["arm"], v["control"]): v for v in overview["verdicts"]}
    proposal = next(iter(overview["proposals"].values()))
    world = World(
        number=number,
        found=f"{round(recall * len(graph.edges))} of {len(graph.edges)}, {len(wrong)} others",
        decision=proposal["decision"],
        predicted=verdicts[PROPOSAL, BASELINE]["predicted"] if (PROPOSAL, BASELINE) in verdicts else None,
        performance=performance,
        outcomes={pair: v["outcome"] for pair, v in verdicts.items()},
        seconds=seconds,
    )
    for pair, verdict in verdicts.items():
        own = world.difference(pair)
        if own is None or abs(own - verdict["difference"]) > 1e-9:
            raise AssertionError(f"world {number}, {pair}: {own} here and {verdict['difference']} in the verdict")
    return world


def print_worlds(worlds: Sequence[World]) -> None:
    """A row per world: what the program decided, and the mean differences with the product's verdicts."""
    asked = [pair for pair in QUESTIONS if pair[0] != ADVICE]
    heads = ["world", "edges found", "decision", "predicted", *(f"{a} − {c}" for a, c in asked), "seconds"]
    print(f"\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for w in worlds:
        cells = [str(w.number), w.found, w.decision, _signed(w.predicted)]
        for pair in asked:
            cells.append(f"{_signed(w.difference(pair))}{_mark(w.outcomes.get(pair))}")
        print(f"| {' | '.join([*cells, f'{w.seconds:.0f}'])} |")
    print("\n▲ verdict better, ▼ verdict worse, no mark: no better than chance (corrected for a world's comparisons).")


def print_pooled(title: str, worlds: Sequence[World], comparisons: Sequence[Comparison]) -> None:
    """A row per comparison: how often the arm was ahead, and the mean over worlds with its interval."""
    heads = ["ahead in", "verdict better / worse", "mean over worlds", "95% interval", "could have shown"]
    print(f"\n| {title} | {' | '.join(heads)} |\n|{' --- |' * (len(heads) + 1)}")
    for pair in comparisons:
        found = [d for d in (w.difference(pair) for w in worlds) if d is not None]
        said = [w.outcomes.get(pair) for w in worlds]
        judged = f"{said.count('better')} / {said.count('worse')}" if any(said) else "–"
        ahead = f"{sum(d > 0 for d in found)} of {len(found)}"
        if sum(d == 0 for d in found):
            ahead += f" ({sum(d == 0 for d in found)} the same)"
        cells = [f"{pair[0]} − {pair[1]}", ahead, judged, *_pooled(found)]
        print(f"| {' | '.join(cells)} |")


def _pooled(differences: Sequence[float]) -> list[str]:
    """Mean, t interval over worlds, and the difference that this many worlds find 4 times in 5."""
    mean = float(np.mean(differences)) if differences else None
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    if mean is None or spread == 0:
        return [_signed(mean), "–", "–"]
    df, error = len(differences) - 1, spread / np.sqrt(len(differences))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, df)) * error
    smallest = detectable_difference(error, df, 1 - CONFIDENCE)
    return [_signed(mean), f"{_signed(mean - half)} to {_signed(mean + half)}", f"{smallest:.4f}"]


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}".replace("-", "−")


def _mark(outcome: str | None) -> str:
    return {"better": " ▲", "worse": " ▼"}.get(outcome or "", "")


if __name__ == "__main__":
    main(sys.argv[1:])
