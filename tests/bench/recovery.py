"""The quick start's measurement on three planted worlds: how much of the truth comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def measured_edges(world: int) -> list[tuple[str, str]]:
    """Run measure and optimize of the quick start on this world in a state folder of its own."""
    command = str(Path(sys.executable).parent / "beyond-iid")
    with tempfile.TemporaryDirectory(prefix="beyond-iid-bench-") as home:
        environment = {**os.environ, "BEYOND_IID_HOME": home}
        changes = ("--set", f"pool.seed={world}", "--set", "validation=null")
        subprocess.run([command, "run", str(EXPERIMENT), *changes], env=environment, check=True, capture_output=True)
        shown = subprocess.run(
            [command, "show", "quickstart", "--json"], env=environment, check=True, capture_output=True, text=True
        )
    taxonomy = json.loads(shown.stdout)["taxonomies"]["taxonomy"]
    return [(edge["source"], edge["target"]) for edge in taxonomy["edges"]]
