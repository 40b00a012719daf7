"""The questions of init: each has an answer proposed, and each answer is judged by the settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from clinicrelay import plugins
from clinicrelay.contracts import Finding
from clinicrelay.settings.mistakes import report_all
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import Shape
from clinicrelay.settings.tree import Tree, Where
from commands._init import proposals

Given: TypeAlias = Mapping[str, str]

NOBODY = "none"
SOURCE = "reception"


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `where` is the key of the settings that judges the answer.

    `words` are the only answers there are, each with its consequence; `empty` says that no answer is
    one, too. A `secret` is not shown while it is typed, and is proposed by nobody. What is proposed
    is taken without asking only if it is `known`.
    """

    name: str
    asks: str
    where: Where
    propose: Callable[[Given], str]
    words: Mapping[str, str] | None = None
    known: Callable[[Given], bool] = lambda given: True
    empty: bool = False
    secret: bool = False

    @property
    def option(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def mistake(self, answer: str, given: Given) -> Finding | None:
        """Return what is wrong with an answer, in the sentence that settings have for it."""
        if self.empty and not answer:
            return None
        if self.secret and not answer:
            fix = "type it, or set SMTP_PASSWORD"
            return Finding("error", "missing", "a login needs a password", fix)
        if self.words and answer not in self.words:
            known = ", ".join(self.words)
            return Finding("error", "wrong_word", f"this must be one of {known}", f"write {known}")
        return _mistake(self.where, self.value(answer), given) if self.where else None

    def value(self, answer: str) -> Any:
        return steps_of(answer) if self.name == "steps" else answer


# --- what is asked -------------------------------------------------------------------------------


def questions(folder_name: str, machine: Mapping[str, str]) -> Iterator[Question]:
    """Yield the questions about the clinic and its source; those about messages follow from them.

    `machine` holds what this machine says of itself: `country` and `zone`.
    """
    yield Question(
        "name",
        "The clinic's name, as patients read it",
        ("clinic", "name"),
        lambda given: folder_name,
    )
    yield Question(
        "id",
        "A short name that never changes; it becomes part of file names",
        ("clinic", "id"),
        lambda given: proposals.id_for(given["name"]),
    )
    yield Question(
        "country",
        "The country it is in (two letters); local phone numbers are read for it",
        ("clinic", "country"),
        lambda given: machine["country"],
        known=lambda given: bool(machine["country"]),
    )
    yield Question(
        "timezone",
        "Its time zone; times without a zone are read in it",
        ("clinic", "timezone"),
        lambda given: proposals.zone_for(given["country"].upper(), machine["zone"]),
        known=lambda given: proposals.knows_zone(given["country"].upper(), machine["zone"]),
    )
    yield Question(
        "language",
        f"The language to people whose own is unknown ({', '.join(proposals.languages())})",
        ("clinic", "language"),
        lambda given: proposals.language_for(given["country"].upper()),
    )
    yield Question(
        "phone",
        "The number that patients may call; Enter for none",
        ("clinic", "phone"),
        lambda given: "",
        empty=True,
    )
    yield Question(
        "contents",
        "Appointments come as CSV files that the clinic's system exports. What does a file hold?",
        (),
        lambda given: "",
        CONTENTS,
        known=lambda given: False,
    )
    yield Question("send", "How are messages sent?", (), lambda given: "folder", dict(_ways()))


# What each wrong guess costs stands beside the word; none is proposed, as it would cancel visits.
CONTENTS = {
    "snapshot": "every coming visit, each time; a visit that is missing counts as gone",
    "delta": "what changed; a column says insert, update or delete of each row",
    "append": "new and changed visits; nothing is ever gone because it is missing",
}
_WAYS = {
    NOBODY: "not at all: nobody is written to, only calendars are kept",
    "folder": "as files in var/outbox, to read what would be said; nothing leaves this machine",
    "smtp": "as e-mails, by the clinic's own mail server",
}


def _ways() -> Iterator[tuple[str, str]]:
    there = {NOBODY, "folder", *plugins.names("notifiers")}
    yield from ((word, says) for word, says in _WAYS.items() if word in there)


def about_reminders() -> Question:
    """Return the question that is asked where anybody is written to."""
    return Question(
        "steps",
        f"When are patients reminded, counted back from the visit? ({NOBODY}: never)",
        ("reminders", "patient", "steps"),
        lambda given: "3d, 1d, 1h",
    )


def about_mail() -> Iterator[Question]:
    """Yield what is asked about a mail server; `password` follows where there is a login."""
    mail = ("notifiers", "smtp")
    yield Question(
        "smtp_host",
        "The mail server",
        (*mail, "host"),
        lambda given: "localhost",
        known=lambda given: False,
    )
    yield Question(
        "smtp_from",
        "Whom mails are from",
        (*mail, "from"),
        lambda given: f"noreply@{re.sub(r'^(smtp|mail)[.]', '', given['smtp_host'])}",
    )
    yield Question(
        "smtp_user",
        "The name to log in with; Enter for no login",
        (*mail, "username"),
        lambda given: "",
        empty=True,
    )


def password() -> Question:
    """Return the question that is asked where there is a name to log in with."""
    where = ("notifiers", "smtp", "password")
    ask = "The password to log in with; it is kept in .env"
    return Question("smtp_password", ask, where, lambda given: "", secret=True)


def steps_of(answer: str) -> list[str]:
    """Take `3d, 1d, 1h` apart; `none` is no step."""
    words = [word for word in re.split(r"[\s,;]+", answer.strip(" []")) if word]
    return [] if words == [NOBODY] else words


# --- judged by the settings ----------------------------------------------------------------------


def _mistake(where: Where, value: Any, given: Given) -> Finding | None:
    """Let the model of the settings judge one value, at its place."""
    shape = Shape(Settings, _options(where))
    info = shape.fields(where[:-1])[str(where[-1])]
    kind: Any = info.annotation
    for note in info.metadata:
        kind = Annotated[kind, note]
    context = {"country": given.get("country", "").upper()}
    try:
        TypeAdapter(kind).validate_python(value, context=context)
    except ValidationError as error:
        tree = Tree("", _nested(where, value))
        report_all(tree, shape, error.errors(include_url=False), below=where)
        return tree.findings[0]
    return None


def _options(where: Where) -> dict[Where, Any]:
    if where[0] != "notifiers":
        return {}
    return {where[:2]: plugins.find("notifiers", str(where[1])).Options}


def _nested(where: Where, value: Any) -> Any:
    for key in reversed(where):
        value = {key: value}
    return value
