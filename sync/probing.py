"""Looks at a source that nobody has described: how it should be read, and what its words may mean.

The connector offers what it finds; the likeliest is what a draft mapping understands most of. A
draft is tried on the samples before anybody sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from clinicrelay.contracts import Offer, Record
from clinicrelay.errors import BadRecord

if TYPE_CHECKING:
    from mappings.drafting import Draft
    from sync.clinic import Clinic

_REACHES = {"patient.phone", "patient.email"}
_MUTE = "it has no phone and no e-mail of patients: calendars would be kept, and no patient be told"


@dataclass(frozen=True, slots=True)
class Proposal:
    """How a source should be read. `mapping` is the text of a draft, None where one exists already.

    `settings` are to be written under the source; `understood` of `tried` samples became visits,
    `reasons` count why the others did not; `lacking` are fields that nothing seems to hold.
    """

    offer: str
    settings: Mapping[str, Any]
    mapping: str | None
    notes: Sequence[str] = ()
    tried: int = 0
    understood: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    lacking: Sequence[str] = ()
    others: Sequence[str] = ()


def probe(clinic: Clinic, name: str) -> Proposal | None:
    """Return what to write for a source; None where it has nothing that looks like records.

    Raises TryLater and Refused.
    """
    connector = clinic.connector(name)
    try:
        offers = [*connector.offers()]
    finally:
        connector.close()
    if not offers:
        return None
    drafts = [_draft(offer) for offer in offers]
    at = max(range(len(offers)), key=lambda n: (_worth(offers[n], drafts[n]), -n))
    others = [offer.name for n, offer in enumerate(offers) if n != at]
    return _proposal(clinic, name, offers[at], drafts[at], others)


def _draft(offer: Offer) -> Draft | None:
    from mappings.drafting import draft

    return None if offer.mapping or not offer.samples else draft(offer.samples)


def _worth(offer: Offer, draft: Draft | None) -> int:
    if offer.mapping:
        return 1000
    return draft.score if draft else 0


def _proposal(
    clinic: Clinic, name: str, offer: Offer, draft: Draft | None, others: Sequence[str]
) -> Proposal:
    import mappings

    where = clinic.settings.clinic
    context = mappings.Context(name, where.timezone, where.country, where.language)
    with TemporaryDirectory() as folder:
        if draft is not None:
            Path(folder, f"{name}.yaml").write_text(draft.text, encoding="utf-8")
        file = f"{name}.yaml" if draft is not None else offer.mapping
        reasons = Counter[str]()
        if file is not None:
            reasons = _tried(mappings.load(file, Path(folder)).compile(context), offer.samples)
    use = offer.mapping or f"mappings/{name}.yaml"
    notes = [*offer.notes, *([_MUTE] if draft and not _REACHES & draft.places.keys() else [])]
    return Proposal(
        offer.name,
        {**offer.settings, "mapping": use},
        draft.text if draft else None,
        notes,
        len(offer.samples),
        len(offer.samples) - sum(reasons.values()),
        dict(reasons),
        draft.places if draft else {},
        draft.lacking if draft else (),
        others,
    )


def _tried(mapper: Any, samples: Sequence[Mapping[str, Any]]) -> Counter[str]:
    reasons = Counter[str]()
    for sample in samples:
        try:
            mapper(Record(sample, bytes(16)))
        except BadRecord as wrong:
            reasons[str(wrong)] += 1
    return reasons
