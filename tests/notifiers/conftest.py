"""A small mail server of our own that says what a test wants it to say, and certificates for it."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clinicrelay.testing import kit
from notifiers.smtp import Smtp

LATE = timedelta(seconds=1.2)  # a busy machine answers sooner


class Act(Enum):
    """What a peer can do at a stage instead of answering."""

    CUT = auto()  # reset the connection
    TAKE_AND_CUT = auto()  # take the message first
    TAKE_AND_HANG = auto()  # take the message, and answer when nobody listens any more
    HANG = auto()
    LATE = auto()  # answer well, after LATE has passed
    DRIP = auto()  # answer octet by octet, each in time, without end
    CHATTER = auto()  # answer line by line, each promising another
    RANT = auto()  # answer with one line that is longer than any


_ENDLESS: dict[object, bytes] = {
    Act.DRIP: b"2",
    Act.CHATTER: b"220-hello\r\n" * 20,
    Act.RANT: b"220 " + b"x" * 20_000,
}


class Mail(NamedTuple):
    """One accepted mail with its envelope."""

    sender: str
    recipient: str
    content: bytes


GOOD = {
    "connect": "220 peer.example ESMTP",
    "STARTTLS": "220 2.0.0 go ahead",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "dot": "250 2.0.0 Ok: queued as 4ZQ1x",
    "RSET": "250 2.0.0 ok",
    "NOOP": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class Peer:
    """Answers well, but for what `script` says of a stage: a line to say, an Act, or a list of both
    that is used up from its front. `commands` are what was said to it, by connection."""

    script: dict[str, str | Act | list[str | Act | None]] = field(default_factory=dict)
    offers: tuple[str, ...] = ("SIZE 1000000", "8BITMIME")
    tls: ssl.SSLContext | None = None
    from_the_first_byte: bool = False
    mails: list[Mail] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.over = threading.Event()
        self._open: list[_Conversation] = []
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    @property
    def verbs(self) -> list[str]:
        """The commands of all connections, without what follows them."""
        return [line.split()[0].upper() for lines in self.commands for line in lines]

    def drop_idle(self) -> None:
        """End every connection, as a server does that has waited too long."""
        for conversation in self._open:
            with suppress(OSError):
                conversation.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop_idle()
        for thread in self._threads:
            thread.join(5)

    # --- the server's side ---------------------------------------------------------------------

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            said: list[str] = []
            self.commands.append(said)
            self._open.append(_Conversation(self, connection, said))
            thread = threading.Thread(target=self._serve, args=(self._open[-1],), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, conversation: _Conversation) -> None:
        with suppress(OSError, _Over):
            conversation.hold()
        conversation.end()

    def next(self, stage: str) -> str | Act | None:
        found = self.script.get(stage)
        if isinstance(found, list):
            return found.pop(0) if found else None
        return found

    def wait_until_over(self) -> None:
        self.over.wait(20)


class _Over(Exception):
    """The conversation is at its end."""


class _Conversation:
    def __init__(self, peer: Peer, connection: socket.socket, said: list[str]) -> None:
        self.peer, self.connection, self.said = peer, connection, said
        self.sender = self.recipient = ""

    def hold(self) -> None:
        if self.peer.from_the_first_byte:
            self._encrypt()
        self.file = self.connection.makefile("rb")
        self._answer("connect")
        while line := self.file.readline().decode(errors="replace").rstrip("\r\n"):
            self.said.append(line)
            self._do(line)

    def _do(self, line: str) -> None:
        verb = line.partition(" ")[0].upper()
        if verb in ("EHLO", "HELO"):
            names = ["peer.example", *self.peer.offers]
            lines = [f"250-{name}" for name in names[:-1]] + [f"250 {names[-1]}"]
            self._answer("EHLO", "\r\n".join(lines))
            return
        if verb == "MAIL":
            self.sender = re.findall(r"<(.*?)>", line)[0]
        if verb == "RCPT":
            self.recipient = re.findall(r"<(.*?)>", line)[0]
        good = self._answer(verb)
        if verb == "STARTTLS" and good:
            self.file.close()
            self._encrypt()
            self.file = self.connection.makefile("rb")
        if verb == "DATA" and good:
            self._read_mail()
        if verb == "QUIT":
            raise _Over

    def _read_mail(self) -> None:
        if act := self.peer.next("body"):
            self.file.read(20)
            self._play("body", act, "")
            raise _Over  # without having read the rest
        lines = []
        while (line := self.file.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        if not line:
            raise _Over  # cut off in the middle: nothing was accepted
        mail = Mail(self.sender, self.recipient, b"".join(lines))
        act = self.peer.next("dot")
        if act in (None, Act.LATE, Act.TAKE_AND_CUT, Act.TAKE_AND_HANG) or str(act)[0] == "2":
            self.peer.mails.append(mail)
        self._play("dot", act, GOOD["dot"])

    def _answer(self, stage: str, good: str = "") -> bool:
        act = self.peer.next(stage)
        return self._play(stage, act, good or GOOD.get(stage, "502 5.5.1 what?"))

    def _play(self, stage: str, act: str | Act | None, good: str) -> bool:
        """Say what the script says, else what is good; return whether that was good."""
        if act in (Act.CUT, Act.TAKE_AND_CUT):
            self._cut()
        if act in (Act.HANG, Act.TAKE_AND_HANG):
            self.peer.wait_until_over()
            raise _Over
        if act is Act.LATE:
            self.peer.over.wait(1.5 * LATE.total_seconds())
        if act in _ENDLESS:
            while not self.peer.over.wait(0.02):
                self.connection.sendall(_ENDLESS[act])
            raise _Over
        text = act if isinstance(act, str) else good
        self.connection.sendall(f"{text}\r\n".encode())
        if text.startswith("421"):
            raise _Over
        return text[:1] in "23"

    def _cut(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Over

    def _encrypt(self) -> None:
        assert self.peer.tls is not None
        try:
            self.connection = self.peer.tls.wrap_socket(self.connection, server_side=True)
        except OSError as error:
            raise _Over from error

    def end(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
        with suppress(OSError):
            self.connection.close()


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Start mail servers; all end with the test."""
    started: list[Peer] = []

    def start(**changes: object) -> Peer:
        started.append(Peer(**changes))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def acts() -> Any:
    """What a peer can do instead of answering."""
    return SimpleNamespace(**Act.__members__)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Smtp]]:
    """Make notifiers for a peer or a port of this machine; all are closed when the test ends."""
    all_: list[Smtp] = []

    def make(peer: Peer | int, **options: Any) -> Smtp:
        port = peer if isinstance(peer, int) else peer.port
        server = {"host": "127.0.0.1", "port": port, "security": "none"}
        server |= {"timeout": LATE, "final_timeout": LATE}
        said = {**server, "from": "Riverside <noreply@riverside.example>", **options}
        all_.append(Smtp(Smtp.Options.model_validate(said), kit(tmp_path)))
        return all_[-1]

    yield make
    for one in all_:
        one.close()


# --- certificates ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """Signs certificates for servers, whose clients find it in `file`."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def context(self, *names: str, ends_in: timedelta = timedelta(days=365)) -> ssl.SSLContext:
        """Return a server's TLS with a certificate for these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        ends = datetime.now(UTC) + ends_in
        certificate = (
            _builder(names[0], self.certificate.subject, key, ends)
            .add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        file = self.folder / f"{names[0]}-{certificate.serial_number}.pem"
        file.write_bytes(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=400))
        .not_valid_after(ends)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A signer of certificates that no system knows."""
    folder = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    ends = datetime.now(UTC) + timedelta(days=399)
    certificate = (
        _builder("Test authority", _subject("Test authority"), key, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(folder, key, certificate)


@pytest.fixture
def secure(authority: Authority) -> dict[str, Any]:
    """What makes a peer speak TLS when asked, and want a login."""
    context = authority.context("127.0.0.1")
    return {"offers": ("STARTTLS", "AUTH LOGIN PLAIN", "SIZE 99999"), "tls": context}


@pytest.fixture
def logged_in(authority: Authority) -> dict[str, Any]:
    """The options of a notifier for such a peer."""
    ca = {"security": "starttls", "ca": str(authority.file)}
    return {**ca, "username": "clinic-login", "password": "open-sesame-päss"}
