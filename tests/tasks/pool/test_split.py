import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Pool, PoolSplit
from tasks.pool.split import split_pool


def instruction(number: int, category: str, prefix: str = "row") -> Instruction:
    return Instruction(f"{prefix}-{number}", (("user", f"{prefix} {number}"), ("assistant", "x")), category)


def pool(name: str = "pool", prefix: str = "row", **counts: int) -> Pool:
    rows = [instruction(n, category, f"{prefix}-{category}") for category, size in counts.items() for n in range(size)]
    return Pool(name, tuple(rows))


def ids(part: Pool) -> set[str]:
    return {i.id for i in part.instructions}


def assert_disjoint(split: PoolSplit) -> None:
    hashes = [i.content_hash for part in (split.train, split.measure, split.validate) for i in part.instructions]
    assert len(hashes) == len(set(hashes))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.integers(9, 30), st.integers(9, 30), st.randoms())
def test_split_pool_any_order_gives_disjoint_complete_parts(measure, validate, a, b, random) -> None:
    rows = pool(a=a, b=b)
    split = split_pool(rows, measure, validate)
    assert_disjoint(split)
    assert ids(split.train) | ids(split.measure) | ids(split.validate) == ids(rows)
    assert split.measure.counts() == {"a": measure, "b": measure}
    assert split.validate.counts() == ({"a": validate, "b": validate} if validate else {})
    shuffled = list(rows.instructions)
    random.shuffle(shuffled)
    again = split_pool(Pool("pool", tuple(shuffled)), measure, validate)
    assert again.measure == split.measure
    assert again.validate == split.validate
    assert ids(again.train) == ids(split.train)


def test_split_pool_new_rows_move_held_out_rows_only_into_training() -> None:
    before = split_pool(pool(a=1000), 100, 100)
    after = split_pool(pool(a=1100), 100, 100)
    assert ids(before.measure) & ids(after.validate) == set()
    assert ids(before.validate) & ids(after.measure) == set()
    # 100 of 1100 ranks are new: about 9 of 100 held-out rows give way to them.
    assert len(ids(before.measure) & ids(after.measure)) >= 80
    assert len(ids(before.validate) & ids(after.validate)) >= 80


def test_split_pool_renamed_rows_split_alike() -> None:
    rows = pool(a=50)
    renamed = Pool("other", tuple(Instruction(f"new-{n}", i.messages, "a") for n, i in enumerate(rows.instructions)))
    first, second = split_pool(rows, 5, 5), split_pool(renamed, 5, 5)
    assert [i.content_hash for i in first.measure.instructions] == [i.content_hash for i in second.measure.instructions]


def test_split_pool_exactly_enough_rows_leaves_one_for_training() -> None:
    split = split_pool(pool(a=6), 3, 2)
    assert (len(split.train.instructions), len(split.measure.instructions), len(split.validate.instructions)) == (
        1,
        3,
        2,
    )


def test_split_pool_too_few_rows_names_every_short_category() -> None:
    with pytest.raises(InputError, match=r'pool: each category needs 6 .*"a" has 5, "b" has 2\. Lower') as caught:
        split_pool(pool(a=5, b=2, c=6), 3, 2)
    assert '"c"' not in str(caught.value)


@pytest.mark.parametrize(("measure", "validate"), [(0, 1), (1, -1)])
def test_split_pool_number_out_of_range_is_refused(measure: int, validate: int) -> None:
    with pytest.raises(InputError, match="at least 1 and at least 0"):
        split_pool(pool(a=9), measure, validate)


def test_split_pool_separate_held_out_removes_shared_rows_from_training() -> None:
    train, held = pool(a=10, b=10), pool("dev", "dev", a=6, b=4, z=3)
    shared = train.instructions[2]
    held = Pool("dev", (*held.instructions, Instruction("other-id", shared.messages, "a")))
    split = split_pool(train, 2, 2, held)
    assert_disjoint(split)
    assert split.train.counts() == {"a": 9, "b": 10}
    assert [(r.file, r.line, r.reason) for r in split.train.rejected] == [("pool", 3, "also in the held-out set: dev")]
    assert split.measure.counts() == split.validate.counts() == {"a": 2, "b": 2}
    assert (ids(split.measure) | ids(split.validate)) <= ids(held)
    assert [r.reason for r in split.measure.rejected] == ['not in the training pool: category "z"'] * 3


def test_split_pool_separate_held_out_too_small_is_named() -> None:
    with pytest.raises(InputError, match=r'dev: each category needs 4 \(held-out rows\), but "b" has 0'):
        split_pool(pool(a=5, b=5), 2, 2, pool("dev", "dev", a=4))
    with pytest.raises(InputError, match=r'train.*needs 1 \(training rows that are not in dev\), but "a" has 0'):
        split_pool(pool("train", a=5), 2, 2, pool("dev", a=5))


def test_split_pool_repeated_conversation_is_refused() -> None:
    row = instruction(1, "a")
    twice = Pool("pool", (*pool(a=9).instructions, row, Instruction("b", row.messages, "a")))
    with pytest.raises(ValueError, match="twice"):
        split_pool(twice, 1, 1)
