"""SkillWorld: drawn worlds are repeatable, correct, and say the truth about themselves."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise, permutations

import pytest

from tasks.errors import InputError
from tasks.pool.skillworld import CODES, SYMBOLS, PlantedGraph, SkillWorld, skill_world

SEEDS = (0, 1, 17)


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> SkillWorld:
    return skill_world(request.param)


def question(content: str) -> tuple[str, str]:
    name, word = content.split(": ")
    return name, word


def codes_in(category: str) -> list[str]:
    return [word for word in category.split() if word not in ("with", "and")]


def test_skill_world_same_seed_in_another_process_draws_the_same_world() -> None:
    script = (
        "from tasks.pool.skillworld import skill_world; w = skill_world(5); "
        "print(w.pool.content_hash, w.warmup.content_hash, w.graph.edges)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed},
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    here = skill_world(5)
    assert printed == {f"{here.pool.content_hash} {here.warmup.content_hash} {here.graph.edges}"}


def test_skill_world_seeds_draw_different_codes_and_compositions() -> None:
    worlds = [skill_world(seed) for seed in SEEDS]
    assert len({w.pool.content_hash for w in worlds}) == len(SEEDS)
    assert len({w.graph.edges for w in worlds}) == len(SEEDS)
    assert len({str(sorted(dict(code).items())) for w in worlds for code in w.codes.values()}) == 6 * len(SEEDS)


def test_skill_world_contents_and_ids_are_unique(world: SkillWorld) -> None:
    rows = (*world.pool.instructions, *world.warmup.instructions)
    assert len({row.content_hash for row in rows}) == len(rows)
    assert len({row.id for row in rows}) == len(rows)


def test_skill_world_codes_share_no_symbol_and_replace_every_symbol_by_another(world: SkillWorld) -> None:
    used = Counter(symbol for code in world.codes.values() for symbol in code)
    assert set(used.values()) == {1}
    assert set(used) <= set(SYMBOLS)
    for code in world.codes.values():
        assert sorted(code) == sorted(code.values())
        assert all(symbol != replacement for symbol, replacement in code.items())


def test_skill_world_every_answer_follows_from_the_codes_its_category_names(world: SkillWorld) -> None:
    for row in world.pool.instructions:
        (asked, prompt), (answered, answer) = row.messages
        assert (asked, answered) == ("user", "assistant")
        name, word = question(prompt)
        assert name == row.category
        expected = ""
        for symbol in word:
            owners = [code for code in codes_in(row.category) if symbol in world.codes[code]]
            assert len(owners) == 1
            expected += world.codes[owners[0]][symbol]
        assert answer == expected


def test_skill_world_every_word_mixes_all_codes_of_its_category(world: SkillWorld) -> None:
    mixes = {skill.category: dict(skill.mix) for skill in world.skills}
    owner = {symbol: name for name, code in world.codes.items() for symbol in code}
    for row in world.pool.instructions:
        _, word = question(row.messages[0][1])
        assert Counter(owner[symbol] for symbol in word) == mixes[row.category]
        assert set(mixes[row.category]) == set(codes_in(row.category))


def test_skill_world_edges_are_where_a_category_needs_a_code_that_another_teaches(world: SkillWorld) -> None:
    # Independent reading of the composition: a code is taught by the shallowest category that holds it, and a category
    # is built directly on the largest other categories made of parts of it, or else it would repeat what they hold.
    parts = {category: frozenset(codes_in(category)) for category in world.pool.categories}
    expected = set()
    for target, whole in parts.items():
        inside = [source for source, part in parts.items() if part < whole]
        expected |= {(s, target) for s in inside if not any(parts[s] < parts[other] for other in inside)}
    assert set(world.graph.edges) == expected
    assert world.graph.edges == tuple(sorted(expected))
    assert world.graph.categories == world.pool.categories


def test_skill_world_graph_has_three_levels_and_an_unrelated_category(world: SkillWorld) -> None:
    order = list(world.graph.categories)
    level = dict.fromkeys(order, 0)
    for _ in order:
        for source, target in world.graph.edges:
            level[target] = max(level[target], level[source] + 1)
    assert all(level[s] < level[t] for s, t in world.graph.edges)
    assert sorted(level.values()) == [0, 0, 0, 0, 0, 1, 1, 2]
    assert len(set(order) - {end for edge in world.graph.edges for end in edge}) == 1
    assert len(world.graph.edges) == 5
    assert len(world.graph.indirect()) == 1


def test_skill_world_composed_categories_have_few_examples_of_their_own(world: SkillWorld) -> None:
    for source, target in world.graph.edges:
        assert world.baseline_counts[target] <= world.baseline_counts[source] / 2
    assert set(world.baseline_counts) == set(world.pool.categories)


def test_skill_world_pool_holds_baseline_reserve_and_held_out_rows(world: SkillWorld) -> None:
    # Leave-one-out, size-matched, of the largest category must fit beside 120 + 120 held-out rows per category.
    baseline, rows = world.baseline_counts, world.pool.counts()
    total, largest = sum(baseline.values()), max(baseline.values())
    for category, count in baseline.items():
        assert rows[category] - 240 >= 1.5 * count
        assert rows[category] - 240 >= count * total / (total - largest) + 1


def test_skill_world_warmup_copies_and_shows_no_code_entry(world: SkillWorld) -> None:
    entries = {pair for code in world.codes.values() for pair in code.items()}
    names, seen = {*world.pool.categories, *CODES}, set[str]()
    for row in world.warmup.instructions:
        name, word = question(row.messages[0][1])
        assert name not in names
        assert not entries & set(zip(word, row.answer, strict=True))
        seen |= set(word)
    assert seen == set(SYMBOLS)


def test_skill_world_warmup_shares_no_content_and_no_word_with_the_pool(world: SkillWorld) -> None:
    contents = {row.content_hash for row in world.pool.instructions}
    words = {question(row.messages[0][1])[1] for row in world.pool.instructions}
    assert not contents & {row.content_hash for row in world.warmup.instructions}
    assert not words & {question(row.messages[0][1])[1] for row in world.warmup.instructions}


def test_skill_world_size_factor_scales_training_examples_and_keeps_held_out_ones() -> None:
    small, large = skill_world(1, 0.5), skill_world(1, 2)
    for category, count in skill_world(1).baseline_counts.items():
        assert small.baseline_counts[category] == count // 2
        assert large.baseline_counts[category] == 2 * count
        assert large.pool.counts()[category] == 4 * count + 240
    assert small.graph == large.graph
    assert small.codes == large.codes


@pytest.mark.parametrize("factor", [0.001, 1e6])
def test_skill_world_impossible_size_is_refused_with_the_numbers(factor: float) -> None:
    with pytest.raises(InputError, match=r"size_factor is .*at least 1.*at most"):
        skill_world(1, factor)


def test_planted_graph_indirect_equals_brute_force_over_paths() -> None:
    names = ("a", "b", "c", "d", "e")
    edges = (("a", "b"), ("a", "c"), ("b", "c"), ("c", "d"))
    paths = {
        (path[0], path[-1])
        for length in range(2, len(names) + 1)
        for path in permutations(names, length)
        if all(step in edges for step in pairwise(path))
    }
    assert set(PlantedGraph(names, edges).indirect()) == paths - set(edges) == {("a", "d"), ("b", "d")}


def test_planted_graph_recovery_counts_direct_edges_and_forgives_indirect_ones() -> None:
    graph = PlantedGraph(("a", "b", "c", "d"), (("a", "b"), ("b", "c")))
    assert graph.recovery([("a", "b"), ("a", "c"), ("d", "a"), ("b", "a")]) == (0.5, (("b", "a"), ("d", "a")))
    assert graph.recovery([]) == (0.0, ())
    assert PlantedGraph(("a",), ()).recovery([]) == (1.0, ())
