"""Which examples each worker trains on in each step: the manifest's order, cut into batches, nothing dropped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchPlan:
    """One pass over `examples` positions 0…examples-1 in steps of `batch_size`, over `workers` data-parallel workers.

    A step is a run of consecutive positions, cut into consecutive micro-steps of at most `workers * micro` positions;
    each of these is cut into one consecutive piece per worker. Reading the pieces by (step, micro-step, worker) gives
    the positions in order, each once. The last step is smaller where `batch_size` does not divide `examples`; workers
    without an example in a micro-step get an empty piece, so that all of them take part equally often.

    Attributes:
        examples: positions in the manifest.
        batch_size: examples per optimizer step, over all workers.
        workers: data-parallel workers.
        micro: largest number of examples per forward pass and worker; None for batch_size / workers, rounded up.
    """

    examples: int
    batch_size: int
    workers: int = 1
    micro: int | None = None

    def __post_init__(self) -> None:
        if min(self.examples, self.batch_size, self.workers) < 1 or (self.micro is not None and self.micro < 1):
            raise ValueError(f"all sizes must be at least 1: {self}")

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return -(-self.examples // self.batch_size)

    @property
    def piece(self) -> int:
        """Largest number of examples that a worker gets in one forward pass."""
        even = -(-self.batch_size // self.workers)
        return min(self.micro or even, even)

    @property
    def micro_steps(self) -> int:
        """Forward passes per full step and worker (gradient accumulation)."""
        return -(-self.batch_size // (self.workers * self.piece))

    def batches(self, worker: int) -> list[list[int]]:
        """Positions of each forward pass of one worker, in order; an empty list where it has none."""
        pieces = []
        for start in range(0, self.examples, self.batch_size):
            stop = min(start + self.batch_size, self.examples)
            for low in range(start, stop, self.workers * self.piece):
                size = min(self.workers * self.piece, stop - low)
                even, extra = divmod(size, self.workers)
                first = low + worker * even + min(worker, extra)
                pieces.append(list(range(first, first + even + (worker < extra))))
        return pieces
