"""Code that a task of lm-eval could bring with it: found in its YAML without running it, refused or let through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.benchmarks.measures import LmEvalMeasure

DATA_FORMATS = ("arrow", "csv", "json", "parquet", "text")
"""Forms of local files that are read without allow_code; reading others (pickles among them) can run code."""

_PLAIN_TAG = "tag:yaml.org,2002:"
_SAY_SO = "Read that code; then set `allow_code: true` on the measure to let it run, or do without it."


def refuse_code(measure: LmEvalMeasure, config: dict[str, Any], chain: list[tuple[Path, yaml.Node]]) -> None:
    """Refuse what would run code that the measure does not allow; the catalogue's own functions are lm-eval itself.

    Args:
        measure: the task, and whether its folder's code may run.
        config: the task's keys, with those of included files.
        chain: the YAML file that defines it, then those that it includes (see `yaml_files`).

    Raises:
        InputError: it names Python functions, metrics to download, data whose reading can run code, or runs what the
            model wrote.
    """
    if config.get("unsafe_code"):
        raise InputError(
            f"lm-eval task {measure.task!r} runs programs that the model wrote, without a sandbox; use a measure of "
            "kind `code`, which has one"
        )
    if measure.allow_code:
        return
    from lm_eval.api import metrics  # noqa: F401 - fills the registry
    from lm_eval.api.registry import metric_registry

    for metric in config.get("metric_list") or ():
        if metric.get("hf_evaluate") or metric.get("metric") not in metric_registry:
            raise InputError(
                f"lm-eval task {measure.task!r}: metric {metric.get('metric')!r} is code that the package evaluate "
                f"would download or read from a folder. {_SAY_SO}"
            )
    if measure.task_folder is None:
        return
    for path, root in chain:
        for node in _nodes(root):
            if not node.tag.startswith(_PLAIN_TAG) or ":python/" in node.tag:
                raise InputError(
                    f"{path}, line {node.start_mark.line + 1}: {node.tag} {node.value} is Python code of the task "
                    f"folder. {_SAY_SO}"
                )
    if config.get("use_prompt"):
        raise InputError(f"{chain[0][0]}: use_prompt takes templates from elsewhere, which can run code. {_SAY_SO}")
    source = str(config.get("dataset_path"))
    if "/" not in source and source not in DATA_FORMATS:
        raise InputError(
            f"{chain[0][0]}: dataset_path {source!r} is neither a data set on the hub (owner/name) nor one of the "
            f"forms {', '.join(DATA_FORMATS)}; reading others can run code. {_SAY_SO}"
        )


@contextmanager
def templates(allow_code: bool) -> Iterator[None]:
    """Render a task's templates in Jinja's sandbox, unless its code is allowed: a template can call any function."""
    if allow_code:
        yield
        return
    import lm_eval.utils
    from jinja2.sandbox import SandboxedEnvironment

    plain = lm_eval.utils.env
    safe = SandboxedEnvironment(
        loader=plain.loader, undefined=plain.undefined, keep_trailing_newline=plain.keep_trailing_newline
    )
    safe.filters.update(plain.filters)
    lm_eval.utils.env = safe
    try:
        yield
    finally:
        lm_eval.utils.env = plain


def yaml_files(path: Path) -> list[tuple[Path, yaml.Node]]:
    """A YAML file and all that it includes, each once, as trees.

    Raises:
        InputError: one cannot be read.
    """
    chain: list[tuple[Path, yaml.Node]] = []
    waiting = [path]
    while waiting:
        current = waiting.pop(0).resolve()
        root = read_tree(current)
        if root is None or current in (seen for seen, _ in chain):
            continue
        chain.append((current, root))
        waiting += [current.parent / name for name in texts_under(root, "include")]
    return chain


def read_tree(path: Path) -> yaml.Node | None:
    """A YAML file as a tree, without making any object of it; None where it is empty.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not readable as YAML ({error})") from error


def texts_under(root: yaml.Node, key: str) -> list[str]:
    """The text, or the texts of the list, that a mapping holds under a key."""
    if not isinstance(root, yaml.MappingNode):
        return []
    found = [value for name, value in root.value if isinstance(name, yaml.ScalarNode) and name.value == key]
    nodes = [item for node in found for item in (node.value if isinstance(node, yaml.SequenceNode) else [node])]
    return [str(node.value) for node in nodes if isinstance(node, yaml.ScalarNode)]


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (*_nodes(key), *_nodes(value))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item)
