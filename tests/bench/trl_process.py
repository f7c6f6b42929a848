"""One plain TRL training, as a shell loop starts it: a fresh process per run. The peer of `tests.bench.efficiency`.

python -m tests.bench.trl_process SPEC OUT: the model, the examples in their order, batch, steps and learning rate of a
run's specification; completion-only loss; the weights are saved. No scoring: that is the peer's advantage.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(specification: Path, out: Path) -> None:
    """Train and save."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    spec = json.loads(specification.read_text())
    recipe = spec["recipe"]
    rows = [json.loads(line) for line in Path(spec["train_data"]).read_text().splitlines()]
    by_id = {row["id"]: row["messages"] for row in rows}
    lines = [json.loads(line) for line in Path(spec["manifest"]).read_text().splitlines()]
    order = [line["id"] for line in lines if "id" in line]
    data = Dataset.from_list([_prompt_and_completion(by_id[one]) for one in order])
    arguments = SFTConfig(
        output_dir=str(out),
        num_train_epochs=1,  # the manifest holds every epoch
        per_device_train_batch_size=recipe["batch_size"],
        learning_rate=recipe["learning_rate"],
        lr_scheduler_type=recipe["schedule"],
        max_length=recipe["max_length"],
        bf16=False,
        use_cpu=True,
        seed=spec["seed"],
        report_to="none",
        save_strategy="no",
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(spec["base_model"], dtype="float32"),
        args=arguments,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(spec["base_model"]),
    )
    trainer.train()
    trainer.save_model(str(out / "model"))
    print(json.dumps({"steps": trainer.state.global_step, "loss": trainer.state.log_history[-1]["train_loss"]}))


def _prompt_and_completion(messages: list[Any]) -> dict[str, Any]:
    turns = [{"role": role, "content": content} for role, content in messages]
    return {"prompt": turns[:-1], "completion": turns[-1:]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
