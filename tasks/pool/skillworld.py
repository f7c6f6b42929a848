"""SkillWorld: a built-in pool whose dependencies between categories are known by construction.

Each world has six secret codes: random tables that replace one symbol by another, with symbols of their own, so that
unrelated categories have nothing to give each other. A *primitive* skill practices one code on many examples. A
*composed* skill has few examples, whose words mix the symbols of several codes, so it needs what other categories
teach. One of the codes is taught by a composed skill alone, which makes a chain of three levels. The warm-up teaches
copying, the mechanism that all skills share, and none of the codes.

The truth shows where training stops before a composed skill has learnt its codes alone: see the quick start's recipe.
A warm-up that goes on until copying is perfect makes worlds learn at very different speeds; six passes at a learning
rate of 1e-3 do not.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Pool

Edge = tuple[str, str]
"""(source, target): target is built on source."""

SYMBOLS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789" + "αβγδεζηθλμξπρστφχψωΓΔΘΛΞΠΣΦΨΩ" + "БЖЦЩЭЮЯЪ"
"""Symbols that look different from each other in print; every code takes its own."""

CODES = ("beacons", "cipher", "crests", "flags", "glyphs", "knots", "morse", "runes", "sigils", "signals")
"""Names that a world's six codes are drawn from."""

WARMUP_EXAMPLES = 1600

_KEYS = 16
_TAUGHT_KEYS = 8
_WORD = 5
_RESERVE = 1.0
_HELD_OUT = 240


@dataclass(frozen=True)
class PlantedGraph:
    """The true dependency graph of a world.

    Attributes:
        categories: category names, sorted.
        edges: planted direct edges (source, target), sorted: target is built directly on source.
    """

    categories: tuple[str, ...]
    edges: tuple[Edge, ...]

    def indirect(self) -> tuple[Edge, ...]:
        """Pairs connected by a path of two or more edges and by no direct edge, sorted."""
        reach = set(self.edges)
        for middle in self.categories:
            sources = [s for s, t in reach if t == middle]
            targets = [t for s, t in reach if s == middle]
            reach.update((s, t) for s in sources for t in targets)
        return tuple(sorted(reach - set(self.edges)))

    def recovery(self, edges: Iterable[Edge]) -> tuple[float, tuple[Edge, ...]]:
        """Compare found edges with the planted ones.

        Args:
            edges: found (source, target) pairs.

        Returns:
            Share of planted direct edges that were found (0…1; 1 where none is planted), and the found edges that
            are neither direct nor indirect, sorted.
        """
        found = set(edges)
        direct = set(self.edges)
        recall = len(found & direct) / len(direct) if direct else 1.0
        return recall, tuple(sorted(found - direct - set(self.indirect())))


@dataclass(frozen=True)
class Skill:
    """One category: which codes the symbols of its words are from.

    Attributes:
        category: its name.
        needs: categories it is built directly on, sorted; empty for a primitive.
        mix: (code, symbols per word); the symbols of a word are shuffled.
        baseline: recommended examples per epoch.
    """

    category: str
    needs: tuple[str, ...]
    mix: tuple[tuple[str, int], ...]
    baseline: int


@dataclass(frozen=True)
class SkillWorld:
    """A generated pool with its truth.

    Attributes:
        seed: what it was drawn from.
        pool: all instructions; contents are unique.
        warmup: practice shared by all runs (copying); says nothing about any code and shares no content with the pool.
        graph: the planted dependencies.
        skills: what each category is made of, sorted by category.
        codes: symbol → replacement, by code name; no symbol replaces itself.
        baseline_counts: recommended examples per epoch and category, sorted by category.
    """

    seed: int
    pool: Pool
    warmup: Pool
    graph: PlantedGraph
    skills: tuple[Skill, ...]
    codes: Mapping[str, Mapping[str, str]]
    baseline_counts: Mapping[str, int]


def skill_world(seed: int, size_factor: float = 1.0) -> SkillWorld:
    """Draw the world of a seed: same seed, same world, on every machine.

    Args:
        seed: decides the codes, which of them are composed, and all examples.
        size_factor: multiplies each category's training examples (baseline and reserve); the held-out ones stay.

    Raises:
        InputError: `size_factor` leaves a category without an example, or asks for more words than there are.
    """
    rng = random.Random(f"skillworld {seed}")  # noqa: S311 (a repeatable draw, nothing secret)
    codes = _draw_codes(rng)
    skills = _skills(tuple(codes), size_factor)
    instructions = tuple(row for skill in skills for row in _instructions(rng, skill, codes))
    graph = PlantedGraph(
        tuple(skill.category for skill in skills),
        tuple(sorted((need, skill.category) for skill in skills for need in skill.needs)),
    )
    return SkillWorld(
        seed=seed,
        pool=Pool(f"skillworld-{seed}", instructions),
        warmup=Pool(f"skillworld-{seed}-warmup", tuple(_warmup(rng))),
        graph=graph,
        skills=skills,
        codes=MappingProxyType({name: MappingProxyType(code) for name, code in codes.items()}),
        baseline_counts=MappingProxyType({skill.category: skill.baseline for skill in skills}),
    )


def _draw_codes(rng: random.Random) -> dict[str, dict[str, str]]:
    """Codes in the order of their parts in `_skills`."""
    symbols = rng.sample(SYMBOLS, len(SYMBOLS))
    codes = {}
    # A code that only a composed skill teaches is smaller, or its few examples could not teach it.
    for name, keys in zip(rng.sample(CODES, 6), (_KEYS, _TAUGHT_KEYS, *[_KEYS] * 4), strict=True):
        own, symbols = symbols[:keys], symbols[keys:]
        codes[name] = dict(zip(own, _derangement(rng, own), strict=True))
    return codes


def _derangement(rng: random.Random, symbols: list[str]) -> list[str]:
    # A symbol that replaces itself would be known from the warm-up.
    while True:
        shuffled = rng.sample(symbols, len(symbols))
        if all(a != b for a, b in zip(symbols, shuffled, strict=True)):
            return shuffled


def _skills(codes: tuple[str, ...], size_factor: float) -> tuple[Skill, ...]:
    first, taught, extra, left, right, alone = codes
    middle, deep, pair = f"{first} with {taught}", f"{first} with {taught} and {extra}", f"{left} with {right}"
    plan = [
        *((code, (), ((code, _WORD),), 300) for code in (first, extra, left, right, alone)),
        (middle, (first,), ((first, 2), (taught, 3)), 48),
        (pair, (left, right), ((left, 2), (right, 3)), 32),
        (deep, (middle, extra), ((first, 1), (taught, 2), (extra, 2)), 24),
    ]
    skills = [
        Skill(category, tuple(sorted(needs)), mix, round(baseline * size_factor))
        for category, needs, mix, baseline in plan
    ]
    smallest = min(skill.baseline for skill in skills)
    largest = max(_wanted(skill) for skill in skills)
    if smallest < 1 or largest > _KEYS**_WORD // 2:
        raise InputError(
            f"size_factor is {size_factor}: the smallest category would train on {smallest} examples (at least 1) and "
            f"the largest would have {largest} in the pool (at most {_KEYS**_WORD // 2}); choose one nearer to 1"
        )
    return tuple(sorted(skills, key=lambda skill: skill.category))


def _wanted(skill: Skill) -> int:
    return round(skill.baseline * (1 + _RESERVE)) + _HELD_OUT


def _instructions(rng: random.Random, skill: Skill, codes: Mapping[str, Mapping[str, str]]) -> Iterator[Instruction]:
    replacement = {symbol: code for name, _ in skill.mix for symbol, code in codes[name].items()}
    words: dict[str, None] = {}
    while len(words) < _wanted(skill):
        symbols = [symbol for name, count in skill.mix for symbol in rng.choices(tuple(codes[name]), k=count)]
        rng.shuffle(symbols)
        words["".join(symbols)] = None
    for index, word in enumerate(words):
        answer = "".join(replacement[symbol] for symbol in word)
        yield Instruction(
            id=f"{skill.category.replace(' ', '-')}-{index:05d}",
            messages=(("user", f"{skill.category}: {word}"), ("assistant", answer)),
            category=skill.category,
            source="skillworld",
        )


def _warmup(rng: random.Random) -> Iterator[Instruction]:
    words: dict[str, None] = {}
    while len(words) < WARMUP_EXAMPLES:
        words["".join(rng.choices(SYMBOLS, k=_WORD))] = None
    for index, word in enumerate(words):
        yield Instruction(
            id=f"warmup-{index:05d}",
            messages=(("user", f"copy: {word}"), ("assistant", word)),
            category="copy",
            source="skillworld-warmup",
        )
