"""The Ray cluster a flow runs its fine-tunes on: a running one by its address, else a local one for this process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from infra.environment import RAY_DEFAULTS, RAY_DRIVER, RAY_ON_LOOPBACK, with_project
from infra.errors import ConfigurationError
from infra.security import credentials_hidden, require_ray_token

_END_SECONDS = 3.0


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
def ray_cluster(address: str | None, *, allow_insecure: bool = False) -> Iterator[ClusterCapacity]:
    """Connect to Ray (or start a local cluster that ends with this process) and disconnect at the end.

    A connection that is already open is used and left open. A local cluster's processes inherit this process's
    environment without what opens the database or Prefect.

    Raises:
        ConfigurationError: nothing answers at `address`; it lies beyond loopback and there is no token, or the wrong
            one; or it is a Ray Client address (ray://), which Ray Train does not support and which leaves tasks behind
            when the driver dies.
    """
    # Ray warns that a local cluster has token authentication, which is what we want.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    alone = not address and "ray" not in sys.modules
    for name, value in {**RAY_DEFAULTS, **RAY_DRIVER, **(RAY_ON_LOOPBACK if alone else {})}.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield _capacity()
        return
    if address and address.startswith("ray://"):
        raise ConfigurationError(
            f"BEYOND_IID_RAY_ADDRESS is {address}: Ray Client is not supported. Start the driver inside the cluster "
            "and use 'auto' or the head node's host:port."
        )
    if address and address != "auto":
        require_ray_token(address, allow_insecure=allow_insecure)
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        else:
            # "local": never a cluster that happens to run on this machine or that RAY_ADDRESS names.
            with credentials_hidden():
                ray.init(
                    address="local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.WARNING,
                    runtime_env={"env_vars": {"PYTHONPATH": with_project(os.environ)["PYTHONPATH"]}},
                )
    except ray.exceptions.AuthenticationError:
        raise ConfigurationError(
            f"The Ray cluster at {address} wants a token. Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) to the cluster's."
        ) from None
    except (ConnectionError, RuntimeError) as error:
        raise ConfigurationError(
            f"No Ray cluster answers at {address or 'this machine'}, or it refuses the token: {error}. "
            "Correct BEYOND_IID_RAY_ADDRESS and RAY_AUTH_TOKEN, or unset both to run on this machine."
        ) from error
    try:
        if address == "auto":  # only now known where it leads
            require_ray_token(ray.get_runtime_context().gcs_address, allow_insecure=allow_insecure)
        yield _capacity()
    finally:
        hanging_on = () if address else _of_raylet()
        ray.shutdown()
        _end(hanging_on)


def _of_raylet() -> tuple[psutil.Process, ...]:
    """Workers and agents of the cluster that this process started; they hang on its raylet."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        for child in psutil.Process().children():
            if child.name() == "raylet":
                found += child.children(recursive=True)
    return tuple(found)


def _end(processes: Sequence[psutil.Process]) -> None:
    """Agents that look for a head which is gone would go on doing so for a minute or two."""
    for process in psutil.wait_procs(processes, timeout=_END_SECONDS)[1]:
        with suppress(psutil.Error):
            process.kill()


def _capacity() -> ClusterCapacity:
    import ray

    total = ray.cluster_resources()
    nodes = sum(1 for node in ray.nodes() if node["Alive"])
    return ClusterCapacity(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0), nodes=nodes)
