from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import RunError
from tasks.inference.answers import AnswerFile
from tasks.inference.endpoint import Endpoint, EndpointConfig
from tasks.inference.questions import AnswerError
from tasks.selection.grades import CausalScorer, Templates, deita_scores, expected_grade
from tasks.selection.model_scorers import EndpointScorer, GradeQuestion, ScorerConfig, open_scorer
from tests.tasks.inference.openai_server import Server, serve
from tests.tasks.inference.tiny_llama import save_tiny_llama

QUESTIONS = ["a b c :", "a :", "h g f e d c b a :", "1 2 a :", ":", "p o n m l k j i " * 60]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("scorer"))


@pytest.mark.own_process
def test_vllm_gives_the_grades_of_transformers(model_folder: Path, tmp_path: Path) -> None:
    config = ScorerConfig("vllm", str(model_folder), options={"kv_cache_memory_bytes": 2**26})
    rows = [(("user", "a " * n), ("assistant", "b " * (n % 3 + 1))) for n in range(1, 8)]
    templates = Templates("a {prompt} :", "b {prompt} c {answer} :")
    with open_scorer(config, tmp_path / "unused") as scorer:
        found, scores = scorer.logits(QUESTIONS), deita_scores(rows, scorer, templates)
    # A question that fills the model keeps one place for the grade in vLLM; transformers needs none.
    reference = CausalScorer(model_folder, max_tokens=255)
    expected = reference.logits(QUESTIONS)
    assert found - found.mean(axis=1, keepdims=True) == pytest.approx(
        expected - expected.mean(axis=1, keepdims=True), abs=1e-3
    )
    assert expected_grade(found) == pytest.approx(expected_grade(expected), abs=1e-4)
    assert len({round(grade, 3) for grade in expected_grade(expected)}) == len(QUESTIONS)
    assert scores == pytest.approx(deita_scores(rows, reference, templates), rel=1e-4)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(Server(lambda _: {str(k): -float(k) for k in range(1, 7)} | {" x": -0.1})) as running:
        yield running


def endpoint_grades(server: Server, answers: Path, questions: list[str]) -> np.ndarray:
    with AnswerFile(answers) as kept:
        return EndpointScorer(Endpoint(EndpointConfig(server.url, "tiny", retries=0), GradeQuestion(), kept)).logits(
            questions
        )


def test_a_server_is_asked_for_one_token_held_to_the_grades(server: Server, tmp_path: Path) -> None:
    grades = endpoint_grades(server, tmp_path / "a.jsonl", ["one :", "two :"])
    assert grades.tolist() == [[-1, -2, -3, -4, -5, -6]] * 2
    body = next(body for body in server.requests if body["prompt"] == "one :")
    assert (body["max_tokens"], body["structured_outputs"]) == (1, {"choice": list("123456")})
    endpoint_grades(server, tmp_path / "a.jsonl", ["one :", "two :", "one :"])
    assert server.asked == {"one :": 1, "two :": 1}


def test_a_missing_grade_stops_with_its_name(server: Server, tmp_path: Path) -> None:
    server.answer = lambda _: {"1": -1.0, "2": -2.0, "3": -2.0, "5": -2.0, "6": -2.0}
    with pytest.raises(RunError, match="lack 4"):
        endpoint_grades(server, tmp_path / "a.jsonl", ["one :"])


def test_equal_log_probabilities_give_three_and_a_half() -> None:
    content = json.dumps({f" {k}": -1.25 for k in range(1, 7)})
    assert expected_grade(np.array(GradeQuestion().value(content))) == pytest.approx(3.5)
    with pytest.raises(AnswerError, match="lack 1, 2, 3, 4, 5, 6"):
        GradeQuestion().value("{}")
