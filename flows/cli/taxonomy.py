"""`taxonomy`: dependencies from the user's own effects, no services."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import JsonFlag
from flows.cli.places import check_folder

if TYPE_CHECKING:
    from tasks.taxonomy.taxonomy import Taxonomy

_CONFIRMED = {True: "  confirmed by pair-out runs", False: "  not confirmed by pair-out runs"}


def taxonomy(  # noqa: PLR0913, PLR0917 - one option each
    effects: Annotated[
        Path,
        typer.Option(help="Folder that `effects` wrote, or a CSV of effects, positive = helps (delta.csv)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for taxonomy.json and roles.csv.")],
    standard_errors: Annotated[
        Path | None, typer.Option(help="Standard errors of a CSV of effects, same shape (standard_error.csv).")
    ] = None,
    fdr: Annotated[float, typer.Option(help="False discovery rate of the edges.")] = 0.05,
    threshold: Annotated[
        float | None,
        typer.Option(help="Smallest effect that counts; needed for a CSV of effects without --standard-errors."),
    ] = None,
    require_pair_out: Annotated[
        bool,
        typer.Option(
            "--require-pair-out", help="Keep only edges that pair-out runs confirm (a folder written from such runs)."
        ),
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """Induce the dependency graph, levels and roles from effects; a folder of effects gives edge stability as well."""
    from tasks.taxonomy.taxonomy_files import taxonomy_to_json, write_roles, write_taxonomy

    check_folder(out)
    found = _induced(effects, standard_errors, fdr, threshold, require_pair_out)
    out.mkdir(parents=True, exist_ok=True)
    write_taxonomy(found, out / "taxonomy.json")
    write_roles(found, out / "roles.csv")
    if json_output:
        print(json.dumps(taxonomy_to_json(found), indent=2, ensure_ascii=False))
        return
    for edge in found.edges:
        stability = "" if math.isnan(edge.stability) else f"  found again in {edge.stability:.0%} of resamples"
        confirmed = "" if edge.confirmed is None else _CONFIRMED[edge.confirmed]
        print(f"{edge.source} → {edge.target}  {edge.delta:+.4g}{stability}{confirmed}")
    removed = f", {len(found.removed)} removed to break cycles" if found.removed else ""
    removed += f", {len(found.unconfirmed)} left out as pair-out runs do not confirm them" if found.unconfirmed else ""
    print(f"{len(found.edges)} edges{removed}. In {out}")


def _induced(
    effects: Path, standard_errors: Path | None, fdr: float, threshold: float | None, require_pair_out: bool
) -> Taxonomy:
    from tasks.effects.effect_files import read_matching_matrix, read_matrix
    from tasks.effects.effects_folder import read_effects
    from tasks.effects.pair_out_file import PAIR_INTERACTIONS, read_interactions
    from tasks.errors import InputError
    from tasks.taxonomy.induce import induce, induce_from_values

    if effects.is_dir():
        if standard_errors:
            raise InputError(
                f"--standard-errors: {effects} holds its own; leave the option out, or give a CSV of effects."
            )
        matrix = read_effects(effects)
        _check_names(effects, matrix.targets, matrix.sources)
        interactions = read_interactions(effects)
        if require_pair_out and interactions is None:
            raise InputError(
                f"--require-pair-out: {effects} holds no {PAIR_INTERACTIONS}; run `effects --estimator paired` on runs "
                "that leave out two categories at once, beside those that leave out each alone."
            )
        return induce(
            matrix,
            fdr,
            minimum_effect=threshold or 0.0,
            interactions=interactions,
            require_pair_out=require_pair_out,
        )
    if require_pair_out:
        raise InputError("--require-pair-out needs a folder that `effects` wrote; a matrix alone holds no such runs.")
    targets, sources, delta = read_matrix(effects)
    _check_names(effects, targets, sources)
    errors = read_matching_matrix(standard_errors, targets, sources) if standard_errors else None
    return induce_from_values(targets, sources, delta, errors, fdr, threshold)


def _check_names(effects: Path, targets: tuple[str, ...], sources: tuple[str, ...]) -> None:
    from tasks.effects.notes import name_notes
    from tasks.errors import InputError

    if not set(targets) & set(sources):
        differing = "\n".join(f"- {note}" for note in name_notes(targets, sources))
        raise InputError(
            f"{effects}: no target is also a source, so no category can depend on another; give both the same names.\n"
            f"{differing}"
        )
