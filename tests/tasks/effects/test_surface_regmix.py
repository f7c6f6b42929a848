"""Real training runs: the rank correlation of predicted and measured loss on RegMix's 512 models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from tasks.effects.matrix import RunTable
from tasks.effects.run_files import read_runs
from tasks.effects.surface import fit_surface

FILES = ("train_mixture_1m.csv", "train_pile_loss_1m.csv")
TRAINING, HELD_OUT = 128, 103


@pytest.fixture(scope="module")
def regmix() -> RunTable:
    folder = os.environ.get("BEYOND_IID_REGMIX")
    if not folder:
        pytest.skip(f"BEYOND_IID_REGMIX is not set; it names the folder with {' and '.join(FILES)} of RegMix's data")
    return read_runs(*(Path(folder) / name for name in FILES), layout="regmix")


def test_128_runs_rank_the_held_out_ones_almost_as_they_were_measured(regmix: RunTable) -> None:
    order = np.random.default_rng(0).permutation(len(regmix.runs))
    held_out, training = order[:HELD_OUT], order[HELD_OUT : HELD_OUT + TRAINING]
    surface = fit_surface(regmix.subset(np.isin(np.arange(len(order)), training).tolist()))
    predicted = surface.predict(regmix.amounts[held_out])
    measured = regmix.performance[held_out]
    ranks = [spearmanr(predicted.mean[:, t], measured[:, t]).statistic for t in range(len(regmix.targets))]
    assert len(ranks) == 13
    assert np.mean(ranks) > 0.98
    assert 0.9 < ((predicted.low <= measured) & (measured <= predicted.high)).mean() < 0.99
