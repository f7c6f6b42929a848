"""One fine-tune of a tiny model: order, loss and result against a plain training loop written here."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError, RunError
from tasks.finetune.packing import require_separate_rows
from tasks.finetune.recipe import Lora
from tasks.finetune.spec import RunSpec
from tasks.finetune.spec_file import RECORD_NAME
from tasks.finetune.train import finetune
from tasks.pool.instruction import Instruction
from tasks.pool.storage import write_instructions

MakeSpec = Callable[..., RunSpec]
END = 1


def weights(folder: Path, name: str = "model.safetensors") -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / name)


def hand_tokens(row: Instruction, alphabet: list[str]) -> tuple[list[int], int]:
    """The tiny model's tokens, made without the product: six special tokens, then the sorted alphabet."""
    prompt = [4, *(6 + alphabet.index(c) for c in row.messages[0][1]), 5]
    return [*prompt, *(6 + alphabet.index(c) for c in row.answer), END], len(prompt)


def hand_loss(model: Any, batch: list[tuple[list[int], int]]) -> Any:
    """Mean negative log-likelihood over the answer tokens of a batch, one example at a time, without padding."""
    import torch

    total, count = torch.zeros(()), 0
    for tokens, start in batch:
        log_probabilities = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
        for position in range(start, len(tokens)):
            total = total - log_probabilities[position - 1, tokens[position]]
            count += 1
    return total / count


def plain_loop(spec: RunSpec, ids: list[str], rows: tuple[Instruction, ...]) -> tuple[list[float], dict[str, Any]]:
    """The recipe written out: AdamW, gradient norm clipped to 1, linear rise over 5% of the steps, linear fall."""
    import torch
    from transformers import LlamaForCausalLM

    alphabet = sorted({c for row in rows for _, content in row.messages for c in content})
    by_id = {row.id: hand_tokens(row, alphabet) for row in rows}
    model = LlamaForCausalLM.from_pretrained(spec.base_model)
    model.train()
    size = spec.recipe.batch_size
    steps = -(-len(ids) // size)
    rise = -(-steps * 5 // 100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.recipe.learning_rate, weight_decay=0.0)
    losses = []
    for step in range(steps):
        share = step / rise if step < rise else (steps - step) / (steps - rise)
        optimizer.param_groups[0]["lr"] = spec.recipe.learning_rate * share
        loss = hand_loss(model, [by_id[i] for i in ids[step * size : (step + 1) * size]])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


@pytest.fixture
def seen_by_model() -> Iterator[list[list[int]]]:
    """Every row of tokens that enters a Llama model in training mode, padding stripped, in order."""
    from transformers import LlamaModel

    original, seen = LlamaModel.forward, []

    def spy(self: Any, input_ids: Any = None, attention_mask: Any = None, **kwargs: Any) -> Any:
        if self.training:
            seen.extend(row[mask.bool()].tolist() for row, mask in zip(input_ids, attention_mask, strict=True))
        return original(self, input_ids=input_ids, attention_mask=attention_mask, **kwargs)

    LlamaModel.forward = spy
    yield seen
    LlamaModel.forward = original


def shuffled_twice(rows: tuple[Instruction, ...]) -> list[str]:
    ids = [row.id for row in rows] * 2
    random.Random(4).shuffle(ids)
    return ids


def test_finetune_losses_and_weights_equal_a_plain_loop(
    make_spec: MakeSpec, rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    ids = shuffled_twice(rows)[:60]
    spec = make_spec(ids)
    record = finetune(spec, tmp_path / "out")
    losses, state = plain_loop(spec, ids, rows)
    assert record.steps == 8  # seven full batches of eight and one of four
    assert [step for step, _ in record.losses] == list(range(1, 9))
    assert [loss for _, loss in record.losses] == pytest.approx(losses, abs=2e-6)
    for name, tensor in weights(tmp_path / "out" / "model").items():
        assert (tensor - state[name]).abs().max() < 2e-5, name


def test_finetune_tokens_that_enter_the_model_follow_the_manifest(
    make_spec: MakeSpec, rows: tuple[Instruction, ...], tmp_path: Path, seen_by_model: list[list[int]]
) -> None:
    ids = shuffled_twice(rows)
    spec = make_spec(ids, micro_batch_size=3)
    record = finetune(spec, tmp_path / "out")
    alphabet = sorted({c for row in rows for _, content in row.messages for c in content})
    by_id = {row.id: hand_tokens(row, alphabet)[0] for row in rows}
    assert seen_by_model == [by_id[i] for i in ids]
    assert record.seen_sha256 == spec.manifest_sha256
    assert (record.examples, record.tokens) == (120, sum(len(by_id[i]) for i in ids))


def test_finetune_accumulated_passes_give_the_same_losses(make_spec: MakeSpec, tmp_path: Path) -> None:
    whole = finetune(make_spec(), tmp_path / "whole")
    cut = finetune(make_spec(micro_batch_size=3), tmp_path / "cut")
    assert [loss for _, loss in cut.losses] == pytest.approx([loss for _, loss in whole.losses], abs=2e-6)


def test_finetune_padding_free_losses_and_weights_equal_a_plain_loop_over_single_rows(
    make_spec: MakeSpec, rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    ids = shuffled_twice(rows)[:60]
    spec = make_spec(ids, packing="padding-free", micro_batch_size=5)
    record = finetune(spec, tmp_path / "out")
    losses, state = plain_loop(spec, ids, rows)
    assert [loss for _, loss in record.losses] == pytest.approx(losses, abs=2e-6)
    for name, tensor in weights(tmp_path / "out" / "model").items():
        assert (tensor - state[name]).abs().max() < 2e-5, name
    assert record.seen_sha256 == spec.manifest_sha256


def test_finetune_padding_free_refuses_a_model_that_mixes_rows(base: Path) -> None:
    import torch
    from transformers import LlamaForCausalLM

    class Mixing(LlamaForCausalLM):
        """As a model whose mask does not know of positions: every token sees all before it."""

        def forward(self, input_ids: Any, **given: Any) -> Any:
            return super().forward(input_ids, **{**given, "attention_mask": torch.ones_like(input_ids)})

    require_separate_rows(LlamaForCausalLM.from_pretrained(base))
    with pytest.raises(InputError, match=r"Mixing lets examples in one row see each other .* recipe\.packing to none"):
        require_separate_rows(Mixing.from_pretrained(base))


def test_finetune_all_answers_losses_equal_a_plain_loop_over_every_answer(
    make_spec: MakeSpec, rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    alphabet = sorted({c for row in rows for _, content in row.messages for c in content})
    two_turns = tuple(
        replace(one, messages=(*one.messages, *other.messages))
        for one, other in zip(rows[:24], rows[24:48], strict=True)
    )
    spec = make_spec([row.id for row in two_turns], masking="all-answers", learning_rate=1e-12)
    write_instructions(Path(spec.train_data), two_turns)
    record = finetune(spec, tmp_path / "out")
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(spec.base_model)
    expected = []
    for start in range(0, 24, 8):
        total, count = 0.0, 0
        for row in two_turns[start : start + 8]:
            tokens: list[int] = []
            answers: list[int] = []
            for role, content in row.messages:
                ids = [6 + alphabet.index(c) for c in content]
                if role == "assistant":
                    answers += range(len(tokens) + 1, len(tokens) + 2 + len(ids))
                tokens += [5, *ids, END] if role == "assistant" else [4, *ids]
            chances = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
            total -= sum(float(chances[place - 1, tokens[place]]) for place in answers)
            count += len(answers)
        expected.append(total / count)
    assert [loss for _, loss in record.losses] == pytest.approx(expected, abs=2e-6)


def test_finetune_same_spec_twice_gives_identical_weights(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(method=Lora(rank=4, dropout=0.2))
    first, second = (finetune(spec, tmp_path / name) for name in ("first", "second"))
    assert first.losses == second.losses
    name = "adapter_model.safetensors"
    a, b = (weights(tmp_path / run / "model", name) for run in ("first", "second"))
    assert a.keys() == b.keys()
    assert all((a[key] == b[key]).all() for key in a)


def test_finetune_other_seed_gives_other_dropout(make_spec: MakeSpec, tmp_path: Path) -> None:
    runs = [finetune(make_spec(method=Lora(dropout=0.2), seed=s), tmp_path / str(s)) for s in (1, 2)]
    assert runs[0].losses != runs[1].losses


def test_finetune_lora_saves_only_an_adapter_that_changed(make_spec: MakeSpec, base: Path, tmp_path: Path) -> None:
    before = weights(base)
    record = finetune(make_spec(method=Lora(rank=4)), tmp_path / "out")
    saved = weights(Path(record.checkpoint), "adapter_model.safetensors")
    assert not (Path(record.checkpoint) / "model.safetensors").exists()
    assert saved
    assert all("lora_" in key for key in saved)
    # Matrix B starts at zero, so any value in it was learnt.
    assert all(tensor.abs().max() > 0 for key, tensor in saved.items() if "lora_B" in key)
    after = weights(base)
    assert all((before[key] == after[key]).all() for key in before)


def test_finetune_bfloat16_learns(make_spec: MakeSpec, rows: tuple[Instruction, ...], tmp_path: Path) -> None:
    record = finetune(make_spec([row.id for row in rows] * 2, precision="bfloat16"), tmp_path / "out")
    assert record.losses[-1][1] < record.losses[0][1]


def test_finetune_finished_folder_is_returned_without_training(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    first = finetune(spec, tmp_path / "out")
    stamp = (tmp_path / "out" / RECORD_NAME).stat().st_mtime_ns
    steps: list[int] = []
    again = finetune(spec, tmp_path / "out", on_step=lambda step, total, loss: steps.append(step))
    assert again == first
    assert steps == []
    assert (tmp_path / "out" / RECORD_NAME).stat().st_mtime_ns == stamp


def test_finetune_record_without_its_weights_trains_again(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    first = finetune(spec, tmp_path / "out")
    (tmp_path / "out" / "model").rename(tmp_path / "elsewhere")
    assert finetune(spec, tmp_path / "out").losses == first.losses
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()


def test_finetune_folder_of_another_run_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    finetune(make_spec(), tmp_path / "out")
    with pytest.raises(InputError, match="holds run aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        finetune(make_spec(fingerprint="b" * 64), tmp_path / "out")


def test_finetune_progress_reports_each_step(make_spec: MakeSpec, tmp_path: Path) -> None:
    calls: list[tuple[int, int, float]] = []
    record = finetune(make_spec(), tmp_path / "out", on_step=lambda *call: calls.append(call))
    assert calls == [(step, 8, loss) for step, loss in record.losses]


def test_finetune_diverging_loss_names_the_step_and_leaves_no_record(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    with pytest.raises(RunError, match=r"training loss became (nan|inf) in step \d of 8"):
        finetune(replace(spec, recipe=spec.recipe.model_copy(update={"learning_rate": 1e30})), tmp_path / "out")
    assert not (tmp_path / "out" / RECORD_NAME).exists()


def test_finetune_too_long_example_names_its_id(
    make_spec: MakeSpec, rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"instruction row-\d+: .* max_length is 12"):
        finetune(make_spec(max_length=12), tmp_path / "out")


def test_finetune_changed_manifest_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    with pytest.raises(InputError, match=r"manifest\.jsonl: its hash is .* the specification says 0000"):
        finetune(replace(spec, manifest_sha256="0" * 64), tmp_path / "out")


def test_finetune_id_without_data_is_named(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the id 'absent' is not in"):
        finetune(make_spec(["row-1", "absent"]), tmp_path / "out")


def test_finetune_missing_base_model_is_named(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"base_model: .*holds no config\.json"):
        finetune(replace(make_spec(), base_model=str(tmp_path / "absent")), tmp_path / "out")


def test_finetune_deepspeed_without_configuration_says_where_it_is(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no 'deepspeed' configuration; put the contents of infra/deepspeed"):
        finetune(make_spec(engine="deepspeed"), tmp_path / "out")
