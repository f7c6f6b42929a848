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

_IGNORED = -100


class Collator:
    """Turns manifest positions into a padded batch; a worker without an example gets one row without labels."""

    def __init__(self, examples: Sequence[EncodedInstruction], piece: int, pad_id: int) -> None:
        self.examples = examples
        self.piece = piece
        self.pad_id = pad_id

    def __call__(self, positions: Sequence[int]) -> dict[str, Any]:
        """Tensors input_ids, attention_mask, labels [row, token] and positions [piece], the last filled with -1.

        A label is the token itself on the answer and its end token, -100 elsewhere.
        """
        import torch

        rows = [self.examples[p] for p in positions if p >= 0] or [self.examples[0]]
        masked = not any(p >= 0 for p in positions)
        width = max(len(row.tokens) for row in rows)
        tokens, labels, attention = [], [], []
        for row in rows:
            padding = width - len(row.tokens)
            start = len(row.tokens) if masked else row.prompt_length
            tokens.append([*row.tokens, *[self.pad_id] * padding])
            labels.append([*[_IGNORED] * start, *row.tokens[start:], *[_IGNORED] * padding])
            attention.append([1] * len(row.tokens) + [0] * padding)
        padded = [*positions, *[-1] * (self.piece - len(positions))]
        return {
            "input_ids": torch.tensor(tokens),
            "attention_mask": torch.tensor(attention),
            "labels": torch.tensor(labels),
            "positions": torch.tensor(padded),
        }


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
