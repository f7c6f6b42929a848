"""A large pool read, hashed, de-duplicated and sampled into a mixture, beside lists of json.loads; quality selection.

Run alone with a number of rows: python -m tests.bench.pool 200000 [FIGURE.png]
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ROWS = 2_000_000
CATEGORIES = 12
EXACT, NEAR = 0.10, 0.05
"""Shares of rows that repeat, or nearly repeat, an earlier row."""
MIXTURE = 0.2
"""Rows of the mixture per row of the pool."""
CORES = 2
_WAYS = {
    "json": "`json.loads` lists, set, `random.sample`",
    "exact": "`clean`, exact duplicates only, and draw",
    "near": "`clean`, exact and near duplicates, and draw",
}
_SAMPLE_SECONDS = 0.1
_SHARE_BETWEEN_POINTS = 0.005
_ROWS_BETWEEN_POINTS = 5_000


@dataclass(frozen=True)
class Measured:
    """One way's run: wall-clock and processor seconds, memory over time and over rows read, rows in the mixture."""

    seconds: float
    processor: float
    times: list[float]
    megabytes: list[float]
    mixture: int
    kept: int
    reading: list[tuple[float, float]]


def main(rows: int = ROWS, figure: Path | None = None) -> None:
    """Print tables; write the figure of memory over time where a path is given."""
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        _write_pool(pool, rows)
        size = pool.stat().st_size / 1e6
        print(f"\n{rows:,} rows, {size:,.0f} MB of JSON lines, {CATEGORIES} categories, on {CORES} cores\n")
        print("| way | s | processor s | rows/s | peak memory, MB | kept | in the mixture |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        measured = {}
        for way, name in _WAYS.items():
            one = measured[way] = _measure(way, pool, Path(folder) / way)
            cells = (f"{one.seconds:.1f}", f"{one.processor:.1f}", f"{rows / one.seconds:,.0f}")
            print(f"| {name} | {' | '.join(cells)} | {max(one.megabytes):,.0f} | {one.kept:,} | {one.mixture:,} |")
            if figure:
                _draw(measured, rows, figure)
        faster = measured["json"].seconds / measured["exact"].seconds
        smaller = max(measured["json"].megabytes) / max(measured["exact"].megabytes)
        print(f"\nexact against lists: {faster:.1f} times as fast, {smaller:.1f} times less memory")
    _selection()


def _write_pool(path: Path, rows: int) -> None:
    generator = np.random.default_rng(0)
    vocabulary = np.array(["".join(generator.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in range(20_000)])
    recent: list[tuple[str, str, str]] = []
    with path.open("w") as file:
        for start in range(0, rows, 10_000):
            words = vocabulary[generator.integers(len(vocabulary), size=(10_000, 90))]
            kind = generator.random(10_000)
            for k in range(min(10_000, rows - start)):
                if recent and kind[k] < EXACT + NEAR:
                    prompt, answer, category = recent[int(kind[k] * 1e6) % len(recent)]
                    if kind[k] >= EXACT:
                        answer = f"{answer} {words[k, 0]}"
                else:
                    prompt, answer = " ".join(words[k, :30]), " ".join(words[k, 30:])
                    category = f"category {int(kind[k] * 1e6) % CATEGORIES}"
                    if k % 10 == 0:
                        recent.append((prompt, answer, category))
                messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
                file.write(json.dumps({"id": f"r{start + k}", "messages": messages, "category": category}) + "\n")
            recent = recent[-50_000:]


def _measure(way: str, pool: Path, out: Path) -> Measured:
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    start = time.perf_counter()
    process = psutil.Popen(
        [sys.executable, "-m", "tests.bench.pool", "worker", way, str(pool), str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    process.cpu_affinity(cores)
    times, megabytes, processor = [], [], 0.0
    while process.poll() is None:
        try:
            used = process.cpu_times()
            processor = used.user + used.system
            megabytes.append(process.memory_info().rss / 1e6)
            times.append(time.perf_counter() - start)
        except psutil.Error:
            break
        time.sleep(_SAMPLE_SECONDS)
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{way} failed")
    kept, mixture, reading = json.loads(output)
    return Measured(time.perf_counter() - start, processor, times, megabytes, mixture, kept, reading)


def _worker(way: str, pool: Path, out: Path) -> None:
    reading = _Reading()
    kept, mixture = _with_lists(pool, out, reading) if way == "json" else _streaming(pool, out, way == "near", reading)
    print(json.dumps([kept, mixture, reading.points]))


class _Reading:
    """Resident memory of this process while it reads: (share of the pool read, MB)."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self._process = psutil.Process()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what == "Reading" and (not self.points or done / total - self.points[-1][0] > _SHARE_BETWEEN_POINTS):
            self.points.append((done / total, self._process.memory_info().rss / 1e6))


def _with_lists(pool: Path, out: Path, reading: _Reading) -> tuple[int, int]:
    """As scripts do it: all rows as Python objects in a list."""
    total, read, rows = pool.stat().st_size, 0, []
    with pool.open() as file:
        for line in file:
            rows.append(json.loads(line))
            read += len(line)
            if len(rows) % _ROWS_BETWEEN_POINTS == 0:
                reading("Reading", read, total)
    seen = set()
    groups: dict[str, list[dict]] = {}
    for row in rows:
        key = json.dumps(row["messages"])
        if key not in seen:
            seen.add(key)
            groups.setdefault(row["category"], []).append(row)
    wanted = int(len(rows) * MIXTURE / CATEGORIES)
    mixture = [row for group in groups.values() for row in random.sample(group, wanted)]
    with out.open("w") as file:
        for row in mixture:
            file.write(json.dumps(row) + "\n")
    return len(seen), len(mixture)


def _streaming(pool: Path, out: Path, near: bool, reading: _Reading) -> tuple[int, int]:
    from tasks.hygiene.clean import judge
    from tasks.hygiene.config import Hygiene
    from tasks.hygiene.copying import copy_rows
    from tasks.hygiene.draw import draw

    cleaned = judge((str(pool),), Hygiene(near_duplicates=0.8 if near else None), steps=reading)
    index = cleaned.index
    wanted = int(len(index) * MIXTURE / CATEGORIES)
    mixture = draw(index, cleaned.kept, dict.fromkeys(index.categories, wanted), seed=0)
    copy_rows(index, {out: mixture})
    return int(cleaned.kept.sum()), int(mixture.sum())


def _draw(measured: dict[str, Measured], rows: int, figure: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    canvas, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
    for way, one in measured.items():
        name = _WAYS[way].replace("`", "")
        left.plot([share * rows / 1e6 for share, _ in one.reading], [size for _, size in one.reading], label=name)
        right.plot(one.times, one.megabytes, label=name)
    left.set(xlabel="million rows read", ylabel="resident memory, MB", title="while reading")
    right.set(xlabel="seconds", title=f"whole way: {rows:,} rows into a mixture")
    left.set_ylim(0)
    left.legend(frameon=False, fontsize=8)
    canvas.savefig(figure, dpi=130)
    plt.close(canvas)


def _selection(rows: int = 20_000, size: int = 2_000, dimensions: int = 384) -> None:
    """The diversity filter in batches beside one row at a time, on the same vectors."""
    from tasks.selection.diversity import greedy_diverse

    generator = np.random.default_rng(1)
    base = generator.normal(size=(rows // 2, dimensions))
    vectors = np.concatenate([base, base + generator.normal(size=base.shape) * 0.3]).astype(np.float32)
    order = generator.permutation(rows)
    found, seconds = {}, {}
    for batch in (512, 1):
        batches = ((order[s : s + batch], vectors[order[s : s + batch]]) for s in range(0, rows, batch))
        start = time.perf_counter()
        found[batch] = greedy_diverse(batches, 0.9, lambda row: True, size).taken
        seconds[batch] = time.perf_counter() - start
    start = time.perf_counter()
    taken: list[int] = []
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row in order.tolist():
        if all(float(unit[row] @ unit[other]) < 0.9 for other in taken):
            taken.append(row)
        if len(taken) == size:
            break
    loop = time.perf_counter() - start
    same = "yes" if found[512] == found[1] == tuple(taken) else "NO"
    print(f"\n| diversity filter, {size:,} of {rows:,} rows, {dimensions} dimensions | s | same rows |")
    print("| --- | --- | --- |")
    print(f"| in batches of 512 | {seconds[512]:.2f} | {same} |")
    print(f"| in batches of 1 | {seconds[1]:.2f} | {same} |")
    print(f"| one row against one row | {loop:.2f} | {same} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        _worker(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
        pictures = [Path(a) for a in sys.argv[1:] if not a.isdigit()]
        main(*(numbers or [ROWS]), *pictures[:1])
