"""Backup and restore of the results database: one consistent file, independent of the server's version.

COPY rather than pg_dump: its files load into any PostgreSQL ≥ 14, belong to a revision of the migrations, hold data
and no statements, and need no programs beside the server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from db.backup_file import (
    FORMAT,
    HashedMember,
    Manifest,
    TableContent,
    chunks,
    new_archive,
    verified_archive,
    write_manifest,
)
from db.errors import shown
from db.migrate import MIGRATION_LOCK, TARGET_METADATA, present_revision, revisions, upgrade_to
from tasks.errors import InputError

_LOCK_SECONDS = 20
_VIEWS = ("benchmark_delta",)
_VERSION_TABLE = "alembic_version"


def backup(url: str, path: Path) -> Manifest:
    """Write everything the database holds at one moment into a new file; others may go on writing meanwhile.

    Args:
        url: SQLAlchemy URL; a user who may read the tables suffices.
        path: the file; must not exist.

    Raises:
        InputError: the database holds nothing of this product or is newer, or the file cannot be written.
    """
    with _engine(url) as engine, engine.connect() as connection:
        # Before the snapshot is taken: no migration is under way then, and none starts.
        connection.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        revision = present_revision(connection)
        connection.rollback()
        if revision is None:
            raise InputError("The database holds no results yet: there is nothing to back up.")
        if revision not in revisions():
            raise InputError(
                f"The database is at revision {revision!r}, which this version of beyond-iid does not know. "
                "Back it up with the version that made it."
            )
        with new_archive(path) as archive:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            _fix_notation(connection)
            created = connection.scalar(
                text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
            )
            server = connection.scalar(text("SHOW server_version"))
            tables = tuple(_copy_out(connection, archive, name) for name in _tables(connection))
            manifest = Manifest(FORMAT, revision, str(created), str(server), tables)
            write_manifest(archive, manifest)
    return manifest


def restore(url: str, path: Path, replace: str | None = None) -> Manifest:
    """Load a backup, all or nothing, and bring it to this version's schema.

    Args:
        url: SQLAlchemy URL of a database's owner.
        path: the file; every byte is checked before the database is touched.
        replace: the database's name, to have what it holds replaced; None: only into one without results.

    Raises:
        InputError: the file is no whole backup or newer than this version, or the database holds results, has
            another name than `replace`, or is in use. Nothing is changed then.
    """
    with verified_archive(path) as (archive, manifest), _engine(url) as engine:
        if manifest.revision not in revisions():
            raise InputError(
                f"{path} was made at revision {manifest.revision!r}, which this version of beyond-iid does not know. "
                "Restore it with the version that made it, or a newer one."
            )
        try:
            with engine.begin() as connection:
                _prepare(connection, replace)
                upgrade_to(connection, manifest.revision)
                _load(connection, archive, manifest)
                upgrade_to(connection, "head")
        except DBAPIError as error:
            raise _refused(error.orig) from error
        except psycopg.Error as error:
            raise _refused(error) from error
    return manifest


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url, connect_args={"application_name": "beyond-iid backup", "connect_timeout": 10})
    try:
        yield engine
    except (DBAPIError, psycopg.Error) as error:
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()[0]
        raise InputError(
            f"The database {shown(engine.url)} cannot be used: {reason}. Correct this and try again."
        ) from error
    finally:
        engine.dispose()


def _refused(error: BaseException | None) -> InputError:
    reason = str(error).strip().splitlines()[0]
    if isinstance(error, psycopg.errors.LockNotAvailable):
        reason += ": the database is in use; stop what works with it (`beyond-iid down`)"
    return InputError(f"The database refuses the backup, and nothing was changed: {reason}.")


def _prepare(connection: Connection, replace: str | None) -> None:
    """Have a database without tables of this product."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    _fix_notation(connection)
    name = connection.scalar(text("SELECT current_database()"))
    present = _tables(connection)
    if replace is not None and replace != name:
        raise InputError(
            f"The database is called {name!r}, not {replace!r}. To replace what it holds: --replace {name}"
        )
    if replace is None:
        filled = [t for t in present if t != "metric" and connection.scalar(text(f'SELECT EXISTS (TABLE "{t}")'))]
        if filled:
            raise InputError(
                f"The database {name!r} holds results already (tables {', '.join(filled[:4])}, …). "
                f"Restore into an empty one, or have them replaced: --replace {name}"
            )
    functions = connection.scalars(
        text(
            "SELECT DISTINCT t.tgfoid::regprocedure::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables)"
        ),
        {"tables": present},
    ).all()
    for view in _VIEWS:
        connection.execute(text(f"DROP VIEW IF EXISTS {view}"))
    if present:
        connection.execute(text("DROP TABLE " + ", ".join(f'"{table}"' for table in present)))
    for function in functions:
        connection.execute(text(f"DROP FUNCTION {function}"))
    connection.execute(text(f"DROP TABLE IF EXISTS {_VERSION_TABLE}"))


def _load(connection: Connection, archive: ZipFile, manifest: Manifest) -> None:
    present = _tables(connection)
    if sorted(present) != sorted(table.name for table in manifest.tables):
        raise InputError(f"The backup's tables are not those of revision {manifest.revision}. Nothing was changed.")
    driver = _driver(connection)
    for table in reversed(present):  # what migrations fill in
        driver.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    content = {table.name: table for table in manifest.tables}
    with _asking_headers_alone(connection, present):
        for name in present:
            _copy_in(connection, archive, content[name])
        # Now rather than at the commit: a table with checks outstanding cannot be altered.
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


@contextmanager
def _asking_headers_alone(connection: Connection, tables: list[str]) -> Iterator[None]:
    """Have each header check its completeness once, and not each of its rows again: that is quadratic."""
    rows = connection.execute(
        text(
            "SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables)"
            r" AND t.tgname LIKE 'complete\_%' AND t.tgname <> 'complete_' || c.relname"
        ),
        {"tables": tables},
    ).all()

    def switch(order: str) -> None:
        statement = sql.SQL(f"ALTER TABLE {{}} {order} TRIGGER {{}}")
        for row in rows:
            _driver(connection).execute(statement.format(*map(sql.Identifier, row)))

    switch("DISABLE")
    yield
    switch("ENABLE")


def _tables(connection: Connection) -> list[str]:
    """The product's tables that are there, those that others refer to first."""
    rows = connection.execute(
        text(
            "SELECT c.relname::text, p.relname::text FROM pg_class c"
            " LEFT JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid"
            " LEFT JOIN pg_class p ON p.oid = f.confrelid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1, 2"
        )
    ).all()
    graph: dict[str, set[str]] = {}
    for table, parent in rows:
        if table in TARGET_METADATA.tables:
            graph.setdefault(table, set()).update(() if parent is None else (parent,))
    return [table for table in TopologicalSorter(graph).static_order() if table in graph]


def _fix_notation(connection: Connection) -> None:
    """Write and read numbers and times alike, whatever the server's defaults: shortest exact decimals, UTC."""
    for setting in ("extra_float_digits = 1", "TimeZone = 'UTC'", "DateStyle = 'ISO'", "client_encoding = 'UTF8'"):
        connection.execute(text(f"SET LOCAL {setting}"))


def _copy_out(connection: Connection, archive: ZipFile, table: str) -> TableContent:
    columns = _columns(connection, table)
    statement = sql.SQL("COPY {} ({}) TO STDOUT (FORMAT csv)").format(sql.Identifier(table), _names(columns))
    member = HashedMember(archive, table)
    cursor = _driver(connection).cursor()
    with cursor.copy(statement) as copy:
        for piece in copy:
            member.write(piece)
    last = connection.execute(
        text(
            "SELECT a.attname::text, s.last_value FROM pg_attribute a JOIN pg_depend d ON d.refobjid = a.attrelid"
            " AND d.refobjsubid = a.attnum AND d.deptype = 'i' JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'"
            " JOIN pg_sequences s ON s.schemaname = 'public' AND s.sequencename = c.relname"
            " WHERE a.attrelid = cast(:table AS regclass) AND s.last_value IS NOT NULL"
        ),
        {"table": _qualified(table)},
    )
    values = {name: int(value) for name, value in last}
    return TableContent(table, columns, cursor.rowcount, member.close(), values)


def _copy_in(connection: Connection, archive: ZipFile, table: TableContent) -> None:
    if sorted(table.columns) != sorted(_columns(connection, table.name)):
        raise InputError(f"The backup's columns of {table.name!r} are not those of its revision. Nothing was changed.")
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table.name), _names(table.columns)
    )
    cursor = _driver(connection).cursor()
    with cursor.copy(statement) as copy:
        for piece in chunks(archive, table.name):
            copy.write(piece)
    if cursor.rowcount != table.rows:
        raise InputError(
            f"{cursor.rowcount} rows of {table.name!r} were read, {table.rows} expected. Nothing was changed."
        )
    identities = connection.scalars(
        text(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = cast(:table AS regclass) AND attidentity <> ''"
            " AND NOT attisdropped"
        ),
        {"table": _qualified(table.name)},
    )
    for column in identities.all():
        last = sql.SQL("SELECT greatest(%s::bigint, max({})) FROM {}").format(
            *map(sql.Identifier, (column, table.name))
        )
        values = {"table": _qualified(table.name), "column": column}
        (number,) = _driver(connection).execute(last, (table.last_values.get(column),)).fetchone()
        if number is not None:
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :n)"), {**values, "n": number}
            )


def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    names = connection.scalars(
        text(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = cast(:table AS regclass) AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum"
        ),
        {"table": _qualified(table)},
    )
    return tuple(names)


def _qualified(table: str) -> str:
    return f'public."{table}"'


def _names(columns: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
