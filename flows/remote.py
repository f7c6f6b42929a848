"""Results of Ray tasks, with the errors their functions raised instead of Ray's wrapping of them."""

from __future__ import annotations

from typing import Any

from tasks.errors import BeyondIIDError


def result_of(reference: Any, what: str) -> Any:
    """Wait for a Ray task's result.

    Ray's own exception holds the whole remote traceback in its text, which is for logs and not for users.

    Args:
        reference: the task's object reference.
        what: the run or step, for the message.

    Raises:
        BeyondIIDError: of the class that the task raised, its text after `what`.
        Exception: whatever else ended the task, e.g. a worker's death.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, BeyondIIDError):
            raise type(cause)(f"{what}: {cause}") from None
        raise
