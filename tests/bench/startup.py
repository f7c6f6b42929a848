"""How long the command line takes to answer, beside a Python that does nothing."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

REPEATS = 5
CATEGORIES = 28


def main() -> None:
    """Print seconds of `--help` and of `proportions` on a 28 × 28 matrix, start-up included."""
    command = str(Path(sys.executable).parent / "beyond-iid")
    with tempfile.TemporaryDirectory() as folder:
        effects, baseline = _write_files(Path(folder))
        rows = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "beyond-iid --help": [command, "--help"],
            f"beyond-iid proportions, {CATEGORIES} × {CATEGORIES}": [
                *(command, "proportions", "--effects", str(effects), "--baseline", str(baseline)),
                *("--max-shift", "0.03", "--box", "0.5", "--total", "10000", "--json"),
            ],
        }
        print(f"\n| command | median of {REPEATS}, s |\n| --- | --- |")
        for name, arguments in rows.items():
            print(f"| `{name}` | {median(_seconds(arguments) for _ in range(REPEATS)):.2f} |")


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True)
    return time.perf_counter() - start


def _write_files(folder: Path) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    names = [f"category {i}" for i in range(CATEGORIES)]
    gamma = generator.normal(0, 0.4, (CATEGORIES, CATEGORIES))
    np.fill_diagonal(gamma, 1)
    shares = generator.dirichlet(np.full(CATEGORIES, 5.0))
    effects, baseline = folder / "gamma.csv", folder / "baseline.csv"
    with effects.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["target", *names], *([n, *row] for n, row in zip(names, gamma.tolist(), strict=True))]
        )
    with baseline.open("w", newline="") as file:
        csv.writer(file).writerows([["category", "share"], *zip(names, shares.tolist(), strict=True)])
    return effects, baseline
