"""What eight vendors' servers want: only defaults, each of which settings can override.

Epic and Oracle Health (Cerner) by their public documentation, Microsoft's and Google's by theirs,
AWS by its page on consistency levels, OpenEMR by its source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.fhir.options import FhirOptions


@dataclass(frozen=True, slots=True)
class Preset:
    """One vendor's ways. `who` are the partitions that its search demands, likeliest first.

    `wide` says that it matches a visit's start and end, so that a slice has to be asked for with a
    day on either side. `strict` that it can be told to refuse parameters it does not know.
    """

    strategy: str = "auto"
    who: tuple[str, ...] = ()
    ids_per_request: int = 1
    wide: bool = False
    strict: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)


PLAIN = Preset()

PRESETS: Mapping[str, Preset] = {
    "epic": Preset(strategy="partition", who=("patient",)),
    "cerner": Preset(
        strategy="partition",
        who=("practitioner", "location", "patient"),
        ids_per_request=20,
        wide=True,
    ),
    "hapi": Preset(strict=True),
    # Its lastUpdated does not move when a visit is cancelled; its default status arrives as proposed.
    "openemr": Preset(strategy="window", statuses={"proposed": "booked"}),
    "medplum": Preset(),
    "azure": Preset(strict=True),
    "google": Preset(strict=True),
    # Without it, what was just changed is left out of searches until the index knows it.
    "healthlake": Preset(headers={"x-amz-fhir-history-consistency-level": "strong"}),
}

# Words in the software's name or the description that a server gives of itself.
_SIGNS = (
    ("epic", ("epic",)),
    ("cerner", ("cerner", "oracle health", "millennium")),
    ("hapi", ("hapi",)),
    ("openemr", ("openemr",)),
    ("medplum", ("medplum",)),
    ("azure", ("azure", "microsoft")),
    ("google", ("google",)),
    ("healthlake", ("healthlake", "aws", "amazon")),
)


def preset_of(options: FhirOptions) -> Preset:
    """Return what the settings' preset says, or nothing special."""
    return PRESETS[options.preset] if options.preset else PLAIN


def vendor_of(about: str) -> str | None:
    """Return the preset that fits what a server says of itself, by whole words: no laws are AWS."""
    words = about.lower()
    return next(
        (name for name, signs in _SIGNS if any(re.search(rf"\b{s}\b", words) for s in signs)), None
    )


def vendor_of_refusal(text: str) -> str | None:
    """Return whose rule a refused search broke, by the words of the refusal."""
    words = text.lower()
    if "4111" in words or "4112" in words:
        return "epic"
    named = all(word in words for word in ("patient", "practitioner", "location"))
    if named or ("date" in words and "prefix" in words):
        return "cerner"
    return None
