"""What it means when AWS's library raises: whether a message can have left."""

from __future__ import annotations

import re

from clinicrelay import Outcome, SendResult
from notifiers import _http
from notifiers._http import BY_HAND, NotReached
from notifiers.aws_sms import verdicts

# What a handshake ends with. Other trouble with TLS may come when the request has been written.
_HANDSHAKE = re.compile(
    r"CERTIFICATE_VERIFY|WRONG_VERSION|HANDSHAKE|HOSTNAME|UNKNOWN_CA|PROTOCOL_V"
)
_INSTALL = 'AWS\'s library is not installed: pip install "clinicrelay[aws]".'


class Unready(Exception):
    """There is no client, or no credentials: `result` is what a message is that it had to send."""

    def __init__(self, result: SendResult) -> None:
        super().__init__(result.reason)
        self.result = result


def broken() -> tuple[type[Exception], ...]:
    """Return what the library raises, for answers that it cannot read as well."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    known = (BotoCoreError, ClientError, ResponseParserError)
    return (*known, ValueError, LookupError, TypeError, AttributeError)


def not_ready(error: Exception) -> SendResult:
    """Return what a message is for which there is no client, or no credentials."""
    from botocore.exceptions import UnknownServiceError

    if isinstance(error, UnknownServiceError):
        detail = "AWS's library is too old for this service: pip install -U boto3."
        return _http.standstill("unreachable", detail, BY_HAND)
    detail = f"AWS: no credentials could be had ({type(error).__name__})."
    return _http.standstill("credentials_refused", detail, BY_HAND, type(error).__name__)


def not_installed() -> SendResult:
    """Return what a message is while the library is not there."""
    return _http.standstill("unreachable", _INSTALL, BY_HAND)


def judged(error: Exception) -> SendResult:
    """Return what became of a message whose call raised this; only what is proven is NOT_SENT."""
    from botocore import exceptions as said

    if isinstance(error, said.ClientError):
        return verdicts.refusal(error.response)
    if isinstance(error, said.ParamValidationError):
        detail = "AWS takes no such text or number; nothing was sent."
        return SendResult(Outcome.REJECTED, "content_refused", detail=detail)
    if isinstance(error, said.NoCredentialsError | said.CredentialRetrievalError):
        return not_ready(error)
    why = _why_not_reached(error)
    if why:
        return _http.not_reached("AWS", NotReached(why))
    return _http.lost("AWS", _why_lost(error))


def _why_not_reached(error: Exception) -> str:
    from botocore import exceptions as said

    if isinstance(error, said.ProxyConnectionError):
        return "the proxy did not let the request out"
    if isinstance(error, said.ConnectTimeoutError):
        return "no connection came about in time"
    if isinstance(error, said.EndpointConnectionError):
        return "no connection could be made"
    if isinstance(error, said.SSLError) and _HANDSHAKE.search(str(error)):
        trusted = "CERTIFICATE_VERIFY" not in str(error)
        return "no encryption came about" if trusted else "its certificate cannot be trusted"
    return ""


def _why_lost(error: Exception) -> str:
    from botocore import exceptions as said

    if isinstance(error, said.ReadTimeoutError):
        return "no answer came in time"
    if isinstance(error, said.HTTPClientError):
        return "the connection ended before a whole answer came"
    return "its answer cannot be understood"
