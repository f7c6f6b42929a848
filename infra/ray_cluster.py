"""The Ray cluster a flow runs its fine-tunes on: a running one by its address, else a local one for this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError


@dataclass(frozen=True)
class ClusterCapacity:
    """What the cluster holds in total.

    Attributes:
        cpus: logical CPUs.
        gpus: GPUs.
        nodes: live nodes.
    """

    cpus: float
    gpus: float
    nodes: int

    def slots(self, cpus_per_run: float, gpus_per_run: float) -> int:
        """How many runs of this size fit at once (by the totals; placement on nodes may hold fewer).

        Raises:
            ConfigurationError: not even one fits.
        """
        fits = [int(self.cpus // cpus_per_run)] if cpus_per_run else []
        fits += [int(self.gpus // gpus_per_run)] if gpus_per_run else []
        if min(fits, default=1) < 1:
            raise ConfigurationError(
                f"A run asks for {cpus_per_run:g} CPUs and {gpus_per_run:g} GPUs, but the Ray cluster holds "
                f"{self.cpus:g} CPUs and {self.gpus:g} GPUs. Lower resources.cpus_per_run or resources.gpus_per_run, "
                "or point BEYOND_IID_RAY_ADDRESS to a larger cluster."
            )
        return min(fits, default=1)


@contextmanager
def ray_cluster(address: str | None) -> Iterator[ClusterCapacity]:
    """Connect to Ray (or start a local cluster that ends with this process) and disconnect at the end.

    A connection that is already open is used and left open.

    Raises:
        ConfigurationError: nothing answers at `address`, or it is a Ray Client address (ray://), which Ray Train
            does not support and which leaves tasks behind when the driver dies.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray warns that a local cluster has token authentication, which is what we want.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    # A run that asks for no GPU must not see one: on a GPU machine all runs would pile up on the first.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    import ray

    if ray.is_initialized():
        yield _capacity()
        return
    if address and address.startswith("ray://"):
        raise ConfigurationError(
            f"BEYOND_IID_RAY_ADDRESS is {address}: Ray Client is not supported. Start the driver inside the cluster "
            "and use 'auto' or the head node's host:port."
        )
    # Workers must find the same packages wherever the driver was started from.
    root = str(Path(__file__).resolve().parent.parent)
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}}
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        else:
            # "local": never a cluster that happens to run on this machine or that RAY_ADDRESS names.
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.WARNING,
                runtime_env=environment,
            )
    except (ConnectionError, RuntimeError) as error:
        raise ConfigurationError(
            f"No Ray cluster answers at {address or 'this machine'}: {error}. "
            "Correct BEYOND_IID_RAY_ADDRESS, or unset it to run on this machine."
        ) from error
    try:
        yield _capacity()
    finally:
        ray.shutdown()


def _capacity() -> ClusterCapacity:
    import ray

    total = ray.cluster_resources()
    nodes = sum(1 for node in ray.nodes() if node["Alive"])
    return ClusterCapacity(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0), nodes=nodes)
