"""`clinicrelay messages`: what was said and what was not, and what a text will look like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.times import iso, local
from commands._call import Call, shared
from commands._frame import Answer, each, each_unopened
from commands._table import Table
from commands.appointments import between

if TYPE_CHECKING:
    from clinicrelay.model import Channel
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic
    from sync.previews import Kind, Preview
    from sync.store.ledger import Entry, Wanted
    from sync.words import Words

_MOST = 50
_HEADINGS = (
    "message", "when", "kind", "to", "state", "channel", "by", "reason", "appointment",
)  # fmt: skip


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="What was said and what was not: list it; preview what a text will look like.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(shared(list_))
    group.command("preview")(shared(preview))
    program.add_typer(group, name="messages")


# --- the ledger ----------------------------------------------------------------------------------


def list_(
    call: Call,
    since: Annotated[
        str | None, typer.Option("--since", "--from", help="Only from this date or instant on.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Only until this date (inclusive) or instant.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only these: planned, sending, sent, skipped, failed, unknown, unproven or held."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Only these: confirmation, reminder, change, cancellation or digest."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Only by this channel: sms, whatsapp or email.")
    ] = None,
    most: Annotated[
        int | None, typer.Option("-n", min=1, help="How many. [default: 50; with --json all]")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> int:
    """List what was said and what was not, and why, the newest first; recipients by their keys."""
    _check_words(state, kind, channel)

    def listed(at_work: Clinic) -> Answer:
        from sync.store.ledger import Wanted

        first, until = between(since, to, at_work.zone, option="--since")
        wanted = Wanted(first, until, state, kind, channel)
        if call.as_json:
            return Answer(map(_json, _entries(at_work, wanted, None if everything else most)))
        shown = None if everything else most or _MOST
        return Answer(None, _lines(at_work, wanted, shown))

    return each(call, listed)


def _check_words(state: str | None, kind: str | None, channel: str | None) -> None:
    from clinicrelay.actions import MessageKind
    from clinicrelay.model import Channel
    from sync.store.ledger import STATES

    for option, given, allowed in (
        ("--state", state, STATES),
        ("--kind", kind, tuple(MessageKind)),
        ("--channel", channel, tuple(Channel)),
    ):
        if given is not None and given not in allowed:
            raise typer.BadParameter(f"one of {', '.join(allowed)}", param_hint=option)


def _entries(at_work: Clinic, wanted: Wanted, most: int | None) -> Iterator[Entry]:
    from sync.store import ledger

    with at_work.store.read() as connection:
        yield from ledger.entries(connection, at_work.store.clinic, wanted, most=most)


def _lines(at_work: Clinic, wanted: Wanted, most: int | None) -> Iterator[str | Table]:
    # One more than is shown says whether there are more, without counting a long ledger.
    found = list(_entries(at_work, wanted, None if most is None else most + 1))
    shown = found[:most]
    if shown:
        yield Table(_HEADINGS, [_row(at_work, entry) for entry in shown])
    number = f"{len(shown)} {'message' if len(shown) == 1 else 'messages'}"
    if len(found) > len(shown):
        yield f"The newest {number}, the newest first. All of them: --all; fewer: --since, --state."
    else:
        yield f"{number}{', the newest first' if len(shown) > 1 else ''}."


def _row(at_work: Clinic, entry: Entry) -> list[str]:
    return [
        entry.attempt or f"m{entry.number}",
        f"{local(entry.when, at_work.zone):%a %-d %b %Y %H:%M}",
        f"{entry.kind} {entry.step}".rstrip(),
        entry.recipient,
        entry.state,
        entry.channel or "-",
        entry.notifier or "-",
        entry.reason or "-",
        _visit(entry) or "-",
    ]


def _visit(entry: Entry) -> str | None:
    return f"{entry.source}/{entry.source_key}" if entry.source else None


def _json(entry: Entry) -> dict[str, Any]:
    from sync.reasons import setting_of

    return {
        "id": f"m{entry.number}",
        "attempt": entry.attempt or None,
        "at": iso(entry.when),
        "due": iso(entry.due),
        "kind": entry.kind,
        "step": entry.step or None,
        "to": entry.recipient,
        "channel": entry.channel,
        "notifier": entry.notifier,
        "state": entry.state,
        "reason": entry.reason,
        "setting": setting_of(entry.reason, entry.setting, entry.notifier),
        "appointment": _visit(entry),
    }


# --- what a text will look like ------------------------------------------------------------------


def preview(
    call: Call,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Which text, such as reminder or doctor_reminder; without it, those there are.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="In this language, or `all`. [default: the clinic's]")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Only on this channel: sms, whatsapp or email.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the e-mail's HTML to this file.")
    ] = None,
) -> int:
    """Show what a text will look like for a made-up patient, and what an SMS of it costs."""
    _check_words(None, None, channel)
    _check_language(language)
    if html is not None and (name is None or language == "all"):
        raise typer.BadParameter("name one text, in one language", param_hint="--html")

    def shown(loaded: Loaded) -> Answer:
        from commands._previews import kind_json, kind_lines, preview_json, preview_lines
        from sync import previews

        words = previews.words_of(loaded.settings)
        known = previews.kinds(words)
        if name is None:
            return Answer([kind_json(kind) for kind in known], kind_lines(known))
        kind = _named(known, name)
        made = list(_made(call, loaded, words, kind, _channels(kind, channel), language))
        kept = _write_html(made, html) if html is not None else []
        return Answer([preview_json(one) for one in made], [*preview_lines(made), *kept])

    return each_unopened(call, shown)


def _check_language(language: str | None) -> None:
    from clinicrelay.settings.values import read_language

    if language in (None, "all"):
        return
    try:
        read_language(language.replace("_", "-"))
    except ValueError as error:
        raise typer.BadParameter(
            "write a language tag such as de, en or pt-BR, or all", param_hint="--language"
        ) from error


def _named(known: list[Kind], name: str) -> Kind:
    found = {kind.name: kind for kind in known}
    if name not in found:
        raise typer.BadParameter(
            f"there is no text {name!r}; there are: {', '.join(found)}", param_hint="NAME"
        )
    return found[name]


def _channels(kind: Kind, channel: str | None) -> list[Channel]:
    """Return the channel that was asked for, else those that a text is written for."""
    from clinicrelay.model import Channel

    if channel is not None:
        return [Channel(channel)]
    return [one for one in kind.channels if one is not Channel.WHATSAPP]


def _made(
    call: Call,
    loaded: Loaded,
    words: Words,
    kind: Kind,
    channels: list[Channel],
    language: str | None,
) -> Iterator[Preview]:
    from sync import previews

    zone, now = loaded.settings.clinic.timezone, call.moment(loaded.settings.clinic.timezone)
    senders = loaded.settings.notifiers
    for channel in channels:
        yield from previews.previews(
            words, kind, channel, language, zone=zone, now=now, notifiers=senders
        )


def _write_html(made: list[Preview], file: Path) -> list[str]:
    mail = next((one.rendered.html for one in made if one.rendered.html is not None), None)
    if mail is None:
        raise typer.BadParameter("only an e-mail has HTML: --channel email", param_hint="--html")
    try:
        file.write_text(mail, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(
            f"{file} cannot be written: {error.strerror}", param_hint="--html"
        ) from error
    return [f"The HTML is in {file}."]
