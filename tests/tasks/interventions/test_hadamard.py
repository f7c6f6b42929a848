"""Hadamard matrices and orthogonal arrays: their defining equations, at every order."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.interventions.hadamard import constructible, hadamard, next_order, orthogonal_array


@pytest.mark.parametrize("order", [n for n in range(1, 301) if constructible(n)] + [500, 1000, 1008])
def test_hadamard_columns_are_signs_and_orthogonal(order: int) -> None:
    matrix = hadamard(order).astype(np.float64)
    assert matrix.shape == (order, order)
    assert (np.abs(matrix) == 1).all()
    np.testing.assert_array_equal(matrix.T @ matrix, order * np.eye(order))


def test_constructible_orders_are_those_of_paley_and_kronecker() -> None:
    # The multiples of 4 up to 200 that Paley's constructions and Kronecker products leave out, as tables list them.
    gaps = {92, 116, 156, 172, 184, 188}
    assert {n for n in range(1, 201) if constructible(n)} == {1, 2, *range(4, 201, 4)} - gaps
    with pytest.raises(ValueError, match="order 92"):
        hadamard(92)
    assert [next_order(n) for n in (1, 2, 3, 5, 9, 29, 89, 1001)] == [1, 2, 4, 8, 12, 32, 96, 1008]


@pytest.mark.parametrize("foldover", [False, True])
@pytest.mark.parametrize("factors", [*range(1, 33), 100, 1000])
def test_orthogonal_array_with_a_column_of_ones_has_xtx_equal_to_runs_times_identity(
    factors: int, foldover: bool
) -> None:
    array = orthogonal_array(factors, foldover=foldover).astype(np.float64)
    x = np.column_stack([np.ones(len(array)), array])
    np.testing.assert_array_equal(x.T @ x, len(array) * np.eye(factors + 1))
    smallest = 2 * next_order(factors) if foldover else next_order(factors + 1)
    assert len(array) == smallest


@pytest.mark.parametrize(("foldover", "strength"), [(False, 2), (True, 3)])
@pytest.mark.parametrize("factors", [3, 7, 8, 12, 20])
def test_orthogonal_array_every_few_columns_hold_all_combinations_equally_often(
    factors: int, foldover: bool, strength: int
) -> None:
    array = orthogonal_array(factors, foldover=foldover)
    for columns in combinations(range(factors), strength):
        _, counts = np.unique(array[:, columns], axis=0, return_counts=True)
        assert counts.tolist() == [len(array) / 2**strength] * 2**strength


def test_orthogonal_array_foldover_keeps_pair_interactions_out_of_single_factors() -> None:
    array = orthogonal_array(8, foldover=True).astype(np.float64)
    products = np.array([array[:, i] * array[:, j] for i, j in combinations(range(8), 2)])
    np.testing.assert_array_equal(products @ array, 0)


def test_orthogonal_array_draws_differ_and_repeat() -> None:
    first, again, other = (orthogonal_array(8, draw=draw) for draw in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_orthogonal_array_of_more_runs_is_still_orthogonal() -> None:
    array = orthogonal_array(8, runs=28).astype(np.float64)
    np.testing.assert_array_equal(array.T @ array, 28 * np.eye(8))


@pytest.mark.parametrize(
    ("factors", "runs", "foldover", "message"),
    [
        (7, 30, False, "at least 8 runs, and the nearest possible number is 28 or 32"),
        (7, 4, False, "at least 8 runs, and the nearest possible number is 8"),
        (50, 92, False, "nearest possible number is 88 or 96"),
        (8, 17, True, "at least 16 runs, and the nearest possible number is 16 or 24"),
        (8, 8, True, "at least 16 runs, and the nearest possible number is 16"),
    ],
)
def test_orthogonal_array_impossible_number_of_runs_names_the_nearest(
    factors: int, runs: int, foldover: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        orthogonal_array(factors, runs, foldover)
