"""Measures of an experiment's `benchmarks` on one checkpoint: items, answers, verdicts, scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.benchmarks.checking import check_items, verdicts
from tasks.benchmarks.generation import Generator, encode_prompts
from tasks.benchmarks.items import Item, assert_unseen, held_out_items, read_items
from tasks.benchmarks.measures import Benchmarks, Generation, JudgeMeasure, LmEvalMeasure, Measure
from tasks.benchmarks.scores import Score, mean_score
from tasks.errors import InputError
from tasks.finetune.spec_file import write_json
from tasks.pool.instruction import Instruction
from tasks.pool.lines_file import write_lines

GENERATIONS_NAME = "generations.jsonl"
"""Name of the file in a run's folder that holds every generated answer with its verdicts."""

OnAnswers = Callable[[int, int], None]
"""Called with the number of answers generated so far, and of all."""


@dataclass(frozen=True)
class Assignment:
    """One measure of one category with what it is taken on.

    Attributes:
        category: the evaluated category.
        measure: how.
        items: what is asked; empty for an lm-eval task, which brings its own.
    """

    category: str
    measure: Measure
    items: tuple[Item, ...]


@dataclass(frozen=True)
class _Answered:
    """An assignment with its answers, one per item."""

    assignment: Assignment
    answers: tuple[str, ...]


def assign(benchmarks: Benchmarks, held_out: Iterable[Instruction]) -> tuple[Assignment, ...]:
    """Every measure with its items, sorted by category and metric; files are read.

    Raises:
        InputError: a category has no held-out rows, or a file of items cannot be used.
    """
    rows: dict[str, list[Instruction]] = {}
    for row in held_out:
        rows.setdefault(row.category, []).append(row)
    if unknown := sorted(set(benchmarks.measures) - set(rows)):
        raise InputError(
            f"benchmarks.measures names {', '.join(map(repr, unknown))}, which is not measured; measured are "
            f"{', '.join(map(repr, sorted(rows)))}. Correct the names."
        )
    return tuple(
        Assignment(category, measure, _items(measure, rows[category]))
        for category, measures in sorted(benchmarks.measures.items())
        for measure in sorted(measures, key=lambda one: one.measured.name)
    )


def check_assignments(assignments: Sequence[Assignment], train: Iterable[Instruction]) -> None:
    """Check before any training that every measure can be taken, and that no item of a file is in the training data.

    A held-out row's whole conversation is checked by `assert_disjoint`; of a file's item, the prompt alone counts.

    Args:
        assignments: all of a run's.
        train: what may be trained on.

    Raises:
        InputError: names the category and the row or file.
    """
    from_files: list[Item] = []
    for one in assignments:
        measure = one.measure
        try:
            if isinstance(measure, LmEvalMeasure):
                _check_task(measure)
                continue
            check_items(measure, one.items)
        except InputError as error:
            raise type(error)(f"benchmarks.measures, category {one.category!r}: {error}") from error
        if measure.items is not None:
            from_files += one.items
    if from_files:
        assert_unseen(train, from_files)


def check_lengths(assignment: Assignment, tokenizer: Any, base_model: Path) -> None:
    """Check that every prompt can be encoded and leaves room for the longest answer: nothing is cut in silence.

    Raises:
        InputError: a prompt does not; names its row.
    """
    if isinstance(assignment.measure, LmEvalMeasure):
        return
    room = json.loads((base_model / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings")
    most = assignment.measure.max_new_tokens
    prompts = encode_prompts(tokenizer, [(item.place, item.prompt) for item in assignment.items])
    for item, prompt in zip(assignment.items, prompts, strict=True):
        if room is not None and len(prompt) + most > room:
            raise InputError(
                f"{item.place}: {len(prompt)} tokens of prompt and max_new_tokens {most} are more than the model's "
                f"{room} positions; lower max_new_tokens or remove the row"
            )


def measure_answers(
    assignments: Sequence[Assignment],
    generator: Generator,
    tokenizer: Any,
    out: Path,
    on_answers: OnAnswers | None = None,
) -> list[Score]:
    """Generate every answer, judge it, and write all of them to `out`; one score per assignment but lm-eval's.

    Measures of one category that ask the same get the same answers.

    Args:
        assignments: what to measure.
        generator: answers with the checkpoint.
        tokenizer: of the base checkpoint.
        out: the run's folder: generations.jsonl and, for judges, what they said.
        on_answers: progress.

    Raises:
        RunError: a judge left too many answers without a verdict.
    """
    answered = _answers(assignments, generator, tokenizer, on_answers)
    scores, lines = [], []
    for number, one in enumerate(answered):
        score, found = _judged(one, out / f"judged-{number}") if _is_judge(one) else _checked(one)
        scores.append(score)
        lines += found
    write_lines(out / GENERATIONS_NAME, lines)
    return scores


def measure_tasks(
    assignments: Sequence[Assignment],
    checkpoint: Path,
    base_model: Path,
    generation: Generation,
    options: Mapping[str, Any],
) -> list[Score]:
    """The scores of the assignments that are lm-eval tasks; `options` are vLLM's arguments where that is the engine."""
    scores = []
    for one in assignments:
        if isinstance(one.measure, LmEvalMeasure):
            from tasks.benchmarks.lm_eval_tasks import evaluate_task

            value, n, error = evaluate_task(one.measure, checkpoint, base_model, generation, options)
            scores.append(Score(one.category, one.measure.measured.name, value, n, error))
    return scores


def _items(measure: Measure, rows: Sequence[Instruction]) -> tuple[Item, ...]:
    if isinstance(measure, LmEvalMeasure):
        return ()
    return held_out_items(rows) if measure.items is None else read_items(Path(measure.items))


def _check_task(measure: LmEvalMeasure) -> None:
    from tasks.benchmarks.lm_eval_tasks import check_task

    found = check_task(measure)
    if found.higher_is_better != measure.higher_is_better:
        better = "higher" if found.higher_is_better else "lower"
        raise InputError(
            f"of the task {measure.task!r}, {better} values of {measure.value!r} are better; set higher_is_better to "
            f"{str(found.higher_is_better).lower()}"
        )


def _answers(
    assignments: Sequence[Assignment], generator: Generator, tokenizer: Any, on_answers: OnAnswers | None
) -> list[_Answered]:
    wanted: dict[tuple[tuple[Item, ...], int], tuple[str, ...]] = {}
    for one in assignments:
        if not isinstance(one.measure, LmEvalMeasure):
            wanted[one.items, one.measure.max_new_tokens] = ()
    done, total = 0, sum(len(items) for items, _ in wanted)
    for items, most in wanted:
        if on_answers is not None:
            on_answers(done, total)
        prompts = encode_prompts(tokenizer, [(item.id, item.prompt) for item in items])
        wanted[items, most] = tuple(generator.generate(prompts, most))
        done += len(items)
    return [
        _Answered(one, wanted[one.items, one.measure.max_new_tokens])
        for one in assignments
        if not isinstance(one.measure, LmEvalMeasure)
    ]


def _is_judge(one: _Answered) -> bool:
    return isinstance(one.assignment.measure, JudgeMeasure)


def _checked(one: _Answered) -> tuple[Score, list[str]]:
    assignment = one.assignment
    found = verdicts(assignment.measure, assignment.items, one.answers)  # type: ignore[arg-type]
    score = mean_score(assignment.category, assignment.measure.measured.name, [float(verdict) for verdict in found])
    return score, list(_lines(one, [{"verdict": verdict} for verdict in found]))


def _judged(one: _Answered, stem: Path) -> tuple[Score, list[str]]:
    """A judge's score; what it said lies beside the answers: each judgment, and what it all took."""
    from tasks.benchmarks.judge import judge

    assignment = one.assignment
    assert isinstance(assignment.measure, JudgeMeasure)  # noqa: S101 - see _is_judge
    found = judge(
        assignment.measure,
        [item.prompt for item in assignment.items],
        one.answers,
        [item.reference or None for item in assignment.items],
        stem.with_suffix(".jsonl"),
    )
    write_json(stem.with_suffix(".json"), asdict(found))
    reasons = {unread.position: unread.reason for unread in found.unread}
    notes: list[dict[str, Any]] = [
        {"verdict": verdict, **({"reason": reasons[k]} if k in reasons else {})}
        for k, verdict in enumerate(found.verdicts)
    ]
    metric = assignment.measure.measured.name
    return Score(assignment.category, metric, found.value, found.n, found.standard_error), list(_lines(one, notes))


def _lines(one: _Answered, notes: Sequence[dict[str, Any]]) -> Iterator[str]:
    assignment = one.assignment
    shared = {"category": assignment.category, "metric": assignment.measure.measured.name}
    for item, answer, note in zip(assignment.items, one.answers, notes, strict=True):
        row = {**shared, "id": item.id, "answer": answer, "reference": item.reference, **note}
        yield json.dumps(row, ensure_ascii=False, allow_nan=False)
