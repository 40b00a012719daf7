"""Certificates, raw servers and a client whose waiting takes no time."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clinicrelay.http import Client, HttpOptions
from clinicrelay.testing import kit

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@dataclass
class Waits:
    """What a client would have slept, in seconds."""

    slept: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def client(tmp_path: Path, waits: Waits) -> Iterator[Callable[..., Client]]:
    """Make a client: options by keyword, and `kit`, `scope` and `clock` as they are."""
    made: list[Client] = []

    def client(base_url: str, **given: Any) -> Client:
        more = {name: given.pop(name) for name in ("scope", "clock") if name in given}
        at_hand = given.pop("kit", None) or kit(tmp_path)
        options = HttpOptions.model_validate({"base_url": base_url, **given})
        made.append(Client(options, at_hand, sleep=waits, **more))
        return made[-1]

    yield client
    for one in made:
        one.close()


# --- servers that are no good -----------------------------------------------------------------


@contextmanager
def _raw(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(connection,)))
            threads[-1].start()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for thread in threads:
            thread.join()


@pytest.fixture
def raw() -> Callable[[Callable[[socket.socket], None]], Any]:
    """Serve a behaviour over bare sockets: `with raw(behave) as url`."""
    return _raw


@pytest.fixture
def closed_port() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


# --- certificates -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signed:
    """A certificate with its key, as files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates for 127.0.0.1, and whatever else a test asks for."""

    def __init__(self, folder: Path, name: str = "Riverside Test CA") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        made = self._certificate(self._name, self._key, ca=True)
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(
        self,
        name: str = "server",
        *,
        host: str = "127.0.0.1",
        days: int = 1,
        password: bytes | None = None,
        by_itself: bool = False,
    ) -> Signed:
        """Make a certificate that ends in so many days; `password` locks its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = (key, subject) if by_itself else None
        made = self._certificate(subject, key, host=host, days=days, signer=signer)
        files = Signed(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        files.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        locked = (
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption()
        )
        files.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        )
        return files

    def serving(self, signed: Signed, *, clients: bool = False) -> ssl.SSLContext:
        """Return how a server shows a certificate, and with `clients` wants one of ours too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.cert, signed.key)
        if clients:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _certificate(
        self,
        subject: x509.Name,
        key: Any,
        *,
        host: str = "",
        days: int = 1,
        ca: bool = False,
        signer: tuple[Any, x509.Name] | None = None,
    ) -> x509.Certificate:
        signing, issuer = signer or (self._key, self._name)
        ends = datetime.now(UTC) + timedelta(days=days)
        public = signing.public_key()
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - timedelta(days=3))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
        )
        if ca:
            usage = x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            )
            made = made.add_extension(usage, critical=True)
        if host:
            named = x509.DNSName(host) if host[0].isalpha() else x509.IPAddress(ip_address(host))
            made = made.add_extension(x509.SubjectAlternativeName([named]), critical=False)
        return made.sign(signing, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The clinic's own signer of certificates."""
    return Authority(tmp_path)
