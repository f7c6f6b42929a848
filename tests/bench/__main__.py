"""`make bench`: measure, side by side in one run, and print Markdown tables for docs/benchmarks.md.

Without arguments everything; with names only these: startup, program, recovery.
"""

from __future__ import annotations

import sys

from tests.bench import program, recovery, startup

BENCHMARKS = {"startup": startup.main, "program": program.main, "recovery": recovery.main}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}")
    for name in wanted:
        BENCHMARKS[name]()
