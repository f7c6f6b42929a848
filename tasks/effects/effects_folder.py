"""A folder that holds everything about one effect matrix: what `beyond-iid effects` writes and later stages read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tasks.effects.effect_files import read_matching_matrix, read_matrix, write_matrix
from tasks.effects.matrix import EffectMatrix, ErrorDraws, Matrix
from tasks.effects.prediction import main_effects
from tasks.errors import InputError

_MATRICES = (
    "delta",
    "standard_error",
    "low",
    "high",
    "p_value",
    "q_value",
    "marginal",
    "marginal_error",
)
_WITH_BLANKS = ("gamma", "gamma_low", "gamma_high", "asymmetry_p")
_DF = "df"
_SUMMARY = "summary.json"
_DRAWS = "draws.npz"


def write_effects(matrix: EffectMatrix, folder: Path, extrapolated: Sequence[str] = ()) -> None:
    """Write each of the matrix's arrays as <name>.csv, names and numbers as summary.json, the draws as draws.npz.

    NaN is a blank cell; numbers are written in their shortest exact form. The folder is made if need be; files in it
    are overwritten.

    Args:
        matrix: the effects.
        folder: where to.
        extrapolated: sources whose removal lies far outside the runs (`notes.extrapolated`), for summary.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*_MATRICES, *_WITH_BLANKS):
        write_matrix(folder / f"{name}.csv", matrix.targets, matrix.sources, getattr(matrix, name))
    if matrix.df is not None:  # as the draws, None only where the matrix comes from the database
        write_matrix(folder / f"{_DF}.csv", matrix.targets, matrix.sources, matrix.df)
    if matrix.errors is None:
        np.savez_compressed(folder / _DRAWS, seed_delta=matrix.seed_delta)
    else:
        errors = matrix.errors
        np.savez_compressed(folder / _DRAWS, seed_delta=matrix.seed_delta, delta=errors.delta, marginal=errors.marginal)
    off = [[target != source for source in matrix.sources] for target in matrix.targets]
    summary: dict[str, object] = {
        "estimator": matrix.estimator,
        "unit": matrix.unit,
        "sign": "positive = the source's data helps the target",
        "seeds": matrix.seeds,
        "confidence": matrix.confidence,
        "targets": list(matrix.targets),
        "sources": list(matrix.sources),
        "amounts": dict(zip(matrix.sources, matrix.amounts.tolist(), strict=True)),
        "identified": dict(zip(matrix.targets, matrix.identified.tolist(), strict=True)),
    }
    if matrix.estimator == "surface":
        summary["extrapolated_removals"] = list(extrapolated)
    if np.array(off).any(axis=0).all():
        main = main_effects(matrix)
        share = None if np.isnan(main.share) else main.share
        summary["main_effects"] = dict(zip(main.sources, main.values.tolist(), strict=True))
        summary["main_effect_share"] = share
    (folder / _SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_effects(folder: Path) -> EffectMatrix:
    """Read what `write_effects` wrote, bit by bit, draws included.

    Raises:
        InputError: no such folder, a file of it is missing or not as it was written.
    """
    path = folder / _SUMMARY
    if not path.is_file():
        raise InputError(f"{folder}: no {_SUMMARY}; expected a folder written by `beyond-iid effects --out`.")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        targets, sources = tuple(summary["targets"]), tuple(summary["sources"])
        header: dict[str, Any] = {key: summary[key] for key in ("estimator", "unit", "seeds", "confidence")}
        amounts = np.array([float(summary["amounts"][name]) for name in sources])
        identified = np.array([bool(summary["identified"][name]) for name in targets])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not as `beyond-iid effects` writes it ({error!r}); make it again.") from error
    arrays: dict[str, Any] = {
        name: read_matching_matrix(folder / f"{name}.csv", targets, sources) for name in _MATRICES
    }
    arrays |= {name: _read_with_blanks(folder / f"{name}.csv", targets, sources) for name in _WITH_BLANKS}
    seed_delta, errors = _read_draws(folder / _DRAWS, (len(targets), len(sources)))
    arrays[_DF] = None if errors is None else read_matching_matrix(folder / f"{_DF}.csv", targets, sources)
    return EffectMatrix(
        targets=targets,
        sources=sources,
        amounts=amounts,
        identified=identified,
        seed_delta=seed_delta,
        errors=errors,
        **header,
        **arrays,
    )


def _read_with_blanks(path: Path, targets: tuple[str, ...], sources: tuple[str, ...]) -> Matrix:
    rows, columns, values = read_matrix(path, blank_cells=True)
    if (rows, columns) != (targets, sources):
        raise InputError(f"{path}: other rows or columns than {path.with_name(_SUMMARY)} names; make the folder again.")
    return values


def _read_draws(path: Path, shape: tuple[int, int]) -> tuple[Matrix, ErrorDraws | None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); make the folder again.") from error
    wrong = [name for name, values in arrays.items() if values.ndim != 3 or values.shape[1:] != shape]
    if wrong or "seed_delta" not in arrays:
        raise InputError(f"{path}: {', '.join(wrong) or 'seed_delta'} not as the matrices beside it; make it again.")
    draws = ErrorDraws(arrays["delta"], arrays["marginal"]) if {"delta", "marginal"} <= set(arrays) else None
    return arrays["seed_delta"], draws
