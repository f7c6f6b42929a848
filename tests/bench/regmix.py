"""Rank correlation of predicted and real loss on RegMix's 512 runs, beside LightGBM and the log-linear law."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from tasks.effects.matrix import RunTable
from tasks.effects.run_files import read_runs
from tasks.effects.surface import fit_surface
from tests.bench import peers

NEEDS = (
    "It needs the folder with RegMix's train_mixture_1m.csv and train_pile_loss_1m.csv (data/ of "
    "github.com/sail-sg/regmix): set BEYOND_IID_REGMIX to it, or run python -m tests.bench.regmix FOLDER."
)
FOLDS = 5
SUBSETS = {34: 5, 64: 5, 128: 3, 256: 2, 400: 1}
"""Training runs, and how many subsets of that size are drawn from each fold's training part."""
SEED = 2024
DOMAIN = "pile_cc"

Interval = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Predicted performance [M, T] and its 95% interval's ends; NaN ends where a method gives none."""
Method = Callable[[RunTable, np.ndarray], Interval]


@dataclass(frozen=True)
class Split:
    """Row numbers of one fit: training runs of one subset of one fold, and the fold's held-out runs."""

    size: int
    train: np.ndarray
    test: np.ndarray


def main(folder: str | None = None) -> None:
    """Print the table; says what is missing where no folder is named."""
    folder = folder or os.environ.get("BEYOND_IID_REGMIX")
    if not folder:
        print(f"\nregmix: left out. {NEEDS}")
        return
    data = Path(folder)
    runs = read_runs(data / "train_mixture_1m.csv", data / "train_pile_loss_1m.csv", layout="regmix")
    print(
        f"\n| training runs | method | mean of {len(runs.targets)} domains | {DOMAIN} | coverage of 95% | s per fit |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    splits = list(draw_splits(len(runs.runs)))
    for size in SUBSETS:
        for name, method in METHODS.items():
            rank, covered, seconds = _score(runs, [split for split in splits if split.size == size], method)
            coverage = "" if np.isnan(covered) else f"{covered:.1%}"
            one = rank[runs.targets.index(DOMAIN)]
            print(f"| {size} | {name} | {rank.mean():.4f} | {one:.4f} | {coverage} | {seconds:.2f} |", flush=True)


def draw_splits(count: int) -> Iterator[Split]:
    """Every fit's rows; the same for every method, and no held-out row is in any training set of its fold."""
    generator = np.random.default_rng(SEED)
    order = generator.permutation(count)
    for test in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, test)
        for size, subsets in SUBSETS.items():
            for _ in range(subsets):
                yield Split(size, np.sort(generator.choice(rest, size, replace=False)), np.sort(test))


def _score(runs: RunTable, splits: list[Split], method: Method) -> tuple[np.ndarray, float, float]:
    """Means over the splits: [T] Spearman correlations, coverage (NaN without intervals), seconds per fit."""
    ranks, covered, seconds = [], [], []
    for split in splits:
        start = time.perf_counter()
        chosen = np.isin(np.arange(len(runs.runs)), split.train)
        mean, low, high = method(runs.subset(chosen.tolist()), runs.amounts[split.test])
        seconds.append(time.perf_counter() - start)
        real = runs.performance[split.test]
        ranks.append(_spearman(mean, real))
        covered.append(np.nan if np.isnan(low).any() else float(((low <= real) & (real <= high)).mean()))
    return np.mean(ranks, axis=0), float(np.mean(covered)), float(np.mean(seconds))


def _spearman(predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Per column; a constant prediction ranks nothing and counts as 0."""
    first, second = (rankdata(values, axis=0) - (len(values) + 1) / 2 for values in (predicted, real))
    spread = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.divide((first * second).sum(axis=0), spread, out=np.zeros(real.shape[1]), where=spread > 0)


def _surface(kind: str, runs: RunTable, new: np.ndarray) -> Interval:
    predicted = fit_surface(runs, 0.95, kind).predict(new)
    return predicted.mean, predicted.low, predicted.high


def _peer(fit: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], runs: RunTable, new: np.ndarray) -> Interval:
    mean = -fit(runs.amounts, -runs.performance, new)
    return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)


METHODS: dict[str, Method] = {
    "surface, law": partial(_surface, "law"),
    "surface, Gaussian process": partial(_surface, "gp"),
    "surface, combined": partial(_surface, "combined"),
    "LightGBM (RegMix)": partial(_peer, peers.lightgbm),
    "log-linear (olmix)": partial(_peer, peers.log_linear),
}

if __name__ == "__main__":
    main(*sys.argv[1:2])
