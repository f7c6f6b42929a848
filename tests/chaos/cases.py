"""The fault matrix: every case by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.chaos import faults
from tests.chaos.faults import Fault
from tests.chaos.laboratory import MEASURED_SEEDS

PHASES = ("measure", "optimize", "validate")
_GIGABYTES_ABOVE = 4.0


@dataclass(frozen=True)
class Case:
    """One fault in one phase.

    Attributes:
        name: for `--only`.
        fault: what goes wrong.
        phase: when.
        seeds: of the experiment; those of the template are measured already.
        resources: the experiment's, besides the defaults.
        environment: of the first start.
        small_disk: megabytes of a file system of its own for the artifact store; needs root.
        drivers: commands started at once.
        may_leave: what the first start's end may leave running, in the words of `Laboratory.leftovers`.
    """

    name: str
    fault: Fault | None
    phase: str = "measure"
    seeds: tuple[int, ...] = (*MEASURED_SEEDS, 3)
    resources: dict[str, Any] = field(default_factory=dict)
    environment: Callable[[], dict[str, str]] = dict
    small_disk: int = 0
    drivers: int = 1
    may_leave: frozenset[str] = frozenset()


AFTER_A_KILL = frozenset({"Postgres", "raylet", "gcs_server", "Ray worker", "Ray helper"})
"""A killed command closes nothing: its Postgres serves on until the next start, which takes it over; Ray's processes
notice by themselves that their driver is gone, in seconds or a minute. The Prefect server ends with its last user."""


def all_cases() -> dict[str, Case]:
    """Every case, in the table's order."""
    kills = {
        "driver": faults.kill_driver,
        "worker": faults.kill_worker,
        "node": faults.kill_node,
        "head": faults.kill_head,
        "postgres": faults.kill_postgres,
        "prefect": faults.kill_prefect,
    }
    cases = [
        # Validation starts at once where everything is measured; optimize has no cluster unless something was trained.
        Case(
            f"{victim}-{phase}",
            fault,
            phase,
            MEASURED_SEEDS if phase == "validate" else (*MEASURED_SEEDS, 3),
            may_leave=AFTER_A_KILL if victim == "driver" else frozenset(),
        )
        for phase in PHASES
        for victim, fault in kills.items()
    ]
    cases += [
        Case("disk-full", faults.fill_disk, small_disk=4),
        Case("hang", faults.stop_worker, resources=_timeout()),
        # A process without memory may end, or hang with its result in its hands: then the run's time limit cuts it.
        Case("memory-limit", faults.starve_workers, resources=_timeout(1.0)),
        Case("memory-node", faults.fill_memory, environment=_memory_threshold),
        Case("cancel", faults.cancel),
        Case("two-drivers", None, drivers=2),
    ]
    return {case.name: case for case in cases}


def _timeout(minutes: float = 0.5) -> dict[str, Any]:
    from flows.config import Resources

    return {"run_timeout_minutes": minutes} if "run_timeout_minutes" in Resources.model_fields else {}


def _memory_threshold() -> dict[str, str]:
    memory = psutil.virtual_memory()
    share = memory.percent / 100 + _GIGABYTES_ABOVE * 2**30 / memory.total
    return {"RAY_memory_usage_threshold": f"{min(share, 0.95):.3f}", "RAY_memory_monitor_refresh_ms": "250"}
