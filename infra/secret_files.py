"""Fresh secrets for a cluster of one's own: passwords, tokens, a certificate for Postgres; written once, mode 0600."""

from __future__ import annotations

import datetime
import os
import secrets
from pathlib import Path

from infra.errors import ConfigurationError

POSTGRES_HOSTS = ("postgres", "beyond-iid-postgres", "beyond-iid-postgres.beyond-iid.svc", "localhost")
"""Names the certificate is for: the compose file's service, the Kubernetes service, a port forwarded to localhost."""

_CERTIFICATE_DAYS = 1825
_POSTGRES = (
    "POSTGRES_PASSWORD",
    "BEYOND_IID_OWNER_PASSWORD",
    "BEYOND_IID_WRITER_PASSWORD",
    "BEYOND_IID_READER_PASSWORD",
    "BEYOND_IID_PREFECT_PASSWORD",
)


def write_secrets(folder: Path) -> tuple[Path, ...]:
    """Write new secrets into `folder` (created with mode 0700); nothing is ever overwritten.

    - compose.env: every variable the compose file wants.
    - postgres.env, prefect.env: the parts that Kubernetes secrets are made from.
    - ca.crt, server.crt, server.key: Postgres' certificate; the authority's own key is not kept.

    Returns:
        The files.

    Raises:
        ConfigurationError: one of the files is there already, or the folder cannot be written.
    """
    words = {name: secrets.token_urlsafe(32) for name in _POSTGRES}  # URL-safe: they become parts of URLs
    prefect = {"PREFECT_AUTH_STRING": f"beyond-iid:{secrets.token_urlsafe(32)}"}
    rest = {"RAY_AUTH_TOKEN": secrets.token_urlsafe(32), "GRAFANA_PASSWORD": secrets.token_urlsafe(24)}
    place = {"SECRETS_FOLDER": str(folder.expanduser().resolve())}
    contents = {
        "compose.env": _lines(words | prefect | rest | place),
        "postgres.env": _lines(words),
        "prefect.env": _lines(prefect),
        **_certificate(),
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = [name for name in contents if (folder / name).exists()]
        if present:
            raise ConfigurationError(
                f"{folder} holds {', '.join(present)} already, and secrets in use are never overwritten. "
                "Choose another folder, or remove them yourself."
            )
        return tuple(_write(folder / name, text) for name, text in contents.items())
    except OSError as error:
        raise ConfigurationError(f"{folder}: secrets cannot be written: {error.strerror}. Choose another.") from error


def _lines(values: dict[str, str]) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in values.items()).encode()


def _write(path: Path, content: bytes) -> Path:
    # The certificate is public, and read in containers by accounts that own no file here.
    mode = 0o644 if path.suffix == ".crt" else 0o600
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    return path


def _certificate() -> dict[str, bytes]:
    """An authority for this one certificate, so that clients can insist on sslmode=verify-full."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)

    def certified(name: str, key: ec.EllipticCurvePublicKey, is_authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("beyond-iid authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=_CERTIFICATE_DAYS))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        )

    signing = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "crl_sign", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    root = certified("beyond-iid authority", authority.public_key(), True).add_extension(
        x509.KeyUsage(**signing, key_cert_sign=True), critical=True
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in POSTGRES_HOSTS])
    leaf = certified(POSTGRES_HOSTS[0], server.public_key(), False).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    return {
        "ca.crt": root.sign(authority, hashes.SHA256()).public_bytes(pem),
        "server.crt": leaf.sign(authority, hashes.SHA256()).public_bytes(pem),
        "server.key": server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }
