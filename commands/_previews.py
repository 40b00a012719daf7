"""A text before it is said, as JSON for other programs and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from commands._table import Table

if TYPE_CHECKING:
    from sync.previews import Cost, Kind, Preview, Theirs


def kind_lines(known: list[Kind]) -> Iterator[str | Table]:
    """Yield the texts there are."""
    rows = [
        [
            kind.name,
            ", ".join(kind.channels),
            ", ".join(kind.languages),
            ", ".join(kind.own) or "ours",
        ]
        for kind in known
    ]
    yield Table(("text", "channels", "languages", "the clinic's own"), rows)
    yield "Look at one: clinicrelay messages preview NAME --language LANGUAGE --channel CHANNEL"


def preview_lines(made: list[Preview]) -> Iterator[str]:
    """Yield each text as it would be read, and under an SMS what it costs."""
    for one in made:
        if one.theirs is not None:
            yield from _their_lines(one, one.theirs)
            continue
        words = one.rendered
        yield ""
        yield f"{one.name} by {one.channel.value} in {words.language}  ({_origin(one)})"
        yield ""
        if words.subject is not None:
            yield f"  Subject: {words.subject}"
            yield ""
        yield from (f"  {line}".rstrip() for line in words.text.split("\n"))
        yield ""
        if one.cost is not None:
            yield from _cost_lines(one.cost)
        yield from (_issue_line(one, issue.code, issue.detail) for issue in words.issues)


def _their_lines(one: Preview, theirs: Theirs) -> Iterator[str]:
    """Yield what a provider's own text is filled with: its words stand only there."""
    yield ""
    if theirs.id is None:
        yield f"{one.name} by {one.channel.value}  (not sent)"
        yield ""
        yield f"There is no template for it under notifiers.{theirs.notifier}.templates."
        return
    yield f"{one.name} by {one.channel.value} in {theirs.language}  (template {theirs.id})"
    yield ""
    yield from (f"  {{{{{place}}}}}  {value}" for place, value in theirs.values.items())
    yield ""
    yield (
        f"Outside of a conversation {theirs.notifier} sends its approved template with these "
        "values, not our text."
    )
    if one.asked.partition("-")[0] != theirs.language.partition("-")[0]:
        yield f"There is no template in {one.asked}: people get it in {theirs.language}."


def _origin(one: Preview) -> str:
    own = one.template.key.startswith("clinic/")
    return f"the clinic's own: {one.template.path.name}" if own else "ours"


def _cost_lines(cost: Cost) -> Iterator[str]:
    messages = f"{cost.messages} SMS" + (" each time" if cost.messages > 1 else "")
    places = "characters" if cost.encoding == "GSM-7" else "UTF-16 units"
    yield f"{messages}: {cost.encoding}, {cost.used} of {cost.room} {places}."
    if cost.costly:
        yield because(cost)


def because(cost: Cost) -> str:
    """Say in which alphabet an SMS travels and, where that is the dear one, which letters chose it."""
    if not cost.costly:
        return cost.encoding
    if cost.script:  # nobody can write it in other letters, so naming each of them helps nobody
        return f"{cost.encoding}: {cost.script}."
    named = ", ".join(f"{c} ({_code(c)})" for c in cost.costly)
    return f"{cost.encoding} because of {named}; without: {cost.without} SMS."


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def _issue_line(one: Preview, code: str, detail: str | None) -> str:
    said = {
        "language_fallback": f"There is no text in {one.asked}: people get it in {detail}.",
        "template_broken": f"{detail} is broken, so ours is used: clinicrelay check",
        "no_subject": "The template has no subject line: begin it with `Subject: …`.",
        "sms_too_long": f"This is too long for an SMS ({detail}): shorten it.",
    }
    return said.get(code, f"{code} {detail or ''}".rstrip())


def kind_json(kind: Kind) -> dict[str, Any]:
    """Return what texts there are of a kind."""
    return {
        "name": kind.name,
        "channels": list(kind.channels),
        "languages": list(kind.languages),
        "own": list(kind.own),
    }


def preview_json(one: Preview) -> dict[str, Any]:
    """Return a text with all that is known of it."""
    words = one.rendered
    return {
        "name": one.name,
        "channel": one.channel.value,
        "asked": one.asked,
        "language": words.language,
        "template": str(one.template.path),
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
        "sms": cost_json(one.cost) if one.cost else None,
        "instead": _their_json(one.theirs) if one.theirs else None,
        "issues": [{"code": issue.code, "detail": issue.detail} for issue in words.issues],
    }


def _their_json(theirs: Theirs) -> dict[str, Any]:
    return {
        "notifier": theirs.notifier,
        "template": theirs.id,
        "language": theirs.language or None,
        "values": dict(theirs.values),
    }


def cost_json(cost: Cost) -> dict[str, Any]:
    """Return what an SMS costs, and why."""
    return {
        "encoding": cost.encoding,
        "messages": cost.messages,
        "used": cost.used,
        "room": cost.room,
        "costly": [{"character": c, "code": _code(c)} for c in cost.costly],
        "without": cost.without,
        "script": cost.script or None,
    }
