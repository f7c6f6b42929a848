"""lm-eval's values against generations and likelihoods computed here, one document at a time and without lm-eval."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from tasks.benchmarks.lm_eval_tasks import TaskValue, evaluate_documents, evaluate_task
from tasks.benchmarks.measures import Generation, LmEvalMeasure
from tasks.errors import InputError
from tests.tasks.benchmarks.lm_eval_folders import with_keys, write_task

GENERATION = Generation(engine="transformers", batch_size=3)
TEXTS = ("a", "b", "c", "d", "ab", "ba", "cc", "dcba", "abcd", "ddd")
DOCUMENTS = [{"question": text, "answer": text} for text in TEXTS]
CHOICES = ["a", "bb", "c", "dd"]
MULTIPLE_CHOICE: dict[str, Any] = {
    "output_type": "multiple_choice",
    "generation_kwargs": None,
    "metric_list": None,
    "doc_to_choice": CHOICES,
    "doc_to_target": 0,
}


@pytest.fixture
def copy_task(tmp_path: Path) -> LmEvalMeasure:
    return write_task(tmp_path / "task", DOCUMENTS)


def model_and_tokenizer(checkpoint: Path, base: Path) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(checkpoint).eval(), AutoTokenizer.from_pretrained(base)


def generated(model: Any, tokenizer: Any, prompt: str) -> str:
    """One greedy answer of at most twelve tokens."""
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    whole = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    return str(tokenizer.decode(whole, skip_special_tokens=True))


def log_likelihood(model: Any, tokenizer: Any, prompt: str, text: str) -> float:
    """Nats of a text after a prompt."""
    import torch

    before, after = (tokenizer(part, return_tensors="pt")["input_ids"] for part in (prompt, text))
    with torch.no_grad():
        steps = model(torch.cat([before, after], dim=1)).logits[0, before.shape[1] - 1 : -1].double().log_softmax(-1)
    return sum(float(steps[k, token]) for k, token in enumerate(after[0]))


def test_a_generation_tasks_value_is_that_of_answers_generated_without_lm_eval(
    trained: Path, tiny_base: Path, copy_task: LmEvalMeasure
) -> None:
    value, documents = evaluate_documents(copy_task, trained, tiny_base, GENERATION)
    model, tokenizer = model_and_tokenizer(trained, tiny_base)
    answers = [generated(model, tokenizer, f"<user>{text}<assistant>") for text in TEXTS]
    right = [float(answer == text) for answer, text in zip(answers, TEXTS, strict=True)]
    assert 0 < statistics.mean(right) < 1  # right and wrong answers both occur, so the comparison says something
    assert [(document.document["question"], document.replies, document.taken) for document in documents] == [
        (text, (answer,), answer) for text, answer in zip(TEXTS, answers, strict=True)
    ]
    assert [document.value for document in documents] == right
    error = statistics.stdev(right) / math.sqrt(len(right))
    assert value == TaskValue(pytest.approx(statistics.mean(right)), len(TEXTS), pytest.approx(error))


def test_a_value_does_not_depend_on_the_batch_size(trained: Path, tiny_base: Path, copy_task: LmEvalMeasure) -> None:
    found = {evaluate_task(copy_task, trained, tiny_base, Generation(batch_size=size)) for size in (1, 4, 32)}
    assert len(found) == 1


def test_sampling_and_penalties_of_the_models_folder_do_not_count(
    trained: Path, tiny_base: Path, copy_task: LmEvalMeasure, tmp_path: Path
) -> None:
    from transformers import GenerationConfig

    model, _ = model_and_tokenizer(trained, tiny_base)
    model.generation_config = GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=9.0)
    model.save_pretrained(tmp_path / "penalized")
    found = evaluate_documents(copy_task, tmp_path / "penalized", tiny_base, GENERATION)
    assert found == evaluate_documents(copy_task, trained, tiny_base, GENERATION)


def test_without_the_chat_template_the_bare_text_is_continued(
    trained: Path, tiny_base: Path, copy_task: LmEvalMeasure
) -> None:
    bare = with_keys(copy_task, chat_template=False)
    _, documents = evaluate_documents(bare, trained, tiny_base, GENERATION)
    model, tokenizer = model_and_tokenizer(trained, tiny_base)
    assert [document.replies[0] for document in documents] == [generated(model, tokenizer, text) for text in TEXTS]


def test_examples_are_shown_as_turns_before_the_question(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    files = {"test": "documents.jsonl", "train": "train.jsonl"}
    measure = write_task(
        tmp_path, DOCUMENTS, dataset_kwargs={"data_files": files}, training_split="train", target_delimiter=""
    )
    (tmp_path / "train.jsonl").write_text('{"question": "bd", "answer": "ac"}\n')
    _, documents = evaluate_documents(with_keys(measure, num_fewshot=1), trained, tiny_base, GENERATION)
    model, tokenizer = model_and_tokenizer(trained, tiny_base)
    prompts = [f"<user>bd<assistant>ac<end><user>{text}<assistant>" for text in TEXTS]
    assert [document.replies[0] for document in documents] == [generated(model, tokenizer, p) for p in prompts]


def test_a_choice_tasks_value_is_that_of_likelihoods_computed_without_lm_eval(
    trained: Path, tiny_base: Path, tmp_path: Path
) -> None:
    measure = with_keys(write_task(tmp_path, DOCUMENTS, **MULTIPLE_CHOICE), value="acc,none")
    value = evaluate_task(measure, trained, tiny_base, GENERATION)
    model, tokenizer = model_and_tokenizer(trained, tiny_base)
    chosen = [
        max(CHOICES, key=lambda choice, text=text: log_likelihood(model, tokenizer, f"<user>{text}<assistant>", choice))
        for text in TEXTS
    ]
    right = [float(choice == CHOICES[0]) for choice in chosen]
    assert 0 < sum(right) < len(right)
    assert value[:2] == (pytest.approx(statistics.mean(right)), len(TEXTS))


def test_a_value_that_is_no_mean_has_a_bootstrap_error(tiny_base: Path, tmp_path: Path) -> None:
    """Perplexity is exp(−mean log-likelihood); to first order its error is the mean's times itself."""
    measure = with_keys(
        write_task(tmp_path, DOCUMENTS * 8, output_type="loglikelihood", generation_kwargs=None, metric_list=None),
        value="perplexity,none",
    )
    value = evaluate_task(measure, tiny_base, tiny_base, GENERATION)
    model, tokenizer = model_and_tokenizer(tiny_base, tiny_base)
    logs = [log_likelihood(model, tokenizer, f"<user>{text}<assistant>", text) for text in TEXTS] * 8
    assert value.value == pytest.approx(math.exp(-statistics.mean(logs)), rel=1e-4)
    first_order = value.value * statistics.stdev(logs) / math.sqrt(len(logs))
    # 200 draws know a standard error to about 5%.
    assert value.standard_error == pytest.approx(first_order, rel=0.2)


def test_an_adapter_is_evaluated_on_its_base(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(5)
        config = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        get_peft_model(model_and_tokenizer(trained, tiny_base)[0], config).save_pretrained(tmp_path / "adapter")
    measure = write_task(tmp_path / "task", DOCUMENTS)
    base, tokenizer = model_and_tokenizer(trained, tiny_base)
    tokenizer.save_pretrained(tmp_path / "base")
    base.save_pretrained(tmp_path / "base")
    _, documents = evaluate_documents(measure, tmp_path / "adapter", tmp_path / "base", GENERATION)
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    answers = [generated(merged, tokenizer, f"<user>{text}<assistant>") for text in TEXTS]
    assert [document.replies[0] for document in documents] == answers
    plain = [generated(model_and_tokenizer(trained, tiny_base)[0], tokenizer, f"<user>{t}<assistant>") for t in TEXTS]
    assert answers != plain


def test_a_limit_takes_the_first_documents(trained: Path, tiny_base: Path, copy_task: LmEvalMeasure) -> None:
    _, documents = evaluate_documents(with_keys(copy_task, limit=3), trained, tiny_base, GENERATION)
    assert [document.document["question"] for document in documents] == list(TEXTS[:3])


def test_one_document_has_no_standard_error(trained: Path, tiny_base: Path, copy_task: LmEvalMeasure) -> None:
    assert evaluate_task(with_keys(copy_task, limit=1), trained, tiny_base, GENERATION)[1:] == (1, None)


def test_a_prompt_that_lm_eval_would_cut_is_refused(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    measure = write_task(tmp_path, [*DOCUMENTS, {"question": "a" * 4090, "answer": "a"}])
    with pytest.raises(InputError, match=r"document 10: 4092 tokens and an answer of up to 12 do not fit .* 4096"):
        evaluate_task(measure, trained, tiny_base, GENERATION)


def test_messages_that_the_template_does_not_take_are_refused(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    """lm-eval would leave the system message out."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
    tokenizer.chat_template = refusal + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path / "base")
    measure = write_task(tmp_path / "task", DOCUMENTS, description="abc")
    with pytest.raises(InputError, match=r"\(system, user\): no system message"):
        evaluate_task(measure, trained, tmp_path / "base", GENERATION)
