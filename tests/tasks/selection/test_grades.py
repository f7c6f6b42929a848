import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.errors import InputError
from tasks.selection.grades import CausalScorer, Templates, deita_score, deita_scores, expected_grade

WORDS = ["<pad>", "<unk>", *"123456", *"abcdefgh", ":"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorer")
    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    model.save_pretrained(folder)
    return folder


class Fixed:
    """A scorer whose logits depend on the question's length alone."""

    def logits(self, questions: Sequence[str]) -> np.ndarray:
        return np.array([[math.sin(len(q) * k) for k in range(1, 7)] for q in questions])


def test_equal_logits_give_three_and_a_half() -> None:
    assert expected_grade(np.zeros((2, 6))) == pytest.approx([3.5, 3.5], abs=1e-15)
    assert expected_grade(np.full(6, -1e4)) == pytest.approx(3.5)


def test_expected_grade_equals_the_sum_over_a_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (20, 6))
    for row, grade in zip(logits, expected_grade(logits), strict=True):
        weights = [math.exp(x) for x in row]
        assert grade == pytest.approx(sum(k * w for k, w in enumerate(weights, 1)) / sum(weights))


def test_expected_grade_extremes_and_broken_logits() -> None:
    assert expected_grade(np.array([-np.inf] * 5 + [0.0])) == 6
    for broken in (np.full(6, -np.inf), np.array([0, 0, 0, 0, 0, np.nan]), np.array([0, 0, 0, 0, 0, np.inf])):
        with pytest.raises(ValueError, match="not finite"):
            expected_grade(broken)


def test_deita_score_sums_complexity_times_quality_over_turns() -> None:
    messages = (("system", "s"), ("user", "abc"), ("assistant", "d"), ("user", "{answer}"), ("assistant", "{prompt}"))
    templates = Templates("C {prompt}", "Q {prompt} A {answer}")
    questions = ["C abc", "Q abc A d", "C {answer}", "Q {answer} A {prompt}"]
    grades = [float(expected_grade(Fixed().logits([q]))[0]) for q in questions]
    assert deita_score(messages, Fixed(), templates) == pytest.approx(grades[0] * grades[1] + grades[2] * grades[3])


def test_causal_scorer_reads_next_token_logits_whatever_the_batch(model_folder: Path) -> None:
    questions = ["a b c :", "a :", "h g f e d c b a :", "1 2 a :", ":"]
    found = CausalScorer(model_folder, batch_size=2).logits(questions)
    model = LlamaForCausalLM.from_pretrained(model_folder).eval()
    for question, logits in zip(questions, found, strict=True):
        tokens = torch.tensor([[WORDS.index(word) for word in question.split()]])
        with torch.inference_mode():
            expected = model(tokens).logits[0, -1, 2:8].numpy()
        assert logits == pytest.approx(expected, abs=1e-4)
    for batch in (1, 5):
        assert CausalScorer(model_folder, batch_size=batch).logits(questions) == pytest.approx(found, abs=1e-4)


def test_scores_of_a_batch_equal_one_row_at_a_time(model_folder: Path) -> None:
    scorer = CausalScorer(model_folder, batch_size=3)
    templates = Templates("a {prompt} :", "b {prompt} c {answer} :")
    rows = [(("user", "a " * n), ("assistant", "b " * (n % 3 + 1))) for n in range(1, 8)]
    single = [deita_score(row, CausalScorer(model_folder, batch_size=1), templates) for row in rows]
    assert len(set(single)) == len(single)
    assert deita_scores(rows, scorer, templates) == pytest.approx(single, rel=1e-4)


def test_template_without_placeholder_is_refused() -> None:
    with pytest.raises(InputError, match=r"quality template lacks \{answer\}"):
        Templates(quality="only {prompt}")


def test_scorer_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        CausalScorer(tmp_path)
