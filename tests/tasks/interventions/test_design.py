import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.interventions.design import baseline_counts, mixture

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


def test_mixture_counts_are_sorted_and_checked() -> None:
    assert mixture("proposal", {"b": 1, "a": 2}).counts == (("a", 2), ("b", 1))
    with pytest.raises(InputError, match='negative number of examples for "a"'):
        mixture("proposal", {"a": -1, "b": 2})
    with pytest.raises(InputError, match="no examples at all"):
        mixture("proposal", {"a": 0})
