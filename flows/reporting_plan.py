"""What a stored experiment had planned, for its report: training sets, the design's worth, limits, arms left out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from db.base import Phase
from flows.config import ExperimentConfig
from tasks.errors import BeyondIIDError
from tasks.interventions.designs.additions import added_category
from tasks.interventions.designs.summary import DesignSummary
from tasks.interventions.intervention import BASELINE, Arm, Intervention
from tasks.proportions.limits import bounds, named_limits
from tasks.proportions.proposal import Baseline, Limits, Proposal
from tasks.report.content import AllowedRange
from tasks.taxonomy.taxonomy import Taxonomy
from tasks.validation.arms import CURRICULA, PROPOSAL, PROPOSAL_CURRICULUM, RANDOM_STEP, is_random_step


def available_examples(pool: dict[str, Any]) -> dict[str, int] | None:
    """Examples per category of the snapshot's training part; None where its file is gone."""
    path = Path(pool["path"]) / "train.jsonl"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as lines:
        return dict(Counter(str(json.loads(line)["category"]) for line in lines if line.strip()))


def planned_interventions(overview: dict[str, Any], phase: Phase) -> tuple[Intervention, ...]:
    """The phase's planned training sets; empty where nothing is planned."""
    content = overview["phases"].get(phase.value, {"interventions": []})
    return tuple(
        Intervention(
            one["name"],
            tuple((category, n) for category, n in one["counts"]),
            tuple(one["removed"]),
            one["arm"] and Arm(one["arm"]),
        )
        for one in content["interventions"]
    )


def planned_counts(interventions: tuple[Intervention, ...], name: str) -> tuple[tuple[str, int], ...]:
    """Examples per category of one planned training set; empty where it is not planned."""
    return next((one.counts for one in interventions if one.name == name), ())


def changed_on_purpose(one: Intervention) -> tuple[str, ...]:
    """The categories it changes on purpose: removed, added, or scaled (which its name tells)."""
    if one.removed or one.arm is None:
        return one.removed
    if added := added_category(one):
        return (added,)
    scaled = [category for category, _ in one.counts if one.name.startswith(f"{category} × ")]
    return (max(scaled, key=len),) if scaled else ()


def design_summary(
    config: ExperimentConfig, interventions: tuple[Intervention, ...], available: dict[str, int] | None
) -> DesignSummary | None:
    """What the design can tell; None where nothing is planned or the pool's files are not there any more."""
    counts = {category: n for category, n in planned_counts(interventions, BASELINE) if n}
    if not counts or available is None:
        return None
    try:
        return config.design.summary(counts, available)
    except BeyondIIDError:
        return None


def allowed_ranges(
    baseline: dict[str, int], available: dict[str, int] | None, limits: Limits
) -> tuple[AllowedRange, ...]:
    """What the limits on single categories allow their counts to be."""
    categories = tuple(sorted(baseline))
    start = Baseline(
        categories,
        tuple(baseline[c] / limits.total for c in categories),
        tuple(None if available is None else float(available.get(c, 0)) for c in categories),
        (0.0,) * len(categories),
        (1.0,) * len(categories),
    )
    low, high = bounds(named_limits(start, replace(limits, no_harm=None)), len(categories))
    ends = zip(categories, (low * limits.total).tolist(), (high * limits.total).tolist(), strict=True)
    return tuple(AllowedRange(*one) for one in ends)


def untried_arms(
    config: ExperimentConfig, overview: dict[str, Any], proposal: Proposal | None, taxonomy: Taxonomy | None
) -> tuple[tuple[str, str], ...]:
    """(arm, reason) of the arms that were asked for and left out, as there was nothing to try."""
    if config.validation is None or proposal is None or taxonomy is None:
        return ()
    planned = [one.name for one in planned_interventions(overview, Phase.VALIDATE)]
    baseline = dict(planned_counts(planned_interventions(overview, Phase.MEASURE), BASELINE))
    same = all(baseline.get(c, 0) == n for c, n in zip(proposal.categories, proposal.counts, strict=True))
    refused = proposal.decision == "keep" and config.validation.refused == "skip"
    found = []
    for arm in config.validation.arms:
        if arm in planned or (arm == RANDOM_STEP and any(map(is_random_step, planned))):
            continue
        if arm in (PROPOSAL, RANDOM_STEP, PROPOSAL_CURRICULUM) and (same or refused):
            found.append((arm, "the proposal is the baseline itself" if same else "the baseline is to be kept"))
        elif arm in (*CURRICULA, PROPOSAL_CURRICULUM) and not taxonomy.edges:
            found.append((arm, "no dependency was found, so there is no order to try"))
        elif planned:
            found.append((arm, "it would be the same training as another arm"))
    return tuple(found)
