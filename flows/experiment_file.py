"""Reading an experiment file: all errors at once, each with its key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from flows.config import ExperimentConfig
from flows.pool_blocks import from_folder
from tasks.benchmarks.measures import Benchmarks
from tasks.errors import InputError
from tasks.finetune.recipe import PretrainedModel, Recipe
from tasks.forms import Location, problems


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read and validate an experiment file.

    Args:
        path: YAML file. Relative paths in it, to data or to a model's folder, count from the file's own folder.
        overrides: "dotted.key=value" texts; the value is YAML.

    Raises:
        InputError: naming the file and, for each problem, its key, what is wrong and what was expected.
    """
    content = _read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping with the keys name, pool, recipe, …; found {_kind(content)}.")
    for text in overrides:
        _override(content, text)
    _include_benchmarks(content, path.parent)
    try:
        config = ExperimentConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {error.error_count()} problem(s)\n{problems(error, unknown=_known_keys)}") from None
    return config.model_copy(
        update={
            "pool": _from_folder(config.pool, path.parent),
            **{key: from_folder(getattr(config, key), path.parent) for key in ("hygiene", "tagging", "selection")},
            "held_out": _held_out(config, path),
            "benchmarks": config.benchmarks and config.benchmarks.from_folder(path.parent),
            "recipe": _recipe(config, path),
        }
    )


def _include_benchmarks(content: dict[str, Any], folder: Path) -> None:
    """Put the file that `benchmarks` names in its place; relative paths in it count from its own folder."""
    name = content.get("benchmarks")
    if not isinstance(name, str):
        return
    path = folder / name
    try:
        found = Benchmarks.model_validate(_read_yaml(path))
    except ValidationError as error:
        raise InputError(f"{path}: {error.error_count()} problem(s)\n{problems(error)}") from None
    content["benchmarks"] = found.from_folder(path.parent).model_dump(mode="json")


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Give the path of an existing YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error


def _known_keys(location: Location) -> str:
    """What may stand beside an unknown key, and the nearest known one."""
    import difflib

    known = _fields_at(location[:-1])
    if not known:
        return "unknown key. Remove it."
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"unknown key. {guess}Known here: {', '.join(known)}."


def _fields_at(location: Location) -> list[str]:
    schema: dict[str, Any] = ExperimentConfig.model_json_schema()
    definitions = schema["$defs"]
    here = [schema]
    for part in location:
        found = []
        for node in here:
            child = node.get("properties", {}).get(part)
            options = [child, *child.get("oneOf", []), *child.get("anyOf", [])] if child else []
            for option in options:
                reference = option.get("$ref")
                found.append(definitions[reference.split("/")[-1]] if reference else option)
            if not child and part in [one.get("const") for one in node.get("properties", {}).values()]:
                found.append(node)
        here = found
    return sorted({key for node in here for key in node.get("properties", {})})


def _override(content: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text}: expected dotted.key=value, e.g. --set design.seeds=[1,2,3]")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {text}: the value is not valid YAML: {error}") from error
    *parents, last = key.split(".")
    node = content
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise InputError(f"--set {text}: {part} is no group of keys but {_kind(node)}")
    node[last] = parsed


def _from_folder(source: Any, folder: Path) -> Any:
    if getattr(source, "kind", None) != "files":
        return source
    return source.model_copy(
        update={"paths": tuple(p if Path(p).is_absolute() else str((folder / p).resolve()) for p in source.paths)}
    )


def _held_out(config: ExperimentConfig, path: Path) -> Any:
    files = config.held_out.files
    return config.held_out.model_copy(update={"files": _from_folder(files, path.parent)}) if files else config.held_out


def _recipe(config: ExperimentConfig, path: Path) -> Recipe:
    """A model's folder beside the experiment file; any other name means one on the hub."""
    model = config.recipe.model
    if not isinstance(model, PretrainedModel) or not (path.parent / model.name).is_dir():
        return config.recipe
    folder = str((path.parent / model.name).resolve())
    return config.recipe.model_copy(update={"model": model.model_copy(update={"name": folder})})


def _kind(value: Any) -> str:
    return "nothing (an empty file)" if value is None else f"a {type(value).__name__}"
