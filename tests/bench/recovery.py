"""The quick start's measurement on three planted worlds: how much of the truth comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tasks.pool.skillworld import skill_world

WORLDS = (1, 2, 3)
EXPERIMENT = Path(__file__).resolve().parents[2] / "deployments" / "experiments" / "quickstart.yaml"


def main() -> None:
    """Print recall of the planted direct edges and the edges that are neither direct nor indirect, per world."""
    print("\n| world | direct edges found | edges neither direct nor indirect | seconds |\n| --- | --- | --- | --- |")
    for world in WORLDS:
        start = time.perf_counter()
        edges = measured_edges(world)
        graph = skill_world(world).graph
        recall, wrong = graph.recovery(edges)
        found = round(recall * len(graph.edges))
        print(f"| {world} | {found} of {len(graph.edges)} | {len(wrong)} | {time.perf_counter() - start:.0f} |")


def measured_edges(world: int, *changes: str) -> list[tuple[str, str]]:
    """Run measure and optimize of the quick start, with these changes, on this world in a state folder of its own."""
    with tempfile.TemporaryDirectory(prefix="beyond-iid-bench-") as home:
        return edges_of(run_quickstart(Path(home), world, "validation=null", *changes))


def run_quickstart(home: Path, world: int, *changes: str) -> dict[str, Any]:
    """Run the quick start on this world with some keys changed, as a user would, and return what `show --json` says.

    Args:
        home: state folder; several worlds may share it.
        world: the pool's seed.
        changes: "key=value" as for `--set`.
    """
    command = str(Path(sys.executable).parent / "beyond-iid")
    environment = {**os.environ, "BEYOND_IID_HOME": str(home)}
    name = f"world-{world}"
    options = [part for change in (f"name={name}", f"pool.seed={world}", *changes) for part in ("--set", change)]
    run = subprocess.run(
        [command, "run", str(EXPERIMENT), *options], env=environment, check=False, capture_output=True, text=True
    )
    if run.returncode:
        sys.exit(f"world {world}: the command ended with {run.returncode}\n{run.stderr[-4000:]}")
    shown = subprocess.run(
        [command, "show", name, "--json"], env=environment, check=True, capture_output=True, text=True
    )
    return dict(json.loads(shown.stdout))


def edges_of(overview: dict[str, Any]) -> list[tuple[str, str]]:
    """The measured taxonomy's (source, target) pairs."""
    return [(edge["source"], edge["target"]) for edge in overview["taxonomies"]["taxonomy"]["edges"]]
