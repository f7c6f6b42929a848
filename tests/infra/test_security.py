"""Beyond loopback nothing is spoken to without secrets, and what refuses never tells them."""

from __future__ import annotations

import contextlib
import os
import ssl
import stat
from pathlib import Path

import psutil
import pytest

from infra.errors import ConfigurationError
from infra.prefect_server import prefect_api
from infra.ray_cluster import ray_cluster
from infra.secret_files import POSTGRES_HOSTS, write_secrets
from infra.security import (
    credentials_hidden,
    is_loopback,
    require_prefect_credential,
    require_ray_token,
    require_secure_database,
    without_credentials,
)
from infra.settings import load_settings

DRIVER_ONLY = {
    "BEYOND_IID_DATABASE_URL": "postgresql://beyond_iid_writer:hidden-word@db.example/beyond_iid",
    "BEYOND_IID_WRITER_PASSWORD": "hidden-word",
    "PREFECT_API_URL": "https://prefect.example/api",
    "PREFECT_API_AUTH_STRING": "me:hidden-word",
    "PREFECT_API_KEY": "hidden-word",
    "PREFECT_SERVER_API_AUTH_STRING": "me:hidden-word",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://prefect:hidden-word@db.example/prefect",
    "PGPASSWORD": "hidden-word",
    "PGPASSFILE": "/somewhere/hidden-word",
    "POSTGRES_PASSWORD": "hidden-word",
    "GF_SECURITY_ADMIN_PASSWORD": "hidden-word",
}


HOME = os.environ.get("HOME", "")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("PG", "PREFECT_", "RAY_AUTH", "BEYOND_IID_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "host", [None, "", "localhost", "LOCALHOST.", "db.localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "/run/pg"]
)
def test_is_loopback_this_machine(host: str | None) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "128.0.0.1",
        "postgres",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "my-localhost",
    ],
)
def test_is_loopback_anything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "lacking"),
    [
        ("postgresql://me:hidden-word@db.example/x", "encryption (sslmode=verify-full or require; it is unset)"),
        ("postgresql://me:hidden-word@db.example/x?sslmode=prefer", "it is prefer"),
        ("postgresql://me:hidden-word@db.example/x?sslmode=disable", "it is disable"),
        ("postgresql://me@db.example/x?sslmode=require", "lacks a password"),
        ("postgresql://me@db.example/x", "lacks a password (user:password@host) and encryption"),
        ("postgresql+psycopg://me:hidden-word@/x?host=db.example", "db.example"),
        ("postgresql://me:hidden-word@localhost/x?hostaddr=10.0.0.1", "10.0.0.1"),
        ("postgresql://me:hidden-word@/x?host=localhost,db.example", "leads to db.example,"),
        ("postgres://me:hidden-word@0.0.0.0/x", "0.0.0.0"),
    ],
)
def test_database_beyond_loopback_without_secrets_is_refused(url: str, lacking: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_secure_database(url)
    assert lacking in str(refused.value)
    assert "BEYOND_IID_ALLOW_INSECURE=1" in str(refused.value)
    assert "hidden-word" not in str(refused.value)
    require_secure_database(url, allow_insecure=True)


def test_database_of_libpqs_own_variables_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    with pytest.raises(ConfigurationError, match=r"leads to db\.example"):
        require_secure_database("postgresql:///x")
    monkeypatch.setenv("PGPASSWORD", "hidden-word")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    require_secure_database("postgresql:///x")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@localhost/x",
        "postgresql:///x",
        "postgresql://me@/x?host=/run/postgresql",
        "postgresql://me:hidden-word@db.example/x?sslmode=verify-full",
        "postgresql://me:hidden-word@db.example/x?sslmode=require",
        "postgresql://me@db.example/x?sslmode=verify-full&sslcert=me.crt",
    ],
)
def test_database_on_loopback_or_with_secrets_is_accepted(url: str) -> None:
    require_secure_database(url)


def test_database_url_that_cannot_be_read_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        require_secure_database("postgresql://me:hidden-word@db:port/x")
    assert "hidden-word" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("variable", ["PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"])
def test_prefect_beyond_loopback_needs_a_credential(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_prefect_credential("http://127.0.0.1:4200/api")
    with pytest.raises(ConfigurationError, match=r"leads to prefect\.example.*lacks PREFECT_API_AUTH_STRING"):
        require_prefect_credential("https://prefect.example/api")
    monkeypatch.setenv(variable, "me:hidden-word")
    require_prefect_credential("https://prefect.example/api")


def test_prefect_api_beyond_loopback_is_refused_before_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.invalid/api")
    with pytest.raises(ConfigurationError, match="which is not this machine"), prefect_api(tmp_path):
        pass


def test_ray_beyond_loopback_needs_its_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_ray_token("127.0.0.1:6379")
    with pytest.raises(ConfigurationError, match=r"is at ray-head.*lacks RAY_AUTH_TOKEN"):
        require_ray_token("ray-head:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "hidden-word")
    require_ray_token("ray-head:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigurationError, match="lacks RAY_AUTH_MODE=token") as refused:
        require_ray_token("[2001:db8::1]:6379")
    assert "hidden-word" not in str(refused.value)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("hidden-word")
    require_ray_token("[2001:db8::1]:6379")


def test_ray_cluster_beyond_loopback_is_refused_before_it_is_asked() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"ray\.example\.invalid, which is not this machine"),
        ray_cluster("ray.example.invalid:6379"),
    ):
        pass


def test_load_settings_insecure_only_when_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().allow_insecure is False
    monkeypatch.setenv("BEYOND_IID_ALLOW_INSECURE", "1")
    assert load_settings().allow_insecure is True


def test_without_credentials_keeps_all_else() -> None:
    kept = {"PATH": "/bin", "RAY_AUTH_TOKEN": "word", "BEYOND_IID_ARTIFACTS": "/data", "HF_HOME": "/models"}
    assert without_credentials({**DRIVER_ONLY, **kept}) == kept


def test_credentials_hidden_come_back_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DRIVER_ONLY.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError), credentials_hidden():
        assert not set(DRIVER_ONLY) & set(os.environ)
        raise RuntimeError
    assert DRIVER_ONLY.items() <= dict(os.environ).items()


def test_rays_processes_and_tasks_hold_no_credentials_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DRIVER_ONLY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ORDINARY_VARIABLE", "seen by workers")
    # Ray keeps the token of a process's first cluster: other tests of this process look for it in the real home.
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setenv("SPT_NOENV", "1")  # a worker that renames itself would overwrite the environment one can see
    import ray

    def inherited() -> dict[str, str]:
        return dict(os.environ)

    others = set(psutil.Process().children(recursive=True))
    with ray_cluster(None):
        # As the product does it: with several workers the task takes nothing, so that it may run anywhere.
        tasks = [ray.remote(num_cpus=cpus)(inherited).remote() for cpus in (0, 1)]
        environments = ray.get(tasks)
        started = set(psutil.Process().children(recursive=True)) - others
        environments += [process.environ() for process in started if process.status() != psutil.STATUS_ZOMBIE]
    assert len(environments) > 4, "tasks, raylet, GCS and their like"
    for environment in environments:
        assert environment["ORDINARY_VARIABLE"] == "seen by workers"
        assert not set(DRIVER_ONLY) & set(environment)
        assert "hidden-word" not in str(environment)
    assert DRIVER_ONLY.items() <= dict(os.environ).items(), "the driver keeps its own"


def test_write_secrets_are_new_private_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    files = write_secrets(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == (0o644 if path.suffix == ".crt" else 0o600), path
    values = variables(folder / "compose.env")
    secret = [value.split(":")[-1] for name, value in values.items() if name != "SECRETS_FOLDER"]
    assert len(secret) == len(set(secret)) == 8
    assert min(map(len, secret)) >= 32
    assert values.items() >= {**variables(folder / "postgres.env"), **variables(folder / "prefect.env")}.items()
    other = variables(write_secrets(tmp_path / "other")[0])
    assert not {value for name, value in other.items()} & set(values.values())
    before = {path: path.read_bytes() for path in files}
    (folder / "server.key").unlink()
    with pytest.raises(ConfigurationError, match=r"compose\.env"):
        write_secrets(folder)
    assert not (folder / "server.key").exists(), "all or nothing"
    assert all(path.read_bytes() == before[path] for path in files if path.name != "server.key")


@pytest.mark.parametrize("host", [*POSTGRES_HOSTS, "another-host"])
def test_write_secrets_certificate_holds_for_every_name_of_postgres_and_no_other(host: str, tmp_path: Path) -> None:
    write_secrets(tmp_path)
    assert b"PRIVATE" not in (tmp_path / "ca.crt").read_bytes() + (tmp_path / "server.crt").read_bytes()
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    if host in POSTGRES_HOSTS:
        assert shake_hands(client, server, host) == "TLSv1.3"
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake_hands(client, server, host)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> str | None:
    """Both ends of a TLS connection in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].version()


def variables(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())
