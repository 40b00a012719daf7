"""What a server or the network did instead of what was asked, as an outcome and its remedy."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from clinicrelay import Outcome, SendResult
from notifiers.smtp.letter import Failure
from notifiers.smtp.verdicts import (
    BY_HAND,
    CUT,
    TOO_LATE,
    Phase,
    Reply,
    lost,
    refusal,
    standstill,
)

TLS_FIX = (
    "Try security: tls (port 465), or ask whoever runs the mail server which port is encrypted."
)
CA_FIX = "Write under ca the path of a PEM file that the user who runs clinicrelay may read."
LOGIN_FIX = (
    "Correct username and password (some providers want one made for programs), or ask whoever "
    "runs the mail server."
)
_FIXES = {
    "unreachable": "Correct host and port, or ask the network's admin to let this machine through.",
    "silent": "Correct host and port; one that is encrypted from the first byte, as 465 is, wants "
    "security: tls.",
    "server_busy": "Wait: it is tried again. If it lasts, ask whoever runs the mail server.",
    "tls_refused": TLS_FIX,
    "credentials_refused": LOGIN_FIX,
    "account_refused": "Ask whoever runs the mail server to let this machine and login send.",
    "quota_used_up": "Wait, or ask whoever runs the mail server for a higher limit; rate keeps to it.",
    "sender_refused": "Write under from an address that this login may use.",
}
NEEDS_UTF8 = SendResult(
    Outcome.REJECTED,
    "address_unsupported",
    detail="The address has letters beyond ASCII before the @, and the server knows no SMTPUTF8.",
)
# OpenSSL's X509_V_ERR_ codes.
_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64


@contextmanager
def during(phase: Phase, host: str = "") -> Iterator[None]:
    """Turn whatever the library and the network raise in a phase into a Failure."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(error, host) from error
    except smtplib.SMTPResponseException as error:
        reply = Reply(error.smtp_code, as_bytes(error.smtp_error).decode("utf-8", "replace"))
        result = refusal(phase, reply)
        raise Failure(result, fix=_FIXES.get(result.reason, "")) from error
    except ssl.SSLError as error:
        if phase in (Phase.CONNECT, Phase.STARTTLS):
            detail = f"No encryption with {host} came about ({error.reason or 'TLS'})."
            raise Failure(standstill("tls_refused", detail, BY_HAND), fix=TLS_FIX) from error
        raise _broken(phase, error) from error
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise _broken(phase, error) from error


def _broken(phase: Phase, error: Exception) -> Failure:
    late = any(isinstance(e, TimeoutError) for e in (error, error.__context__))
    why = TOO_LATE if late else _why(error)
    silent = phase is Phase.CONNECT and isinstance(error, smtplib.SMTPServerDisconnected)
    fix = _FIXES["silent" if silent else "unreachable"]
    return Failure(lost(phase, why), fix=fix, stale=phase is not Phase.DOT)


def _why(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "no server of that name was found"
    if isinstance(error, ConnectionRefusedError):
        return "nobody answers at that port"
    return CUT


def _untrusted(error: ssl.SSLCertVerificationError, host: str) -> Failure:
    what, fix = {
        _EXPIRED: ("has expired", f"Ask whoever runs {host} to renew it."),
        _NOT_YET: ("is not valid yet", "Set this machine's clock, or ask for another certificate."),
        _OTHER_NAME: ("is for another name", "Write under host a name that it is for."),
        _OTHER_ADDRESS: ("is not for that address", "Write under host a name that it is for."),
    }.get(
        error.verify_code,
        (
            "is signed by nobody whom this machine trusts",
            "If the clinic signs its own certificates, write the signer's under ca; if not, ask "
            f"whoever runs {host}.",
        ),
    )
    detail = f"The certificate of {host} {what}."
    return Failure(standstill("certificate_refused", detail, BY_HAND), fix=fix)


def good(phase: Phase, answer: tuple[int, bytes], *, wanted: int = 0) -> Reply:
    """Return the answer if it is the wished one: this code, or without one any of success."""
    reply = Reply(answer[0], answer[1].decode("utf-8", "replace"))
    if reply.code == wanted or (200 <= reply.code < 300 and wanted in (0, 250)):
        return reply
    result = refusal(phase, reply)
    in_step = 400 <= reply.code < 600 and reply.code not in (421, 500, 502, 503, 504)
    before_the_dot = phase is not Phase.DOT
    stale = before_the_dot and (not in_step or (phase is Phase.MAIL and reply.code < 500))
    usable = in_step and phase is not Phase.BODY  # there it still waits for the rest of the text
    raise Failure(result, fix=_FIXES.get(result.reason, ""), usable=usable, stale=stale)


def as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
