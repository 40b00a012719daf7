"""WhatsApp through Twilio, by templates that WhatsApp has approved.

To a person who has not written to the clinic within 24 hours WhatsApp takes nothing else, and what
patients write does not reach us, so every message is a template with its values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from clinicrelay import Channel, Finding, Message, Outcome, SendResult, TheirText, phones
from clinicrelay.http.options import BaseUrl
from clinicrelay.settings.values import Language, wrong
from notifiers import _http, _templates, _twilio
from notifiers._templates import TextName, ValueName

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT_API = "https://content.twilio.com"
_PREFIX = "whatsapp:"
_COPY = "copy the Content SID from the Content Template Builder of this account"


def _sender(value: str) -> str:
    number = value.removeprefix(_PREFIX)
    if not _SERVICE.fullmatch(number) and not phones.is_e164(number):
        fix = 'write the number with its country code, in quotes: "+4930987654321"'
        raise wrong("this is no number that WhatsApp messages can come from", fix)
    return number


ContentSid = Annotated[str, StringConstraints(pattern=r"^HX[0-9a-fA-F]{32}$")]
Sids = Annotated[dict[Language, ContentSid], Field(min_length=1)]


class WhatsAppOptions(_twilio.Options):
    """The clinic's account at Twilio, its WhatsApp sender, and its approved templates."""

    sender: Annotated[str, AfterValidator(_sender)] = Field(
        alias="from",
        description="The number of the WhatsApp sender, or the SID (MG…) of a messaging service "
        "that has one.",
        examples=["+4930987654321"],
    )
    templates: dict[TextName, Sids] = Field(
        min_length=1,
        description="The Content SID (HX…) of the approved template of each text, by language.",
        examples=[{"reminder": {"de": "HX0123456789abcdef0123456789abcdef"}}],
    )
    variables: dict[TextName, tuple[ValueName, ...]] = Field(
        default={},
        description="What a text's template has as {{1}}, {{2}} and so on, where it is not the usual "
        "order: `clinic, when, place_or_link, phone`; a change has `before` after `clinic`.",
        examples=[{"reminder": ["when", "clinic", "phone"]}],
    )
    content_base_url: BaseUrl | None = Field(
        default=None,
        description="Another address of the service that knows the templates. Absent: `base_url` "
        f"where that is set, else {_CONTENT_API}.",
        examples=[_CONTENT_API],
    )

    def order(self, text: str) -> tuple[ValueName, ...]:
        """Return what a text's template has in its places."""
        said: Mapping[str, tuple[ValueName, ...]] = self.variables  # type: ignore[assignment]
        return said.get(text, _templates.ORDER[text])

    def sids(self, text: str) -> Mapping[str, str]:
        """Return a text's templates by language; none where settings name none."""
        said: Mapping[str, Mapping[str, str]] = self.templates  # type: ignore[assignment]
        return said.get(text, {})

    @property
    def content_api(self) -> str:
        """Where templates are looked up."""
        own = self.base_url if self.base_url != _twilio.API else _CONTENT_API
        return self.content_base_url or own


class TwilioWhatsApp(_twilio.TwilioNotifier):
    """Hands WhatsApp messages to Twilio, each as a template with its values."""

    Options = WhatsAppOptions
    channels = (Channel.WHATSAPP,)
    options: WhatsAppOptions

    @classmethod
    def texts(cls, options: WhatsAppOptions) -> Collection[str]:
        return frozenset(options.templates)

    @classmethod
    def their_text(
        cls, options: WhatsAppOptions, template: str, wanted: str, own: str
    ) -> TheirText | None:
        sids = options.sids(template)
        language = _templates.language_for(sids, wanted, own)
        return TheirText(sids[language], language, options.order(template)) if language else None

    def language(self, template: str, wanted: str) -> str:
        """Return `wanted`, or the language of the template that is sent instead."""
        found = self._language(template, wanted)
        if found is None or _templates.primary(found) == _templates.primary(wanted):
            return wanted
        return found

    def send(self, message: Message) -> SendResult:
        if not self.options.sids(_name(message)):
            detail = f"There is no template for {_shown(message)} under templates."
            return SendResult(Outcome.REJECTED, "template_required", detail=detail)
        return super().send(message)

    def address(self, number: str) -> str:
        return f"{_PREFIX}{number}"

    def content(self, message: Message) -> dict[str, Any]:
        sids = self.options.sids(_name(message))
        chosen = self._language(_name(message), message.language)
        assert chosen is not None
        said = json.dumps(self._values(message), ensure_ascii=False)
        return {**self._from(message), "content_sid": sids[chosen], "content_variables": said}

    def could_be(self, message: Message, there: Any) -> bool | None:
        """Whether its text holds all that went into ours; one without text can be any."""
        if not there.body:
            return None
        return _templates.all_occur(self._values(message).values(), there.body)

    def advise(self) -> Iterator[Finding]:
        yield from super().advise()
        if self.kit.clinic.phone is None:
            for text in self.options.templates:
                if "phone" in self.options.order(text):
                    yield Finding(
                        "warning",
                        "no_phone",
                        f"the template of {text} shows a telephone, and the clinic has none: "
                        f"people read {_templates.NOTHING} there",
                        "write clinic.phone, or take phone out of variables and the template",
                        path=f"templates.{text}",
                    )

    def check(self) -> Iterator[Finding]:
        """Log in, and look each template up; nothing is sent."""
        findings = list(super().check())
        yield from findings
        if not findings:
            from notifiers import _twilio_content

            places = (
                _twilio_content.Place(text, language, sid, len(self.options.order(text)))
                for text, sids in self.options.templates.items()
                for language, sid in sids.items()
            )
            yield from _twilio_content.looked_up(self._contents, places)

    def close(self) -> None:
        super().close()
        self._content_door.close()

    def _values(self, message: Message) -> dict[str, str]:
        return _templates.variables(message.values, self.options.order(_name(message)))

    def _from(self, message: Message) -> dict[str, str]:
        sender = (message.sender or self.options.sender).removeprefix(_PREFIX)
        if _SERVICE.fullmatch(sender):
            return {"messaging_service_sid": sender}
        return {"from_": self.address(sender)}

    def _language(self, text: str, wanted: str) -> str | None:
        return _templates.language_for(self.options.sids(text), wanted, self.kit.clinic.language)

    @cached_property
    def _content_door(self) -> _http.Door:
        return _http.Door(self.options.content_api, self.options)

    @cached_property
    def _contents(self) -> Any:
        """The library's way to templates: another service, on a connection of its own."""
        from notifiers._twilio_wire import Wire

        client = self._login(Wire(self._content_door))
        client.content.base_url = self.options.content_api
        return client.content.v1.contents


def _name(message: Message) -> str:
    return message.template or message.kind


def _shown(message: Message) -> str:
    return _name(message) if _name(message) in _templates.ORDER else "such a text"
