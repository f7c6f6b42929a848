"""`make bench`: measure, side by side in one run, and print Markdown tables for docs/benchmarks.md.

Without arguments everything; with names only these: startup, program, recovery, regmix, simulation, sequential, worlds,
efficiency, scale, tagging, pool, gsm8k.
"""

from __future__ import annotations

import sys

from tests.bench import (
    efficiency,
    gsm8k,
    pool,
    program,
    recovery,
    regmix,
    scale,
    sequential,
    simulation,
    startup,
    tagging,
    worlds,
)

BENCHMARKS = {
    "startup": startup.main,
    "program": program.main,
    "recovery": recovery.main,
    "regmix": regmix.main,
    "simulation": simulation.main,
    "sequential": sequential.main,
    "worlds": worlds.main,
    "efficiency": efficiency.main,
    "scale": scale.main,
    "pool": pool.main,
    "tagging": tagging.main,
    "gsm8k": gsm8k.main,
}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}")
    for name in wanted:
        BENCHMARKS[name]()
