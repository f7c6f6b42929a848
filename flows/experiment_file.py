"""Reading an experiment file: all errors at once, each with its key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from flows.config import ExperimentConfig
from tasks.errors import InputError
from tasks.finetune.recipe import PretrainedModel, Recipe


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read and validate an experiment file.

    Args:
        path: YAML file. Relative paths in it, to data or to a model's folder, count from the file's own folder.
        overrides: "dotted.key=value" texts; the value is YAML.

    Raises:
        InputError: naming the file and, for each problem, its key, what is wrong and what was expected.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Give the path of an experiment file (YAML).") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping with the keys name, pool, recipe, …; found {_kind(content)}.")
    for text in overrides:
        _override(content, text)
    try:
        config = ExperimentConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {error.error_count()} problem(s)\n" + "\n".join(_problems(error))) from None
    return config.model_copy(
        update={
            "pool": _from_folder(config.pool, path.parent),
            "held_out": _held_out(config, path),
            "recipe": _recipe(config, path),
        }
    )


def _problems(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown key. {_known_keys(item['loc'])}"
        elif item["type"] == "missing":
            message = "missing; it is required"
        elif item["type"] not in ("value_error",):
            message = f"{message}; found {item['input']!r}"
        lines.append(f"  {key}: {message}")
    return lines


def _known_keys(location: tuple[int | str, ...]) -> str:
    """List what may stand beside an unknown key, and the nearest known one."""
    import difflib

    known = _fields_at(location[:-1])
    if not known:
        return "Remove it."
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known here: {', '.join(known)}."


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
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
            if not child and node.get("properties", {}).get("kind", {}).get("const") == part:
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
