"""Free tags to a vocabulary: form, frequency floor, merging by meaning, merging by association; numbers in, maps out.

After InsTag (Lu et al., arXiv 2308.07074), section 3. Two things differ. The form comes before the floor, so that rare
spellings of a frequent tag count for it. Association merging repeats until no rule is left, so that the whole is
idempotent: normalizing normalized tags changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tasks.tagging.tag_forms import tag_form


@dataclass(frozen=True)
class NormalizationRules:
    """Thresholds.

    Attributes:
        minimum_rows: a tag of fewer rows is dropped (InsTag: 20).
        similarity: tags whose embeddings have at least this cosine are neighbors, and neighbors merge.
        association: "a row with a has b" holds from this share of a's rows on; then a merges into b (InsTag: 0.99).
        association_rows: and if at least this many rows have both (InsTag: 40).
    """

    minimum_rows: int = 20
    similarity: float = 0.9
    association: float = 0.99
    association_rows: int = 40


@dataclass(frozen=True)
class Merge:
    """What became of one tag in one step.

    Attributes:
        tag: the tag as it came into the step.
        rows: rows that had it.
        into: the tag that it is from here on; "" if it was dropped.
        strength: what decided: cosine, or share of its rows that have `into`; NaN where there is no number.
    """

    tag: str
    rows: int
    into: str
    strength: float = float("nan")


@dataclass(frozen=True)
class Normalization:
    """The map from raw tags to the vocabulary, with every step.

    Attributes:
        steps: (name, merges sorted by tag) in the order form, floor, meaning, association.
        vocabulary: (tag, rows) that are left, most frequent first, then by name.
    """

    steps: tuple[tuple[str, tuple[Merge, ...]], ...]
    vocabulary: tuple[tuple[str, int], ...]

    def mapping(self) -> dict[str, str]:
        """Raw tag → tag of the vocabulary; dropped tags are not in it."""
        names = {merge.tag: merge.tag for merge in self.steps[0][1]}
        for _, merges in self.steps:
            into = {merge.tag: merge.into for merge in merges}
            names = {raw: into[tag] for raw, tag in names.items() if into[tag]}
        return names


def normalize_tags(
    rows: Sequence[Sequence[str]], encode: Callable[[Sequence[str]], np.ndarray], rules: NormalizationRules
) -> Normalization:
    """Find the vocabulary of the rows' tags.

    Args:
        rows: the raw tags of each row; a tag that a row names twice counts once.
        encode: unit vectors [n, d] of n tags; only tags that reach the floor are asked for.
        rules: thresholds.
    """
    steps: list[tuple[str, tuple[Merge, ...]]] = []
    current = [frozenset(row) for row in rows]
    for name, find in (
        ("form", _forms),
        ("floor", lambda counts, _: _floor(counts, rules.minimum_rows)),
        ("meaning", lambda counts, _: _meanings(counts, encode, rules.similarity)),
        ("association", lambda _, tagged: _associations(tagged, rules)),
    ):
        merges = find(_counts(current), current)
        steps.append((name, tuple(sorted(merges, key=lambda merge: merge.tag))))
        current = _applied(current, {merge.tag: merge.into for merge in merges})
    counts = _counts(current)
    return Normalization(tuple(steps), tuple(sorted(counts.items(), key=_rank)))


def _counts(rows: Sequence[frozenset[str]]) -> Counter[str]:
    return Counter(tag for row in rows for tag in row)


def _rank(item: tuple[str, int]) -> tuple[int, str]:
    """Most frequent first, then by name."""
    return -item[1], item[0]


def _applied(rows: Sequence[frozenset[str]], into: Mapping[str, str]) -> list[frozenset[str]]:
    return [frozenset(into[tag] for tag in row if into[tag]) for row in rows]


def _forms(counts: Counter[str], _: Sequence[frozenset[str]]) -> list[Merge]:
    return [Merge(tag, rows, tag_form(tag)) for tag, rows in counts.items()]


def _floor(counts: Counter[str], minimum: int) -> list[Merge]:
    return [Merge(tag, rows, tag if rows >= minimum else "") for tag, rows in counts.items()]


def _meanings(counts: Counter[str], encode: Callable[[Sequence[str]], np.ndarray], similarity: float) -> list[Merge]:
    """Density clusters (DBSCAN; one neighbor makes a core); each takes the name of its most frequent tag.

    With one neighbor enough, clusters are the connected parts of the neighbor graph, so names of different clusters
    are no neighbors and do not merge later.
    """
    if not counts:
        return []
    from sklearn.cluster import DBSCAN

    tags = [tag for tag, _ in sorted(counts.items(), key=_rank)]
    directions = np.asarray(encode(tags), dtype=float)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Chord length of the angle: a metric that the search tree knows; 1e-9 takes in equality.
    radius = float(np.sqrt(2 * (1 - similarity))) + 1e-9
    clusters = DBSCAN(eps=radius, min_samples=2).fit_predict(directions)
    leaders: dict[int, int] = {}
    merges = []
    for place, (tag, cluster) in enumerate(zip(tags, clusters.tolist(), strict=True)):
        leader = place if cluster < 0 else leaders.setdefault(cluster, place)
        merges.append(Merge(tag, counts[tag], tags[leader], float(directions[place] @ directions[leader])))
    return merges


def _associations(rows: Sequence[frozenset[str]], rules: NormalizationRules) -> list[Merge]:
    """Merge a tag into the one that its rows almost always have too, until no such pair is left.

    Pairs are counted directly: rules between two single tags need no search for larger frequent sets.
    """
    before = _counts(rows)
    final = {tag: tag for tag in before}
    strength = dict.fromkeys(before, float("nan"))
    current = list(rows)
    while found := _strongest(current, rules):
        for tag, (into, share) in found.items():
            strength[tag] = share
            for raw, now in final.items():
                if now == tag:
                    final[raw] = into
        current = _applied(current, {tag: found.get(tag, (tag, 0.0))[0] for tag in _counts(current)})
    return [Merge(tag, count, final[tag], strength[tag]) for tag, count in before.items()]


def _strongest(rows: Sequence[frozenset[str]], rules: NormalizationRules) -> dict[str, tuple[str, float]]:
    """Tag → (tag to merge into, share) of this round; no tag is both merged and merged into.

    Of two tags that imply each other the rarer one merges; a tag takes the rule with the largest share, then the most
    frequent target.
    """
    counts = _counts(rows)
    pairs = Counter(pair for row in rows for pair in combinations(sorted(row), 2))
    rank = {tag: place for place, (tag, _) in enumerate(sorted(counts.items(), key=_rank))}
    best: dict[str, tuple[float, int, str]] = {}
    for (first, second), both in pairs.items():
        rarer, other = (first, second) if rank[first] > rank[second] else (second, first)
        # The more frequent tag has the smaller share: if it implies the rarer one, so does the reverse.
        share = both / counts[rarer]
        if both >= rules.association_rows and share >= rules.association:
            best[rarer] = max(best.get(rarer, (0.0, 0, "")), (share, -rank[other], other))
    return {tag: (other, share) for tag, (share, _, other) in best.items() if other not in best}
