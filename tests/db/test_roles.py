"""Roles on a real PostgreSQL: the writer does a driver's work and no more, the reader reads, the owner migrates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from db import runs
from db.base import AnalysisKind, Phase
from db.events import record_event, unprocessed
from db.experiments import recall_experiment, record_analysis, record_experiment
from db.interventions import set_plan
from db.pools import record_snapshot
from db.roles import DATABASE, OWNER, PREFECT, READER, ROLES, WRITER, prepare_database, prepare_prefect
from db.session import Database, open_database
from infra.postgres import embedded_postgres
from tasks.errors import InputError


def url_as(server: str, role: str, database: str = DATABASE, password: str | None = None) -> str:
    url = make_url(server).set(username=role, database=database, password=password)
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of its own: roles belong to the whole server. The product's database in it was never migrated."""
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as running:
        prepare_database(running.url, {})
        yield running.url


@pytest.fixture(scope="module")
def writer(server: str) -> Iterator[Database]:
    opened = open_database(url_as(server, WRITER))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def finished(writer: Database, material) -> str:
    """A driver's whole life in the stores, as the writer; fingerprint of its first run."""
    with writer.session() as session:
        snapshot = record_snapshot(session, "pool", material.digest("pool"), material.counts, "pools/old", 0)
        experiment = record_experiment(session, "first", {"lr": 1.0}, material.digest("config"), snapshot.id)
        set_plan(session, experiment.id, Phase.MEASURE, material.plan(seeds=(0, 1, 2)))
        set_plan(session, experiment.id, Phase.MEASURE, material.plan())  # replaces: a seed and its runs leave the plan
    plan = material.plan()
    with writer.session() as session:
        runs.mark_running(session, plan[0].fingerprint)
        runs.mark_failed(session, plan[0].fingerprint, "the worker died")
    for one in plan:
        with writer.session() as session:
            runs.mark_running(session, one.fingerprint)
            runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), material.scores())
    with writer.session() as session:
        record_snapshot(session, "pool", material.digest("pool"), material.counts, "pools/new", 0)
        recall_experiment(session, experiment.id)
        record_event(session, "pool", snapshot.id)
        inputs = material.digest("inputs")
        done = [one.fingerprint for one in plan]
        record_analysis(session, experiment.id, AnalysisKind.OPTIMIZE, {"fdr": 0.05}, inputs, done)
    return plan[0].fingerprint


def test_writer_does_a_drivers_work(writer: Database, finished: str) -> None:
    with writer.session() as session:
        assert len(runs.load_scores(session, finished)) == 6
        assert session.scalar(text("SELECT count(*) FROM benchmark_delta")) == 3 * 2 * 6
        assert session.scalar(text("SELECT path FROM pool_snapshot")) == "pools/new"
        assert session.scalar(text("SELECT count(*) FROM planned_run")) == 4 * 2
        assert len(unprocessed(session)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id integer)",
        "CREATE TEMPORARY TABLE mine (id integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE run ADD COLUMN mine integer",
        "ALTER TABLE score DISABLE TRIGGER append_only",
        "DROP TABLE score",
        "DROP VIEW benchmark_delta",
        "TRUNCATE score",
        "CREATE ROLE mine",
        "SET ROLE beyond_iid_owner",
        "SET session_replication_role = replica",
        "UPDATE score SET value = 0",
        "DELETE FROM score",
        "DELETE FROM run",
        "DELETE FROM experiment",
        "UPDATE run SET fingerprint = repeat('0', 64)",
        "UPDATE run SET spec = '{}'",
        "UPDATE metric SET higher_is_better = NOT higher_is_better",
        "DELETE FROM metric",
        "UPDATE alembic_version SET version_num = '0001'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_writer_may_not_change_tables_or_results(statement: str, writer: Database, finished: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), writer.session() as session:
        session.execute(text(statement))


def test_writer_has_no_update_or_delete_on_any_append_only_table(server: str) -> None:
    with psycopg.connect(url_as(server, OWNER).replace("+psycopg", "")) as connection:
        guarded = connection.execute(
            "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE t.tgname = 'append_only'"
        ).fetchall()
        allowed = connection.execute(
            "SELECT DISTINCT table_name FROM information_schema.column_privileges"
            " WHERE grantee = %s AND privilege_type = 'UPDATE'"
            " UNION SELECT table_name FROM information_schema.table_privileges"
            " WHERE grantee = %s AND privilege_type IN ('DELETE', 'TRUNCATE', 'TRIGGER')",
            (WRITER, WRITER),
        ).fetchall()
    assert len(guarded) >= 17
    assert allowed
    assert not set(guarded) & set(allowed)


def test_reader_reads_every_table_and_view_and_writes_nothing(server: str, finished: str) -> None:
    with psycopg.connect(url_as(server, READER).replace("+psycopg", ""), autocommit=True) as connection:
        relations = connection.execute(
            "SELECT relname, relkind = 'r' FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
        ).fetchall()
        assert len(relations) > 20
        assert ("benchmark_delta", False) in relations
        for relation, is_table in relations:
            connection.execute(f'SELECT * FROM "{relation}" LIMIT 1')
            if not is_table:
                continue
            for statement in (f'INSERT INTO "{relation}" DEFAULT VALUES', f'DELETE FROM "{relation}"'):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE run SET state = 'planned'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (id integer)")


def test_prepare_database_again_keeps_rows_and_grants_new_tables(server: str, finished: str) -> None:
    with psycopg.connect(url_as(server, OWNER).replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("CREATE TABLE added_later (id integer)")
        prepare_database(server, {})
        with psycopg.connect(url_as(server, WRITER).replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("INSERT INTO added_later VALUES (1)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM added_later")
        owner.execute("DROP TABLE added_later")
        assert owner.execute("SELECT count(*) FROM run WHERE state = 'finished'").fetchone() == (8,)


def test_open_database_as_writer_before_the_migrations_says_who_must_apply_them(server: str) -> None:
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE DATABASE unmigrated")
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    url = url_as(server, WRITER, "unmigrated", "hidden-word") + "&password=hidden-word-too"
    with pytest.raises(InputError, match="may not create tables") as refused:
        open_database(url)
    assert "hidden-word" not in str(refused.value)


def test_other_roles_may_not_even_connect(server: str) -> None:
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url_as(server, "stranger").replace("+psycopg", ""))


def test_passwords_are_stored_as_scram_verifiers_and_never_sent(server: str) -> None:
    secrets = {role: f"hidden-word-{role}" for role in ROLES}
    prepare_database(server, secrets)
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        stored = dict(connection.execute("SELECT rolname, rolpassword FROM pg_authid").fetchall())
    for role in ROLES:
        assert stored[role].startswith("SCRAM-SHA-256$")
        assert "hidden-word" not in stored[role]


def test_prepare_database_by_a_role_that_creates_roles_and_databases_is_enough(server: str) -> None:
    """What managed servers give their customers instead of a superuser."""
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as fresh:
        with psycopg.connect(fresh.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS beyond_iid_other")
            connection.execute("CREATE ROLE customer LOGIN CREATEROLE CREATEDB")
        prepare_database(url_as(fresh.url, "customer", "postgres"), {}, database="results")
        opened = open_database(url_as(fresh.url, WRITER, "results"))
        with opened.session() as session:
            assert session.scalar(text("SELECT count(*) FROM run")) == 0
        opened.close()


def test_prepare_prefect_makes_role_and_database_and_names_the_missing_extension(server: str) -> None:
    # The embedded build has no pg_trgm, which the Prefect server's migrations need.
    with pytest.raises(InputError, match="pg_trgm"):
        prepare_prefect(server, "hidden-word")
    with psycopg.connect(url_as(server, PREFECT, PREFECT).replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE flow_run (id integer)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url_as(server, WRITER, PREFECT).replace("+psycopg", ""))


def test_prepare_database_refused_says_so_without_the_password(server: str) -> None:
    with pytest.raises(InputError, match="CREATEROLE") as refused:
        prepare_database(url_as(server, READER, password="hidden-word") + "&sslpassword=hidden-word-too", {})
    assert "hidden-word" not in str(refused.value)
