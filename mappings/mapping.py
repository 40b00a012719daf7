"""A mapping as its users hold it: read from a file, asked for its columns, made to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Pairs
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from clinicrelay.contracts import Columns
from clinicrelay.errors import Refused, SettingsError
from clinicrelay.paths import fold
from clinicrelay.tables import Header
from mappings.columns import placed
from mappings.compile import Mapper
from mappings.files import Document, locate, read_text, without_section
from mappings.grammar import Grammar
from mappings.spec import Case, Context, Field, Name, Skip, names_in

# Raise it whenever the engine reads the same record differently: everything is then mapped again.
ENGINE = 2

_PRIVATE = ("patient.", "notes", "join_url")
_CONTACTS = ("patient.phone", "patient.email")
_SAYS_CANCELLED = ("status", "status.cancelled", "status.deleted")


@dataclass(frozen=True)
class Parsed:
    """What a mapping file says."""

    fields: Pairs[str, Field]
    nulls: frozenset[str]
    skips: tuple[Skip, ...]
    header: tuple[tuple[str, ...], ...]
    tests: tuple[Case, ...]
    each: Pairs[str, Name]


@dataclass(frozen=True)
class Mapping:
    """What a source's words mean. Made by `find`; parsed when first looked into.

    Whether a mapping is still the one that records were read by is known from its text alone, and
    most runs need to know no more. Its own tests are a third of its text; unless it is `whole`
    they are read only when somebody asks for them.
    """

    name: str
    file: Path
    text: str
    whole: bool = False

    @property
    def shipped(self) -> bool:
        """Whether it comes with the package."""
        return self.file.parent == Path(__file__).parent

    @cached_property
    def fingerprint(self) -> bytes:
        """Sixteen bytes over the text of the file and the engine's version."""
        salt = ENGINE.to_bytes(16)
        return blake2b(self.text.encode(), digest_size=16, salt=salt).digest()

    @cached_property
    def parsed(self) -> Parsed:
        """What the file says. Raises SettingsError with every mistake at once."""
        if self.whole:
            return _parsed(self.text, self.file)
        try:
            return _parsed(without_section(self.text, "tests"), self.file)
        except SettingsError:
            return _parsed(self.text, self.file)  # all mistakes, those of the tests too

    @property
    def fields(self) -> Pairs[str, Field]:
        return self.parsed.fields

    @property
    def each(self) -> Pairs[str, Name]:
        """The lists of people in a record, by whose they are: patient, practitioner."""
        return self.parsed.each

    @cached_property
    def own_fields(self) -> Pairs[str, Field]:
        """The fields that are read of the record itself, not of an entry of its lists."""
        return {n: f for n, f in self.fields.items() if n.partition(".")[0] not in self.each}

    @property
    def nulls(self) -> frozenset[str]:
        return self.parsed.nulls

    @property
    def skips(self) -> tuple[Skip, ...]:
        return self.parsed.skips

    @property
    def header(self) -> tuple[tuple[str, ...], ...]:
        return self.parsed.header

    @property
    def tests(self) -> tuple[Case, ...]:
        """What the file says it does. Raises SettingsError for a mistake in it."""
        return self.parsed.tests if self.whole else replace(self, whole=True).tests

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """Every place in a record that the mapping looks at; what is within its lists is not told."""
        of_fields = (n for field in self.own_fields.values() for n in names_in(field.origin))
        return (*of_fields, *self.each.values(), *(skip.name for skip in self.skips))

    @cached_property
    def columns(self) -> Columns:
        """What a connector must know to find the header of a table and its dates, all folded."""
        fields = self.fields.values()
        return Columns(
            names=_folded(self.names),
            required=tuple(self._group(group) for group in self.header),
            dates=_names_of(field for field in fields if field.type == "datetime"),
            fields=self.header,
            private=_names_of(field for field in fields if field.name.startswith(_PRIVATE)),
            hoped=tuple(self._hoped()),
        )

    def bind(self, header: Header) -> dict[str, str]:
        """Return which column serves which path, by the path's first name.

        Raises Refused for a table that lacks a required column, or where two columns could be
        meant by one path: the sentence names them.
        """
        for group, names in zip(self.header, self.columns.required, strict=True):
            if not names & header.index.keys():
                raise self._lacking(group)
        found = {name.path: placed(name, header) for name in self.names}
        return {path: header.names[i] for path, i in found.items() if i is not None}

    def compile(self, context: Context) -> Mapper:
        """Return the mapping as a function of records, for one source."""
        return Mapper(self, context)

    def _hoped(self) -> Iterator[tuple[frozenset[str], str]]:
        """Yield the columns that a table may lack, but whose lack a person should hear of."""
        if names := self._named(*_SAYS_CANCELLED):
            status = self.fields.get("status")
            taken = f"every visit counts as {(status and status.default) or 'booked'}"
            yield names, f"no column is known as status: {taken}, a cancelled one too"
        if names := self._named(*_CONTACTS):
            lacks = "no column is known as a patient's phone or e-mail"
            yield names, f"{lacks}: no patient can be told anything"

    def _named(self, *fields: str) -> frozenset[str]:
        return self._group(tuple(field for field in fields if field in self.fields))

    def _group(self, group: tuple[str, ...]) -> frozenset[str]:
        return _folded([name for field in group for name in names_in(self.fields[field].origin)])

    def _lacking(self, group: tuple[str, ...]) -> Refused:
        origins = (self.fields[field].origin for field in group)
        some = ", ".join(name.path for origin in origins for name in names_in(origin))
        return Refused(
            f"the table has no column for {' or '.join(group)}",
            fix=f"name one of its columns {some}, or write a mapping that knows its name",
        )


def _parsed(text: str, file: Path) -> Parsed:
    document = Document(text, file)
    grammar = Grammar(document)
    fields = grammar.fields()
    found = Parsed(
        fields=fields,
        nulls=grammar.nulls(),
        skips=grammar.skips(),
        header=grammar.header(fields),
        tests=grammar.cases(),
        each=grammar.each(fields),
    )
    document.raise_findings()
    return found


def _names_of(fields: Iterable[Field]) -> frozenset[str]:
    return _folded([name for field in fields for name in names_in(field.origin)])


def _folded(names: list[Name] | tuple[Name, ...]) -> frozenset[str]:
    return frozenset(fold(word) for name in names for word in (name.path, *name.also))


def find(name_or_path: str, folder: Path) -> Mapping:
    """Return a mapping by its name in the package, or by its path relative to `folder`, unparsed.

    Raises SettingsError where there is none; its mistakes are raised when it is looked into.
    """
    file = locate(name_or_path, folder)
    return Mapping(file.stem, file, read_text(file))


def load(name_or_path: str, folder: Path) -> Mapping:
    """Return a mapping as `find` does, parsed with its tests.

    Raises SettingsError with every mistake at once.
    """
    mapping = replace(find(name_or_path, folder), whole=True)
    _ = mapping.parsed
    return mapping
