"""A vLLM engine in this process: for scoring and for the answers of checkpoints."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import RunError
from tasks.inference.vllm_config import ENVIRONMENT, engine_arguments, need_vllm


def open_engine(model: Path | str, options: Mapping[str, Any]) -> Any:
    """A `vllm.LLM` that lives in this process and dies with it.

    Numbers are kept as the model was saved (float32 stays float32, where vLLM alone would halve it), unless `options`
    say otherwise.

    Args:
        model: folder, or a name on the hub.
        options: vLLM's engine arguments.

    Raises:
        InputError: vLLM is not installed.
        RunError: the model cannot be run with it.
    """
    arguments = process_arguments(model, options)
    with starting(compiled=not arguments.get("enforce_eager")):
        from vllm import LLM

        try:
            return LLM(model=str(model), **arguments)
        except (ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:500]
            raise RunError(f"{model}: vLLM cannot run it ({reason}).") from error


def process_arguments(model: Path | str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM's `LLM` takes for an engine in this process, numbers as the model was saved.

    Args:
        model: folder, or a name on the hub.
        options: vLLM's engine arguments, which overrule the defaults.

    Raises:
        InputError: vLLM is not installed.
    """
    need_vllm()
    import torch

    return engine_arguments({**_saved_type(Path(model)), **options}, torch.cuda.is_available())


@contextmanager
def starting(compiled: bool) -> Iterator[None]:
    """Import vLLM and start an engine of this process inside; what the process trains later finds it as it was.

    Args:
        compiled: whether torch may compile. Without a GPU that needs a C++ compiler, and vLLM does it for single
            functions even where its own graphs are not compiled.
    """
    own = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if "VLLM_LOGGING_CONFIG_PATH" not in os.environ:
        # vLLM's own set-up of logging closes the handlers of everybody else, and with absl's the stream it writes to.
        own["VLLM_CONFIGURE_LOGGING"] = "0"
        logging.getLogger("vllm").setLevel(logging.ERROR)
    for name, value in {**ENVIRONMENT, **own}.items():
        os.environ.setdefault(name, value)
    import torch
    import torch._dynamo

    torch._dynamo.config.disable = not compiled
    set_threads, preloaded = torch.set_num_threads, os.environ.get("LD_PRELOAD")
    try:
        yield
    finally:
        # vLLM takes both for itself.
        torch.set_num_threads = set_threads
        os.environ.pop("LD_PRELOAD", None)
        if preloaded is not None:
            os.environ["LD_PRELOAD"] = preloaded


def _saved_type(folder: Path) -> dict[str, str]:
    if not (folder / "config.json").is_file():
        return {}
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found = content.get("dtype") or content.get("torch_dtype")
    return {"dtype": found} if isinstance(found, str) else {}


def close_engine(engine: Any) -> None:
    """Give its memory back; it cannot be used any more."""
    import torch
    import torch._dynamo
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    torch._dynamo.config.disable = False
    engine.llm_engine.engine_core.shutdown()
    del engine
    gc.collect()
    cleanup_dist_env_and_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
