import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.interventions.design import baseline_counts, leave_one_out, mixture
from tasks.interventions.intervention import BASELINE, Arm

AVAILABLE = {"b": 300, "a": 100, "c": 200}


def test_baseline_counts_pool_shares_without_total_takes_everything() -> None:
    counts = baseline_counts(AVAILABLE, None, "pool")
    assert counts == AVAILABLE
    assert list(counts) == ["a", "b", "c"]


def test_baseline_counts_pool_shares_follow_the_pool() -> None:
    assert baseline_counts(AVAILABLE, 60, "pool") == {"a": 10, "b": 30, "c": 20}
    assert baseline_counts(AVAILABLE, 61, "pool") == {"a": 10, "b": 31, "c": 20}


def test_baseline_counts_uniform_is_bound_by_the_smallest_category() -> None:
    assert baseline_counts(AVAILABLE, None, "uniform") == {"a": 100, "b": 100, "c": 100}
    assert baseline_counts(AVAILABLE, 10, "uniform") == {"a": 4, "b": 3, "c": 3}
    with pytest.raises(InputError, match=r'"a" needs 101 and has 100\. Lower total to at most 300'):
        baseline_counts(AVAILABLE, 303, "uniform")


def test_baseline_counts_written_shares_are_exact_decimals() -> None:
    assert baseline_counts(AVAILABLE, 100, {"a": 0.29, "b": 0.57, "c": 0.14}) == {"a": 29, "b": 57, "c": 14}
    assert baseline_counts({"a": 1, "b": 90}, None, {"a": 0.1, "b": 0.9}) == {"a": 1, "b": 9}
    assert baseline_counts(AVAILABLE, None, {"a": 0, "b": 0.5, "c": 0.5}) == {"a": 0, "b": 200, "c": 200}


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(0, 500), min_size=1), st.data())
def test_baseline_counts_any_pool_sums_to_total_within_availability(available: dict, data: st.DataObject) -> None:
    pool = sum(available.values())
    assume(pool)
    total = data.draw(st.integers(1, pool))
    counts = baseline_counts(available, total, "pool")
    assert sum(counts.values()) == total
    assert all(abs(counts[c] - total * n / pool) < 1 and counts[c] <= n for c, n in available.items())


@pytest.mark.parametrize(
    ("total", "shares", "message"),
    [
        (10, {"a": 0.5, "b": 0.4, "c": 0.2}, "shares sum to 1.1; expected 1"),
        (10, {"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0}, 'unknown category "d"; the pool has "a", "b", "c"'),
        (10, {"a": 0.5, "b": 0.5}, 'no share for "c"; write 0'),
        (10, {"a": -0.5, "b": 1.0, "c": 0.5}, '"a" has -0.5'),
        (10, {"a": float("nan"), "b": 1.0, "c": 0.5}, '"a" has nan'),
        (10, "equal", 'shares is "equal"'),
        (0, "pool", "total is 0"),
        (1000, "pool", r'"a" needs 167 and has 100.*Lower total to at most 600'),
        (250, {"a": 0.5, "b": 0.3, "c": 0.2}, r'"a" needs 125 and has 100\. Lower total to at most 200'),
    ],
)
def test_baseline_counts_wrong_request_is_explained(total: int, shares: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        baseline_counts(AVAILABLE, total, shares)


def test_baseline_counts_empty_pool_or_category_is_explained() -> None:
    with pytest.raises(InputError, match="holds no training examples"):
        baseline_counts({}, None, "pool")
    with pytest.raises(InputError, match='"b" has no examples'):
        baseline_counts({"a": 5, "b": 0}, None, "uniform")


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
    with pytest.raises(InputError, match=r'without "a" \(size-matched\): 10 .* hold 7: 3 short.*size-reduced'):
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


def test_mixture_counts_are_sorted_and_checked() -> None:
    assert mixture("proposal", {"b": 1, "a": 2}).counts == (("a", 2), ("b", 1))
    with pytest.raises(InputError, match='negative number of examples for "a"'):
        mixture("proposal", {"a": -1, "b": 2})
    with pytest.raises(InputError, match="no examples at all"):
        mixture("proposal", {"a": 0})
