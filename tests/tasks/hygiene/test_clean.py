"""Planted duplicates, near duplicates and benchmark items, against brute force over plain Python sets."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.hygiene.clean import Cleaned, judge, summary, write_cleaned
from tasks.hygiene.config import Hygiene
from tasks.hygiene.contamination import read_items
from tasks.hygiene.near_duplicates import banding
from tests.tasks.hygiene.rows import read, row, words, write

LONG = 60


def reasons(cleaned: Cleaned) -> list[str]:
    index = cleaned.index
    return ["" if code < 0 else index.reasons[code].partition(":")[0] for code in index.reason]


def python_grams(text: str, size: int) -> set[tuple[str, ...]]:
    found = re.findall(r"[a-z0-9]+|[^\x00-\x7f]+", text.lower())
    return {tuple(found[k : k + size]) for k in range(max(1, len(found) - size + 1))}


def jaccard(one: set, other: set) -> float:
    return len(one & other) / len(one | other)


def edited(generator: random.Random, text: str, changes: int) -> str:
    parts = text.split()
    for place in generator.sample(range(len(parts)), changes):
        parts[place] = f"changed{generator.randrange(10**6)}"
    return " ".join(parts)


def test_exact_duplicates_keep_the_first_whatever_category_and_id(tmp_path: Path) -> None:
    rows = [row("one", id="1"), row("two"), row("one", id="3", category="b"), row("one", "no"), row("two")]
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), Hygiene(near_duplicates=None))
    assert reasons(cleaned) == ["", "", "duplicate content", "", "duplicate content"]
    assert cleaned.duplicate_of.tolist() == [-1, -1, 0, -1, 1]


def test_message_borders_and_roles_are_part_of_the_content(tmp_path: Path) -> None:
    other = [{"role": "system", "content": "a"}, *row("b", "c")["messages"]]
    turns = [*row("a", "b")["messages"], *row("c", "d")["messages"]]
    rows = [row("ab", "c"), row("a", "bc"), {"messages": other}, {"messages": turns}, row("abc", "d")]
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), Hygiene(near_duplicates=None))
    assert cleaned.kept.all()


def test_near_duplicates_equal_brute_force(tmp_path: Path) -> None:
    generator = random.Random(3)
    originals = [words(generator, LONG) for _ in range(60)]
    # 0…6 changed words of 60 move the Jaccard index from 1 to about 0.5, on both sides of the threshold.
    texts = originals + [edited(generator, generator.choice(originals), generator.randrange(7)) for _ in range(240)]
    generator.shuffle(texts)
    threshold = 0.8
    cleaned = judge((write(tmp_path / "a.jsonl", [row(t, "ok") for t in texts]),), Hygiene(near_duplicates=threshold))

    sets = [python_grams(f"{text} ok", 3) for text in texts]
    kept: list[int] = []
    near = np.full(len(texts), -1)
    for k, mine in enumerate(sets):
        twins = [other for other in kept if jaccard(mine, sets[other]) >= threshold]
        if twins:
            near[k] = twins[0]
        else:
            kept.append(k)
    missed = np.flatnonzero((cleaned.duplicate_of < 0) != (near < 0))
    assert 50 < (near >= 0).sum() < 250
    # A pair exactly at the threshold is missed with probability 0.01 at most; the seed is fixed.
    assert len(missed) == 0


def test_near_duplicates_find_case_and_punctuation_and_languages_without_spaces(tmp_path: Path) -> None:
    text = "今日は天気がとても良いので公園まで歩いて行きましょう"
    rows = [
        row("Name three large rivers of Europe, please!"),
        row("name THREE large rivers of europe please"),
        row(text),
        row(f"{text}ね"),
        row("Name three small rivers of Asia"),
        row("!!!", "???"),
        row("...", "---"),
    ]
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), Hygiene())
    assert cleaned.duplicate_of.tolist() == [-1, 0, -1, 2, -1, -1, -1]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9, 1.0])
def test_banding_finds_pairs_at_the_threshold(threshold: float) -> None:
    cut = banding(threshold)
    assert cut.bands * cut.rows <= 128
    assert cut.detection(threshold) >= 0.99


def test_contamination_equals_brute_force(tmp_path: Path) -> None:
    generator = random.Random(4)
    questions = [words(generator, generator.choice([5, 7, 8, 12, 30])) for _ in range(40)]
    rows, texts = [], []
    for k in range(200):
        prompt = words(generator, 20)
        if k % 4 == 0:
            parts = generator.choice(questions).split()
            start = generator.randrange(len(parts))
            prompt = f"{prompt} {' '.join(parts[start:] if k % 8 else parts)} {words(generator, 5)}"
        elif k % 10 == 1:
            prompt = edited(generator, questions[k % 40], 1)
        rows.append(row(prompt, "fine"))
        texts.append(prompt)
    items = read_items((write(tmp_path / "bench.jsonl", [{"question": q, "answer": "x"} for q in questions]),))
    limits = Hygiene(near_duplicates=0.6, overlap=0.5)
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), limits, items)

    expected = set()
    for r, text in enumerate(texts):
        for i, question in enumerate(questions):
            size = min(8, len(question.split()))
            mine = python_grams(question, size)
            overlap = len(mine & python_grams(f"{text} fine", size)) / len(mine)
            if overlap >= 0.5 or jaccard(python_grams(question, 3), python_grams(text, 3)) >= 0.6:
                expected.add((r, i))
    assert len(expected) > 20
    assert {(c.row, c.item) for c in cleaned.contacts} == expected
    dropped = {k for k, reason in enumerate(reasons(cleaned)) if reason == "benchmark item"}
    assert dropped == {r for r, _ in expected}


def test_items_too_short_are_named_not_searched(tmp_path: Path) -> None:
    items = read_items((write(tmp_path / "b.jsonl", [{"text": "who is it"}, row("what is the capital of France")]),))
    path = write(tmp_path / "a.jsonl", [row("who is it"), row("Tell me: what is the capital of France?"), row("else")])
    cleaned = judge((path,), Hygiene(), items)
    assert reasons(cleaned) == ["", "benchmark item", ""]
    assert cleaned.unchecked == (0,)
    assert summary(cleaned)["benchmark"]["items_too_short_to_look_for"] == ["b.jsonl, line 1"]


def test_benchmark_row_without_text_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "b.jsonl", [{"text": "what is this thing"}, {"other": 1}])
    with pytest.raises(InputError, match=r"b\.jsonl, line 2: no benchmark item"):
        read_items((path,))


def test_language_and_length_drop_with_their_reason(tmp_path: Path) -> None:
    rows = [
        row("What is the capital of France, and which river runs through it?", "Paris; the river Seine."),
        row("Wie heißt die Hauptstadt von Frankreich und welcher Fluss fließt hindurch?", "Paris, an der Seine."),
        row("short", "x"),
        row("What is the capital of Spain? " * 20, "Madrid"),
    ]
    limits = Hygiene(languages=("en",), min_characters=10, max_characters=400)
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), limits)
    assert reasons(cleaned) == ["", "language", "too short", "too long"]
    assert cleaned.index.reasons[cleaned.index.reason[1]] == "language: de"


def test_length_counts_characters_not_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [row("漢字漢字", "é"), row("abcd", "efg")])
    assert reasons(judge((path,), Hygiene(max_characters=5))) == ["", "too long"]


def test_reserve_is_the_same_rows_in_any_order(tmp_path: Path) -> None:
    rows = [row(f"question {k}", category="ab"[k % 2]) for k in range(40)]
    shuffled = random.Random(5).sample(rows, len(rows))
    chosen = []
    for name, some in (("a", rows), ("b", shuffled)):
        cleaned = judge((write(tmp_path / f"{name}.jsonl", some),), Hygiene(reserve=7, near_duplicates=None))
        write_cleaned(cleaned, tmp_path / name)
        chosen.append({json.dumps(r) for r in read(tmp_path / name / "reserve.jsonl")})
        assert cleaned.index.counts(cleaned.reserved) == {"a": 7, "b": 7}
    assert chosen[0] == chosen[1]
    with pytest.raises(InputError, match=r'a reserve of 20 rows leaves nothing of "a" has 20'):
        judge((str(tmp_path / "a.jsonl"),), Hygiene(reserve=20, near_duplicates=None))


def test_written_rows_are_the_bytes_that_were_read_and_all_rows_are_accounted_for(tmp_path: Path) -> None:
    lines = ['{"x":  1.0, "messages": [{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}']
    lines += [json.dumps(row("c", "d", tags=["t"])), lines[0], '{"broken']
    path = write(tmp_path / "a.jsonl", lines)
    write_cleaned(judge((path,), Hygiene()), tmp_path / "out")
    assert (tmp_path / "out" / "pool.jsonl").read_text().splitlines() == lines[:2]
    rejected = read(tmp_path / "out" / "rejected.jsonl")
    assert [(r["line"], r["reason"].partition(":")[0]) for r in rejected] == [
        (3, "duplicate content"),
        (4, "broken JSON"),
    ]
    assert f"of {path}, line 1" in rejected[0]["reason"]
    assert not (tmp_path / "out" / "reserve.jsonl").exists()


def test_parquet_keeps_its_columns(tmp_path: Path) -> None:
    rows = [row("a", score=0.5), row("b", score=0.25), row("a", score=1.0)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    write_cleaned(judge((str(tmp_path / "a.parquet"),), Hygiene()), tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "pool.parquet").to_pylist() == rows[:2]


def test_parquet_without_any_row_left_is_still_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([row("a"), row("b")]), tmp_path / "a.parquet")
    write_cleaned(judge((str(tmp_path / "a.parquet"),), Hygiene(min_characters=100)), tmp_path / "out")
    left = pq.read_table(tmp_path / "out" / "pool.parquet")
    assert (left.num_rows, left.column_names) == (0, ["messages", "category"])
