"""Where a text's template is: the clinic's own first, then ours; and its sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel

if TYPE_CHECKING:
    from markupsafe import Markup

    from sync.words.sandbox import Sandbox

OURS = Path(__file__).parent
PARTS = ("when", "visit", "call")
PART_NAMES = ("day", "time", "city", "phone", "modality")  # all that these are made of

FILE = re.compile(r"(?P<name>[a-z_]+)\.(?P<channel>[a-z]+)(?:\.(?P<language>[A-Za-z0-9-]+))?\.j2")
_MOST_OUTPUT = 50_000  # letters; the digest of a day with a thousand visits is shorter
_BOTH = (Channel.EMAIL, Channel.SMS)

# Everything we say: a text that stands here has a template in every language.
TEXTS: dict[tuple[MessageKind, Role], tuple[Channel, ...]] = {
    (MessageKind.CONFIRMATION, Role.PATIENT): _BOTH,
    (MessageKind.REMINDER, Role.PATIENT): _BOTH,
    (MessageKind.CHANGE, Role.PATIENT): _BOTH,
    (MessageKind.CANCELLATION, Role.PATIENT): _BOTH,
    (MessageKind.REMINDER, Role.DOCTOR): _BOTH,
    (MessageKind.DIGEST, Role.DOCTOR): _BOTH,
}


@dataclass(frozen=True, slots=True)
class Text:
    """One template: what it is for, and the name its sandbox knows it by."""

    name: str
    channel: str
    language: str
    key: str
    path: Path

    @property
    def own(self) -> bool:
        """Whether it is the clinic's own."""
        return self.key.startswith("clinic/")


def name_of(kind: MessageKind, role: Role) -> str:
    """Return the first part of a text's file name: `reminder`, or `doctor_reminder`."""
    doctors = role is Role.DOCTOR and kind is not MessageKind.DIGEST
    return f"doctor_{kind.value}" if doctors else kind.value


class Templates:
    """The templates of one clinic. Its own lie in one folder as `reminder.sms.de.j2`; a file
    without a language is in the clinic's."""

    def __init__(self, folder: Path | None, default: str) -> None:
        self.missing = folder if folder and not folder.is_dir() else None
        self.folder = None if self.missing else folder
        self.default = default
        self.blocks: dict[tuple[str, ...], Markup] = {}  # of pages; see `sync.words.page`

    @cached_property
    def texts(self) -> dict[tuple[str, str, str], list[Text]]:
        """All templates by name, channel and language (in lower case), the clinic's own first."""
        found: dict[tuple[str, str, str], list[Text]] = {}
        for text in (*self._own(), *_ours()):
            found.setdefault((text.name, text.channel, text.language.lower()), []).append(text)
        return found

    def candidates(
        self, name: str, channels: Sequence[Channel], languages: Sequence[str]
    ) -> Iterator[Text]:
        """Yield the templates that would do, best first: the language matters more than whose."""
        for language in languages:
            for channel in channels:
                yield from self.texts.get((name, channel.value, language.lower()), ())

    def part(self, name: str, language: str) -> Text | None:
        """Return the piece of a sentence in a language."""
        primary = language.lower().split("-")[0]
        found = self.texts.get((name, "", language.lower())) or self.texts.get((name, "", primary))
        return found[0] if found else None

    def names_in(self, text: Text) -> frozenset[str]:
        """Return the names that a template uses; none, if it cannot be read."""
        from jinja2 import meta

        try:
            source = text.path.read_text("utf-8")
            return frozenset(meta.find_undeclared_variables(self.sandbox.parse(source)))
        except broken():
            return frozenset()

    def render(self, text: Text, variables: Mapping[str, Any]) -> str:
        """Fill in a template. Raises what `broken()` lists where it cannot be."""
        filled = self.sandbox.get_template(text.key).render(variables)
        if len(filled) > _MOST_OUTPUT:
            raise ValueError(f"it becomes longer than {_MOST_OUTPUT} letters")
        return filled

    def html(self, name: str, variables: Mapping[str, Any]) -> str:
        """Return the page around a text, or a block of it; everything in it is escaped."""
        return self.sandbox.get_template(f"ours/{name}.html.j2").render(variables)

    @cached_property
    def sandbox(self) -> Sandbox:
        """Templates are a clinic's own text: they reach nothing but their closed list of names."""
        from jinja2 import FileSystemLoader, PrefixLoader

        from sync.words.sandbox import Sandbox

        roots = {"ours": FileSystemLoader(OURS)}
        if self.folder:
            roots["clinic"] = FileSystemLoader(self.folder)
        return Sandbox(PrefixLoader(roots))

    def _own(self) -> Iterator[Text]:
        for path in sorted(self.folder.glob("*.j2")) if self.folder else ():
            found = FILE.fullmatch(path.name)
            if found:
                language = found["language"] or self.default
                yield Text(found["name"], found["channel"], language, f"clinic/{path.name}", path)


def _ours() -> Iterator[Text]:
    for path in sorted(OURS.glob("*/*.j2")):
        language = path.parent.name
        name, _, channel = path.name.removesuffix(".j2").partition(".")
        yield Text(name, channel, language, f"ours/{language}/{path.name}", path)


def languages() -> list[str]:
    """Return the languages that we speak: those of the folders beside this file."""
    return sorted(path.parent.name for path in OURS.glob("*/when.j2"))


def broken() -> tuple[type[Exception], ...]:
    """Return what a faulty template raises: its own errors, its expressions', and its file's."""
    from jinja2 import TemplateError

    ours = (TypeError, ValueError, LookupError, ArithmeticError, RecursionError, OSError)
    return (TemplateError, *ours)
