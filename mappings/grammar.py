"""Turns the plain values of a mapping file into a spec, and says what is wrong with each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from clinicrelay.paths import compile_path, fold
from clinicrelay.times import parse_span, zone_of
from mappings.files import Document, Steps
from mappings.spec import (
    FIELDS,
    SEVERAL,
    WORDS,
    Case,
    Constant,
    Field,
    FirstOf,
    Joined,
    Name,
    Origin,
    Skip,
)
from mappings.transforms import TRANSFORMS, TYPES, as_text, read_bool, read_minutes

_TOP = ("version", "fields", "each", "nulls", "skip_if", "header", "tests")
_ORIGINS = ("path", "any", "join", "literal")
_OPTIONS = (
    *("also", "with", "table", "unknown", "default", "type", "formats", "zone", "unit", "required"),
    *TRANSFORMS,
)
_FIXED = frozenset({"datetime", "minutes", "bool", "phone", "email", "language"})
_FREE = frozenset({"text", "date", "time"})
_ARGUMENTS: dict[str, type | tuple[type, ...]] = {
    "regex": str,
    "split": (str, dict),
    "strip": (bool, str),
    "lower": bool,
    "swap": str,
    "length": str,
}


class Grammar:
    """Reads one document. Mistakes gather in `document.findings`; what is wrong is left out."""

    def __init__(self, document: Document) -> None:
        self._doc = document
        self._top = self._mapping((), document.data)
        self._known((), self._top, _TOP, "key")
        if self._top.get("version") != 1:
            document.wrong(("version",), "version", "a mapping begins with `version: 1`")

    # --- the parts of a file -------------------------------------------------------------

    def fields(self) -> dict[str, Field]:
        given = self._mapping(("fields",), self._top.get("fields", {}))
        self._known(("fields",), given, FIELDS, "field")
        if not given:
            self._doc.wrong(("fields",), "missing", "a mapping needs `fields`")
        found = {name: self._field(name, given[name]) for name in given if name in FIELDS}
        return {name: field for name, field in found.items() if field is not None}

    def each(self, fields: Mapping[str, Field]) -> dict[str, Name]:
        """Return the list in a record that each kind of people is read from."""
        given = self._mapping(("each",), self._top.get("each", {}))
        self._known(("each",), given, SEVERAL, "list")
        found = {
            owner: self._list(owner, given[owner], fields) for owner in given if owner in SEVERAL
        }
        if "practitioner.primary" in fields and "practitioner" not in found:
            message = "of one practitioner there is nothing to tell: this is for `each`"
            fix = "leave it out, or name the list: each: {practitioner: …}"
            self._doc.wrong(("fields", "practitioner.primary"), "each", message, fix)
        return {owner: name for owner, name in found.items() if name}

    def _list(self, owner: str, given: Any, fields: Mapping[str, Field]) -> Name | None:
        if not any(name.startswith(f"{owner}.") for name in fields):
            message = f"no field says what of an entry is the {owner}"
            fix = f"write under fields, say, {owner}.key: {{path: id}}"
            self._doc.wrong(("each", owner), "missing", message, fix)
        return self._name(("each", owner), given, [])

    def nulls(self) -> frozenset[str]:
        """Return the words for nothing in every case people write them in."""
        words = {"", *self._texts(("nulls",), self._top.get("nulls", []))}
        return frozenset(form for w in words for form in (w, w.lower(), w.upper(), w.title()))

    def skips(self) -> tuple[Skip, ...]:
        given = self._top.get("skip_if", [])
        if isinstance(given, list):
            rules = [self._skip(("skip_if", i), rule) for i, rule in enumerate(given)]
        else:
            rules = [self._skip(("skip_if",), given)]
        return tuple(rule for rule in rules if rule)

    def header(self, fields: Mapping[str, Field]) -> tuple[tuple[str, ...], ...]:
        """Return the groups of fields of which a table's header must show at least one each."""
        given = self._top.get("header")
        if given is None:
            each = self._top.get("each")
            lists = each if isinstance(each, Mapping) else {}
            required = (name for name, field in fields.items() if field.required)
            return tuple((n,) for n in required if n.partition(".")[0] not in lists)
        groups = given if isinstance(given, list) else []
        for index, group in enumerate(groups):
            self._known(("header", index), dict.fromkeys(group), fields, "field")
        return tuple(tuple(name for name in group if name in fields) for group in groups)

    def cases(self) -> tuple[Case, ...]:
        given = self._top.get("tests", [])
        return tuple(self._case(("tests", i), case) for i, case in enumerate(given))

    # --- one field -----------------------------------------------------------------------

    def _field(self, name: str, given: Any) -> Field | None:
        steps: Steps = ("fields", name)
        options = self._mapping(steps, given)
        self._known(steps, options, (*_ORIGINS, *_OPTIONS), "option")
        origin = self._origin(steps, options) if isinstance(given, Mapping) else None
        if origin is None:
            return None
        return Field(
            name=name,
            origin=origin,
            type=self._type(steps, name, options),
            table=self._table(steps, name, options),
            unknown=self._unknown(steps, name, options),
            default=self._default(steps, name, options),
            formats=self._texts((*steps, "formats"), options.get("formats", [])),
            zone=self._zone(steps, options),
            unit=self._one_of((*steps, "unit"), options, ("minutes", "seconds", "hours")),
            required=options.get("required") is True,
            add_minutes=self._add_minutes(steps, options),
            steps=self._transforms(steps, options),
        )

    def _origin(self, steps: Steps, options: Mapping[str, Any]) -> Origin | None:
        chosen = [kind for kind in _ORIGINS if kind in options]
        if len(chosen) != 1:
            self._doc.wrong(steps, "origin", f"give exactly one of {', '.join(_ORIGINS)}")
            return None
        kind = chosen[0]
        value, below = options[kind], (*steps, kind)
        if kind == "literal":
            return Constant(as_text(value) or "")
        if kind == "path":
            return self._name(steps, value, options.get("also", []))
        parts = self._parts(below, value)
        return Joined(parts, str(options.get("with", " "))) if kind == "join" else FirstOf(parts)

    def _parts(self, steps: Steps, given: Any) -> tuple[Origin, ...]:
        if not isinstance(given, list) or not given:
            self._doc.wrong(steps, "list", "expected a list of column names or paths")
            return ()
        found = [self._part((*steps, i), part) for i, part in enumerate(given)]
        return tuple(part for part in found if part)

    def _part(self, steps: Steps, given: Any) -> Origin | None:
        if not isinstance(given, Mapping):
            return self._name(steps, given, [])
        self._known(steps, given, (*_ORIGINS, "also", "with"), "option")
        return self._origin(steps, given)

    def _name(self, steps: Steps, path: Any, also: Any) -> Name | None:
        if not isinstance(path, str) or not path.strip():
            self._doc.wrong(steps, "path", "a path is the name of a column or a JMESPath")
            return None
        try:
            compile_path(path)
        except ValueError as wrong:
            self._doc.wrong(steps, "path", str(wrong), "see https://jmespath.org")
        return Name(path, self._texts((*steps, "also"), also))

    def _type(self, steps: Steps, name: str, options: Mapping[str, Any]) -> str:
        usual = FIELDS[name]
        given = options.get("type", usual)
        if given not in TYPES:
            self._stranger((*steps, "type"), str(given), TYPES, "type")
        elif given != usual and (usual in _FIXED or given not in _FREE):
            self._doc.wrong((*steps, "type"), "type", f"{name} is always {usual}", "leave it out")
        return given if given in TYPES else usual

    def _table(self, steps: Steps, name: str, options: Mapping[str, Any]) -> dict[str, str] | None:
        own = {word: word for word in WORDS.get(name, ())}
        if "table" not in options:
            return own or None
        table = self._mapping((*steps, "table"), options["table"])
        for word, target in table.items():
            self._word((*steps, "table", str(word)), name, target)
            if FIELDS[name] == "bool":
                self._try((*steps, "table", str(word)), read_bool, as_text(target) or "")
        return own | {as_text(word) or "": str(target) for word, target in table.items()}

    def _unknown(self, steps: Steps, name: str, options: Mapping[str, Any]) -> str:
        # A status nobody understood must never turn into one that sends messages.
        given = str(options.get("unknown", "set_aside" if name == "status" else "default"))
        if given not in ("set_aside", "default"):
            self._word((*steps, "unknown"), name, given)
        return given

    def _default(self, steps: Steps, name: str, options: Mapping[str, Any]) -> str | None:
        default = as_text(options.get("default"))
        below = (*steps, "default")
        if default is None:
            return None
        self._word(below, name, default)
        read = {"minutes": read_minutes, "bool": read_bool}.get(FIELDS[name])
        if read:
            self._try(below, read, default)
        return default

    def _zone(self, steps: Steps, options: Mapping[str, Any]) -> str | None:
        zone = options.get("zone")
        if zone is not None and zone not in ("clinic", "utc"):
            self._try((*steps, "zone"), zone_of, str(zone))
        return str(zone) if zone is not None else None

    def _one_of(self, steps: Steps, options: Mapping[str, Any], words: tuple[str, ...]) -> str:
        given = options.get(str(steps[-1]), words[0])
        if given not in words:
            self._stranger(steps, str(given), words, str(steps[-1]))
        return given if given in words else words[0]

    def _add_minutes(self, steps: Steps, options: Mapping[str, Any]) -> int:
        given = options.get("add_minutes", 0)
        if type(given) is int and (given == 0 or FIELDS[str(steps[-1])] == "datetime"):
            return given
        message = "add_minutes is a whole number and belongs to start or end"
        self._doc.wrong((*steps, "add_minutes"), "add_minutes", message)
        return 0

    def _transforms(self, steps: Steps, options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
        found = [(key, options[key]) for key in options if key in _ARGUMENTS]
        return tuple(pair for pair in found if self._fits((*steps, pair[0]), *pair))

    def _fits(self, steps: Steps, transform: str, argument: Any) -> bool:
        if not isinstance(argument, _ARGUMENTS[transform]):
            self._doc.wrong(steps, "transform", f"{transform} has no such argument")
            return False
        if transform == "regex":
            return self._try(steps, re.compile, argument)
        if transform == "length":
            return self._try(steps, parse_span, argument)
        if isinstance(argument, dict):
            self._known(steps, argument, ("on", "take"), "option")
            return isinstance(argument.get("on"), str)
        return True

    # --- what is not a field -------------------------------------------------------------

    def _skip(self, steps: Steps, given: Any) -> Skip | None:
        rule = self._mapping(steps, given)
        self._known(steps, rule, ("path", "also", "equals"), "option")
        name = self._name(steps, rule.get("path"), rule.get("also", []))
        equals = rule.get("equals")
        values = equals if isinstance(equals, list) else [equals]
        if equals is None:
            self._doc.wrong(steps, "missing", "skip_if needs `equals`")
        return Skip(name, frozenset(fold(as_text(v) or "") for v in values)) if name else None

    def _case(self, steps: Steps, given: Any) -> Case:
        case = self._mapping(steps, given)
        self._known(steps, case, ("in", "out", "set_aside", "skipped"), "key")
        return Case(
            record=self._mapping((*steps, "in"), case.get("in", {})),
            out=self._mapping((*steps, "out"), case.get("out", {})),
            set_aside=case.get("set_aside"),
            skipped=case.get("skipped") is True,
        )

    # --- the same few questions ----------------------------------------------------------

    def _mapping(self, steps: Steps, given: Any) -> Mapping[str, Any]:
        if isinstance(given, Mapping):
            return given
        self._doc.wrong(steps, "mapping", "expected keys and values here")
        return {}

    def _texts(self, steps: Steps, given: Any) -> tuple[str, ...]:
        if isinstance(given, list):
            return tuple(as_text(item) or "" for item in given)
        self._doc.wrong(steps, "list", "expected a list")
        return ()

    def _known(
        self, steps: Steps, given: Mapping[Any, Any], known: Iterable[str], noun: str
    ) -> None:
        for key in given:
            if key not in known:
                self._stranger((*steps, str(key)), str(key), known, noun)

    def _stranger(self, steps: Steps, word: str, known: Iterable[str], noun: str) -> None:
        close = get_close_matches(word, list(known), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        self._doc.wrong(steps, f"unknown_{noun}", f"{noun} {word!r} is not known", hint)

    def _word(self, steps: Steps, name: str, target: Any) -> None:
        if name in WORDS and target not in WORDS[name]:
            self._stranger(steps, str(target), sorted(WORDS[name]), "word")

    def _try(self, steps: Steps, read: Callable[[Any], object], value: object) -> bool:
        try:
            read(value)
        except (ValueError, re.error) as wrong:
            self._doc.wrong(steps, str(steps[-1]), str(wrong))
            return False
        return True
