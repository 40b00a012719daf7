"""Proves every text before it is needed: all kinds, channels and languages, in all their turns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from clinicrelay.actions import MessageKind
from clinicrelay.contracts import Finding
from clinicrelay.model import Channel, Modality
from sync.words.facts import DigestLine, TextFacts, variables
from sync.words.templates import OURS, TEXTS, Text, broken, name_of
from sync.words.texts import MOST_SEGMENTS, Rendered, Words

# A carrier takes these words in a reply for an opt-out, and nobody would hear the reply (N26).
_KEYWORDS = re.compile(r"\b(CANCEL|STOP|STOPALL|END|QUIT|UNSUBSCRIBE|REVOKE)\b")
_REPLY = re.compile(
    r"(?<!not )\b(reply|respond|text back)\b|\bantworten Sie (?!nicht)|\bAntwort(e|en)? mit\b", re.I
)
_START = datetime(2026, 9, 30, 8, 30, tzinfo=UTC)  # a Wednesday in September: the longest names


def check_words(words: Words) -> list[Finding]:
    """Return what is wrong with a clinic's templates, and with ours for this clinic."""
    findings = [*_misnamed(words), *_missing(words)]
    for kind, channel, text in _texts(words):
        faults = list(_undefined(words, kind, channel, text))
        findings += faults or _turns(words, kind, channel, text)
    return list(dict.fromkeys(findings))


def _texts(words: Words) -> Iterator[tuple[MessageKind, Channel, Text]]:
    for (kind, role), channels in TEXTS.items():
        for texts in words.templates.texts.values():
            for text in texts:
                if text.name == name_of(kind, role) and text.channel in _channels(channels):
                    yield kind, Channel(text.channel), text


def _channels(channels: tuple[Channel, ...]) -> set[str]:
    return {c.value for c in channels} | {Channel.WHATSAPP.value}


def _misnamed(words: Words) -> Iterator[Finding]:
    """A file whose name fits nothing would be passed over without a word."""
    folder = words.templates.folder
    known = {f"{name_of(k, r)}.{c}" for (k, r), cs in TEXTS.items() for c in _channels(cs)}
    for path in sorted(folder.iterdir()) if folder else ():
        name = ".".join(path.name.split(".")[:2])
        if path.is_file() and not path.name.startswith(".") and _unknown(path.name, known):
            near = get_close_matches(name, known, n=1)
            yield Finding(
                "error",
                "template_not_used",
                f"{path.name} is the name of no text",
                f"Did you mean {near[0]}.j2?" if near else "Write KIND.CHANNEL[.LANGUAGE].j2.",
                file=str(path),
            )


def _unknown(file: str, known: set[str]) -> bool:
    parts = file.split(".")
    return parts[-1] != "j2" or len(parts) not in (3, 4) or ".".join(parts[:2]) not in known


def _missing(words: Words) -> Iterator[Finding]:
    texts = words.templates.texts
    default = words.languages_for(words.default)
    primary = words.default.lower().split("-")[0]
    for (kind, role), channels in TEXTS.items():
        for channel in channels:
            name = name_of(kind, role)
            found = next(words.templates.candidates(name, [channel], default), None)
            if found is None or found.language.lower().split("-")[0] != primary:
                yield _no_text(words.default, f"{name}.{channel.value}")
            for language in _our_languages():
                if (name, channel.value, language) not in texts:
                    yield _no_text(language, f"{name}.{channel.value}")


def _our_languages() -> list[str]:
    return sorted(p.parent.name for p in OURS.glob("*/when.j2"))


def _no_text(language: str, name: str) -> Finding:
    return Finding(
        "warning",
        "language_missing",
        f"There is no {name} in {language!r}: people get it in another language",
        f"Put {name}.{language}.j2 into the templates folder.",
        path="clinic.language",
    )


def _undefined(words: Words, kind: MessageKind, channel: Channel, text: Text) -> Iterator[Finding]:
    """Find names that are not on the list, in branches that no sample takes, too."""
    from jinja2 import TemplateSyntaxError, meta, nodes

    try:
        tree = words.templates.sandbox.parse(text.path.read_text("utf-8"))
    except TemplateSyntaxError as error:
        yield _fault(
            text, error.lineno, "template_syntax", f"{error.message}", "Mend the template."
        )
        return
    except UnicodeDecodeError:
        yield _fault(text, 0, "template_not_utf8", "not UTF-8", "Save the file as UTF-8.")
        return
    known = variables(kind, channel)
    for name in sorted(meta.find_undeclared_variables(tree) - known):
        line = next((n.lineno for n in tree.find_all(nodes.Name) if n.name == name), 0)
        near = get_close_matches(name, known, n=1)
        fix = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."
        yield _fault(text, line, "unknown_variable", f"{name} cannot be used here", fix)


def _turns(words: Words, kind: MessageKind, channel: Channel, text: Text) -> list[Finding]:
    findings: list[Finding] = []
    for facts in samples(kind):
        try:
            made = words.fill(text, kind, channel, facts, wanted=text.language)
        except broken() as error:
            return [
                _fault(text, _line_of(error, text), "template_broken", _said(error), "Mend it.")
            ]
        findings += _judge(text, made)
    return findings


def _judge(text: Text, made: Rendered) -> Iterator[Finding]:
    shown = f"{made.subject or ''}\n{made.text}"
    word = _KEYWORDS.search(shown) or _REPLY.search(shown)
    if word:
        fix = "Offer a telephone call: replies are not read, and this word may opt the patient out."
        line = _line_with(text, word.group())
        yield _fault(text, line, "forbidden_word", f"{word.group()!r} asks for a reply", fix)
    if made.segments > MOST_SEGMENTS:
        most = f"can take {made.segments} SMS; more than {MOST_SEGMENTS} is too long"
        yield _fault(text, 1, "sms_too_long", most, "Shorten it.", severity="warning")
    if not made.text:
        yield _fault(text, 1, "template_empty", "says nothing", "Write the text.")
    if any(issue.code == "no_subject" for issue in made.issues):
        fix = "Begin the file with a line such as: Subject: Your appointment"
        yield _fault(text, 1, "no_subject", "has no subject line", fix)


def _fault(
    text: Text, line: int, code: str, message: str, fix: str, *, severity: str = "error"
) -> Finding:
    message = f"{text.path.name}: {message}"
    return Finding(severity, code, message, fix, path="templates", file=str(text.path), line=line)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _line_of(error: BaseException, text: Text) -> int:
    """Return the template's line that an error came from; Jinja2 puts it into the traceback."""
    line, trace = getattr(error, "lineno", 0) or 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(text.path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _line_with(text: Text, words: str) -> int:
    lines = text.path.read_text("utf-8").splitlines()
    return next((n for n, line in enumerate(lines, 1) if words in line), 1)


def samples(kind: MessageKind) -> Iterator[TextFacts]:
    """Yield facts that take every turn of a text, and the longest words it can meet."""
    if kind is MessageKind.DIGEST:
        line = DigestLine(_START, Modality.VIDEO, "J.R.")
        for visits in ((), (line,), (line,) * 20):
            yield _sample(visits=visits)
        return
    for changes in _CHANGES if kind is MessageKind.CHANGE else ((),):
        for facts in (
            {},
            {"place": None, "practitioner_name": None, "first_name": None},
            {"modality": Modality.VIDEO, "join_url": "https://meet.example/" + "x" * 60},
            {"modality": Modality.PHONE},
            {"recipient_timezone": "America/Argentina/Buenos_Aires"},
        ):
            yield _sample(kind_of_change=frozenset(changes), **facts)


_CHANGES = (
    ("time",),
    ("place",),
    ("practitioner",),
    ("time", "place"),
    ("time", "practitioner"),
    ("reinstated",),
)


def _sample(**changes: Any) -> TextFacts:
    facts: dict[str, Any] = {
        "at": _START - timedelta(hours=20),
        "start": _START,
        "end": _START + timedelta(minutes=30),
        "timezone": "Europe/Berlin",
        "place": "Main site, second floor",
        "practitioner_name": "Dr. Elif Acar",
        "first_name": "Maximiliane",
        "before_start": _START - timedelta(days=7),
        "before_place": "Branch at the river",
    }
    return TextFacts(**facts | changes)
