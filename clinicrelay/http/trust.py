"""Whom we believe at the other end of an encrypted connection, and how we prove who we are."""

from __future__ import annotations

import ssl
from pathlib import Path

from clinicrelay.http.errors import Unwelcome
from clinicrelay.http.options import HttpOptions, Tls
from clinicrelay.http.private import host_in, is_private


def trusted_by(options: HttpOptions, url: str) -> ssl.SSLContext:
    """Trust the system's signers, those that come with us, and the clinic's own.

    `tls.insecure` is about the source itself; another host, where tokens are given, has to prove who
    it is all the same. Raises Unwelcome where a file under `tls` cannot be used, and where just any
    certificate were to be believed of a host that is not of one's own network.
    """
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    _add(context, options.tls)
    if options.tls.insecure and host_in(url) == host_in(options.base_url):
        _refuse_strangers(url)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def own_files(tls: Tls) -> None:
    """Raises Unwelcome where a file under `tls` cannot be used."""
    _add(ssl.create_default_context(), tls)


def _refuse_strangers(url: str) -> None:
    if not is_private(host_in(url), resolve=True):
        raise Unwelcome(
            f"tls.insecure is for hosts of your own network, and {host_in(url)} is none",
            fix="remove tls.insecure; name the signer of its certificate in tls.ca",
        )


def _add(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.ca:
        try:
            context.load_verify_locations(tls.ca)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("tls.ca", tls.ca, error) from error
    if tls.cert:
        # Without a password of any kind OpenSSL would ask for one on the terminal, and wait.
        password = tls.password.get_secret_value() if tls.password else ""
        try:
            context.load_cert_chain(tls.cert, tls.key, lambda: password)
        except (OSError, ssl.SSLError) as error:
            raise _unusable(*_culprit(tls), error) from error


def _culprit(tls: Tls) -> tuple[str, Path]:
    """Which of the two files it is, as OpenSSL does not say."""
    assert tls.cert is not None
    if tls.key is not None and _opens(tls.cert):
        return "tls.key", tls.key
    return "tls.cert", tls.cert


def _opens(file: Path) -> bool:
    try:
        return b"-----BEGIN CERTIFICATE-----" in file.read_bytes()
    except OSError:
        return False


def _unusable(key: str, file: Path, error: OSError) -> Unwelcome:
    """Say what is wrong with a file; ssl.SSLError is an OSError whose `reason` is a code."""
    if not isinstance(error, ssl.SSLError):
        return Unwelcome(f"{key} cannot be read: {error.strerror}", fix=f"check the file {file}")
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        return Unwelcome(
            "tls.key does not belong to the certificate in tls.cert",
            fix="name the two that were made together",
        )
    if b"ENCRYPTED" in file.read_bytes():  # OpenSSL has many names for that, as for bad ASN.1
        return Unwelcome(
            f"{key} does not open with tls.password",
            fix="write the password that it was made with as tls.password",
        )
    return Unwelcome(f"{key} is no PEM file of this kind", fix=f"check the file {file}")
