"""Stored answers to word problems, replayed through lm-eval."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate

from tasks.benchmarks.lm_eval_files import build_task
from tasks.benchmarks.measures import LmEvalMeasure

TASK = "gsm8k_rows"
FOLDER = Path(__file__).parents[2] / "data" / "gsm8k"
DOCUMENTS = FOLDER / "documents.jsonl"


@dataclass(frozen=True)
class Answer:
    """One answer to one problem.

    Attributes:
        id: the problem's, in its pool.
        question: the problem.
        answer: its reference answer.
        reply: what was answered.
        planted: whether the reply was written for the test; else SmolLM2-135M-Instruct gave it.
        person: whether a person who read question, reference and reply calls it right.
        note: what the person saw.
        table: "twenty", or "right" for further rows that the model got right.
    """

    id: str
    question: str
    answer: str
    reply: str
    planted: bool
    person: bool
    note: str
    table: str


class _Replay(LM):
    """Answers each prompt with the stored reply of the question that it ends on."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__()
        self._answers = answers

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        return [
            next(answer.reply for answer in self._answers if request.args[0].endswith(answer.question))
            for request in requests
        ]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        raise AssertionError("these tasks only generate")

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        raise AssertionError("these tasks only generate")


def read_answers() -> list[Answer]:
    """All that are stored."""
    return [Answer(**json.loads(line)) for line in DOCUMENTS.read_text(encoding="utf-8").splitlines()]


def write_documents(folder: Path, documents: Sequence[dict[str, Any]]) -> LmEvalMeasure:
    """A copy of the task with these documents."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / f"{TASK}.yaml", folder)
    lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents]
    (folder / DOCUMENTS.name).write_text("".join(lines), encoding="utf-8")
    return LmEvalMeasure(task=TASK, task_folder=str(folder), value="exact_match,flexible-extract")


def verdicts(answers: Sequence[Answer], value: str, folder: Path) -> list[bool]:
    """lm-eval's verdict on each reply, by its own filter and metric."""
    measure = write_documents(folder, [asdict(answer) for answer in answers])
    task = build_task(measure).task
    results = evaluate(lm=_Replay(answers), task_dict={"tasks": {TASK: task}}, bootstrap_iters=0)
    filter_name = value.partition(",")[2]
    samples = [sample for sample in results["samples"][TASK] if sample["filter"] == filter_name]
    return [bool(sample["exact_match"]) for sample in samples]
