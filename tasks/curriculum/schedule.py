"""Dependency-guided curricula (DT-CSFT): early stages tilt toward base, late ones toward dependent categories.

Source: Zhao et al., arXiv 2409.07045, section on DT-CSFT; general stage plans are this product's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tasks.curriculum.curriculum import PAPER_STAGES, Curriculum, Schedule
from tasks.curriculum.transport import largest_tilt, stage_targets, whole_plan
from tasks.errors import InputError
from tasks.interventions.manifest import Manifest
from tasks.taxonomy.taxonomy import Role

LARGE_SET = 50_000
ROLE_LEVELS = {Role.BASE: 0, Role.MIDDLE: 1, Role.DEPENDENT: 2}


def build_curriculum(
    examples_by_category: Mapping[str, Sequence[str]],
    levels: Mapping[str, int] | Mapping[str, Role],
    schedule: Schedule,
    seed: int,
    stages: int = PAPER_STAGES,
    tilt: int | None = None,
) -> Curriculum:
    """Order the examples of a training set by a schedule; every example appears exactly `stages` times in total.

    N = all examples. `paper`, `tilted`, `reversed` and `shuffled` have `stages` stages of N; `strict` has a stage per
    level, with all appearances of that level's examples. In a stage of a tilted plan no example appears more often
    than its category's count there makes necessary; `shuffled` leaves that to chance.

    The order inside a stage is by SHA-256 of seed, stage and id, as `tasks.interventions.draw.training_manifest`
    orders an epoch: with tilt 0 the two agree, so a curriculum is paired with uniform training of the same seed.

    Args:
        examples_by_category: ids per category; may be empty, an id belongs to one category.
        levels: role or level of each category (a larger level is trained later). `paper` takes the lowest level as
            base, the highest as dependent, all between as middle; roles are taken as they are.
        schedule: which one. `reversed` is `tilted` backwards.
        seed: see above.
        stages: T; 3 for `paper`.
        tilt: examples that change places between first and last stage; default N/10, N/20 from N = 50,000. A tilt
            that has too few examples to move is reduced to the largest feasible one; a single level or role, or
            base or dependent categories without examples, leave none: the plan is then uniform, with tilt 0.

    Raises:
        InputError: labels that do not match, an id in two categories or twice, no examples, bad stages or tilt.
    """
    _check(examples_by_category, levels, schedule, stages, tilt)
    categories = tuple(sorted(examples_by_category))
    groups = [_ranked(examples_by_category[c], f"{seed}\tdeal\t") for c in categories]
    sizes = [len(group) for group in groups]
    requested, moved = 0, 0
    if schedule is Schedule.STRICT:
        batches = _strict(groups, [_rank(levels[c]) for c in categories], stages, seed)
    elif schedule is Schedule.SHUFFLED:
        batches = _shuffled(groups, stages, seed)
    else:
        requested = _default_tilt(sum(sizes)) if tilt is None else tilt
        offsets = _offsets([levels[c] for c in categories], sizes, schedule)
        moved = min(requested, largest_tilt(sizes, offsets) if stages > 1 else 0)
        batches = _deal(groups, whole_plan(stage_targets(sizes, offsets, stages, moved), offsets))
        batches = batches[::-1] if schedule is Schedule.REVERSED else batches
        batches = [_in_order(batch, f"{seed}\t{stage}\t") for stage, batch in enumerate(batches)]
    shown = Counter(identifier for batch in batches for identifier in batch)
    if shown != Counter({identifier: stages for group in groups for identifier in group}):
        raise AssertionError(f"the {schedule} curriculum fails its check: examples do not appear {stages} times each")
    return Curriculum(
        schedule=schedule,
        seed=seed,
        categories=categories,
        stage_counts=_stage_counts(examples_by_category, batches),
        tilt=moved,
        tilt_requested=requested,
        manifest=Manifest(
            tuple(identifier for batch in batches for identifier in batch),
            tuple(stage for stage, batch in enumerate(batches) for _ in batch),
        ),
        repeats=stages,
        note=_note(requested, moved),
    )


def _default_tilt(total: int) -> int:
    """The paper's: a tenth of N, a twentieth from 50,000."""
    return total // (20 if total >= LARGE_SET else 10)


def _stage_counts(
    examples_by_category: Mapping[str, Sequence[str]], batches: Sequence[Sequence[str]]
) -> tuple[tuple[int, ...], ...]:
    category_of = {identifier: c for c, ids in examples_by_category.items() for identifier in ids}
    found = [Counter(category_of[identifier] for identifier in batch) for batch in batches]
    return tuple(tuple(counter[c] for c in sorted(examples_by_category)) for counter in found)


def _rank(level: int | Role) -> int:
    return ROLE_LEVELS[level] if isinstance(level, Role) else level


def _offsets(levels: Sequence[int | Role], sizes: Sequence[int], schedule: Schedule) -> list[int]:
    """[K] distance from the middle: of the three roles, or of the levels that have examples (doubled to be whole)."""
    ranks = [_rank(level) for level in levels]
    if isinstance(levels[0], Role):
        return [rank - ROLE_LEVELS[Role.MIDDLE] for rank in ranks]
    present = [rank for rank, n in zip(ranks, sizes, strict=True) if n]
    first, last = min(present), max(present)
    if schedule is Schedule.PAPER:
        return [(rank >= last) - (rank <= first) for rank in ranks]
    return [2 * rank - first - last for rank in ranks]


def _deal(groups: Sequence[Sequence[str]], plan: Sequence[Sequence[int]]) -> list[list[str]]:
    """Deal each category's examples round and round to the stages, as one deals cards.

    Equal totals and, in a stage, the least repetition follow from it.
    """
    batches: list[list[str]] = [[] for _ in plan]
    for k, group in enumerate(groups):
        position = 0
        for batch, row in zip(batches, plan, strict=True):
            batch.extend(group[(position + i) % len(group)] for i in range(row[k]))
            position += row[k]
    return batches


def _strict(groups: Sequence[Sequence[str]], ranks: Sequence[int], repeats: int, seed: int) -> list[list[str]]:
    batches = []
    for rank in sorted(set(ranks)):
        members = [i for group, r in zip(groups, ranks, strict=True) if r == rank for i in group]
        batches.append([i for repeat in range(repeats) for i in _ranked(members, f"{seed}\t{repeat}\t")])
    return [batch for batch in batches if batch]


def _shuffled(groups: Sequence[Sequence[str]], stages: int, seed: int) -> list[list[str]]:
    size = sum(len(group) for group in groups)
    order = _in_order([i for group in groups for i in group] * stages, f"{seed}\tshuffled\t")
    return [order[t * size : (t + 1) * size] for t in range(stages)]


def _in_order(batch: Iterable[str], prefix: str) -> list[str]:
    """Sort by SHA-256 of prefix and id; further appearances of an id have a place of their own."""
    seen: Counter[str] = Counter()
    keyed = []
    for identifier in batch:
        again = f"\t{seen[identifier]}" if seen[identifier] else ""
        seen[identifier] += 1
        keyed.append((hashlib.sha256(f"{prefix}{identifier}{again}".encode()).digest(), identifier))
    return [identifier for _, identifier in sorted(keyed)]


def _ranked(ids: Iterable[str], prefix: str) -> list[str]:
    return sorted(ids, key=lambda identifier: hashlib.sha256(f"{prefix}{identifier}".encode()).digest())


def _note(requested: int, moved: int) -> str:
    if moved == requested:
        return ""
    if moved == 0:
        return f"no tilt instead of {requested} examples: nothing can move between base and dependent categories"
    return f"tilt {moved} instead of {requested} examples: the largest for which every stage finds enough"


def _check(
    examples_by_category: Mapping[str, Sequence[str]],
    levels: Mapping[str, int] | Mapping[str, Role],
    schedule: Schedule,
    stages: int,
    tilt: int | None,
) -> None:
    problems = []
    for text, names in (
        ("categories without a role or level", set(examples_by_category) - set(levels)),
        ("roles or levels of categories that have no examples listed", set(levels) - set(examples_by_category)),
    ):
        if names:
            problems.append(f"{text}: {', '.join(sorted(names))}")
    if len({isinstance(level, Role) for level in levels.values()}) > 1:
        problems.append("some categories have a role and others a level: expected one kind")
    if schedule is Schedule.PAPER and stages != PAPER_STAGES:
        problems.append(f"stages is {stages}: the schedule 'paper' has {PAPER_STAGES}; use 'tilted' for other numbers")
    if stages < 1:
        problems.append(f"stages is {stages}: expected 1 or more")
    if tilt is not None and tilt < 0:
        problems.append(f"tilt is {tilt}: expected 0 or more examples; for the reverse use the schedule 'reversed'")
    seen = Counter(identifier for ids in examples_by_category.values() for identifier in ids)
    twice = sorted(identifier for identifier, n in seen.items() if n > 1)
    if twice:
        problems.append(f"{len(twice)} example ids appear twice, e.g. {', '.join(map(repr, twice[:5]))}")
    if not seen:
        problems.append("no examples")
    if problems:
        raise InputError(f"curriculum: {'; '.join(problems)}")
