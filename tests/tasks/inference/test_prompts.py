from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from tasks.errors import InputError
from tasks.inference.prompts import PromptEncoder
from tests.tasks.inference.tiny_llama import WORDS, save_tiny_llama

TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}{% if add_generation_prompt %}:{% endif %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_llama(tmp_path_factory.mktemp("model"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def written(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_messages_go_through_the_template_and_texts_as_they_stand(model: Path, tmp_path: Path) -> None:
    encoder = PromptEncoder(str(model), tmp_path)
    encoder.add("one", 0, [{"role": "system", "content": "a b"}, {"role": "user", "content": "c"}])
    encoder.add("two", 5, "a b c")
    assert encoder.finish() == 2
    shown = {row["key"]: (row["seed"], " ".join(WORDS[token] for token in row["tokens"])) for row in written(tmp_path)}
    assert shown == {"one": (0, "a b c :"), "two": (5, "a b c")}


def test_every_question_is_in_one_file(model: Path, tmp_path: Path) -> None:
    encoder = PromptEncoder(str(model), tmp_path)
    for number in range(1500):
        encoder.add(str(number), 0, "a " * (number % 5 + 1))
    assert encoder.finish() == 1500
    rows = written(tmp_path)
    assert sorted(int(row["key"]) for row in rows) == list(range(1500))
    assert all(len(row["tokens"]) == int(row["key"]) % 5 + 1 for row in rows)
    assert len(list(tmp_path.glob("*.parquet"))) > 2


def test_a_model_without_a_chat_template_cannot_be_asked(tmp_path: Path) -> None:
    encoder = PromptEncoder(str(save_tiny_llama(tmp_path / "bare")), tmp_path / "questions")
    with pytest.raises(InputError, match="has no chat template"):
        encoder.add("one", 0, [{"role": "user", "content": "c"}])
        encoder.finish()


def test_a_template_that_refuses_the_question_is_named(tmp_path: Path) -> None:
    folder = save_tiny_llama(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ raise_exception('no system message, please') }}"
    tokenizer.save_pretrained(folder)
    encoder = PromptEncoder(str(folder), tmp_path / "questions")
    encoder.add("one", 0, [{"role": "system", "content": "c"}])
    with pytest.raises(InputError, match="no system message, please"):
        encoder.finish()
