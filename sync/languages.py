"""Which languages the patients of a clinic speak, which of them templates lack, and who got another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import MessageKind, Role
from clinicrelay.contracts import Finding
from clinicrelay.model import Channel
from clinicrelay.settings import texts
from sync.store import wakes
from sync.words.templates import name_of

if TYPE_CHECKING:
    from clinicrelay.contracts import Notifier
    from clinicrelay.model import Appointment
    from sync.clinic import Clinic


def unspoken(clinic: Clinic, name: str, notifier: Notifier) -> Iterator[Finding]:
    """Warn of each text that patients with a visit to come would get in a language not their own."""
    has = notifier.texts(notifier.options)
    if has is None:
        return
    wanted = texts.wanted(clinic.settings, name, notifier.channels)
    spoken = _spoken(clinic)
    for text in wanted:
        if text not in has or text in texts.TO_DOCTORS:
            continue
        for language, patients in sorted(spoken.items()):
            instead = notifier.language(text, language)
            if instead != language:
                yield Finding(
                    "warning",
                    "template_language_missing",
                    f"{name} has no template of {text} in {language!r}, which {patients} patients "
                    f"with a visit to come speak: they get it in {instead!r}",
                    f"have one approved in {language!r}, and name it here",
                    path=f"templates.{text}",
                )


def note(clinic: Clinic, visit: Appointment, messages: Iterable[dict[str, Any]]) -> None:
    """Note beside messages to patients whose language is another than theirs which one that is.

    `asked` is that language; `lacks` says that there are no texts in it.
    """
    whose = {
        f"patient/{patient.key}": clinic.as_reached(patient, visit).language or clinic.words.default
        for patient in visit.patients
    }
    for one in messages:
        asked, written = whose.get(one["recipient"]), one["language"]
        if asked and written and one["channel"] and _primary(asked) != _primary(written):
            one["asked"], one["lacks"] = asked, _lacks(clinic, one, asked)


def _lacks(clinic: Clinic, message: Mapping[str, Any], asked: str) -> bool:
    """Whether a message would be written in another language also if it were written now."""
    kind, channel = MessageKind(message["kind"]), Channel(message["channel"])
    wanted = asked
    if message["notifier"] in clinic.settings.notifiers:
        notifier = clinic.notifier(message["notifier"])
        wanted = notifier.language(name_of(kind, Role.PATIENT), asked)
    now = clinic.words.language_of(kind, Role.PATIENT, channel, wanted)
    return now is not None and _primary(now) != _primary(asked)


def _primary(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()


def _spoken(clinic: Clinic) -> Counter[str]:
    """Count the patients with a visit to come by language; where none is known, it is the clinic's."""
    found: dict[tuple[str, str], str] = {}
    with clinic.store.read() as connection:
        for woken in wakes.coming(connection, clinic.store.clinic, now=clinic.now):
            for patient in woken.visit.patients if woken.gone_at is None else ():
                found[woken.source, patient.key] = patient.language or clinic.words.default
    return Counter(_primary(language) for language in found.values())
