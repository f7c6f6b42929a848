"""TRL's SFTTrainer, made to train on exactly the manifest's order and to enter what it saw into the ledger."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.finetune.checkpoints import mark_complete
from tasks.finetune.encoding import EncodedInstruction
from tasks.finetune.ledger import Ledger
from tasks.finetune.order import BatchPlan
from tasks.finetune.recipe import Packing

_IGNORED = -100


class Collator:
    """Turns manifest positions into a batch; a worker without an example gets one row without labels."""

    def __init__(
        self, examples: Sequence[EncodedInstruction], piece: int, pad_id: int, packing: Packing = "none"
    ) -> None:
        self.examples = examples
        self.piece = piece
        self.pad_id = pad_id
        self.packing = packing

    def __call__(self, positions: Sequence[int]) -> dict[str, Any]:
        """A label is the token itself where it carries loss, -100 elsewhere.

        Without packing: input_ids, attention_mask and labels [row, token], padded to the longest row. Padding-free:
        input_ids, labels and position_ids [1, token], one row after the other, each row's positions from 0; that there
        is no mask tells the model to keep the rows apart. Both: positions [piece], the last filled with -1.
        """
        import torch

        rows = [self.examples[p] for p in positions if p >= 0] or [self.examples[0]]
        masked = not any(p >= 0 for p in positions)
        labels = [_labels(row, masked) for row in rows]
        padded = torch.tensor([*positions, *[-1] * (self.piece - len(positions))])
        if self.packing == "padding-free":
            return {
                "input_ids": torch.tensor([[token for row in rows for token in row.tokens]]),
                "position_ids": torch.tensor([[place for row in rows for place in range(len(row.tokens))]]),
                "labels": torch.tensor([[label for one in labels for label in one]]),
                "positions": padded,
            }
        width = max(len(row.tokens) for row in rows)
        gaps = [width - len(row.tokens) for row in rows]
        return {
            "input_ids": torch.tensor(
                [[*row.tokens, *[self.pad_id] * gap] for row, gap in zip(rows, gaps, strict=True)]
            ),
            "attention_mask": torch.tensor(
                [[1] * len(row.tokens) + [0] * gap for row, gap in zip(rows, gaps, strict=True)]
            ),
            "labels": torch.tensor([[*one, *[_IGNORED] * gap] for one, gap in zip(labels, gaps, strict=True)]),
            "positions": padded,
        }


def _labels(row: EncodedInstruction, masked: bool) -> list[int]:
    labels = [_IGNORED] * len(row.tokens)
    for start, stop in () if masked else row.trained:
        labels[start:stop] = row.tokens[start:stop]
    return labels


@functools.cache
def trainer_class() -> type[Any]:
    """The trainer's class; made on first use, because its parent needs torch."""
    import torch
    from torch.utils.data import DataLoader
    from trl.trainer.sft_trainer import SFTTrainer

    class ManifestTrainer(SFTTrainer):
        """SFTTrainer without shuffling, packing, dropping, telemetry or model cards."""

        def __init__(self, *, plan: BatchPlan, ledger: Ledger, **arguments: Any) -> None:
            self.plan = plan
            self.ledger = ledger
            super().__init__(**arguments)

        def get_train_dataloader(self) -> Any:
            # Not passed through accelerate: its sharding repeats examples to fill the last batch.
            nothing = self.plan.examples
            positions: Any = [*range(self.plan.examples), -1]
            return DataLoader(
                positions,
                batch_sampler=[batch or [nothing] for batch in self.plan.batches(self.args.process_index)],
                collate_fn=self.data_collator,
            )

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            positions = inputs.pop("positions")
            loss = super().training_step(model, inputs, num_items_in_batch)
            mean_loss = loss
            if self.args.world_size > 1:
                positions = self.accelerator.gather(positions.to(loss.device))
                mean_loss = self.accelerator.gather(loss.reshape(1)).mean()
            self.ledger.add([p for p in positions.tolist() if p >= 0], float(mean_loss))
            return loss

        def floating_point_ops(self, inputs: Any) -> int:
            return 0

        def _send_telemetry(self) -> None:
            return

        def create_model_card(self, *_: Any, **__: Any) -> None:
            return

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            if self.args.world_size > 1:
                torch.distributed.barrier()
            if self.args.process_index == 0:
                folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
                mark_complete(folder, self.ledger.state())

    return ManifestTrainer


@functools.cache
def step_callback_class() -> type[Any]:
    """A callback that closes the ledger's step after each optimizer step."""
    from transformers import TrainerCallback

    class StepCallback(TrainerCallback):
        """Closes the ledger's step after each optimizer step."""

        def __init__(self, ledger: Ledger) -> None:
            self.ledger = ledger

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            self.ledger.close_step(state.global_step)
            return control

    return StepCallback
