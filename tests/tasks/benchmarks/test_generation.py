"""Batched greedy answers against one argmax after the other, without batch, padding or cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.benchmarks.evaluate import load_checkpoint
from tasks.benchmarks.generation import TransformersGenerator, encode_prompts, engine_version, resolve_engine
from tasks.errors import InputError
from tasks.finetune.encoding import load_tokenizer
from tasks.finetune.recipe import Engine, Lora, Recipe, TinyModel
from tasks.finetune.train import Job, run_job
from tasks.interventions.manifest import Manifest
from tasks.pool.instruction import Instruction

LONGEST = 6


def one_by_one(model: Any, tokenizer: Any, text: str) -> str:
    """Greedy decoding by hand."""
    import torch

    tokens = tokenizer(f"<user>{text}<assistant>")["input_ids"]
    start = len(tokens)
    with torch.no_grad():
        while len(tokens) < start + LONGEST:
            following = int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax())
            if following == tokenizer.eos_token_id:
                break
            tokens = [*tokens, following]
    return "".join(t for t in tokenizer.convert_ids_to_tokens(tokens[start:]) if not t.startswith("<"))


def prompts_of(tokenizer: Any, rows: tuple[Instruction, ...]) -> list[tuple[int, ...]]:
    return encode_prompts(tokenizer, [(row.id, row.messages[:-1]) for row in rows])


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_generate_equals_decoding_one_by_one_whatever_the_batch(
    trained: Path, tiny_base: Path, held_out: tuple[Instruction, ...], batch_size: int
) -> None:
    model, tokenizer = load_checkpoint(trained, tiny_base), load_tokenizer(tiny_base)
    expected = [one_by_one(model, tokenizer, row.messages[0][1]) for row in held_out]
    assert len({len(text) for text in expected}) > 2  # some stop early, some are cut
    found = TransformersGenerator(model, tokenizer, batch_size).generate(prompts_of(tokenizer, held_out), LONGEST)
    assert found == expected


def test_generate_of_an_adapter_answers_with_it(
    tiny_base: Path, training_rows: tuple[Instruction, ...], held_out: tuple[Instruction, ...], tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    ids = tuple(row.id for row in training_rows) * 60
    recipe = Recipe(model=TinyModel(), method=Lora(rank=8), engine=Engine.TORCH, batch_size=12, learning_rate=5e-2)
    rows = {row.id: row for row in training_rows}
    record = run_job(Job("adapter", 0, recipe, tiny_base, rows, Manifest(ids, (0,) * len(ids))), tmp_path)
    tokenizer = load_tokenizer(tiny_base)
    merged = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(tiny_base), record.checkpoint)
    merged = merged.merge_and_unload().eval()
    expected = [one_by_one(merged, tokenizer, row.messages[0][1]) for row in held_out]
    adapted = load_checkpoint(Path(record.checkpoint), tiny_base)
    found = TransformersGenerator(adapted, tokenizer, 8).generate(prompts_of(tokenizer, held_out), LONGEST)
    assert found == expected
    base = TransformersGenerator(load_checkpoint(tiny_base, tiny_base), tokenizer, 8)
    assert found != base.generate(prompts_of(tokenizer, held_out), LONGEST)


def test_generate_ignores_the_checkpoints_own_generation_settings(
    trained: Path, tiny_base: Path, held_out: tuple[Instruction, ...]
) -> None:
    from transformers import GenerationConfig

    model, tokenizer = load_checkpoint(trained, tiny_base), load_tokenizer(tiny_base)
    prompts = prompts_of(tokenizer, held_out)
    expected = TransformersGenerator(model, tokenizer, 8).generate(prompts, LONGEST)
    model = load_checkpoint(trained, tiny_base)
    model.generation_config = GenerationConfig(repetition_penalty=5.0, do_sample=True, temperature=3.0, min_length=40)
    assert TransformersGenerator(model, tokenizer, 8).generate(prompts, LONGEST) == expected


def test_encode_prompts_unknown_character_is_named(tiny_base: Path) -> None:
    with pytest.raises(InputError, match=r"items\.jsonl, line 3: .*does not know"):
        encode_prompts(load_tokenizer(tiny_base), [("items.jsonl, line 3", (("user", "é"),))])


def test_engine_auto_is_transformers_where_runs_have_no_gpu() -> None:
    assert resolve_engine("auto", 0.0) == resolve_engine("transformers", 1.0) == "transformers"
    assert engine_version("transformers").startswith("transformers-5.")
