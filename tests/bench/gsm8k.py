"""Word problems: SmolLM2's answers and the stored ones, judged by lm-eval and by the numeric checker."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from tasks.benchmarks.checkers.numeric import same_number
from tasks.benchmarks.evaluate import load_checkpoint
from tasks.benchmarks.generation import TransformersGenerator, encode_prompts
from tasks.benchmarks.lm_eval_files import build_task
from tasks.benchmarks.lm_eval_tasks import TaskDocument, evaluate_documents
from tasks.benchmarks.measures import Generation, LmEvalMeasure
from tasks.benchmarks.scores import mean_score
from tasks.finetune.base import prepare_base
from tasks.finetune.encoding import load_tokenizer
from tasks.finetune.recipe import SmolLM2Model
from tasks.pool.config import FilesSource
from tasks.pool.reader import read_pool
from tests.tasks.benchmarks.gsm8k_answers import read_answers, verdicts, write_documents

ROWS = 20
BATCH = 20
LONGEST = 200
CATEGORIES = ("Mathematical Reasoning", "Mathematical Calculation")
"""GSM8K's problems, and shorter ones of the same kind."""


def main() -> None:
    """Print the agreement on stored answers, then both values on answers that the model gives now."""
    data = Path(os.environ.get("BEYOND_IID_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "realpool"
    with tempfile.TemporaryDirectory() as folder:
        _stored(Path(folder) / "stored")
        base = prepare_base(SmolLM2Model(), (), (), Path(folder) / "base")
        pool = read_pool(FilesSource(paths=(str(data / "dev.jsonl.gz"),)))
        print("\n| rows | lm-eval flexible-extract | numeric checker | same answer | same verdict | s |")
        print("| --- | --- | --- | --- | --- | --- |")
        for category in CATEGORIES:
            rows = pool.by_category()[category][:ROWS]
            documents = [{"id": row.id, "question": row.messages[0][1], "answer": row.answer} for row in rows]
            _generated(category, write_documents(Path(folder) / category, documents), base)


def _stored(folder: Path) -> None:
    print("| stored answers | n | person and checker agree | person and flexible-extract | person and strict-match |")
    print("| --- | --- | --- | --- | --- |")
    for table, title in (("twenty", "twenty"), ("right", "further rows that the model got right")):
        answers = [answer for answer in read_answers() if answer.table == table]
        checked = [same_number(answer.reply, answer.answer) for answer in answers]
        columns = [checked, *(verdicts(answers, f"exact_match,{name}", folder) for name in _FILTERS)]
        agreed = [sum(a.person == b for a, b in zip(answers, column, strict=True)) for column in columns]
        print(f"| {title} | {len(answers)} | {' | '.join(map(str, agreed))} |", flush=True)


_FILTERS = ("flexible-extract", "strict-match")


def _generated(category: str, measure: LmEvalMeasure, base: Path) -> None:
    """lm-eval generates and judges; this product generates and judges; both from the same messages."""
    start = time.perf_counter()
    value, documents = evaluate_documents(measure, base, base, Generation(engine="transformers", batch_size=BATCH))
    own = _own_answers(measure, documents, base)
    score = mean_score(category, "accuracy", [float(verdict) for _, verdict in own])
    texts = sum(text == document.replies[0] for (text, _), document in zip(own, documents, strict=True))
    alike = sum(verdict == bool(document.value) for (_, verdict), document in zip(own, documents, strict=True))
    values = [f"{each.value:.3f} ± {each.standard_error:.3f}" for each in (value, score)]
    counts = [f"{count} of {value.n}" for count in (texts, alike)]
    print(f"| {category} | {' | '.join((*values, *counts))} | {time.perf_counter() - start:.0f} |", flush=True)


def _own_answers(measure: LmEvalMeasure, documents: tuple[TaskDocument, ...], base: Path) -> list[tuple[str, bool]]:
    tokenizer = load_tokenizer(base)
    system = build_task(measure).task.config.description
    fields = [document.document for document in documents]
    prompts = encode_prompts(
        tokenizer, [(row["id"], (("system", system), ("user", row["question"]))) for row in fields]
    )
    answers = TransformersGenerator(load_checkpoint(base, base), tokenizer, BATCH).generate(prompts, LONGEST)
    return [(answer, same_number(answer, row["answer"])) for answer, row in zip(answers, fields, strict=True)]


if __name__ == "__main__":
    main()
