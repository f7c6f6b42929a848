"""lm-eval's tasks: found by name, searched for code, and built with their documents."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.benchmarks.lm_eval_code import read_tree, refuse_code, templates, texts_under, yaml_files
from tasks.errors import InputError
from tasks.optional import need

if TYPE_CHECKING:
    from tasks.benchmarks.measures import LmEvalMeasure

FEWSHOT_SEED = 1234
"""Decides which examples a few-shot prompt shows; lm-eval's own default."""


@dataclass(frozen=True)
class BuiltTask:
    """A task ready to be evaluated.

    Attributes:
        task: lm-eval's object, with its documents and the measure's number of examples set.
        files: the YAML file that defines it, then those that it includes.
    """

    task: Any
    files: tuple[Path, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the values that it gives: metric and filter, as lm-eval writes them."""
        filters = [filter_.name for filter_ in self.task._filters]
        return tuple(f"{metric},{name}" for metric in self.task.aggregation() for name in filters)


def build_task(measure: LmEvalMeasure) -> BuiltTask:
    """Find a task, make sure that nothing of its folder runs unasked, and load its documents.

    Relative paths of data files are looked for beside the YAML file, wherever the process runs.

    Raises:
        InputError: lm-eval is not installed; the task is unknown, a group, not defined clearly, needs code that the
            measure does not allow, or cannot be built from its data; there is no such value; a setting does not fit it.
    """
    need("lm_eval", "lm-eval", extra="lm-eval")
    with quiet():
        manager, definition = _found(measure)
        chain = yaml_files(definition)
        config = manager.task_index[measure.task].cfg
        refuse_code(measure, config, chain)
        task = _built(measure, manager, _beside(config, definition.parent))
    built = BuiltTask(task, tuple(path for path, _ in chain))
    if measure.value not in built.values:
        raise InputError(
            f"lm-eval task {measure.task!r} has no value {measure.value!r}; it gives: {', '.join(built.values)}"
        )
    _configure(measure, task)
    return built


@contextmanager
def quiet() -> Iterator[None]:
    """lm-eval's logging off but for errors, and all progress bars."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        # A real file: vLLM asks for its descriptor.
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            yield
    finally:
        logger.setLevel(before)


def _found(measure: LmEvalMeasure) -> tuple[Any, Path]:
    """lm-eval's index and the file that defines the task."""
    if measure.task_folder is None:
        folders = _catalogue_folders(measure.task)
        where = "lm-eval's catalogue; a task of your own needs task_folder"
    else:
        folder = Path(measure.task_folder)
        if not folder.is_dir():
            raise InputError(f"task_folder {folder}: no such folder; give the one with the task's YAML file")
        _one_definition(folder, measure.task)
        folders, where = (str(folder),), str(folder)
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=list(folders), include_defaults=False)
    entry = manager.task_index.get(measure.task)
    if entry is None:
        known = f"; it defines {', '.join(manager.all_tasks) or 'nothing'}" if measure.task_folder else ""
        raise InputError(f"lm-eval task {measure.task!r}: not in {where}{known}")
    if entry.kind.name not in ("TASK", "PY_TASK"):
        raise InputError(
            f"lm-eval task {measure.task!r} stands for several tasks; name each of them as a measure of its own"
        )
    return manager, Path(entry.yaml_path).resolve()


@cache
def _catalogue_folders(task: str) -> tuple[str, ...]:
    """Folders of the catalogue that mention the name: indexing all of it takes ten seconds, reading it one."""
    import lm_eval.tasks

    line = re.compile(rf"""^["']?(?:task|group)["']? *: *["']?{re.escape(task)}["']? *(?:#.*)?$""", re.MULTILINE)
    files = Path(lm_eval.tasks.__file__).parent.rglob("*.yaml")
    return tuple(sorted({str(path.parent) for path in files if line.search(path.read_text(encoding="utf-8"))}))


def _one_definition(folder: Path, task: str) -> None:
    """lm-eval skips files that it cannot read, and all but the first that define the same name."""
    definitions = []
    for path in sorted(folder.rglob("*.yaml")):
        root = read_tree(path)
        names = [] if root is None else texts_under(root, "task")
        definitions += [path] if task in names else []
    if len(definitions) > 1:
        raise InputError(
            f"lm-eval task {task!r} is defined twice, in {definitions[0]} and {definitions[1]}; rename one"
        )


def _beside(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings that name data, with relative paths of files made absolute."""
    settings: dict[str, Any] = {}
    if config.get("dataset_kwargs"):
        settings["dataset_kwargs"] = deepcopy(config["dataset_kwargs"])
        for key in ("data_files", "data_dir"):
            if key in settings["dataset_kwargs"]:
                settings["dataset_kwargs"][key] = _absolute(settings["dataset_kwargs"][key], folder)
    source = config.get("dataset_path")
    if isinstance(source, str) and source.startswith("."):
        settings["dataset_path"] = str((folder / source).resolve())
    return settings


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(item, folder) for item in value]
    return value if "://" in str(value) else os.path.normpath(folder / str(value))


def _built(measure: LmEvalMeasure, manager: Any, settings: dict[str, Any]) -> Any:
    with templates(measure.allow_code):
        try:
            # A group of one is lm-eval's way to change settings of a task that is in the index.
            loaded = manager.load({"group": "measure", "task": [{"task": measure.task, **settings}]})
        except Exception as error:
            reason = " ".join(str(error).split())[:500]
            raise InputError(
                f"lm-eval task {measure.task!r} cannot be built: {type(error).__name__}: {reason}. Check its data and "
                "settings; data sets of the hub must be in the local cache where there is no network."
            ) from error
    task = loaded["tasks"][measure.task]
    if getattr(task, "MULTIMODAL", False):
        raise InputError(f"lm-eval task {measure.task!r} shows images or sound; only texts are supported")
    return task


def _configure(measure: LmEvalMeasure, task: Any) -> None:
    shots = measure.num_fewshot if measure.num_fewshot is not None else task.get_config("num_fewshot") or 0
    if shots and _examples_are_judged(task):
        raise InputError(
            f"lm-eval task {measure.task!r}: the {shots} examples in the prompt would come from the documents that are "
            "evaluated; give the task a fewshot_split or training_split, or set num_fewshot: 0"
        )
    task.set_config(key="num_fewshot", value=shots)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    if measure.max_new_tokens is None:
        return
    if task.OUTPUT_TYPE != "generate_until":
        raise InputError(
            f"lm-eval task {measure.task!r} generates nothing (its output type is {task.OUTPUT_TYPE}); remove "
            "max_new_tokens"
        )
    task.set_config(key="generation_kwargs", value={"max_gen_toks": measure.max_new_tokens}, update=True)


def _examples_are_judged(task: Any) -> bool:
    """Whether examples come from the evaluated split without lm-eval leaving out the document itself."""
    config, examples = task.config, getattr(task, "fewshot_cfg", None)
    judged = config.test_split or config.validation_split
    if examples is not None and examples.split is not None:
        return bool(examples.split == judged and judged != config.test_split)
    if examples is not None and examples.samples is not None:
        return False
    return bool((config.training_split or config.validation_split or config.test_split) == judged)
