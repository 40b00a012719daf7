"""What each text costs as SMS, as `check` tells it: how many, in which alphabet, and why so many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from commands._call import Call
from commands._previews import because, cost_json
from commands._table import Table, show

if TYPE_CHECKING:
    from sync.previews import Kind, Preview
    from sync.words import Words


def sms_texts(words: Words, zone: str, now: datetime) -> list[Preview]:
    """Return each SMS there is in the clinic's language, and in those it has texts of its own for."""
    from clinicrelay.model import Channel
    from sync import previews

    return [
        one
        for kind in previews.kinds(words)
        if Channel.SMS in kind.channels
        for language in _spoken(words, kind)
        for one in previews.previews(words, kind, Channel.SMS, language, zone=zone, now=now)
    ]


def _spoken(words: Words, kind: Kind) -> list[str]:
    texts = [text for found in words.templates.texts.values() for text in found]
    own = {t.language for t in texts if t.own and t.name == kind.name and t.channel == "sms"}
    return [words.default, *sorted(own - {words.default})]


def show_costs(call: Call, made: Sequence[Preview], *, every: bool) -> None:
    """Print what SMS cost: all of them, or those that a few characters make dearer than need be."""
    if every and made:
        show(call, Table(("SMS", "in", "messages", "alphabet"), [_row(one) for one in made]))
        return
    for line in _dear(made):
        print(line)


def _row(one: Preview) -> tuple[object, ...]:
    assert one.cost is not None
    return one.name, one.rendered.language, one.cost.messages, because(one.cost)


def _dear(made: Sequence[Preview]) -> Iterator[str]:
    for one in made:
        cost = one.cost
        if cost and not cost.script and cost.without < cost.messages:
            name = f"{one.name}.sms in {one.rendered.language}"
            yield f"{name}: {cost.messages} SMS each time, {because(cost)}"


def costs_json(made: Sequence[Preview]) -> list[dict[str, Any]]:
    """Return what SMS cost for other programs."""
    return [
        {"text": one.name, "language": one.rendered.language, **cost_json(one.cost)}
        for one in made
        if one.cost
    ]
