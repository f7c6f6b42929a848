"""Minimum-weight feedback arc sets: the least evidence to give up so that no category depends on itself."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import networkx as nx
from ortools.sat.python import cp_model

Arc = tuple[str, str]

EXACT_NODES = 60
"""Largest strongly connected part that is solved exactly."""

_SCALE = 10**9
_DETERMINISTIC_SECONDS = 10.0


def minimum_feedback_arcs(weights: Mapping[Arc, float]) -> tuple[tuple[Arc, ...], bool]:
    """Choose arcs of least total weight whose removal leaves no cycle.

    Exact in every strongly connected part of up to 60 nodes (CP-SAT over the cycles found so far, until none is left;
    weights as integers, rounded to 1e-9 of the largest). Above that, and where no proof comes in time, a heuristic: the
    lightest arc of a cycle goes until there is none, then every arc that closes no cycle comes back, heaviest first.
    Arcs are handled in alphabetical order by one thread: equal inputs give equal answers whatever their order.

    Args:
        weights: weight > 0 of each arc (source, target).

    Returns:
        The removed arcs, sorted, and whether they are proven to be a minimum.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from(sorted(weights))
    removed: list[Arc] = []
    exact = True
    for part in sorted((sorted(nodes) for nodes in nx.strongly_connected_components(graph)), key=lambda p: p[0]):
        if len(part) == 1 and not graph.has_edge(part[0], part[0]):
            continue
        inside = {arc: weights[arc] for arc in sorted(weights) if arc[0] in part and arc[1] in part}
        chosen = _solve(inside) if len(part) <= EXACT_NODES else None
        exact = exact and chosen is not None
        removed += _greedy(inside) if chosen is None else chosen
    return tuple(sorted(removed)), exact


def _solve(weights: Mapping[Arc, float]) -> list[Arc] | None:
    """The exact minimum, or None where it could not be proven within the (deterministic) time limit."""
    arcs = list(weights)
    largest = max(weights.values())
    model = cp_model.CpModel()
    out = {arc: model.new_bool_var(f"{arc[0]}->{arc[1]}") for arc in arcs}
    model.minimize(sum(max(1, round(_SCALE * weights[arc] / largest)) * out[arc] for arc in arcs))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.linearization_level = 2  # the cycle cuts' relaxation is nearly tight: seconds instead of minutes
    solver.parameters.max_deterministic_time = _DETERMINISTIC_SECONDS
    chosen: list[Arc] = []
    while cycles := _short_cycles([arc for arc in arcs if arc not in set(chosen)]):
        for cycle in cycles:
            model.add_bool_or([out[arc] for arc in cycle])
        if solver.solve(model) != cp_model.OPTIMAL:
            return None
        chosen = [arc for arc in arcs if solver.boolean_value(out[arc])]
    return chosen


def _short_cycles(arcs: list[Arc]) -> list[tuple[Arc, ...]]:
    """For every arc on a cycle a shortest cycle through it; empty for an acyclic graph."""
    graph: nx.DiGraph[str] = nx.DiGraph(arcs)
    cycles: dict[frozenset[Arc], tuple[Arc, ...]] = {}
    for nodes in nx.strongly_connected_components(graph):
        part = graph.subgraph(nodes)
        for source, target in sorted(part.edges):
            path = nx.shortest_path(part, target, source)
            cycle = ((source, target), *pairwise(path))
            cycles.setdefault(frozenset(cycle), cycle)
    return list(cycles.values())


def _greedy(weights: Mapping[Arc, float]) -> list[Arc]:
    graph: nx.DiGraph[str] = nx.DiGraph(list(weights))
    removed: list[Arc] = []
    while not nx.is_directed_acyclic_graph(graph):
        cycle = [(u, v) for u, v, *_ in nx.find_cycle(graph)]
        lightest = min(cycle, key=lambda arc: (weights[arc], arc))
        graph.remove_edge(*lightest)
        removed.append(lightest)
    for arc in sorted(removed, key=lambda arc: (-weights[arc], arc)):
        if not nx.has_path(graph, arc[1], arc[0]):
            graph.add_edge(*arc)
            removed.remove(arc)
    return removed
