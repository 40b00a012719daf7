"""Makes one field run: from a place in a record to a typed value, compiled once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from clinicrelay.errors import BadRecord
from clinicrelay.model import Issue
from clinicrelay.paths import compile_path, fold
from clinicrelay.phones import read_phone
from mappings import transforms
from mappings.languages import read_language
from mappings.numbers import mobile_number
from mappings.spec import Constant, Context, Field, FirstOf, Joined, Name, Origin
from mappings.transforms import Transform, as_text, clean, one_line

Source: TypeAlias = Any  # the cells of a row, or decoded JSON
Get: TypeAlias = Callable[[Source], Any]
Text: TypeAlias = Callable[[Source], str | None]
Read: TypeAlias = Callable[[Source, list[Issue]], Any]
Translate: TypeAlias = Callable[[str, list[Issue]], str | None]

LIMITS = {"notes": 2000}
LIMIT = 255

_MORE_THAN_A_NUMBER = re.compile(r"[,;#*]|[^\W\d_]")
_LONGEST_CALL_IN = 40

# What may be quoted of an unknown code: never a sentence, an address or a number to call.
_CODE = re.compile(r"[^\W\d][\w -]{0,19}|\d{1,4}")


class Resolve(Protocol):
    """Finds what reads a place of a record as clean text; None where the record has no such place.

    `tidy` promises texts of one line and of at most LIMIT characters.
    """

    tidy: bool

    def __call__(self, name: Name, /) -> Text | None: ...


class ResolveLists(Resolve, Protocol):
    """Finds also what reads a place of a record as it is, such as a list."""

    def untouched(self, name: Name, /) -> Get: ...


class InJson:
    """Resolves names in decoded JSON; of a name's synonyms the first that holds something counts."""

    tidy = False

    def __init__(self, nulls: Collection[str]) -> None:
        self._nulls = nulls

    def __call__(self, name: Name) -> Text | None:
        return cleaned(_search(name), self._nulls)

    def untouched(self, name: Name) -> Get:
        return _search(name)


def _search(name: Name) -> Get:
    searches = [compile_path(path) for path in (name.path, *name.also)]
    if len(searches) == 1:
        return searches[0]

    def get(data: Source) -> Any:
        found = (search(data) for search in searches)
        return next((value for value in found if value is not None), None)

    return get


def cleaned(get: Get, nulls: Collection[str]) -> Text:
    """Return what reads one value of a record, of whatever type it is, as clean text."""

    def text(source: Source) -> str | None:
        value = get(source)
        if value is None:
            return None
        if type(value) is not str:
            value = as_text(value)
        # The same as `clean`, spelled out: every cell of a row that is not remembered passes here.
        value = value.strip() if value.isascii() and value.isprintable() else clean(value)
        return None if value in nulls else value

    return text


def compile_text(origin: Origin, resolve: Resolve) -> Text | None:
    """Return what reads an origin as clean text; None when the record has no such place."""
    if isinstance(origin, Constant):
        constant = origin.text
        return lambda source: constant
    if isinstance(origin, Name):
        return resolve(origin)
    texts = [compile_text(part, resolve) for part in origin.parts]
    present = [text for text in texts if text]
    if len(present) < 2:
        return present[0] if present else None
    return _first(present) if isinstance(origin, FirstOf) else _joined(present, origin.mark)


def _first(texts: list[Text]) -> Text:
    def text(source: Source) -> str | None:
        for read in texts:
            value = read(source)
            if value is not None:
                return value
        return None

    return text


def _joined(texts: list[Text], mark: str) -> Text:
    if len(texts) == 2:
        return _pair(texts[0], texts[1], mark)

    def text(source: Source) -> str | None:
        parts = [value for read in texts if (value := read(source)) is not None]
        return mark.join(parts) if parts else None

    return text


def _pair(one: Text, two: Text, mark: str) -> Text:
    def text(source: Source) -> str | None:
        first, second = one(source), two(source)
        return f"{first}{mark}{second}" if first and second else first or second

    return text


def compile_parts(field: Field, resolve: Resolve) -> Get | None:
    """Return what reads the cells of a date and time, each by itself, as a tuple of texts."""
    choices = [
        parts
        for origin in _alternatives(field.origin)
        if (parts := _parts_of(origin, field, resolve))
    ]
    if len(choices) < 2:
        return _tuple(choices[0]) if choices else None
    tuples = [_tuple(choice) for choice in choices]
    return lambda source: next((parts for get in tuples if (parts := get(source))), ())


def _alternatives(origin: Origin) -> tuple[Origin, ...]:
    return origin.parts if isinstance(origin, FirstOf) else (origin,)


def _parts_of(origin: Origin, field: Field, resolve: Resolve) -> list[Text]:
    pieces = origin.parts if isinstance(origin, Joined) else (origin,)
    texts = (compile_text(piece, resolve) for piece in pieces)
    return [transformed(text, field) for text in texts if text]


def _tuple(texts: list[Text]) -> Get:
    if len(texts) == 1:
        only = texts[0]
        return lambda source: (text,) if (text := only(source)) is not None else ()
    if len(texts) == 2:
        one, two = texts
        return lambda source: _present(one(source), two(source))
    return lambda source: tuple(t for text in texts if (t := text(source)) is not None)


def _present(one: str | None, two: str | None) -> tuple[str, ...]:
    if one is not None and two is not None:
        return (one, two)
    return tuple(part for part in (one, two) if part is not None)


def transformed(text: Text, field: Field) -> Text:
    """Return the text after the transforms that a field asks for, in their order."""
    for name, argument in field.steps:
        text = _after(text, _transform(name, argument))
    return text


def _after(text: Text, transform: Transform) -> Text:
    def changed(source: Source) -> str | None:
        value = text(source)
        return (transform(value) or None) if value is not None else None

    return changed


def _transform(name: str, argument: Any) -> Transform:
    if name == "regex":
        return transforms.regex(argument)
    if name == "split":
        options = argument if isinstance(argument, Mapping) else {"on": argument}
        return transforms.split(options["on"], options.get("take", 0))
    if name == "strip":
        return transforms.strip(argument if isinstance(argument, str) else None)
    if name == "swap":
        return transforms.swap(argument)
    if name == "length":
        worth = transforms.length(argument)
        return lambda text: f"{worth(text) // timedelta(seconds=1)} s"
    return transforms.lower()


# --- typed values ------------------------------------------------------------------------------


def compile_field(field: Field, resolve: Resolve, context: Context) -> Read | None:
    """Return what reads a field as its type; None when it can only ever be missing."""
    text = compile_text(field.origin, resolve)
    if text is None:
        return _absent(field, context)
    if resolve.tidy and _is_as_it_stands(field):
        read: Read = lambda source, issues: text(source)  # noqa: E731 - nothing is left to do
    else:
        read = _typed(field, transformed(text, field), context)
    default = _default(field, context)
    if default is None and not field.required:
        return read
    return _completed(field, read, default)


def _absent(field: Field, context: Context) -> Read | None:
    default = _default(field, context)
    if default is None and field.required:
        return _completed(field, lambda source, issues: None, None)
    return (lambda source, issues: default) if default is not None else None


def _default(field: Field, context: Context) -> Any:
    if field.default is None:
        return None
    convert = _converter(field, context)
    return convert(field.default) if convert else field.default


def _completed(field: Field, read: Read, default: Any) -> Read:
    def complete(source: Source, issues: list[Issue]) -> Any:
        value = read(source, issues)
        if value is not None:
            return value
        if default is None:
            raise BadRecord("missing", field=field.name, detail="it must not be empty")
        return default

    return complete


def _typed(field: Field, text: Text, context: Context) -> Read:
    if field.type == "bool" and field.table is not None:
        text = _reworded(field, text)
    elif field.table is not None:
        return _looked_up(field, text)
    if field.name == "call_in":
        return _call_in(field, text, context.country)
    if field.type == "phone":
        return _phone(field, text, context.country)
    convert = _converter(field, context)
    return _converted(field, text, convert) if convert else _limited(field, text)


def _reworded(field: Field, text: Text) -> Text:
    """Return the text as yes or no where the table knows its word; other words stand for themselves."""
    look_up = _table(field)

    def read(source: Source) -> str | None:
        value = text(source)
        return None if value is None else look_up(value) or value

    return read


def _converter(field: Field, context: Context) -> Callable[[str], Any] | None:
    if field.type == "minutes":
        unit = field.unit
        return lambda text: transforms.read_minutes(text, unit)
    converters: dict[str, Callable[[str], Any]] = {
        "bool": transforms.read_bool,
        "email": transforms.read_email,
        "language": read_language,
        "date": transforms.iso_date,
        "time": transforms.iso_time,
    }
    return converters.get(field.type)


def _converted(field: Field, text: Text, convert: Callable[[str], Any]) -> Read:
    # A flag that cannot be read could be the one that says "cancelled": a person has to look.
    strict = field.name.startswith("status.")
    issue = Issue(f"invalid_{field.type}", field.name)

    def read(source: Source, issues: list[Issue]) -> Any:
        value = text(source)
        if value is None:
            return None
        try:
            return convert(value)
        except ValueError as wrong:
            if strict:
                raise BadRecord("unreadable_flag", field=field.name, detail=str(wrong)) from None
            issues.append(issue)
            return None

    return read


def _phone(field: Field, text: Text, country: str) -> Read:
    def read(source: Source, issues: list[Issue]) -> Any:
        value = text(source)
        if value is None:
            return None
        number = mobile_number(value, country)
        if number:
            return number
        number, issue = read_phone(value, country)
        if issue:
            issues.append(Issue(issue, field.name))
        return number

    return read


def _call_in(field: Field, text: Text, country: str) -> Read:
    """Read a number that people dial: in E.164, or as it is written where more belongs to it (a PIN)."""
    issue = Issue("invalid_phone", field.name)

    def read(source: Source, issues: list[Issue]) -> Any:
        value = text(source)
        if value is None:
            return None
        if _MORE_THAN_A_NUMBER.search(value):
            good = len(value) <= _LONGEST_CALL_IN and len(re.findall(r"\d", value)) > 4
            number = one_line(value) if good else None
        else:
            number = read_phone(value, country).number
        if number is None:
            issues.append(issue)
        return number

    return read


def _limited(field: Field, text: Text) -> Read:
    limit = LIMITS.get(field.name, LIMIT)
    tidy = clean if field.name in LIMITS else one_line
    is_key = field.name.endswith("key")

    def read(source: Source, issues: list[Issue]) -> Any:
        value = text(source)
        if value is None:
            return None
        value = tidy(value)
        if len(value) <= limit:
            return value
        if is_key:  # two keys cut short could become one
            raise BadRecord("too_long", field=field.name, detail=f"at most {limit} characters")
        issues.append(Issue("cut", field.name))
        return value[:limit].rstrip()

    return read


def _is_as_it_stands(field: Field) -> bool:
    """Whether a field is the text of one place, whichever, and nothing is asked of it."""
    plain = field.type == "text" and field.table is None and not field.steps
    return plain and _is_one_place(field.origin)


def _is_one_place(origin: Origin) -> bool:
    if isinstance(origin, FirstOf):
        return all(_is_one_place(part) for part in origin.parts)
    return isinstance(origin, Name)


def _looked_up(field: Field, text: Text) -> Read:
    translate = compile_table(field)

    def read(source: Source, issues: list[Issue]) -> Any:
        value = text(source)
        return None if value is None else translate(value, issues)

    return read


def compile_table(field: Field) -> Translate:
    """Return what translates a word, and says what `unknown` asks for when the table does not."""
    look_up = _table(field)
    issue = Issue(f"unknown_{field.name.rpartition('.')[2]}", field.name)
    fallback = field.default if field.unknown == "default" else field.unknown

    def translate(value: str, issues: list[Issue]) -> str | None:
        found = look_up(value)
        if found is not None:
            return found
        if field.unknown == "set_aside":
            raise BadRecord(issue.code, field=field.name, detail=_unknown(value))
        issues.append(issue)
        return fallback

    return translate


def _table(field: Field) -> Callable[[str], str | None]:
    """Look words up as written first (codes such as `*` and `%` fold to nothing), then folded."""
    table = field.table or {}
    exact = {word.casefold(): target for word, target in table.items()}
    folded = {fold(word): target for word, target in table.items() if fold(word)}

    @lru_cache(maxsize=1024)
    def look_up(text: str) -> str | None:
        return exact.get(text.casefold()) or folded.get(fold(text))

    return look_up


def _unknown(value: str) -> str:
    shown = f'"{value}" ' if _CODE.fullmatch(value) else ""
    return f"the mapping's table does not know {shown}yet; add it to the table of this field"
