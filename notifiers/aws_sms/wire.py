"""AWS's own library, held to one attempt a call, and silent about what it sends.

By its defaults boto3 sends up to three SMS where an answer is lost, and five in its legacy mode.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clinicrelay import Message, loopback
from notifiers import _mail
from notifiers._http import CONNECT
from notifiers.aws_sms.options import NUMBER, Options

_SERVICES = {"eum": "pinpoint-sms-voice-v2", "sns": "sns"}
SHORTEST, _LONGEST = timedelta(seconds=5), timedelta(days=3)  # what AWS takes as TimeToLive


class Line:
    """The way to one of the two services. Imports and opens nothing until it is needed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session: Any = None
        self._client: Any = None

    def ready(self) -> Any:
        """Return the client with credentials that are there: nothing was sent if this raises.

        The chain of AWS's library may ask other services for them, so that comes before the message.
        """
        if self._client is None:
            self._client = self._made()
        credentials = self._session.get_credentials()
        if credentials is None:
            from botocore.exceptions import NoCredentialsError

            raise NoCredentialsError
        credentials.get_frozen_credentials()
        return self._client

    def close(self) -> None:
        client, self._client, self._session = self._client, None, None
        if client is not None:
            client.close()

    def _made(self) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.session import get_session

        # Below this it writes down whole requests: numbers, texts, and what signs them.
        for name in ("boto3", "botocore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        own = self._options
        seconds = own.timeout.total_seconds()
        limits = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=min(CONNECT.total_seconds(), seconds),
            read_timeout=seconds,
        )
        core = get_session()
        # Where a role is assumed, AWS is asked for it by a client of the library's own, which would
        # wait for minutes.
        core.set_default_client_config(limits)
        session = boto3.Session(botocore_session=core, region_name=own.region, **_keys(own))
        stays_here = own.base_url is not None and loopback.url_stays_here(own.base_url)
        # Else a proxy of the environment takes it off this machine.
        config = limits.merge(Config(proxies={})) if stays_here else limits
        client = session.client(_SERVICES[own.api], endpoint_url=own.base_url, config=config)
        self._session = session
        return client


def _keys(options: Options) -> dict[str, str]:
    key, secret = options.access_key_id, options.secret_access_key
    if key is None or secret is None:
        return {}
    return {
        "aws_access_key_id": key.get_secret_value(),
        "aws_secret_access_key": secret.get_secret_value(),
    }


def send(client: Any, options: Options, message: Message, left: timedelta | None) -> Any:
    """Make the one call that sends a message, of use for so long, and return what was answered."""
    if options.api == "sns":
        return client.publish(**_for_sns(options, message))
    return client.send_text_message(**_for_eum(options, message, left))


def _for_eum(options: Options, message: Message, left: timedelta | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "DestinationPhoneNumber": message.to,
        "OriginationIdentity": message.sender or options.sender,
        "MessageBody": message.text,
        "MessageType": "TRANSACTIONAL",
    }
    if left is not None:
        found["TimeToLive"] = int(min(left, _LONGEST).total_seconds())
    if options.configuration_set:
        found["ConfigurationSetName"] = options.configuration_set
    found["Context"] = {"attempt": _mail.opaque(message.id)}  # it comes back with each event
    return found


def _for_sns(options: Options, message: Message) -> dict[str, Any]:
    sender = message.sender or options.sender
    number = NUMBER.fullmatch(sender)
    kind = "AWS.MM.SMS.OriginationNumber" if number else "AWS.SNS.SMS.SenderID"
    said = {kind: sender, "AWS.SNS.SMS.SMSType": "Transactional"}
    return {
        "PhoneNumber": message.to,
        "Message": message.text,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in said.items()
        },
    }


def id_in(answer: object) -> str | None:
    """Return the id that a message was accepted under, of an answer that has one."""
    found = answer.get("MessageId") if isinstance(answer, Mapping) else None
    return found if isinstance(found, str) and found else None
