"""Migrations: complete, repeatable, safe at the same time, and the same tables as the models."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from db.base import Base
from db.migrate import TARGET_METADATA, upgrade
from db.session import open_database
from tasks.benchmarks.scores import HIGHER_IS_BETTER
from tasks.errors import InputError

_CATALOG = """
    SELECT 'column', c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
           coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      AND c.relname <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname::text, contype::text, pg_get_constraintdef(oid), ''
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 't'
      AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT 'index', tablename::text, indexname::text, '', indexdef, '' FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ORDER BY 1, 2, 3"""


def test_migrations_against_models_no_difference(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, TARGET_METADATA) == []
    engine.dispose()


def test_migrations_against_models_same_catalog_including_checks(database_url, empty_database):
    by_models = create_engine(empty_database(None))
    Base.metadata.create_all(by_models)
    by_migrations = create_engine(database_url)
    with by_models.connect() as first, by_migrations.connect() as second:
        expected, found = (c.execute(text(_CATALOG)).all() for c in (first, second))
    assert len(expected) > 300
    assert found == expected
    by_models.dispose()
    by_migrations.dispose()


def test_upgrade_twice_changes_nothing(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        before = connection.execute(text("SELECT oid, relname FROM pg_class ORDER BY oid")).all()
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT oid, relname FROM pg_class ORDER BY oid")).all() == before
    engine.dispose()


def test_upgrade_from_several_processes_at_once_all_succeed(empty_database):
    url = empty_database(None)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    engine.dispose()


def _open(url):
    open_database(url).close()


def test_open_database_from_threads_at_once_all_succeed(empty_database):
    url = empty_database(None)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_open, [url] * 4)) == [None] * 4


def test_downgrade_every_step_leaves_nothing(empty_database):
    url = empty_database(None)
    open_database(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "db:migrations")
        config.attributes["connection"] = connection
        assert len(list(ScriptDirectory.from_config(config).walk_revisions())) >= 3
        command.downgrade(config, "base")
        left = connection.scalars(
            text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')")
        ).all()
        functions = connection.scalar(text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"))
    assert left == ["alembic_version"]
    assert functions == 0
    engine.dispose()


def test_open_database_of_newer_version_refused_naming_it(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InputError, match=r"'9999'.*newer"):
        open_database(database_url)


def test_open_database_unreachable_one_message_without_password(server_url):
    url = make_url(server_url).set(database="nowhere", password="hidden-word")
    with pytest.raises(InputError, match="nowhere") as caught:
        open_database(url.render_as_string(hide_password=False))
    assert "hidden-word" not in str(caught.value)


def test_open_database_without_right_to_create_says_the_fix(empty_database):
    url = empty_database(None)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader LOGIN"))
    engine.dispose()
    with pytest.raises(InputError, match="GRANT CREATE"):
        open_database(make_url(url).set(username="reader").render_as_string(hide_password=False))


def test_metric_table_equals_the_stage_directions(database):
    with database.session() as session:
        rows = session.execute(text("SELECT name, higher_is_better FROM metric"))
        assert {row.name: row.higher_is_better for row in rows} == {m.value: b for m, b in HIGHER_IS_BETTER.items()}
