"""lm-eval through vLLM against lm-eval through transformers, which is tested against generation without lm-eval."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.benchmarks.lm_eval_tasks import evaluate_documents
from tasks.benchmarks.measures import Generation, LmEvalMeasure
from tests.tasks.benchmarks.lm_eval_folders import with_keys, write_task
from tests.tasks.inference.test_vllm_generation import save_adapter
from tests.tasks.inference.tiny_llama import save_tiny_llama

pytestmark = pytest.mark.own_process
QUESTIONS = ["1 2 3", "a b", "c", "d e f 4", "m n o p"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("base"), 0)


def task(folder: Path) -> LmEvalMeasure:
    documents = [{"question": question, "answer": "a"} for question in QUESTIONS]
    return with_keys(write_task(folder, documents), chat_template=False)


def replies(measure: LmEvalMeasure, engine: str, checkpoint: Path, base: Path) -> list[str]:
    _, documents = evaluate_documents(measure, checkpoint, base, Generation(engine=engine, batch_size=4))
    # This tokenizer has no decoder that would join the first word to what stands before it.
    return [document.replies[0].strip() for document in documents]


def test_an_adapter_answers_with_vllm_as_with_transformers(base: Path, tmp_path: Path) -> None:
    measure, adapter = task(tmp_path / "task"), save_adapter(base, tmp_path / "adapter", 3)
    found = replies(measure, "vllm", adapter, base)
    assert found == replies(measure, "transformers", adapter, base)
    assert found != replies(measure, "transformers", base, base)


def test_likelihoods_are_the_same_with_vllm_and_with_transformers(base: Path, tmp_path: Path) -> None:
    documents = [{"question": question, "answer": "a b"} for question in QUESTIONS]
    keys = {"output_type": "loglikelihood", "generation_kwargs": None, "metric_list": None}
    measure = with_keys(write_task(tmp_path, documents, **keys), chat_template=False, value="perplexity,none")
    found = {
        engine: evaluate_documents(measure, base, base, Generation(engine=engine, batch_size=4))[1]
        for engine in ("vllm", "transformers")
    }
    values = {engine: [document.value for document in each] for engine, each in found.items()}
    assert values["vllm"] == pytest.approx(values["transformers"], abs=1e-4)
