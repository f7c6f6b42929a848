"""Results of Ray tasks, with the errors their functions raised instead of Ray's wrapping of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.monitor_log import LOG_FILE, TRACEBACK_FILE, without_secrets
from tasks.errors import BeyondIIDError, RunError

_LESS_MEMORY = (
    "Let a run take less memory (lower recipe.micro_batch_size or resources.benchmark_batch_size), or fewer runs at "
    "once (lower resources.max_parallel, raise resources.cpus_per_run), or use a machine with more"
)
_LESS_GPU_MEMORY = (
    "Lower recipe.micro_batch_size or resources.benchmark_batch_size, or let fewer runs share a GPU (raise "
    "resources.gpus_per_run)"
)


class OutOfMemoryError(RunError):
    """A run took more memory than there was, on the host or on its GPU."""


class WorkerDiedError(RunError):
    """The process that did a run ended without a word."""


class NodeDiedError(RunError):
    """The machine that did a run is gone from the cluster."""


class RunTimeoutError(RunError):
    """A run took longer than resources.run_timeout_minutes and was cut."""


class WorkerError(RunError):
    """The run's own code raised an error that is none of this product's.

    Attributes:
        reason: the class of that error.
    """

    def __init__(self, text: str, reason: str) -> None:
        """Carry the class's name beside the text."""
        super().__init__(text)
        self.reason = reason


def result_of(reference: Any, what: str, folder: Path | None = None) -> Any:
    """Wait for a Ray task's result.

    Ray's own exception holds the whole remote traceback in its text, which is for logs and not for users.

    Args:
        reference: the task's object reference.
        what: the run or step, for the message.
        folder: the run's folder with its log, for the message.

    Raises:
        BeyondIIDError: of the class that the task raised, its text after `what`; or one that says what ended the
            worker: out of memory, killed, its node gone, any other error of its code.
        Exception: whatever else ended the task.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, BeyondIIDError):
            raise type(cause)(f"{what}: {cause}") from None
        raise _explained(cause, what, folder) from None
    except ray.exceptions.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{what}: Ray ended its worker because the node's memory was nearly full. {_LESS_MEMORY}. "
            f"Ray says: {_first_line(error)}"
        ) from None
    except ray.exceptions.WorkerCrashedError:
        raise WorkerDiedError(
            f"{what}: its worker process was killed or crashed. Where nobody killed it, the system's memory was most "
            f"likely full (the kernel's log says so). {_LESS_MEMORY}.{_where(folder)}"
        ) from None
    except (ray.exceptions.NodeDiedError, ray.exceptions.LocalRayletDiedError) as error:
        raise NodeDiedError(
            f"{what}: the machine it ran on left the Ray cluster. Ray says: {_first_line(error)}"
        ) from None


def _explained(cause: BaseException, what: str, folder: Path | None) -> RunError:
    kind = type(cause).__name__
    text = f"{kind}: {_first_line(cause)}"
    if isinstance(cause, MemoryError):
        return OutOfMemoryError(f"{what}: the worker found no more memory ({text}). {_LESS_MEMORY}.{_where(folder)}")
    if kind == "OutOfMemoryError":  # torch's, which is not imported here
        return OutOfMemoryError(f"{what}: the GPU's memory is full ({text}). {_LESS_GPU_MEMORY}.{_where(folder)}")
    return WorkerError(f"{what}: {text}.{_where(folder)}", kind)


def _where(folder: Path | None) -> str:
    if folder is None:
        return ""
    traceback = folder / TRACEBACK_FILE
    return f" Details: {traceback if traceback.exists() else folder / LOG_FILE}"


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return without_secrets(lines[0].strip())[:500] if lines else "no reason given"
