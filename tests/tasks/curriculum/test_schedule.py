"""Every schedule keeps each example's total; what differs between them is the order, as promised."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curriculum.curriculum import Schedule
from tasks.curriculum.schedule import build_curriculum
from tasks.errors import InputError
from tasks.interventions.draw import training_manifest
from tasks.interventions.intervention import Intervention
from tasks.pool.instruction import Instruction, Pool
from tasks.taxonomy.taxonomy import Role

BASE, MIDDLE, DEPENDENT = Role.BASE, Role.MIDDLE, Role.DEPENDENT


def examples(**sizes):
    return {category: [f"{category}-{i}" for i in range(n)] for category, n in sizes.items()}


def batches(curriculum):
    result = [[] for _ in curriculum.stage_counts]
    for identifier, stage in zip(curriculum.manifest.ids, curriculum.manifest.stages, strict=True):
        result[stage].append(identifier)
    assert list(curriculum.manifest.stages) == sorted(curriculum.manifest.stages)
    return result


sets = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 25), st.integers(0, 3)), min_size=1).filter(
    lambda s: sum(n for n, _ in s.values()) > 0
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(sets, st.sampled_from(Schedule), st.integers(1, 8), st.integers(0, 3), st.one_of(st.none(), st.integers(0, 40)))
def test_build_any_schedule_shows_each_example_equally_often(problem, schedule, stages, seed, tilt):
    stages = 3 if schedule is Schedule.PAPER else stages
    data = examples(**{c: n for c, (n, _) in problem.items()})
    curriculum = build_curriculum(data, {c: level for c, (_, level) in problem.items()}, schedule, seed, stages, tilt)
    expected = Counter({i: stages for ids in data.values() for i in ids})
    assert Counter(curriculum.manifest.ids) == expected
    assert curriculum.repeats == stages
    size = len(expected)
    for batch, row in zip(batches(curriculum), curriculum.stage_counts, strict=True):
        seen = Counter(i.split("-")[0] for i in batch)
        assert tuple(seen[c] for c in curriculum.categories) == row
        if schedule is not Schedule.STRICT:
            assert len(batch) == size
        if schedule in (Schedule.PAPER, Schedule.TILTED, Schedule.REVERSED):
            for c, ids in data.items():
                times = Counter(i for i in batch if i.startswith(f"{c}-"))
                assert all(abs(times[i] - seen[c] / len(ids)) < 1 for i in ids)
    assert 0 <= curriculum.tilt <= curriculum.tilt_requested
    assert bool(curriculum.note) == (curriculum.tilt < curriculum.tilt_requested)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(sets, st.integers(2, 8), st.integers(0, 30))
def test_build_tilted_is_monotone_in_level_and_stage(problem, stages, tilt):
    data = examples(**{c: n for c, (n, _) in problem.items()})
    levels = {c: level for c, (_, level) in problem.items()}
    curriculum = build_curriculum(data, levels, Schedule.TILTED, 1, stages, tilt)
    sizes = {c: len(ids) for c, ids in data.items()}

    def amount(stage, chosen):
        return sum(
            curriculum.stage_counts[stage][k] for k, c in enumerate(curriculum.categories) if levels[c] in chosen
        )

    present = sorted({levels[c] for c, n in sizes.items() if n})
    for t in range(1, stages):
        # The share of the lowest level never grows, that of the highest never shrinks; each may be off by rounding.
        assert amount(t, {present[0]}) <= amount(t - 1, {present[0]}) + 1
        assert amount(t, {present[-1]}) >= amount(t - 1, {present[-1]}) - 1
    for low, high in itertools.pairwise(present):
        n_low = sum(n for c, n in sizes.items() if levels[c] == low)
        n_high = sum(n for c, n in sizes.items() if levels[c] == high)
        # Relative tilt in the first stage falls with the level, in the last it rises; 1 example of rounding each.
        assert amount(0, {low}) / n_low + 1 / n_low >= amount(0, {high}) / n_high - 1 / n_high
        assert amount(stages - 1, {low}) / n_low - 1 / n_low <= amount(stages - 1, {high}) / n_high + 1 / n_high


def test_build_paper_thousand_examples_has_the_papers_numbers():
    data = examples(count=300, copy=100, shift=200, story=250, poem=150)
    roles = {"count": BASE, "copy": BASE, "shift": MIDDLE, "story": DEPENDENT, "poem": DEPENDENT}
    curriculum = build_curriculum(data, roles, Schedule.PAPER, 2024)
    assert curriculum.categories == ("copy", "count", "poem", "shift", "story")
    first, second, third = curriculum.stage_counts
    assert (first[0] + first[1], first[3], first[2] + first[4]) == (500, 200, 300)
    assert (first[0], first[1]) == (125, 375)
    assert second == (100, 300, 150, 200, 250)
    assert third == tuple(2 * n - one for n, one in zip(second, first, strict=True))
    assert (curriculum.tilt, curriculum.tilt_requested, curriculum.note) == (100, 100, "")
    one, two, three = (Counter(batch) for batch in batches(curriculum))
    assert all(n == 1 for n in two.values())
    doubled = {i for i, n in one.items() if n == 2}
    assert len(doubled) == 100
    assert all(i.startswith("co") for i in doubled)
    # What is doubled early is dropped late, and the other way round.
    assert doubled == {i for ids in data.values() for i in ids} - set(three)
    assert {i for i, n in three.items() if n == 2} == {i for ids in data.values() for i in ids} - set(one)


def test_build_paper_from_50000_examples_tilts_a_twentieth():
    data = examples(a=25_000, b=25_000)
    roles = {"a": BASE, "b": DEPENDENT}
    assert build_curriculum(data, roles, Schedule.PAPER, 1).stage_counts[0] == (27_500, 22_500)
    data["b"].pop()
    assert build_curriculum(data, roles, Schedule.PAPER, 1).tilt == 4999


def test_build_paper_and_tilted_with_roles_agree():
    data = examples(a=30, b=50, c=41, d=29)
    roles = {"a": BASE, "b": MIDDLE, "c": DEPENDENT, "d": BASE}
    paper = build_curriculum(data, roles, Schedule.PAPER, 5)
    tilted = build_curriculum(data, roles, Schedule.TILTED, 5)
    assert paper.manifest == tilted.manifest


def test_build_infeasible_tilt_is_reduced_and_reported():
    data = examples(a=500, b=480, c=20)
    curriculum = build_curriculum(data, {"a": BASE, "b": MIDDLE, "c": DEPENDENT}, Schedule.PAPER, 1)
    assert (curriculum.tilt, curriculum.tilt_requested) == (20, 100)
    assert "20 instead of 100" in curriculum.note
    assert [row[2] for row in curriculum.stage_counts] == [0, 20, 40]


@pytest.mark.parametrize("stages", range(2, 9))
def test_build_infeasible_tilt_in_any_number_of_stages_empties_the_first_and_doubles_the_last(stages):
    data = examples(a=50, b=21, c=8)
    levels = {"a": 0, "b": 1, "c": 2}
    curriculum = build_curriculum(data, levels, Schedule.TILTED, 1, stages, tilt=30)
    assert (curriculum.tilt, curriculum.tilt_requested) == (8, 30)
    assert "8 instead of 30" in curriculum.note
    assert curriculum.stage_counts[0] == (58, 21, 0)
    assert curriculum.stage_counts[-1] == (42, 21, 16)
    assert Counter(curriculum.manifest.ids) == Counter({i: stages for ids in data.values() for i in ids})


@pytest.mark.parametrize("roles", [{"a": MIDDLE, "b": MIDDLE}, {"a": BASE, "b": MIDDLE}, {"a": 0, "b": 0}])
def test_build_nothing_to_tilt_gives_the_uniform_plan_and_says_so(roles):
    curriculum = build_curriculum(examples(a=60, b=40), roles, Schedule.TILTED, 1)
    assert curriculum.stage_counts == ((60, 40),) * 3
    assert (curriculum.tilt, curriculum.tilt_requested) == (0, 10)
    assert "no tilt" in curriculum.note


def test_build_no_tilt_is_uniform_training_of_the_same_seed():
    """Exact pairing: a curriculum that changes nothing is the plain manifest, id by id."""
    data = examples(a=60, b=40)
    pool = Pool(
        "p",
        tuple(Instruction(i, (("user", i), ("assistant", i)), category) for category, ids in data.items() for i in ids),
    )
    plain = training_manifest(pool, Intervention("baseline", (("a", 60), ("b", 40))), 7, 3)
    assert build_curriculum(data, {"a": BASE, "b": DEPENDENT}, Schedule.PAPER, 7, tilt=0).manifest == plain


def test_build_reversed_is_the_mirror_of_tilted():
    data = examples(a=60, b=40, c=55)
    levels = {"a": 0, "b": 1, "c": 3}
    tilted = build_curriculum(data, levels, Schedule.TILTED, 3, stages=4)
    mirror = build_curriculum(data, levels, Schedule.REVERSED, 3, stages=4)
    assert mirror.stage_counts == tilted.stage_counts[::-1]
    assert [Counter(b) for b in batches(mirror)] == [Counter(b) for b in batches(tilted)][::-1]
    assert mirror.tilt == tilted.tilt == 15


def test_build_strict_order_is_nondecreasing_in_level():
    data = examples(a=30, b=20, c=25, d=0)
    levels = {"a": 2, "b": 0, "c": 2, "d": 1}
    curriculum = build_curriculum(data, levels, Schedule.STRICT, 3)
    order = [levels[i.split("-")[0]] for i in curriculum.manifest.ids]
    assert order == sorted(order)
    assert curriculum.stage_counts == ((0, 60, 0, 0), (90, 0, 75, 0))
    # Three full passes over a level, one after the other.
    assert len(set(curriculum.manifest.ids[:20])) == 20
    assert curriculum.manifest.ids[:20] != curriculum.manifest.ids[20:40]


def test_build_shuffled_has_the_tilted_multiset_and_no_order():
    data = examples(a=600, b=400)
    levels = {"a": 0, "b": 1}
    tilted = build_curriculum(data, levels, Schedule.TILTED, 3)
    shuffled = build_curriculum(data, levels, Schedule.SHUFFLED, 3)
    assert Counter(shuffled.manifest.ids) == Counter(tilted.manifest.ids)
    # A random third holds 600 of a; its standard error without replacement is sqrt(1000·0.6·0.4·2/3) = 12.6.
    assert all(abs(row[0] - 600) < 65 for row in shuffled.stage_counts)
    assert shuffled.manifest != build_curriculum(data, levels, Schedule.SHUFFLED, 4).manifest


SCRIPT = """
import sys
from tasks.curriculum.curriculum import Schedule
from tasks.curriculum.schedule import build_curriculum
data = {c: {f"{c}-{i}" for i in range(20)} for c in {"a", "b", "c"}}
data = {c: sorted(ids) for c, ids in data.items()}
for schedule in Schedule:
    print(build_curriculum(data, {"a": 0, "b": 1, "c": 3}, schedule, 5).manifest.sha256)
"""


def test_build_is_the_same_in_every_process():
    root = Path(__file__).resolve().parents[3]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == len(Schedule)


@pytest.mark.parametrize(
    ("levels", "options", "expected"),
    [
        ({"a": 0}, {}, "without a role or level: b"),
        ({"a": 0, "b": 1, "ghost": 1}, {}, "no examples listed: ghost"),
        ({"a": 0, "b": BASE}, {}, "one kind"),
        ({"a": 0, "b": 1}, {"stages": 4}, "'paper' has 3"),
        ({"a": 0, "b": 1}, {"tilt": -1}, "tilt is -1"),
        ({"a": 0, "b": 1}, {"stages": 0}, "expected 1 or more"),
    ],
)
def test_build_bad_input_is_named(levels, options, expected):
    with pytest.raises(InputError, match=expected):
        build_curriculum(examples(a=5, b=5), levels, Schedule.PAPER, 1, **options)


def test_build_repeated_or_no_ids_are_refused():
    with pytest.raises(InputError, match="'x'"):
        build_curriculum({"a": ["x"], "b": ["x"]}, {"a": 0, "b": 1}, Schedule.PAPER, 1)
    with pytest.raises(InputError, match="no examples"):
        build_curriculum({"a": []}, {"a": 0}, Schedule.PAPER, 1)
