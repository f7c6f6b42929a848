from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix
from tasks.effects.pair_out import PairInteractions
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.errors import InputError
from tasks.taxonomy.induce import induce

NAMES = ("add", "copy", "reverse", "story")


def effects(planted: dict[tuple[str, str], float]) -> EffectMatrix:
    rng = np.random.default_rng(0)
    truth = 2 * np.eye(4)
    for (source, target), value in planted.items():
        truth[NAMES.index(target), NAMES.index(source)] = value
    difference = truth + rng.normal(0, 0.02, (4, 4, 1)) + rng.normal(0, 0.02, (4, 4, 4))
    return effects_from_differences(PairedDifferences(NAMES, NAMES, "nats", np.full(4, 100.0), difference))


def interactions(p_values: dict[tuple[str, str], float]) -> PairInteractions:
    pairs, size = sorted(p_values), len(p_values)
    return PairInteractions(
        sources=tuple(source for source, _ in pairs),
        targets=tuple(target for _, target in pairs),
        unit="nats",
        value=np.ones(size),
        standard_error=np.ones(size),
        df=np.ones(size),
        p_value=np.array([p_values[pair] for pair in pairs]),
        seeds=np.full(size, 3),
    )


EDGES = {("copy", "reverse"): 0.8, ("add", "story"): 0.6, ("copy", "story"): 0.7}
PAIR_OUT = {("copy", "reverse"): 0.01, ("reverse", "copy"): 0.001, ("add", "story"): 0.4}


def test_edges_with_pair_out_runs_say_whether_these_confirm_them() -> None:
    taxonomy = induce(effects(EDGES), interactions=interactions(PAIR_OUT))
    found = {(edge.source, edge.target): (edge.confirmed, edge.pair_out_p) for edge in taxonomy.edges}
    assert found["copy", "reverse"] == (True, 0.01)
    assert found["add", "story"] == (False, 0.4)
    assert found["copy", "story"][0] is None
    assert math.isnan(found["copy", "story"][1])
    assert taxonomy.unconfirmed == ()


def test_edges_that_must_be_confirmed_and_are_not_are_returned_apart() -> None:
    taxonomy = induce(effects(EDGES), interactions=interactions(PAIR_OUT), require_pair_out=True)
    assert [(edge.source, edge.target) for edge in taxonomy.edges] == [("copy", "reverse")]
    apart = [(edge.source, edge.target, edge.confirmed) for edge in taxonomy.unconfirmed]
    assert apart == [("add", "story", False), ("copy", "story", None)]
    assert dict(taxonomy.levels) == {"add": 0, "copy": 0, "reverse": 1, "story": 0}
    assert taxonomy.categories == NAMES


def test_an_unconfirmed_edge_of_a_cycle_makes_way_for_the_confirmed_ones() -> None:
    planted = {("add", "copy"): 0.5, ("copy", "reverse"): 0.8, ("reverse", "add"): 0.9}
    confirmed = interactions({("add", "copy"): 0.001, ("copy", "reverse"): 0.001, ("reverse", "add"): 0.3})
    assert [edge.target for edge in induce(effects(planted), interactions=confirmed).removed] == ["copy"]
    taxonomy = induce(effects(planted), interactions=confirmed, require_pair_out=True)
    assert taxonomy.removed == ()
    assert [(edge.source, edge.target) for edge in taxonomy.edges] == [("add", "copy"), ("copy", "reverse")]
    assert [(edge.source, edge.target) for edge in taxonomy.unconfirmed] == [("reverse", "add")]


@pytest.mark.parametrize("given", [None, interactions({})])
def test_confirmation_without_pair_out_runs_is_refused(given: PairInteractions | None) -> None:
    with pytest.raises(InputError, match="add pair-out runs"):
        induce(effects(EDGES), interactions=given, require_pair_out=True)
