"""Which languages the patients of a clinic speak, and which of them a notifier's templates lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clinicrelay.contracts import Finding
from clinicrelay.settings import texts
from sync.store import wakes

if TYPE_CHECKING:
    from clinicrelay.contracts import Notifier
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


def _spoken(clinic: Clinic) -> Counter[str]:
    """Count the patients with a visit to come by language; where none is known, it is the clinic's."""
    found: dict[tuple[str, str], str] = {}
    with clinic.store.read() as connection:
        for woken in wakes.coming(connection, clinic.store.clinic, now=clinic.now):
            for patient in woken.visit.patients if woken.gone_at is None else ():
                found[woken.source, patient.key] = patient.language or clinic.words.default
    return Counter(language.split("-")[0].lower() for language in found.values())
