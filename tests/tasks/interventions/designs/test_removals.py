"""Designs that change one category or a pair: counts by hand, sizes kept, impossible requests explained."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.interventions.designs.changes import changed_counts
from tasks.interventions.designs.removals import dose, leave_one_out, pair_out
from tasks.interventions.intervention import BASELINE, Arm

COUNTS = {"a": 10, "b": 20, "c": 30, "d": 0}
AVAILABLE = {"a": 100, "b": 100, "c": 100, "d": 9}


def test_leave_one_out_both_arms_have_known_counts() -> None:
    counts, available = {"a": 10, "b": 20, "c": 30, "d": 0}, {"a": 100, "b": 100, "c": 35, "d": 9}
    designs = leave_one_out(counts, available, [Arm.SIZE_REDUCED, Arm.SIZE_MATCHED])
    table = {d.name: dict(d.counts) for d in designs}
    assert list(table.items()) == [
        ("baseline", {"a": 10, "b": 20, "c": 30, "d": 0}),
        ("without a (size-reduced)", {"a": 0, "b": 20, "c": 30, "d": 0}),
        ("without b (size-reduced)", {"a": 10, "b": 0, "c": 30, "d": 0}),
        ("without c (size-reduced)", {"a": 10, "b": 20, "c": 0, "d": 0}),
        ("without a (size-matched)", {"a": 0, "b": 25, "c": 35, "d": 0}),  # 10 as 4 + 6, of which c can take 5
        ("without b (size-matched)", {"a": 25, "b": 0, "c": 35, "d": 0}),  # 20 as 5 + 15, of which c can take 5
        ("without c (size-matched)", {"a": 20, "b": 40, "c": 0, "d": 0}),  # 30 as 10 + 20
    ]
    assert designs[0].name == BASELINE
    assert designs[0].arm is None
    assert designs[4].removed == ("a",)
    assert designs[4].arm is Arm.SIZE_MATCHED


@settings(deadline=None)
@given(st.data(), st.dictionaries(st.text(max_size=2), st.integers(0, 40), min_size=2, max_size=6))
def test_leave_one_out_size_matched_keeps_size_within_reserves(data: st.DataObject, counts: dict) -> None:
    assume(sum(n > 0 for n in counts.values()) >= 2)
    available = {c: n + data.draw(st.integers(0, 80)) for c, n in counts.items()}
    try:
        designs = leave_one_out(counts, available, [Arm.SIZE_MATCHED])
    except InputError:
        spare = {c: available[c] - n for c, n in counts.items() if n}
        assert any(sum(s for c, s in spare.items() if c != removed) < counts[removed] for removed in spare)
        return
    for design in designs[1:]:
        assert design.total == designs[0].total
        assert design.count(design.removed[0]) == 0
        others = [c for c in counts if c not in design.removed]
        assert all(counts[c] <= design.count(c) <= available[c] for c in others)
        assert all(design.count(c) == 0 for c in others if counts[c] == 0)


def test_leave_one_out_exhausted_reserve_names_shortage_and_fix() -> None:
    with pytest.raises(InputError, match=r"without a \(size-matched\): 10 .* hold 7: 3 short.*size-reduced"):
        leave_one_out({"a": 10, "b": 20}, {"a": 50, "b": 27}, [Arm.SIZE_MATCHED])
    assert len(leave_one_out({"a": 10, "b": 20}, {"a": 10, "b": 20}, [Arm.SIZE_REDUCED])) == 3


@pytest.mark.parametrize(
    ("counts", "available", "arms", "message"),
    [
        ({"a": 1, "b": 1}, {"a": 1}, [Arm.SIZE_REDUCED], 'different categories: "b"'),
        ({"a": 2, "b": 1}, {"a": 1, "b": 1}, [Arm.SIZE_REDUCED], '"a" takes 2 of 1'),
        ({"a": 2, "b": 0}, {"a": 2, "b": 1}, [Arm.SIZE_REDUCED], "needs two categories"),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}, [], "no arm given; expected size-reduced or size-matched"),
    ],
)
def test_leave_one_out_wrong_request_is_explained(counts: dict, available: dict, arms: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        leave_one_out(counts, available, arms)


def test_dose_both_arms_have_known_counts() -> None:
    designs = dose(COUNTS, AVAILABLE, [Arm.SIZE_REDUCED, Arm.SIZE_MATCHED], [0.5, 1.5])
    assert {d.name: dict(d.counts) for d in designs} == {
        "baseline": COUNTS,
        "a × 0.5 (size-reduced)": {"a": 5, "b": 20, "c": 30, "d": 0},
        "b × 0.5 (size-reduced)": {"a": 10, "b": 10, "c": 30, "d": 0},
        "c × 0.5 (size-reduced)": {"a": 10, "b": 20, "c": 15, "d": 0},
        "a × 1.5 (size-reduced)": {"a": 15, "b": 20, "c": 30, "d": 0},
        "b × 1.5 (size-reduced)": {"a": 10, "b": 30, "c": 30, "d": 0},
        "c × 1.5 (size-reduced)": {"a": 10, "b": 20, "c": 45, "d": 0},
        "a × 0.5 (size-matched)": {"a": 5, "b": 22, "c": 33, "d": 0},
        "b × 0.5 (size-matched)": {"a": 13, "b": 10, "c": 37, "d": 0},  # 10 as 2.5 + 7.5, the tie to a
        "c × 0.5 (size-matched)": {"a": 15, "b": 30, "c": 15, "d": 0},
        "a × 1.5 (size-matched)": {"a": 15, "b": 18, "c": 27, "d": 0},  # 5 less of 50, pro rata
        "b × 1.5 (size-matched)": {"a": 8, "b": 30, "c": 22, "d": 0},  # 30 as 7.5 + 22.5, the tie to a
        "c × 1.5 (size-matched)": {"a": 5, "b": 10, "c": 45, "d": 0},
    }
    assert designs[0].name == BASELINE
    assert all(d.removed == () for d in designs)
    assert designs[-1].arm is Arm.SIZE_MATCHED


def test_dose_of_zero_is_leave_one_out_by_name_and_counts() -> None:
    assert dose(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED], [0]) == leave_one_out(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED])


def test_changed_counts_make_room_without_taking_a_categorys_last_example() -> None:
    changed = changed_counts({"a": 1, "b": 40, "c": 50}, {"a": 9, "b": 99, "c": 99}, {"b": 72}, Arm.SIZE_MATCHED, "x")
    assert changed == {"a": 1, "b": 72, "c": 18}  # pro rata and rounded it would be 0 and 19


@settings(deadline=None)
@given(st.data(), st.dictionaries(st.text(max_size=2), st.integers(0, 40), min_size=2, max_size=6), st.floats(0.0, 3.0))
def test_dose_size_matched_keeps_size_within_what_is_available(
    data: st.DataObject, counts: dict, factor: float
) -> None:
    assume(sum(n > 0 for n in counts.values()) >= 2)
    available = {c: n + data.draw(st.integers(0, 80)) for c, n in counts.items()}
    try:
        designs = dose(counts, available, [Arm.SIZE_MATCHED], [factor])
    except InputError:
        return
    for design in designs[1:]:
        assert design.total == designs[0].total
        assert all(0 <= n <= available[c] for c, n in design.counts)
        assert all(n > 0 for c, n in design.counts if counts[c] and c not in design.removed)


@pytest.mark.parametrize(
    ("doses", "message"),
    [
        ([], "no dose given"),
        ([1], "1 is no dose"),
        ([-0.5], "-0.5 is no dose"),
        ([float("nan")], "nan is no dose"),
        ([11], r'dose 11: "a" needs 110 and has 100, "b" needs 220.*Lower it to about 3\.33, .*to about 30% of what'),
        ([1.02], 'dose 1.02: "a", "b" have too few examples'),
        ([0.01], 'dose 0.01: "a", "b", "c" have too few examples'),
        ([2], r"c × 2 \(size-matched\): 30 examples .* of their 30 at least one each must stay. Lower the dose"),
    ],
)
def test_dose_impossible_request_is_explained(doses: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dose(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED], doses)


def test_pair_out_of_all_pairs_has_singles_and_pairs_with_known_counts() -> None:
    counts = {"a": 10, "b": 20, "c": 30}
    available = {"a": 100, "b": 100, "c": 100}
    designs = pair_out(counts, available, [Arm.SIZE_MATCHED])
    assert {d.name: dict(d.counts) for d in designs} == {
        "baseline": counts,
        "without a (size-matched)": {"a": 0, "b": 24, "c": 36},
        "without b (size-matched)": {"a": 15, "b": 0, "c": 45},
        "without c (size-matched)": {"a": 20, "b": 40, "c": 0},
        "without a and b (size-matched)": {"a": 0, "b": 0, "c": 60},
        "without a and c (size-matched)": {"a": 0, "b": 60, "c": 0},
        "without b and c (size-matched)": {"a": 60, "b": 0, "c": 0},
    }
    assert [d.removed for d in designs] == [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]


def test_pair_out_of_listed_pairs_takes_only_these_in_any_order_of_names() -> None:
    designs = pair_out(COUNTS, AVAILABLE, [Arm.SIZE_REDUCED], [("c", "a")])
    assert [d.removed for d in designs] == [(), ("a",), ("b",), ("c",), ("a", "c")]
    assert dict(designs[-1].counts) == {"a": 0, "b": 20, "c": 0, "d": 0}


def test_pair_out_of_many_categories_has_every_pair_once() -> None:
    counts = {f"c{k}": 2 for k in range(20)}
    designs = pair_out(counts, counts, [Arm.SIZE_REDUCED])
    assert sorted(d.removed for d in designs if len(d.removed) == 2) == sorted(combinations(sorted(counts), 2))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "list of pairs is empty"),
        ([("a", "x")], 'pair-out: "x" is no category of the baseline; it has "a", "b", "c"'),
        ([("a", "d")], '"d" is no category'),
        ([("a", "a")], "is no pair"),
        ([("a", "b", "c")], "is no pair"),
        ([("a", "b"), ("b", "a")], 'the pair "a", "b" is listed twice'),
    ],
)
def test_pair_out_impossible_list_is_explained(pairs: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pair_out(COUNTS, AVAILABLE, [Arm.SIZE_REDUCED], pairs)


def test_pair_out_that_leaves_nothing_or_too_much_is_refused() -> None:
    two = {"a": 5, "b": 5}
    for pairs in (None, [("a", "b")]):
        with pytest.raises(InputError, match="removing both leaves nothing"):
            pair_out(two, two, [Arm.SIZE_REDUCED], pairs)
    many = {f"c{k}": 2 for k in range(1000)}
    with pytest.raises(InputError, match=r"1000 categories have 499500 pairs.*List the pairs"):
        pair_out(many, many, [Arm.SIZE_REDUCED])


def test_pair_out_of_categories_that_name_a_pair_is_refused() -> None:
    counts = {"a": 5, "b": 5, "a and b": 5}
    with pytest.raises(InputError, match=r'would be called "without a and b \(size-reduced\)"'):
        pair_out(counts, counts, [Arm.SIZE_REDUCED])


@pytest.mark.parametrize("arm", Arm)
def test_leave_one_out_of_a_thousand_categories_keeps_or_reduces_the_size(arm: Arm) -> None:
    counts = {f"c{k:03d}": 10 + k % 7 for k in range(1000)}
    designs = leave_one_out(counts, {c: 2 * n for c, n in counts.items()}, [arm])
    total = sum(counts.values())
    assert len(designs) == 1001
    for design in designs[1:]:
        assert design.total == total - (counts[design.removed[0]] if arm is Arm.SIZE_REDUCED else 0)
