from __future__ import annotations

import numpy as np
import pytest

from tasks.effects.matrix import RunTable
from tasks.validation.regret import regrets

WEIGHTS = {"a": 0.75, "b": 0.25}


def table(gains: dict[str, float], rng: np.random.Generator, seeds: int = 5, noise: float = 0.01) -> RunTable:
    keys = [(arm, seed) for arm in gains for seed in range(seeds)]
    level = rng.normal(-1, 0.2, seeds)
    performance = np.array([level[s] + gains[a] for a, s in keys])[:, None] + rng.normal(0, noise, (len(keys), 2))
    return RunTable(
        tuple(f"{a}, seed {s}" for a, s in keys),
        tuple(s for _, s in keys),
        tuple(a for a, _ in keys),
        ("a",),
        np.ones((len(keys), 1)),
        ("a", "b"),
        performance,
        np.zeros(performance.shape, dtype=np.int64),
        "nats per token",
    )


def test_regrets_are_measured_from_the_best_arm_and_sorted() -> None:
    runs = table({"baseline": 0, "proposal": 0.5, "sign-rule": 0.3}, np.random.default_rng(0))
    found = regrets(runs, WEIGHTS)
    assert [r.arm for r in found] == ["proposal", "sign-rule", "baseline"]
    assert {r.best for r in found} == {"proposal"}
    means = (runs.performance @ [0.75, 0.25]).reshape(3, 5).mean(axis=1)
    assert [r.regret for r in found] == pytest.approx([0, means[1] - means[2], means[1] - means[0]])


def test_regret_by_chance_is_what_arms_that_are_alike_show_on_average() -> None:
    rng = np.random.default_rng(4)
    seen, stated = [], []
    for _ in range(2000):
        found = regrets(table(dict.fromkeys("abcdef", 0.0), rng), WEIGHTS)
        seen.append(np.mean([r.regret for r in found]))
        stated.append(found[0].by_chance)
    assert np.mean(stated) == pytest.approx(np.mean(seen), rel=0.03)
