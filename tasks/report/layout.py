"""Where the nodes of a layered graph go: ordered columns, long edges led through free slots between the nodes.

The layered drawing of Sugiyama, Tagawa and Toda (1981): dummy nodes on long edges, barycenter sweeps against crossings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Pair = tuple[str, str]
_Slot = tuple[str, ...]
_SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Places in a grid.

    Attributes:
        columns: number of columns (levels).
        rows: height of the tallest column in rows.
        place: node → (column, row); rows may be fractions, columns are centered against each other.
        route: edge from a lower to a higher column → its points, both ends included.
    """

    columns: int
    rows: float
    place: Mapping[str, tuple[int, float]]
    route: Mapping[Pair, tuple[tuple[int, float], ...]]


def layered(levels: Mapping[str, int], edges: Sequence[Pair]) -> Layout:
    """Place every node of `levels` (node → column ≥ 0) and route the edges that lead to a higher column.

    Deterministic: ties keep the nodes' sorted order.
    """
    forward = [(s, t) for s, t in edges if levels[s] < levels[t]]
    chains = {(s, t): _chain(s, t, levels) for s, t in forward}
    layers = _initial(levels, chains)
    above, below = _neighbors(chains)
    best, fewest = layers, _crossings(layers, below)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        layers = _swept(layers, above if down else below, down)
        crossings = _crossings(layers, below)
        if crossings < fewest:
            best, fewest = layers, crossings
    rows = _rows(best, above, below)
    place = {slot[0]: (column, rows[slot]) for column, layer in enumerate(best) for slot in layer if len(slot) == 1}
    route = {
        edge: tuple((levels[edge[0]] + k, rows[slot]) for k, slot in enumerate(chain)) for edge, chain in chains.items()
    }
    return Layout(len(best), max((r for r in rows.values()), default=0.0) + 1, place, route)


def _chain(source: str, target: str, levels: Mapping[str, int]) -> list[_Slot]:
    between: list[_Slot] = [(source, target, str(level)) for level in range(levels[source] + 1, levels[target])]
    return [(source,), *between, (target,)]


def _initial(levels: Mapping[str, int], chains: Mapping[Pair, list[_Slot]]) -> list[list[_Slot]]:
    layers: list[list[_Slot]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for node in sorted(levels):
        layers[levels[node]].append((node,))
    for (source, _), chain in chains.items():
        for k, slot in enumerate(chain[1:-1], start=1):
            layers[levels[source] + k].append(slot)
    return layers


def _neighbors(chains: Mapping[Pair, list[_Slot]]) -> tuple[dict[_Slot, list[_Slot]], dict[_Slot, list[_Slot]]]:
    above: dict[_Slot, list[_Slot]] = {}
    below: dict[_Slot, list[_Slot]] = {}
    for chain in chains.values():
        for a, b in pairwise(chain):
            below.setdefault(a, []).append(b)
            above.setdefault(b, []).append(a)
    return above, below


def _swept(layers: list[list[_Slot]], near: Mapping[_Slot, list[_Slot]], down: bool) -> list[list[_Slot]]:
    result = [list(layer) for layer in layers]
    order = range(1, len(result)) if down else range(len(result) - 2, -1, -1)
    for index in order:
        fixed = result[index - 1 if down else index + 1]
        position = {slot: _relative(k, len(fixed)) for k, slot in enumerate(fixed)}
        own = {slot: _relative(k, len(result[index])) for k, slot in enumerate(result[index])}
        wish = {slot: _mean([position[n] for n in near.get(slot, [])], own[slot]) for slot in result[index]}
        result[index].sort(key=lambda slot, wish=wish, own=own: (wish[slot], own[slot]))  # type: ignore[misc]
    return result


def _relative(index: int, count: int) -> float:
    return (index + 0.5) / count


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(layers: list[list[_Slot]], below: Mapping[_Slot, list[_Slot]]) -> int:
    total = 0
    for upper, lower in pairwise(layers):
        position = {slot: k for k, slot in enumerate(lower)}
        ends = [sorted(position[b] for b in below.get(slot, [])) for slot in upper]
        flat = [e for group in ends for e in group]
        start = 0
        for group in ends:
            start += len(group)
            total += sum(1 for e in group for later in flat[start:] if later < e)
    return total


def _rows(
    layers: list[list[_Slot]], above: Mapping[_Slot, list[_Slot]], below: Mapping[_Slot, list[_Slot]]
) -> dict[_Slot, float]:
    """Rows at least 1 apart in each column, pulled toward the neighbors' rows."""
    tallest = max((len(layer) for layer in layers), default=0)
    rows = {slot: k + (tallest - len(layer)) / 2 for layer in layers for k, slot in enumerate(layer)}
    for _ in range(_SWEEPS):
        for layer in layers:
            wish = [_mean([rows[n] for n in (*above.get(s, ()), *below.get(s, ()))], rows[s]) for s in layer]
            for slot, row in zip(layer, _apart(wish, tallest), strict=True):
                rows[slot] = row
    return rows


def _apart(wish: list[float], tallest: int) -> list[float]:
    """The rows nearest to the wishes, in order, at least 1 apart, inside 0 … tallest − 1."""
    placed: list[float] = []
    for k, value in enumerate(wish):
        placed.append(max(value, placed[-1] + 1 if placed else 0.0, float(k)))
    for k in range(len(placed) - 1, -1, -1):
        ceiling = placed[k + 1] - 1 if k + 1 < len(placed) else tallest - 1
        placed[k] = min(placed[k], ceiling)
    return placed
