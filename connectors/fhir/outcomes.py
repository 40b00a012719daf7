"""What an OperationOutcome means for a read: failed, not complete, gone, or only to be noted.

Servers put it beside results, in their place, or under an error status. Its texts may say who a
patient is, so they are looked at and never repeated: sentences name the codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec


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
_CODES = {
    "incomplete": Verdict.INCOMPLETE,
    "too-costly": Verdict.INCOMPLETE,
    "timeout": Verdict.INCOMPLETE,
    "suppressed": Verdict.INCOMPLETE,  # somebody is hidden from us: absence proves nothing
    "throttled": Verdict.INCOMPLETE,
}
_TRUNCATION = re.compile(
    r"truncat|additional (data|results|information)|more (results|matches)|incomplete|not all |"
    r"partial|limited to|maximum number",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"unknown|not supported|unsupported|unrecogni[sz]ed|ignored", re.IGNORECASE)
_ISSUE_CODE = re.compile(r"[a-z][a-z-]{2,20}")


class _Coding(msgspec.Struct):
    code: str | int | None = None


class _Details(msgspec.Struct):
    coding: Sequence[_Coding] = ()
    text: str | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None
    code: str | None = None
    details: _Details | None = None
    diagnostics: str | None = None


class _Outcome(msgspec.Struct):
    type: str = msgspec.field(default="", name="resourceType")
    issue: Sequence[_Issue] = ()


class Remark(msgspec.Struct, frozen=True):
    """One issue of an outcome: what follows, and how it may be called in a sentence.

    `text` is what the server wrote and is shown to nobody; `about` are those of our parameters that
    it was said not to understand.
    """

    verdict: Verdict
    called: str
    text: str = ""
    about: tuple[str, ...] = ()


_DECODER = msgspec.json.Decoder(_Outcome)


def remarks(content: bytes | msgspec.Raw, params: Iterable[str] = ()) -> list[Remark]:
    """Return what an outcome says, gravest first; nothing where this is no outcome.

    `params` are the names that we asked with.
    """
    try:
        outcome = _DECODER.decode(content)
    except msgspec.DecodeError:
        return []
    if outcome.type != "OperationOutcome":
        return []
    names = [*params]
    order = [*Verdict]
    return sorted(
        (_remark(one, names) for one in outcome.issue), key=lambda r: order.index(r.verdict)
    )


def _remark(issue: _Issue, params: Sequence[str]) -> Remark:
    details = issue.details or _Details()
    codes = [str(coding.code) for coding in details.coding if coding.code is not None]
    text = f"{details.text or ''} {issue.diagnostics or ''}"
    epic = _epic_code(codes, text)
    about = _about(text, issue.code, params)
    if epic:
        return Remark(_EPIC[epic], f"Epic's code {epic}", text, about)
    called = f"{_safe(issue.severity)}, {_safe(issue.code)}"
    return Remark(_verdict(issue, text, about), called, text, about)


def _epic_code(codes: Sequence[str], text: str) -> str | None:
    inside = re.findall(r"\((\d{4,5})\)", text)  # as some gateways write it
    return next((code for code in (*codes, *inside) if code in _EPIC), None)


def _verdict(issue: _Issue, text: str, about: Sequence[str]) -> Verdict:
    if issue.severity in ("fatal", "error"):
        return Verdict.FORBIDDEN if issue.code in ("forbidden", "security") else Verdict.FAILED
    if about:
        return Verdict.IGNORED
    if issue.severity == "warning" and _TRUNCATION.search(text):
        return Verdict.INCOMPLETE
    return _CODES.get(issue.code or "", Verdict.NOTED)


def _about(text: str, code: str | None, params: Sequence[str]) -> tuple[str, ...]:
    """Return which of our parameters a text says were not understood."""
    if code != "not-supported" and not _UNKNOWN.search(text):
        return ()
    return tuple(p for p in params if re.search(rf"(?<![\w-]){re.escape(p)}(?![\w-])", text))


def _safe(word: str | None) -> str:
    """Return a code as it may be shown: these are from closed lists, unless a server is odd."""
    return word if word and _ISSUE_CODE.fullmatch(word) else "no code"
