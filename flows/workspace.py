"""What a flow works with: settings, database, artifact store; opened once per process, shared by nested flows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy.exc import OperationalError

from db.session import Database, open_database
from flows.log_secrets import secrets_kept
from infra.errors import InfraError
from infra.postgres import check_database, embedded_postgres
from infra.ray_cluster import ClusterCapacity, ray_cluster
from infra.security import require_secure_database
from infra.services import use_services
from infra.settings import Settings, load_settings


@dataclass(frozen=True)
class Workspace:
    """An opened database and the folders that go with it.

    Attributes:
        database: migrated.
        artifacts: pools, base checkpoints, runs, curricula.
        reports: HTML reports.
        cluster: connects to Ray when it is first called, and stays connected as long as the workspace is open, so
            that workers keep their imported packages from one phase to the next.
    """

    database: Database
    artifacts: Path
    reports: Path
    cluster: Callable[[], ClusterCapacity]


_current: ContextVar[Workspace | None] = ContextVar("workspace", default=None)


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Open the workspace of the settings; inside an open one, that one.

    Raises:
        ConfigurationError: wrong settings, or a database that cannot be used.
        InfraError: the database was lost while it was in use.
    """
    active = _current.get()
    if active:
        with secrets_kept():
            yield active
        return
    settings = load_settings()
    settings.home_folder.mkdir(parents=True, exist_ok=True)
    with secrets_kept(), database_of(settings) as url, ExitStack() as connections:
        database = open_database(url)

        @cache
        def cluster() -> ClusterCapacity:
            use_services(settings.home_folder)
            address = load_settings().ray_address
            return connections.enter_context(ray_cluster(address, allow_insecure=settings.allow_insecure))

        opened = Workspace(database, settings.artifact_folder, settings.home_folder / "reports", cluster)
        token = _current.set(opened)
        try:
            yield opened
        except OperationalError as error:
            raise InfraError(
                f"The database stopped answering: {str(error.orig).strip().splitlines()[0]}. "
                "Run the same command again: what has finished is kept, and nothing is trained twice."
            ) from error
        finally:
            _current.reset(token)
            database.close()


@contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """URL of the settings' database as it is, not brought up to date; an embedded one runs until the end.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if settings.database_url:
        url = settings.database_url.get_secret_value()
        require_secure_database(url, allow_insecure=settings.allow_insecure)
        yield check_database(url)
    else:
        with embedded_postgres(settings.home_folder) as server:
            yield server.url
