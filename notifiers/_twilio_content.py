"""Looks templates up at Twilio's Content API: there, approved for WhatsApp, and with as many values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from clinicrelay import Finding
from notifiers import _http, _templates

_COPY = "copy its Content SID (HX…) from the Content Template Builder of this account"
_FIXES = {
    "unsubmitted": "submit it for WhatsApp approval in the Content Template Builder",
    "rejected": "its page in the Content Template Builder says why; submit another one",
    "paused": "people complained of it: WhatsApp lets it go on in some hours, or disables it",
    "disabled": "submit another template, and write its SID here",
}
_WAIT = "wait for WhatsApp to approve it, which may take a day"


class Place(NamedTuple):
    """A template where settings name it, and how many values we have for it."""

    text: str
    language: str
    sid: str
    values: int

    def finding(self, code: str, what: str, fix: str, severity: str = "error") -> Finding:
        message = f"the template of {self.text} in {self.language!r} {what}"
        path = f"templates.{self.text}.{self.language}"
        return Finding(severity, code, message, fix, path=path)


def looked_up(contents: Any, places: Iterable[Place]) -> Iterator[Finding]:
    """Yield what is wrong with templates; `contents` are the library's."""
    for place in places:
        try:
            yield from _one(contents(place.sid), place)
        except (_http.NotReached, _http.Lost) as why:
            fix = (
                "Let the firewall let this machine reach the service, or correct content_base_url."
            )
            message = f"Twilio's templates cannot be looked at: {why}."
            yield Finding("error", "unreachable", message, fix)
            return  # nor can the others


def _one(content: Any, place: Place) -> Iterator[Finding]:
    from twilio.base.exceptions import TwilioException

    try:
        there, approval = content.fetch(), content.approval_fetch().fetch()
    except TwilioException as error:
        status = getattr(error, "status", None)
        if status == 404:
            yield place.finding("template_unknown", "does not exist in this account", _COPY)
        else:
            what = f"cannot be looked at: Twilio answers {status or 'what nobody can read'}"
            yield place.finding("template_unseen", what, "try again in a minute")
        return
    yield from _approved(approval.whatsapp, place)
    yield from _fits(there, place)


def _approved(whatsapp: Any, place: Place) -> Iterator[Finding]:
    said = whatsapp if isinstance(whatsapp, dict) else {}
    status = str(said.get("status") or "unsubmitted").lower()
    if status != "approved":
        what = f"is not approved for WhatsApp but {status}, so every message would fail"
        yield place.finding("template_not_approved", what, _FIXES.get(status, _WAIT))
    elif str(said.get("category")).upper() == "MARKETING":
        what = "counts as marketing: it costs more, and WhatsApp does not deliver all of it"
        fix = "submit it as a utility template, with nothing in it but the visit"
        yield place.finding("template_marketing", what, fix, "warning")


def _fits(there: Any, place: Place) -> Iterator[Finding]:
    wanted = {str(n) for n in range(1, place.values + 1)}
    found = _templates.placeholders(there.types)
    if found != wanted:
        what = f"has {_listed(found)}, and we have {_listed(wanted)} for it"
        fix = f"write its order under variables.{place.text}, or change the template"
        yield place.finding("template_variables", what, fix)
    if _templates.primary(str(there.language)) != _templates.primary(place.language):
        what = f"is written in {str(there.language)!r} there"
        yield place.finding("template_language", what, "name its language, or another", "warning")


def _listed(names: set[str]) -> str:
    shown = sorted(names, key=lambda name: (len(name), name))
    return ", ".join(f"{{{{{name}}}}}" for name in shown) or "no variables"
