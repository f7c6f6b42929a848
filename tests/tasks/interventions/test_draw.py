import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.interventions.design import mixture
from tasks.interventions.designs.removals import leave_one_out
from tasks.interventions.draw import draw, training_manifest
from tasks.interventions.intervention import Arm
from tasks.pool.instruction import Instruction, Pool


def pool(**counts: int) -> Pool:
    rows = [
        Instruction(f"{category}-{n}", (("user", f"{category} {n}"), ("assistant", "x")), category)
        for category, size in counts.items()
        for n in range(size)
    ]
    return Pool("train", tuple(rows))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 30))
def test_draw_more_of_a_category_contains_the_smaller_draw(seed: int, one: int, other: int) -> None:
    train = pool(a=30, b=5)
    small, large = sorted([one, other])
    fewer, more = draw(train, {"a": small, "b": 2}, seed), draw(train, {"a": large, "b": 2}, seed)
    assert len(set(more)) == large + 2
    assert set(fewer) <= set(more)
    assert [i for i in more if i in set(fewer)] == list(fewer)


def test_draw_pool_order_is_irrelevant_and_seeds_differ() -> None:
    train = pool(a=100)
    backwards = Pool("train", train.instructions[::-1])
    assert draw(train, {"a": 10}, 1) == draw(backwards, {"a": 10}, 1)
    assert draw(train, {"a": 10}, 1) != draw(train, {"a": 10}, 2)


def test_draw_every_example_is_equally_likely() -> None:
    train = pool(a=10)
    hits = dict.fromkeys((i.id for i in train.instructions), 0)
    for seed in range(2000):
        for identifier in draw(train, {"a": 3}, seed):
            hits[identifier] += 1
    # Binomial(2000, 0.3): mean 600, standard deviation 20.5; five deviations on ten fixed, seeded cells.
    assert all(abs(n - 600) < 5 * 20.5 for n in hits.values())


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sets(st.integers(0, 29)), st.integers(0, 30), st.integers(0, 30))
def test_draw_selected_rows_come_first_and_larger_draws_still_hold_smaller_ones(
    seed: int, selected: set[int], one: int, other: int
) -> None:
    train, first = pool(a=30, b=5), frozenset(f"a-{n}" for n in selected)
    small, large = sorted([one, other])
    fewer, more = draw(train, {"a": small, "b": 2}, seed, first), draw(train, {"a": large, "b": 2}, seed, first)
    assert set(fewer) <= set(more) and len(set(more)) == large + 2
    mine = {i for i in more if i.startswith("a")}
    assert mine <= first if large <= len(first) else first <= mine
    # Each half is drawn as it is without a selection.
    plain = [i for i in draw(train, {"a": 30}, seed) if i in mine]
    drawn = [i for i in more if i in mine]
    assert drawn == [i for i in plain if i in first] + [i for i in plain if i not in first]


def test_training_manifest_of_a_selection_s_size_is_the_selection_for_every_seed() -> None:
    train, first = pool(a=30, b=20), frozenset({"a-3", "a-29", "b-0"})
    baseline = mixture("baseline", {"a": 2, "b": 1})
    seen = [training_manifest(train, baseline, seed, 2, first) for seed in range(5)]
    assert all(set(one.ids) == first for one in seen)
    assert len({one.ids for one in seen}) > 1, "the order is each seed's own"


def test_draw_impossible_counts_are_explained() -> None:
    with pytest.raises(InputError, match='"a" needs 6, train has 5; "z" needs 1, train has 0'):
        draw(pool(a=5), {"a": 6, "z": 1}, 0)
    assert draw(pool(a=5), {"a": 1, "z": 0}, 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_training_manifest_shared_examples_keep_their_relative_order(seed: int, epochs: int) -> None:
    train = pool(a=40, b=30, c=60)
    designs = leave_one_out({"a": 10, "b": 10, "c": 20}, train.counts(), list(Arm))
    manifests = [training_manifest(train, design, seed, epochs) for design in designs]
    for design, manifest in zip(designs, manifests, strict=True):
        shared = set(manifests[0].ids) & set(manifest.ids)
        assert len(shared) == sum(min(n, design.count(c)) for c, n in designs[0].counts)
        assert [i for i in manifest.ids if i in shared] == [i for i in manifests[0].ids if i in shared]


def test_training_manifest_each_epoch_holds_every_example_once_in_its_own_order() -> None:
    train = pool(a=20, b=20)
    manifest = training_manifest(train, mixture("x", {"a": 15, "b": 5}), 7, 3)
    epochs = [[i for i, s in zip(manifest.ids, manifest.stages, strict=True) if s == e] for e in range(3)]
    assert manifest.stages == (0,) * 20 + (1,) * 20 + (2,) * 20
    assert all(sorted(epoch) == sorted(draw(train, {"a": 15, "b": 5}, 7)) for epoch in epochs)
    assert all(one != two for one, two in pairwise(epochs))
    assert manifest == training_manifest(train, mixture("x", {"a": 15, "b": 5}), 7, 3)
    assert manifest.sha256 != training_manifest(train, mixture("x", {"a": 15, "b": 5}), 8, 3).sha256


def test_training_manifest_without_epochs_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs is 0"):
        training_manifest(pool(a=2), mixture("x", {"a": 1}), 0, 0)


def test_training_manifest_hundred_thousand_examples_takes_seconds_at_most() -> None:
    train = pool(**{f"c{k}": 10_000 for k in range(10)})
    start = time.perf_counter()
    manifest = training_manifest(train, mixture("all", train.counts()), 0, 3)
    assert time.perf_counter() - start < 5
    assert len(manifest.ids) == 300_000
