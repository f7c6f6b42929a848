"""Two-level orthogonal arrays from Hadamard matrices: Paley's two constructions and Kronecker products (Sylvester's).

A Hadamard matrix of order R is a [R, R] matrix of ±1 with HᵀH = R·I. Sources: Sylvester (1867); Paley, On orthogonal
matrices (1933); the arrays are those of Plackett and Burman, The design of optimum multifactorial experiments (1946).
"""

from __future__ import annotations

from functools import cache
from itertools import count, product

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError

Signs = NDArray[np.int8]
"""A matrix of −1 and +1."""

_SYLVESTER = np.array([[1, 1], [1, -1]], dtype=np.int8)


def orthogonal_array(factors: int, runs: int | None = None, foldover: bool = False, draw: int = 0) -> Signs:
    """A two-level array in which every two columns (with foldover: every three) hold all combinations equally often.

    The columns come from a Hadamard matrix, drawn at random and each with a random sign: as it stands, such a matrix
    has a row of +1 alone, a training set far larger than the others.

    Args:
        factors: K ≥ 1 columns.
        runs: R rows; default: the smallest number for which an array can be constructed here.
        foldover: append the mirrored rows, which makes strength 3 of strength 2: two-factor interactions then no longer
            bias the estimates of single factors.
        draw: seed of the choice of columns and signs.

    Returns:
        [R, K] of ±1. With X = this array and a column of ones, XᵀX = R·I.

    Raises:
        InputError: `runs` is too small for the factors, or no array of this size can be constructed here.
    """
    if factors < 1:
        raise ValueError(f"{factors} factors: expected 1 or more")
    # The mirrored half balances the constant column, so that it can carry a factor too.
    copies, columns = (2, factors) if foldover else (1, factors + 1)
    order = next_order(columns) if runs is None else _order_of(runs, copies, columns)
    matrix = hadamard(order)
    matrix = matrix * matrix[:, :1]
    generator = np.random.default_rng(draw)
    usable = np.arange(0 if foldover else 1, order)
    chosen = generator.permutation(usable)[:factors]
    signs = generator.choice(np.array([-1, 1], dtype=np.int8), size=factors)
    array = matrix[:, chosen] * signs
    return np.concatenate([array, -array]) if foldover else array


def next_order(least: int) -> int:
    """The smallest order ≥ `least` (≥ 1) of a Hadamard matrix that can be constructed here."""
    return next(order for order in count(max(least, 1)) if constructible(order))


@cache
def constructible(order: int) -> bool:
    """Whether `hadamard` gives a matrix of this order; up to 1,000 most multiples of 4 are, the first gap is 92."""
    if order in (1, 2):
        return True
    return order % 4 == 0 and (_is_paley_one(order) or _is_paley_two(order) or _factor(order) is not None)


def hadamard(order: int) -> Signs:
    """A Hadamard matrix. Paley's come first: Sylvester's confound each two-factor interaction with one single factor.

    Raises:
        ValueError: no matrix of this order can be constructed here.
    """
    if not constructible(order):
        raise ValueError(f"no Hadamard matrix of order {order} can be constructed here")
    if order == 1:
        return np.ones((1, 1), dtype=np.int8)
    if order == 2:
        return _SYLVESTER
    if _is_paley_one(order):
        return _paley_one(order - 1)
    if _is_paley_two(order):
        return _paley_two(order // 2 - 1)
    first = _factor(order)
    assert first is not None  # noqa: S101 - constructible, and by no other way
    return np.kron(hadamard(first), hadamard(order // first))


def _order_of(runs: int, copies: int, columns: int) -> int:
    order, rest = divmod(runs, copies)
    if not rest and order >= columns and constructible(order):
        return order
    least = next_order(columns)
    above = next_order(max(order + 1, least))
    below = next((k for k in range(order, least - 1, -1) if constructible(k)), None)
    near = f"{copies * above}" if below is None else f"{copies * below} or {copies * above}"
    raise InputError(
        f"factorial: runs is {runs}; for this number of categories an orthogonal array has at least {copies * least} "
        f"runs, and the nearest possible number is {near}. Set runs to it, or leave it out."
    )


def _is_paley_one(order: int) -> bool:
    return order % 4 == 0 and _prime_power(order - 1) is not None


def _is_paley_two(order: int) -> bool:
    return order % 4 == 0 and order // 2 % 4 == 2 and _prime_power(order // 2 - 1) is not None


def _factor(order: int) -> int | None:
    """The smallest order whose product with another one is `order`."""
    return next((k for k in range(2, order // 2 + 1) if order % k == 0 and _both(k, order // k)), None)


def _both(first: int, second: int) -> bool:
    return constructible(first) and constructible(second)


def _paley_one(q: int) -> Signs:
    """Order q + 1 for q ≡ 3 (mod 4): I + S with the skew matrix S = [[0, 1ᵀ], [−1, Q]]."""
    matrix = _bordered(q, -1)
    np.fill_diagonal(matrix, 1)
    return matrix


def _paley_two(q: int) -> Signs:
    """Order 2(q + 1) for q ≡ 1 (mod 4): C ⊗ [[1, 1], [1, −1]] + I ⊗ [[1, −1], [−1, −1]], C = [[0, 1ᵀ], [1, Q]]."""
    on_diagonal = np.array([[1, -1], [-1, -1]], dtype=np.int8)
    return np.kron(_bordered(q, 1), _SYLVESTER) + np.kron(np.eye(q + 1, dtype=np.int8), on_diagonal)


def _bordered(q: int, left: int) -> Signs:
    """[q + 1, q + 1]: Q, whose entries are the quadratic character χ(a − b) of GF(q), with a border; diagonal 0."""
    prime, power = _prime_power(q) or (q, 1)
    digits = np.array(list(product(range(prime), repeat=power)))
    weights = prime ** np.arange(power - 1, -1, -1)
    matrix = np.zeros((q + 1, q + 1), dtype=np.int8)
    matrix[0, 1:], matrix[1:, 0] = 1, left
    character = _character(prime, power)
    for row, element in enumerate(digits, start=1):
        matrix[row, 1:] = character[(element - digits) % prime @ weights]
    return matrix


@cache
def _character(prime: int, power: int) -> Signs:
    """[q] quadratic character of GF(q): 1 for squares, −1 for other elements, 0 for 0.

    An element is a polynomial over GF(p); its index has the coefficients as digits, the highest first. A generator's
    even powers are the squares: a polynomial of which x is one is found by trying.
    """
    size = prime**power
    for tail in product(range(prime), repeat=power):
        character = np.zeros(size, dtype=np.int8)
        element, sign = (*[0] * (power - 1), 1), 1
        for _ in range(size - 1):
            index = int(np.polyval(element, prime))
            if character[index]:
                break
            character[index] = sign
            element, sign = _times_x(element, tail, prime), -sign
        else:
            if character[0] == 0:
                return character
    raise AssertionError(f"no generator of GF({size}) found")


def _times_x(element: tuple[int, ...], tail: tuple[int, ...], prime: int) -> tuple[int, ...]:
    """x·element modulo x^power − tail; in GF(p) itself x stands for the number `tail`."""
    shifted = (*element[1:], 0)
    return tuple((low + element[0] * high) % prime for low, high in zip(shifted, tail, strict=True))


def _prime_power(q: int) -> tuple[int, int] | None:
    """(prime, power) of an odd prime power; None otherwise."""
    if q < 3 or q % 2 == 0:
        return None
    prime = next((d for d in range(3, int(q**0.5) + 1, 2) if q % d == 0), q)
    power = 1
    while prime**power < q:
        power += 1
    return (prime, power) if prime**power == q else None
