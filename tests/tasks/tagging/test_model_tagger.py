from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.inference.answers import AnswerFile, Failure
from tasks.inference.endpoint import FAILURES_IN_A_ROW, Endpoint, EndpointConfig
from tasks.inference.usage import Usage
from tasks.tagging.categories import Categories
from tasks.tagging.model_tagger import ModelTagger
from tasks.tagging.outcome import Outcome, Tag
from tasks.tagging.questions import category_question
from tests.tasks.inference.openai_server import TOKENS_IN, TOKENS_OUT, Server, Trouble, serve
from tests.tasks.tagging.rows import instruction

LIST = Categories(("cooking", "sailing"), ("Food", "Boats"))
ROWS = [instruction(f"row {number} about {subject}") for number in range(10) for subject in LIST.names]


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(Server(lambda prompt: "cooking" if "cooking" in prompt else "sailing")) as running:
        yield running


def tagged(server: Server, path: Path, rows=ROWS, **settings) -> tuple[list[Outcome], Usage]:
    config = EndpointConfig(server.url, "tiny", **{"retries": 0, **settings})
    with AnswerFile(path) as answers:
        endpoint = Endpoint(config, category_question(LIST), answers)
        outcomes = [outcome for _, outcome in ModelTagger(LIST, endpoint, endpoint.question).tag(rows)]
        return outcomes, endpoint.usage


def test_every_row_has_the_models_category_and_its_chance(server: Server, tmp_path: Path) -> None:
    outcomes, _ = tagged(server, tmp_path / "answers.jsonl")
    assert outcomes == [Tag(name, 0.5) for _ in range(10) for name in LIST.names]


def test_the_server_is_told_to_allow_the_list_alone(server: Server, tmp_path: Path) -> None:
    tagged(server, tmp_path / "answers.jsonl")
    form = server.requests[0]["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["properties"]["category"]["enum"] == list(LIST.names)


def test_tokens_and_cost_are_counted(server: Server, tmp_path: Path) -> None:
    _, usage = tagged(server, tmp_path / "answers.jsonl", price_in=2.0, price_out=10.0)
    assert usage == Usage(
        20, 0, 20 * TOKENS_IN, 20 * TOKENS_OUT, pytest.approx(20 * (2 * TOKENS_IN + 10 * TOKENS_OUT) / 1e6)
    )


def test_an_answered_row_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    first, _ = tagged(server, tmp_path / "answers.jsonl", ROWS[:12])
    second, usage = tagged(server, tmp_path / "answers.jsonl")
    assert second[:12] == first
    assert (usage.asked, usage.remembered) == (8, 12)
    assert set(server.asked.values()) == {1}


def test_a_line_cut_off_by_a_crash_is_asked_again_and_the_rest_is_not(server: Server, tmp_path: Path) -> None:
    tagged(server, tmp_path / "answers.jsonl")
    whole = (tmp_path / "answers.jsonl").read_bytes()
    (tmp_path / "answers.jsonl").write_bytes(whole[:-20])
    _, usage = tagged(server, tmp_path / "answers.jsonl")
    assert (usage.asked, usage.remembered) == (1, 19)
    assert sorted((tmp_path / "answers.jsonl").read_bytes().splitlines()) == sorted(whole.splitlines())


def test_another_list_of_categories_is_another_question(server: Server, tmp_path: Path) -> None:
    tagged(server, tmp_path / "answers.jsonl")
    other = Categories(("cooking", "sailing"), ("Food and drink", "Boats"))
    with AnswerFile(tmp_path / "answers.jsonl") as answers:
        endpoint = Endpoint(EndpointConfig(server.url, "tiny"), category_question(other), answers)
        list(ModelTagger(other, endpoint, endpoint.question).tag(ROWS))
        assert endpoint.usage.asked == 20


def test_equal_conversations_are_asked_once(server: Server, tmp_path: Path) -> None:
    outcomes, usage = tagged(
        server, tmp_path / "answers.jsonl", [instruction("cooking", identifier=str(n)) for n in range(9)]
    )
    assert outcomes == [Tag("cooking", 0.5)] * 9
    assert usage.asked == 1


def test_no_more_questions_are_under_way_than_allowed(tmp_path: Path) -> None:
    with serve(Server(lambda _: "cooking", delay=0.05)) as server:
        tagged(server, tmp_path / "answers.jsonl", concurrency=3)
        assert server.most_at_once == 3


def test_a_busy_server_is_asked_again_until_it_answers(tmp_path: Path) -> None:
    with serve(Server(lambda _: "")) as server:
        server.answer = lambda prompt: _busy_twice(server, prompt)
        outcomes, _ = tagged(server, tmp_path / "answers.jsonl", ROWS[:4], retries=3)
        assert outcomes == [Tag("cooking", 0.5)] * 4
        assert set(server.asked.values()) == {3}


def _busy_twice(server: Server, prompt: str) -> str:
    if server.asked[prompt] <= 2:
        raise Trouble(429)
    return "cooking"


def test_a_failed_row_says_why_and_is_asked_again_in_the_next_run(tmp_path: Path) -> None:
    def answer(prompt: str) -> str:
        if prompt.startswith("row 3"):
            raise Trouble(400)
        return (
            "cooking" if prompt.startswith("row 4") else "something else" if prompt.startswith("row 5") else "sailing"
        )

    with serve(Server(answer)) as server:
        outcomes, _ = tagged(server, tmp_path / "answers.jsonl")
        failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        assert [failure.reason.split(":")[0] for failure in failures] == ["status 400"] * 2 + ["unknown category"] * 2
        server.answer = lambda _: "cooking"
        outcomes, usage = tagged(server, tmp_path / "answers.jsonl")
        assert (usage.asked, usage.remembered) == (4, 16)
        assert not any(isinstance(outcome, Failure) for outcome in outcomes)


def test_votes_give_the_majority_and_its_share(tmp_path: Path) -> None:
    with serve(Server(lambda _: ("sailing", "cooking", "sailing"))) as server:
        outcomes, _ = tagged(server, tmp_path / "answers.jsonl", ROWS[:2], votes=3)
        assert outcomes == [Tag("sailing", pytest.approx(2 / 3))] * 2
        assert server.requests[0]["n"] == 3


def test_a_server_without_log_probabilities_is_refused_with_the_way_out(server: Server, tmp_path: Path) -> None:
    server.chance = None
    with pytest.raises(InputError, match="--votes 3"):
        tagged(server, tmp_path / "answers.jsonl")


def test_a_wrong_key_is_refused_and_the_right_one_comes_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "right"
    monkeypatch.setenv("BEYOND_IID_ENDPOINT_KEY", "wrong")
    with pytest.raises(InputError, match="BEYOND_IID_ENDPOINT_KEY"):
        tagged(server, tmp_path / "answers.jsonl", ROWS[:1])
    monkeypatch.setenv("BEYOND_IID_ENDPOINT_KEY", "right")
    outcomes, _ = tagged(server, tmp_path / "answers.jsonl", ROWS[:1])
    assert outcomes == [Tag("cooking", 0.5)]
    assert b"right" not in (tmp_path / "answers.jsonl").read_bytes()


def test_a_server_that_is_gone_stops_tagging_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    with serve(Server(lambda _: "cooking")) as server:
        tagged(server, tmp_path / "answers.jsonl", ROWS[:5])
    rows = ROWS + [instruction(f"more {number}") for number in range(FAILURES_IN_A_ROW)]
    with pytest.raises(InputError, match="What was answered is kept"):
        tagged(server, tmp_path / "answers.jsonl", rows)
    assert len((tmp_path / "answers.jsonl").read_bytes().splitlines()) == 5


def test_a_slow_answer_fails_after_the_timeout(tmp_path: Path) -> None:
    with serve(Server(lambda _: time.sleep(1.5) or "cooking")) as server:
        outcomes, _ = tagged(server, tmp_path / "answers.jsonl", ROWS[:1], timeout=0.3)
    assert outcomes == [Failure(f"no answer: none from {server.url} within 0.3 s, 1 times")]
