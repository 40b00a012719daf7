"""Proves the texts of a clinic before they are needed: its own, and ours in its language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from clinicrelay.actions import MessageKind
from clinicrelay.contracts import Finding
from clinicrelay.model import Channel
from sync.words.facts import variables
from sync.words.forbidden import forbidden
from sync.words.samples import samples
from sync.words.short import MOST_SEGMENTS
from sync.words.templates import FILE, TEXTS, Text, broken, languages, name_of
from sync.words.texts import Rendered, Words

if TYPE_CHECKING:
    from pathlib import Path

_TELLS_WHEN = (MessageKind.REMINDER, MessageKind.CONFIRMATION)
_TAG = re.compile(r"(?P<language>[a-z]{2,3})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?", re.IGNORECASE)


def check_words(words: Words) -> list[Finding]:
    """Return what is wrong with a clinic's templates, and with ours for this clinic."""
    findings = [*_no_folder(words), *_misnamed(words), *_twice(words), *_missing(words)]
    for kind, channel, text in _texts(words):
        faults = list(_faults(kind, channel, text, words))
        findings += faults or [*_timeless(words, kind, text), *_turns(words, kind, channel, text)]
    return list(dict.fromkeys(findings))


def _texts(words: Words) -> Iterator[tuple[MessageKind, Channel, Text]]:
    """Yield the texts to prove; our other languages are proven by our own tests."""
    spoken = {language.lower() for language in words.languages_for(words.default)}
    for (kind, role), channels in TEXTS.items():
        for texts in words.templates.texts.values():
            for text in texts:
                named = text.name == name_of(kind, role) and text.channel in _channels(channels)
                if named and (text.own or text.language in spoken):
                    yield kind, Channel(text.channel), text


def _channels(channels: tuple[Channel, ...]) -> set[str]:
    return {c.value for c in channels} | {Channel.WHATSAPP.value}


# --- the folder and the names in it --------------------------------------------------------------


def _no_folder(words: Words) -> Iterator[Finding]:
    if words.templates.missing:
        yield Finding(
            "error",
            "templates_missing",
            f"there is no folder {words.templates.missing}; people get our texts instead",
            "make the folder, or take `templates` out of the settings",
            path="templates",
        )


def _misnamed(words: Words) -> Iterator[Finding]:
    """A file whose name fits nothing would be passed over without a word."""
    folder = words.templates.folder
    known = {f"{name_of(k, r)}.{c}" for (k, r), cs in TEXTS.items() for c in _channels(cs)}
    for path in sorted(folder.iterdir()) if folder else ():
        if path.is_file() and not path.name.startswith("."):
            yield from _misnamed_file(path, known)


def _misnamed_file(path: Path, known: set[str]) -> Iterator[Finding]:
    name = ".".join(path.name.split(".")[:2])
    parts = FILE.fullmatch(path.name)
    if name not in known or not path.name.endswith(".j2"):
        near = get_close_matches(name, known, n=1)
        fix = f"Did you mean {near[0]}.j2?" if near else "Write KIND.CHANNEL[.LANGUAGE].j2."
        yield _in_file(path, 0, "template_not_used", f"{path.name} is the name of no text", fix)
    elif parts is None or not _is_language(parts["language"]):
        tag = path.name.removeprefix(f"{name}.").removesuffix(".j2")
        fix = f"Write a language tag such as {_near_tag(tag)}: {name}.{_near_tag(tag)}.j2"
        yield _in_file(path, 0, "unknown_language", f"{tag!r} in {path.name} is no language", fix)


def _is_language(tag: str | None) -> bool:
    if tag is None:
        return True
    from babel import Locale

    parts = _TAG.fullmatch(tag)
    return parts is not None and parts["language"].lower() in Locale("en").languages


def _near_tag(tag: str) -> str:
    tidy = tag.replace("_", "-")
    near = get_close_matches(tag[:2].lower(), languages(), n=1, cutoff=1)
    return tidy if _is_language(tidy) else near[0] if near else "de"


def _twice(words: Words) -> Iterator[Finding]:
    for texts in words.templates.texts.values():
        own = [text for text in texts if text.own]
        for text in own[1:]:
            message = f"{text.path.name} says what {own[0].path.name} says, and is never used"
            fix = "Delete one of the two: a file without a language is in the clinic's."
            yield _in_file(text.path, 0, "template_twice", message, fix, severity="warning")


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
            for language in languages():
                if (name, channel.value, language) not in texts:
                    yield _no_text(language, f"{name}.{channel.value}")


def _no_text(language: str, name: str) -> Finding:
    return Finding(
        "warning",
        "language_missing",
        f"There is no {name} in {language!r}: people get it in another language",
        f"Put {name}.{language}.j2 into the templates folder.",
        path="clinic.language",
    )


# --- what stands in a file -----------------------------------------------------------------------


def _faults(kind: MessageKind, channel: Channel, text: Text, words: Words) -> Iterator[Finding]:
    """Find what can be seen without filling the text in, in branches that no sample takes, too."""
    from jinja2 import TemplateSyntaxError

    try:
        source = text.path.read_text("utf-8")
        not_allowed = words.templates.sandbox.faults(source)
    except UnicodeDecodeError:
        yield _fault(text, 1, "template_not_utf8", "not UTF-8", "Save the file as UTF-8.")
    except OSError as error:
        fix = "Let the user that runs clinicrelay read it."
        yield _fault(text, 0, "template_unreadable", f"{error.strerror}", fix)
    except RecursionError:
        yield _fault(text, 1, "template_syntax", "nested too deep", "Mend the template.")
    except TemplateSyntaxError as error:
        yield _fault(
            text, error.lineno, "template_syntax", f"{error.message}", "Mend the template."
        )
    else:
        for line, said in not_allowed:
            fix = "A text can only name, choose with if and repeat with for."
            yield _fault(text, line, "template_not_allowed", said, fix)
        yield from _undefined(kind, channel, text, words.templates.sandbox.names(source))
        yield from _not_to_be_said(text, source)


def _undefined(
    kind: MessageKind, channel: Channel, text: Text, names: dict[str, int]
) -> Iterator[Finding]:
    known = variables(kind, channel)
    for name in sorted(names.keys() - known):
        near = get_close_matches(name, known, n=1)
        fix = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."
        yield _fault(text, names[name], "unknown_variable", f"{name} cannot be used here", fix)


def _not_to_be_said(text: Text, source: str) -> Iterator[Finding]:
    found = forbidden(source)
    if found:
        fix = "Offer a telephone call: replies are not read, and this word may opt the patient out."
        yield _fault(text, found[0], "forbidden_word", f"{found[1]!r} asks for a reply", fix)


def _timeless(words: Words, kind: MessageKind, text: Text) -> Iterator[Finding]:
    """Warn of an own text that reminds of a visit without its time: nobody can act on it."""
    told = words.templates.names_in(text)
    if text.own and kind in _TELLS_WHEN and told.isdisjoint(("when", "day", "time")):
        said, fix = (
            "does not say when the visit is",
            "Write {{ when }}, or {{ day }} and {{ time }}.",
        )
        yield _fault(text, 1, "no_time", said, fix, severity="warning")


# --- what becomes of it --------------------------------------------------------------------------


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
    # What ours cost is in the reference; a clinic cannot mend them, and need not read of it each time.
    if text.own and made.segments > MOST_SEGMENTS:
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
    said = f"{text.path.name}: {message}"
    return _in_file(text.path, line, code, said, fix, severity=severity)


def _in_file(
    path: Path, line: int, code: str, message: str, fix: str, *, severity: str = "error"
) -> Finding:
    return Finding(severity, code, message, fix, "templates", str(path), line, int(line > 0))


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
