"""Packages that only some tasks need: extras of the distribution."""

from __future__ import annotations

from importlib.util import find_spec

from tasks.errors import InputError


def need(module: str, package: str, otherwise: str = "", extra: str = "tagging") -> None:
    """Say how to install a package that is missing.

    Args:
        module: what would be imported.
        package: its name for pip.
        otherwise: another way out, as the rest of a sentence.
        extra: the extra that holds it; "" if none does.

    Raises:
        InputError: it is missing.
    """
    if find_spec(module) is None:
        more = f", {otherwise}" if otherwise else ""
        how = f"'beyond-iid[{extra}]'" if extra else f"--no-deps {package}"
        raise InputError(f"The package {package} is not installed. Install it with: pip install {how}{more}.")
