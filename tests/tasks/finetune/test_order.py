"""Batches: the manifest's order, nothing dropped or repeated, workers in step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.finetune.order import BatchPlan

plans = st.builds(
    BatchPlan,
    examples=st.integers(1, 200),
    batch_size=st.integers(1, 40),
    workers=st.integers(1, 5),
    micro=st.one_of(st.none(), st.integers(1, 12)),
)


@given(plans)
def test_batches_read_by_forward_pass_then_worker_give_the_manifest_order(plan: BatchPlan) -> None:
    workers = [plan.batches(w) for w in range(plan.workers)]
    together = [position for passes in zip(*workers, strict=True) for piece in passes for position in piece]
    assert together == list(range(plan.examples))


@given(plans)
def test_batches_cut_into_steps_never_cross_a_step_or_exceed_the_piece(plan: BatchPlan) -> None:
    batches = [plan.batches(w) for w in range(plan.workers)]
    assert max(len(piece) for worker in batches for piece in worker) <= plan.piece
    full_steps = plan.examples // plan.batch_size
    for step in range(full_steps):
        span = slice(step * plan.micro_steps, (step + 1) * plan.micro_steps)
        seen = sorted(p for worker in batches for piece in worker[span] for p in piece)
        assert seen == list(range(step * plan.batch_size, (step + 1) * plan.batch_size))


def test_batches_last_step_is_small_when_the_batch_size_does_not_divide() -> None:
    plan = BatchPlan(examples=7, batch_size=4, workers=2)
    assert plan.steps == 2
    assert plan.batches(0) == [[0, 1], [4, 5]]
    assert plan.batches(1) == [[2, 3], [6]]


def test_batches_worker_without_an_example_still_takes_part() -> None:
    assert BatchPlan(examples=5, batch_size=4, workers=2).batches(1) == [[2, 3], []]


def test_plan_with_no_examples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BatchPlan(examples=0, batch_size=4)
