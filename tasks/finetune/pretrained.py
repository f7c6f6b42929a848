"""Pretrained models from a local folder or the Hugging Face hub: safetensors only, no code, pinned revisions."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.finetune.recipe import PretrainedModel

PLAIN_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}{{ '### ' + message['role'] + '\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\\n' }}{% endif %}"
)
"""Chat template for models that bring none."""

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def pretrained_identity(model: PretrainedModel) -> dict[str, Any]:
    """Hub name and commit, or the SHA-256 of a folder's weights, configuration and tokenizer files.

    Raises:
        InputError: no such folder, a folder without safetensors, or a hub name without a full commit hash.
    """
    folder = _local(model)
    if folder is None:
        return {"kind": "pretrained", "name": model.name, "revision": _commit(model)}
    return {"kind": "pretrained", "sha256": _folder_sha256(folder)}


def save_pretrained(model: PretrainedModel, out: Path) -> None:
    """Put the model's files (safetensors, configuration, tokenizer; nothing else) into the folder `out`.

    A model without a chat template gets a plain one.

    Raises:
        InputError: see `pretrained_identity`; or the model cannot be downloaded, or transformers cannot read it without
            running its code.
    """
    folder = _local(model)
    if folder is None:
        _download(model, out)
    else:
        for path in _files(folder):
            shutil.copyfile(path, out / path.name)
    _require_safetensors(out, model.name)
    _complete_tokenizer(out, model.name)


def _local(model: PretrainedModel) -> Path | None:
    folder = Path(model.name).expanduser()
    if folder.is_dir():
        _require_safetensors(folder, model.name)
        return folder
    if _HUB_NAME.fullmatch(model.name):
        _commit(model)
        return None
    raise InputError(
        f"recipe.model.name: {model.name!r} is neither a folder on this machine nor a hub name (owner/model); "
        "give one of the two"
    )


def _commit(model: PretrainedModel) -> str:
    if model.revision is None or not _COMMIT.fullmatch(model.revision):
        raise InputError(
            f"recipe.model.revision: {model.revision!r} for {model.name!r}; a hub name needs the full commit hash "
            "(40 hex digits, shown under 'Files and versions'), because branches and tags move; if a local folder is "
            "meant, it does not exist"
        )
    return model.revision


def _require_safetensors(folder: Path, name: str) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(f"recipe.model.name: {name} holds no config.json; give a folder that transformers saved")
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    found = f"only {', '.join(pickles)}, which are pickles and can run code when loaded" if pickles else "none"
    raise InputError(
        f"recipe.model.name: {name} must hold weights as *.safetensors; found {found}; convert them "
        "(model.save_pretrained writes safetensors) or choose a revision that has them"
    )


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()})


def _folder_sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            digest.update(f"{path.name}\t{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _download(model: PretrainedModel, out: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        cached = snapshot_download(model.name, revision=_commit(model), allow_patterns=list(_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"recipe.model: {model.name} at {model.revision} cannot be downloaded ({error}); check name, revision, "
            "network and access rights, or give a local folder"
        ) from error
    for path in _files(Path(cached)):
        shutil.copyfile(path, out / path.name)


def _complete_tokenizer(out: Path, name: str) -> None:
    from transformers import AutoConfig

    from tasks.finetune.encoding import load_tokenizer

    try:
        AutoConfig.from_pretrained(str(out), local_files_only=True, trust_remote_code=False)
        tokenizer = load_tokenizer(out)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"recipe.model.name: transformers cannot read {name} without running code from its folder, which this "
            f"product never does: {error}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise InputError(f"recipe.model.name: the tokenizer of {name} has no end token; set eos_token in its files")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
        tokenizer.save_pretrained(str(out))
