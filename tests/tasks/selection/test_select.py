import json
import random
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.pool.config import FilesSource
from tasks.selection.candidates import Candidates, read_candidates
from tasks.selection.grades import Templates, deita_score
from tasks.selection.select import (
    Wish,
    choose,
    column_scores,
    control_scores,
    embedded,
    model_scores,
    stored_vectors,
    write_selected,
)
from tests.tasks.hygiene.rows import read, row, write
from tests.tasks.selection.test_grades import Fixed

SOURCE = FilesSource(paths=("-",))
FIELDS = ("complexity", "quality")


def graded(number: int, seed: int = 0) -> list[dict]:
    generator = random.Random(seed)
    return [
        row(
            f"question {k}",
            "x" * (k % 17 + 1),
            category="ab"[k % 2],
            complexity=generator.uniform(1, 6),
            quality=k % 6 + 1,
        )
        for k in range(number)
    ]


def candidates(path: Path, rows: list, fields: tuple[str, ...] = FIELDS) -> Candidates:
    return read_candidates((write(path, rows),), SOURCE, fields)


def test_deita_takes_the_largest_products_of_diverse_rows_whatever_the_batch(tmp_path: Path) -> None:
    rows = graded(120)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(120, 16)).astype(np.float32)
    vectors[60:] = vectors[:60] + rng.normal(size=(60, 16)) * 0.05
    np.save(tmp_path / "v.npy", vectors)
    pool = candidates(tmp_path / "a.jsonl", rows)
    taken: list[int] = []
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    for k in sorted(range(120), key=lambda k: -rows[k]["complexity"] * rows[k]["quality"]):
        if len(taken) < 40 and all(unit[k] @ unit[t] < 0.9 for t in taken):
            taken.append(k)
    for batch in (1, 9, 1000):
        batches = stored_vectors(tmp_path / "v.npy", 120, batch)
        assert list(choose(pool, column_scores(pool), Wish(40), batches).choice.taken) == taken


def test_model_scores_equal_one_row_at_a_time_and_skip_unusable_rows(tmp_path: Path) -> None:
    rows = [*graded(150), {"messages": [], "category": "a"}, graded(150)[3]]
    pool = candidates(tmp_path / "a.jsonl", rows, ())
    scores = model_scores(pool, Fixed(), Templates())
    for k in range(150):
        messages = tuple((m["role"], m["content"]) for m in rows[k]["messages"])
        assert scores[k] == pytest.approx(deita_score(messages, Fixed(), Templates()))
    assert np.isnan(scores[150:]).all()


def test_embedded_rows_are_asked_for_in_rank_order_and_only_while_needed(tmp_path: Path) -> None:
    class Letters:
        """Counts letters; remembers what it was asked."""

        def __init__(self) -> None:
            self.seen: list[str] = []

        def encode(self, texts: list[str]) -> np.ndarray:
            self.seen += texts
            return np.array([np.random.default_rng(len(t) * 7919 + sum(map(ord, t))).normal(size=8) for t in texts])

    rows = graded(3000)
    pool = candidates(tmp_path / "a.jsonl", rows)
    model = Letters()
    chosen = choose(pool, column_scores(pool), Wish(20, similarity=0.999), embedded(pool, model, 20))
    ranked = sorted(range(3000), key=lambda k: -rows[k]["complexity"] * rows[k]["quality"])
    assert model.seen == ["\n".join(m["content"] for m in rows[k]["messages"]) for k in ranked[: len(model.seen)]]
    assert len(model.seen) == 256
    assert list(chosen.choice.taken[:3]) == ranked[:3]


def test_random_is_the_same_in_any_order_and_changes_with_the_seed(tmp_path: Path) -> None:
    rows = graded(200)
    picked = {}
    for name, some, seed in (("a", rows, 0), ("b", rows[::-1], 0), ("c", rows, 1)):
        pool = candidates(tmp_path / f"{name}.jsonl", some, ())
        chosen = choose(pool, control_scores(pool, "random"), Wish(50, seed=seed))
        picked[name] = {some[k]["messages"][0]["content"] for k in chosen.choice.taken}
    assert picked["a"] == picked["b"] != picked["c"]


def test_length_takes_the_longest_answers_in_characters(tmp_path: Path) -> None:
    rows = [row("a", "é" * 5), row("b" * 50, "xxxxxx"), row("c", "x"), row("d", "漢漢漢漢")]
    pool = candidates(tmp_path / "a.jsonl", rows, ())
    assert choose(pool, control_scores(pool, "length"), Wish(3)).choice.taken == (1, 0, 3)


def test_max_per_category_passes_over(tmp_path: Path) -> None:
    pool = candidates(tmp_path / "a.jsonl", graded(60))
    chosen = choose(pool, column_scores(pool), Wish(20, max_per_category=10))
    categories = [pool.index.categories[pool.index.category[k]] for k in chosen.choice.taken]
    assert (categories.count("a"), categories.count("b")) == (10, 10)


def test_rows_without_grade_are_passed_over_with_their_reason(tmp_path: Path) -> None:
    rows = [
        *graded(4),
        row("none"),
        row("text", complexity="3", quality=2),
        row("nan", complexity=float("nan"), quality=2),
    ]
    pool = candidates(tmp_path / "a.jsonl", rows)
    write_selected(choose(pool, column_scores(pool), Wish(2)), tmp_path / "out")
    passed = read(tmp_path / "out" / "passed_over.jsonl")
    assert [(p["line"], p["reason"]) for p in passed] == [
        (n, 'no grade: field "complexity" holds no number') for n in (5, 6, 7)
    ]
    pools = [read(tmp_path / "out" / f"{name}.jsonl") for name in ("pool", "reserve")]
    assert [len(p) for p in pools] == [2, 2]
    assert sorted(json.dumps(r) for p in pools for r in p) == sorted(json.dumps(r) for r in rows[:4])


def test_too_few_rows_are_refused_with_the_reasons(tmp_path: Path) -> None:
    pool = candidates(tmp_path / "a.jsonl", graded(10))
    with pytest.raises(InputError, match="only 10 of the 11 rows asked for"):
        choose(pool, column_scores(pool), Wish(11))


def test_vectors_of_another_pool_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((3, 2), dtype=np.float32))
    with pytest.raises(InputError, match="expected floats, one row for each of the pool's 4 rows"):
        stored_vectors(tmp_path / "v.npy", 4)
