"""What training really did, step by step: the examples the model saw, in order, and the loss of each step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import InputError, RunError
from tasks.interventions.manifest import Manifest

OnStep = Callable[[int, int, float], None]
"""Called after each optimizer step with (step, steps in total, loss of that step in nats per answer token)."""


@dataclass
class Ledger:
    """Filled by the trainer while it trains; saved with each resumable checkpoint.

    Attributes:
        fingerprint: identity of the run.
        manifest: what the model should see.
        steps: optimizer steps in total.
        on_step: progress.
        positions: manifest positions that the model has seen, in order, of completed steps.
        losses: (step, loss) of completed steps; nats per answer token.
        resumed_from_step: the step of the checkpoint it went on from; 0 for none.
    """

    fingerprint: str
    manifest: Manifest
    steps: int
    on_step: OnStep | None = None
    positions: list[int] = field(default_factory=list)
    losses: list[tuple[int, float]] = field(default_factory=list)
    resumed_from_step: int = 0
    _open_positions: list[int] = field(default_factory=list)
    _open_loss: float = 0.0

    def add(self, positions: list[int], loss: float) -> None:
        """Enter one forward and backward pass of all workers: the positions seen and its share of the step's loss.

        Raises:
            RunError: the loss is NaN or infinite; names the step.
        """
        if not math.isfinite(loss):
            raise RunError(
                f"the training loss became {loss} in step {len(self.losses) + 1} of {self.steps}; "
                "lower recipe.learning_rate or raise recipe.warmup_fraction"
            )
        self._open_positions.extend(positions)
        self._open_loss += loss

    def close_step(self, step: int) -> None:
        """Complete the optimizer step `step` (counted from 1) and report it."""
        self.positions.extend(self._open_positions)
        self.losses.append((step, self._open_loss))
        self._open_positions, self._open_loss = [], 0.0
        if self.on_step is not None:
            self.on_step(step, self.steps, self.losses[-1][1])

    def seen_sha256(self) -> str:
        """Hash of the ids (with their stages) in the order the model saw them, made as `Manifest.sha256` is."""
        digest = hashlib.sha256()
        for position in self.positions:
            digest.update(f"{self.manifest.stages[position]}\t{self.manifest.ids[position]}\n".encode())
        return digest.hexdigest()

    def state(self) -> dict[str, Any]:
        """Plain JSON of what was done so far."""
        return {
            "fingerprint": self.fingerprint,
            "manifest_sha256": self.manifest.sha256,
            "positions": self.positions,
            "losses": [list(entry) for entry in self.losses],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            InputError: it belongs to another run or another manifest.
        """
        if (state["fingerprint"], state["manifest_sha256"]) != (self.fingerprint, self.manifest.sha256):
            raise InputError(
                f"the folder holds a checkpoint of run {state['fingerprint'][:12]}, which is not this run "
                f"({self.fingerprint[:12]}) with this manifest; give another folder or delete it"
            )
        self.positions = list(state["positions"])
        self.losses = [(int(step), float(loss)) for step, loss in state["losses"]]
        self.resumed_from_step = len(self.losses)
