"""Scores against hand computation and against real generation."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tasks.benchmarks.evaluate import assert_disjoint, evaluate, load_checkpoint, score_examples
from tasks.benchmarks.scores import EXACT_MATCH, LOSS, Score
from tasks.errors import InputError, RunError
from tasks.finetune.encoding import encode, load_tokenizer
from tasks.finetune.recipe import Engine, Lora, Recipe, TinyModel
from tasks.finetune.train import Job, run_job
from tasks.interventions.manifest import Manifest
from tasks.pool.instruction import Instruction


def hand_scores(model: Any, tokenizer: Any, rows: tuple[Instruction, ...]) -> dict[tuple[str, str], float]:
    """Both metrics by one unpadded forward pass and one real greedy generation per example."""
    import torch

    values = defaultdict(list)
    for row in rows:
        prompt = tokenizer(f"<user>{row.messages[0][1]}<assistant>", return_tensors="pt")["input_ids"]
        answer = tokenizer(f"{row.answer}<end>", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(torch.cat([prompt, answer], dim=1)).logits[0].double()
            generated = model.generate(prompt, max_new_tokens=answer.shape[1] + 3, do_sample=False)
        steps = logits[prompt.shape[1] - 1 : -1].log_softmax(-1)
        nll = -sum(float(steps[k, token]) for k, token in enumerate(answer[0]))
        values[row.category, LOSS].append(nll / answer.shape[1])
        text = tokenizer.decode(generated[0, prompt.shape[1] :])
        values[row.category, EXACT_MATCH].append(float(text == f"{row.answer}<end>"))
    return {key: sum(numbers) / len(numbers) for key, numbers in values.items()}


def as_dict(scores: tuple[Score, ...]) -> dict[tuple[str, str], float]:
    return {(score.category, score.metric): score.value for score in scores}


def test_evaluate_equals_hand_computed_loss_and_real_generation(
    trained: Path, tiny_base: Path, training_rows: tuple[Instruction, ...], held_out: tuple[Instruction, ...]
) -> None:
    from transformers import LlamaForCausalLM

    rows = (*training_rows, *held_out)
    expected = hand_scores(LlamaForCausalLM.from_pretrained(trained), load_tokenizer(tiny_base), rows)
    found = as_dict(evaluate(trained, tiny_base, rows, batch_size=5, threads=1))
    exact = {found[category, EXACT_MATCH] for category in ("letter", "long", "pair")}
    assert max(exact) > 0  # right and wrong answers both occur, so the comparison says something
    assert min(exact) < 1
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        tolerance = 0 if key[1] == EXACT_MATCH else 1e-5
        assert found[key] == pytest.approx(value, abs=tolerance), key


def test_evaluate_scores_are_sorted_and_count_their_examples(
    tiny_base: Path, held_out: tuple[Instruction, ...]
) -> None:
    scores = evaluate(tiny_base, tiny_base, held_out, batch_size=8)
    assert [(s.category, s.metric, s.n) for s in scores] == [
        ("letter", LOSS, 4),
        ("letter", EXACT_MATCH, 4),
        ("long", LOSS, 5),
        ("long", EXACT_MATCH, 5),
        ("pair", LOSS, 8),
        ("pair", EXACT_MATCH, 8),
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_evaluate_does_not_depend_on_batch_size_or_row_order(
    trained: Path, tiny_base: Path, held_out: tuple[Instruction, ...], batch_size: int
) -> None:
    reference = as_dict(evaluate(trained, tiny_base, held_out, batch_size=7))
    shuffled = random.Random(3).sample(held_out, len(held_out))
    found = as_dict(evaluate(trained, tiny_base, shuffled, batch_size=batch_size))
    assert found == {key: pytest.approx(value, abs=1e-5) for key, value in reference.items()}


def test_evaluate_row_order_alone_changes_no_bit(
    trained: Path, tiny_base: Path, held_out: tuple[Instruction, ...]
) -> None:
    backwards = evaluate(trained, tiny_base, tuple(reversed(held_out)), batch_size=4)
    assert backwards == evaluate(trained, tiny_base, held_out, batch_size=4)


def test_evaluate_loss_is_per_example_then_mean(
    trained: Path, tiny_base: Path, held_out: tuple[Instruction, ...]
) -> None:
    long = tuple(row for row in held_out if row.category == "long")
    each = [as_dict(evaluate(trained, tiny_base, [row], batch_size=1))["long", LOSS] for row in long]
    together = as_dict(evaluate(trained, tiny_base, long, batch_size=9))["long", LOSS]
    assert together == pytest.approx(sum(each) / len(each), abs=1e-6)


def test_evaluate_adapter_is_scored_on_its_base(
    tiny_base: Path, training_rows: tuple[Instruction, ...], held_out: tuple[Instruction, ...], tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    ids = tuple(row.id for row in training_rows) * 10
    recipe = Recipe(model=TinyModel(), method=Lora(rank=4), engine=Engine.TORCH, batch_size=12, learning_rate=2e-2)
    rows = {row.id: row for row in training_rows}
    record = run_job(Job("adapter", 0, recipe, tiny_base, rows, Manifest(ids, (0,) * len(ids))), tmp_path)
    merged = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(tiny_base), record.checkpoint)
    expected = hand_scores(merged.merge_and_unload(), load_tokenizer(tiny_base), held_out)
    found = as_dict(evaluate(Path(record.checkpoint), tiny_base, held_out, batch_size=4))
    assert found == {key: pytest.approx(value, abs=1e-5) for key, value in expected.items()}
    untrained = as_dict(evaluate(tiny_base, tiny_base, held_out, batch_size=4))
    assert found["pair", LOSS] < untrained["pair", LOSS] - 0.1


def test_score_examples_broken_weights_name_the_example(tiny_base: Path, held_out: tuple[Instruction, ...]) -> None:
    import torch

    model = load_checkpoint(tiny_base, tiny_base)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(RunError, match=r"held-out instruction .* its loss is nan"):
        score_examples(model, encode(load_tokenizer(tiny_base), held_out, None), 4)


def test_assert_disjoint_same_messages_under_another_id_are_found(training_rows: tuple[Instruction, ...]) -> None:
    copy = Instruction("other id", training_rows[2].messages, "other category", "other source")
    with pytest.raises(InputError, match=r"1 held-out examples .* held-out 'other id' .* training example 'letter c'"):
        assert_disjoint(training_rows, (copy,))


def test_assert_disjoint_other_answer_to_the_same_prompt_is_allowed(training_rows: tuple[Instruction, ...]) -> None:
    assert_disjoint(training_rows, (Instruction("x", (("user", "a"), ("assistant", "b")), "letter"),))
