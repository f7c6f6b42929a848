from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaForCausalLM

from tasks.errors import RunError
from tasks.inference.vllm_generation import VllmGenerator
from tests.tasks.inference.tiny_llama import LONGEST, WORDS, greedy, save_tiny_llama

pytestmark = pytest.mark.own_process

LENGTH = 24
OPTIONS = {"kv_cache_memory_bytes": 2**26}
PROMPTS = [[random.Random(n).randrange(3, len(WORDS)) for _ in range(1 + 3 * n)] for n in range(12)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("base"), 0)


def save_adapter(base: Path, folder: Path, seed: int) -> Path:
    """An adapter that changes the answers: both of its factors are random."""
    torch.manual_seed(seed)
    model = get_peft_model(
        LlamaForCausalLM.from_pretrained(base), LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"])
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


def answers_of(model: torch.nn.Module) -> list[str]:
    return [greedy(model.eval(), prompt, LENGTH) for prompt in PROMPTS]


def check_each(checkpoints: list[Path], base: Path, load: Callable[[Path], torch.nn.Module]) -> None:
    """One engine answers for each checkpoint as transformers does, back and forth."""
    with VllmGenerator(checkpoints[0], base, batch_size=8, options=OPTIONS) as generator:
        assert generator.name.startswith("vllm-0.")
        found = []
        for checkpoint in checkpoints:
            generator.use(checkpoint)
            found.append(generator.generate(PROMPTS, LENGTH))
        with pytest.raises(RunError, match="the model takes 256 in all"):
            generator.generate([[3], [3] * (LONGEST - LENGTH + 1)], LENGTH)
    assert found == [answers_of(load(checkpoint)) for checkpoint in checkpoints]
    assert len({tuple(texts) for texts in found}) == len(set(checkpoints))


def test_full_checkpoints_through_one_engine_answer_as_with_transformers(base: Path, tmp_path: Path) -> None:
    other = save_tiny_llama(tmp_path / "other", 1)
    check_each([base, other, base], base, LlamaForCausalLM.from_pretrained)


def test_adapters_on_one_base_model_answer_as_with_peft(base: Path, tmp_path: Path) -> None:
    # Folders of runs have the same last name: the engine must not take one's cached prompts for the other's.
    adapters = [save_adapter(base, tmp_path / run / "model", seed) for seed, run in enumerate(("first", "second"))]
    check_each(
        [adapters[0], adapters[1], adapters[0]],
        base,
        lambda folder: PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), folder),
    )


def test_a_checkpoint_of_another_kind_needs_another_engine_and_training_finds_the_process_as_it_was(
    base: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", 0)
    threads = torch.get_num_threads()
    with VllmGenerator(base, base, options=OPTIONS) as generator, pytest.raises(RunError, match="start another"):
        generator.use(adapter)
    try:
        torch.set_num_threads(threads + 1)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
