"""What an OperationOutcome means for a read: failed, not complete, gone, or only to be noted.

Servers put it beside results, in their place, or under an error status. Its texts may say who a
patient is, so they are looked at and never repeated: sentences name the codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from connectors.fhir.resources import decode


class Verdict(StrEnum):
    """What follows from an outcome, gravest first."""

    REFUSED = "refused"  # the question is wrong: a person has to change the settings
    FORBIDDEN = "forbidden"
    EXPIRED = "expired"  # this result is no longer kept: ask again from the first page
    FAILED = "failed"
    LATER = "later"
    IGNORED = "ignored"  # a parameter of ours was not understood
    INCOMPLETE = "incomplete"
    GONE = "gone"
    NOTED = "noted"
    NOTHING = "nothing"


# https://fhir.epic.com (error codes of its FHIR interface)
_EPIC = {
    "4101": Verdict.NOTHING,  # no results
    "4103": Verdict.GONE,
    "4107": Verdict.NOTED,  # merged into another
    "4111": Verdict.REFUSED,
    "4112": Verdict.REFUSED,
    "4113": Verdict.EXPIRED,
    "4118": Verdict.FORBIDDEN,
    "4119": Verdict.INCOMPLETE,
    "4122": Verdict.IGNORED,
    "4127": Verdict.INCOMPLETE,
    "4130": Verdict.FORBIDDEN,  # break the glass: never to be tried again
    "4131": Verdict.FORBIDDEN,
    "4134": Verdict.FORBIDDEN,
    "4135": Verdict.LATER,
    "59100": Verdict.IGNORED,
    "59133": Verdict.INCOMPLETE,
}
_EPICS_SYSTEM = "urn:oid:1.2.840.114350."
# What makes little of a trouble is believed of Epic alone: another's 4103 is anything.
_MILD = frozenset({Verdict.GONE, Verdict.NOTED, Verdict.NOTHING})
_NO_SUCH = frozenset({"not-found", "deleted"})
_CODES = {
    "incomplete": Verdict.INCOMPLETE,
    "too-costly": Verdict.INCOMPLETE,
    "timeout": Verdict.INCOMPLETE,
    "suppressed": Verdict.INCOMPLETE,  # somebody is hidden from us: absence proves nothing
    "throttled": Verdict.INCOMPLETE,
}
# The same words of an outcome that is grave; security and transient stand above others.
_GRAVE = {
    **dict.fromkeys(("security", "login", "unknown", "expired", "forbidden"), Verdict.FORBIDDEN),
    **dict.fromkeys(("transient", "throttled", "lock-error", "no-store"), Verdict.LATER),
}
_TRUNCATION = re.compile(
    r"truncat|additional (data|results|information)|more (results|matches)|incomplete|not all |"
    r"partial|limited to|maximum number",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"unknown|not supported|unsupported|unrecogni[sz]ed|ignored", re.IGNORECASE)
# https://hl7.org/fhir/valueset-issue-type.html and -issue-severity.html, of R5: others are not shown
_SHOWN = frozenset(
    [
        "fatal",
        "error",
        "warning",
        "information",
        "success",
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "limited-filter",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ]
)


class _Coding(msgspec.Struct):
    system: str | None = None
    code: str | int | None = None


class _Details(msgspec.Struct):
    coding: tuple[_Coding, ...] = ()
    text: str | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None
    code: str | None = None
    details: _Details | str | None = None
    diagnostics: str | tuple[str, ...] | None = None

    @property
    def codings(self) -> tuple[_Coding, ...]:
        return self.details.coding if isinstance(self.details, _Details) else ()

    @property
    def text(self) -> str:
        """What it says in words: the details are mere text at some, the diagnostics a list."""
        details = self.details.text if isinstance(self.details, _Details) else self.details
        said = self.diagnostics or ""
        return f"{details or ''} {said if isinstance(said, str) else ' '.join(said)}"


class _Outcome(msgspec.Struct):
    type: str = msgspec.field(default="", name="resourceType")
    issue: tuple[_Issue, ...] = ()


class Remark(msgspec.Struct, frozen=True):
    """One issue of an outcome: what follows, and how it may be called in a sentence.

    `text` is what the server wrote and is shown to nobody; `about` are those of our parameters that
    it was said not to understand.
    """

    verdict: Verdict
    called: str
    text: str = ""
    about: tuple[str, ...] = ()


_UNREADABLE = Remark(Verdict.FAILED, "an outcome that cannot be read")


def remarks(
    content: bytes | msgspec.Raw, params: Iterable[str] = (), *, epic: bool = False
) -> list[Remark]:
    """Return what an outcome says, gravest first; nothing where this is no outcome.

    `params` are the names that we asked with; `epic` says that this is a server of Epic's.
    """
    names = [*params]
    order = [*Verdict]
    return sorted(
        (_remark(one, names, epic) for one in _issues(content)),
        key=lambda r: order.index(r.verdict),
    )


def remarks_inside(
    raw: msgspec.Raw, params: Iterable[str] = (), *, epic: bool = False
) -> list[Remark]:
    """Return what an outcome among results says; of one that nobody understands, that it failed."""
    return remarks(raw, params, epic=epic) or [_UNREADABLE]


def says_gone(content: bytes, status: int, *, epic: bool = False) -> bool:
    """Whether an outcome says that there is nothing of this id, and nothing graver beside it."""
    grave = [one for one in _issues(content) if _is_grave(one) or _verdict_of_epic(one, epic)]
    return bool(grave) and all(
        _verdict_of_epic(one, epic) is Verdict.GONE or (status == 404 and one.code in _NO_SUCH)
        for one in grave
    )


def _issues(content: bytes | msgspec.Raw) -> tuple[_Issue, ...]:
    try:
        outcome = decode(content, _Outcome)
    except ValueError:
        return ()
    return outcome.issue if outcome.type == "OperationOutcome" else ()


def _is_grave(issue: _Issue) -> bool:
    return (issue.severity or "").lower() in ("fatal", "error")


def _verdict_of_epic(issue: _Issue, epic: bool) -> Verdict | None:
    code = _epic_code(issue, "", epic)
    return _EPIC[code] if code else None


def _remark(issue: _Issue, params: Sequence[str], is_epic: bool) -> Remark:
    text = issue.text
    epic = _epic_code(issue, text, is_epic)
    about = _about(text, issue.code, params)
    if epic:
        return Remark(_EPIC[epic], f"Epic's code {epic}", text, about)
    called = f"{_safe((issue.severity or '').lower())}, {_safe(issue.code)}"
    return Remark(_verdict(issue, text, about), called, text, about)


def _epic_code(issue: _Issue, text: str, epic: bool) -> str | None:
    codings = issue.codings
    epics = [str(c.code) for c in codings if epic or (c.system or "").startswith(_EPICS_SYSTEM)]
    inside = re.findall(r"\((\d{4,5})\)", text)  # as some gateways write it
    others = [str(c.code) for c in codings] + ([] if epic else inside)
    epics += inside if epic else []
    known = [code for code in epics if code in _EPIC]
    known += [code for code in others if _EPIC.get(code, Verdict.NOTHING) not in _MILD]
    return known[0] if known else None


def _verdict(issue: _Issue, text: str, about: Sequence[str]) -> Verdict:
    if _is_grave(issue):
        return _GRAVE.get(issue.code or "", Verdict.FAILED)
    if about:
        return Verdict.IGNORED
    if (issue.severity or "").lower() == "warning" and _TRUNCATION.search(text):
        return Verdict.INCOMPLETE
    return _CODES.get(issue.code or "", Verdict.NOTED)


def _about(text: str, code: str | None, params: Sequence[str]) -> tuple[str, ...]:
    """Return which of our parameters a text says were not understood."""
    if code != "not-supported" and not _UNKNOWN.search(text):
        return ()
    return tuple(p for p in params if re.search(rf"(?<![\w-]){re.escape(p)}(?![\w-])", text))


def _safe(word: str | None) -> str:
    """Return a code as it may be shown: these are from closed lists, unless a server is odd."""
    return word if word and word in _SHOWN else "no code"
