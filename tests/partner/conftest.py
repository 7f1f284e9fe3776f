"""Servers and clients of the Partner API for these tests."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from ca_embed._partner.client import PartnerClient
from tests.partner.raw_server import TOKEN, RawServer, http


@pytest.fixture
def server() -> Iterator[RawServer]:
    """The Partner API over http."""
    raw = RawServer()
    yield raw
    raw.close()


@pytest.fixture
def elsewhere() -> Iterator[RawServer]:
    """A second server, which must get no request."""
    raw = RawServer()
    raw.answers = [http({"status": "started"})]
    yield raw
    raw.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca_embed tests")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[RawServer]:
    """The Partner API over https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    raw = RawServer(context)
    yield raw
    raw.close()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the certificate of `tls_server`, by the environment variable that operators use."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))


@pytest.fixture
def client(server: RawServer) -> Iterator[PartnerClient]:
    """A client of `server` with the default deadlines."""
    with PartnerClient(server.base_url, TOKEN) as patient:
        yield patient


@pytest.fixture
def hasty() -> Iterator[Callable[[str], PartnerClient]]:
    """Return a function that makes clients with deadlines of 0.3 seconds."""
    made = []

    def make(base_url: str) -> PartnerClient:
        made.append(PartnerClient(base_url, TOKEN, create_deadline=0.3, ask_deadline=0.3))
        return made[-1]

    yield make
    for one in made:
        one.close()
