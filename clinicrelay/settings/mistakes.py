"""Pydantic's errors as sentences for the person who edits the file, each at its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from pydantic_core import ErrorDetails

from clinicrelay.settings.shape import Shape, sections
from clinicrelay.settings.tree import Mark, Tree, Where

# Follow from another mistake, which is reported itself.
_CONSEQUENCES = ("default_factory_not_called",)


class Mistake(NamedTuple):
    """One of pydantic's errors, with its place in the file's data."""

    error: ErrorDetails
    where: Where
    mark: Mark

    @property
    def key(self) -> str:
        return str(self.where[-1]) if self.where else ""

    @property
    def limits(self) -> dict[str, Any]:
        return self.error.get("ctx") or {}


Sentence: TypeAlias = tuple[str, str, str]  # code, message, fix


def report_all(
    tree: Tree, shape: Shape, errors: Iterable[ErrorDetails], *, below: Where = ()
) -> list[Where]:
    """Report each error once a place, and return the places.

    `below` is where the validated part begins in the file.
    """
    reported = {f.path for f in tree.findings if f.severity == "error"}
    places: list[Where] = []
    for error in errors:
        if error["type"] in _CONSEQUENCES:
            continue
        where = place_of(error, tree, below=below)
        places.append(where)
        if error["type"] == "extra_forbidden":
            tree.opaque.discard(where)  # there is no such key, whatever its value may be
        elif _unknowable(tree, error, where):
            continue
        before = len(tree.findings)
        _report(tree, shape, error, where)
        told = tree.findings[before:]
        if told and told[0].path in reported:
            del tree.findings[before:]
        else:
            reported.update(finding.path for finding in told[:1])
    return places


def _unknowable(tree: Tree, error: ErrorDetails, where: Where) -> bool:
    """Whether a section's parts disagree that hold a reference nobody followed."""
    if error["type"] == "missing":
        return False
    return any(opaque[: len(where)] == where for opaque in tree.opaque)


def place_of(error: ErrorDetails, tree: Tree, *, below: Where = ()) -> Where:
    """Return pydantic's place without what is not in the file: names of union members."""
    if error["type"] == "union_tag_invalid":  # it is the word that is wrong, not the section
        word = str(error["ctx"]["discriminator"]).strip("'")
        return (*_alignment((*below, *error["loc"]), tree.data, missing=False)[1], word)
    # A default that cannot stand either is that of a key which is not there.
    missing = error["type"] == "missing" or error["input"] is None
    return _alignment((*below, *error["loc"]), tree.data, missing=missing)[1]


def _alignment(loc: Where, data: Any, *, missing: bool) -> tuple[bool, Where]:
    """Return whether the last step could be followed, and the steps that could.

    A union member may be called like one of its keys, so each step is tried and left out.
    """
    if not loc:
        return True, ()
    step, rest = loc[0], loc[1:]
    if missing and not rest:
        return True, (step,)
    left_out = _alignment(rest, data, missing=missing) if rest else (False, ())
    if step not in _steps(data):
        return left_out
    reached, below = _alignment(rest, data[step], missing=missing)
    return max((reached, (step, *below)), left_out, key=lambda a: (a[0], len(a[1])))


def _steps(here: Any) -> Container[Any]:
    if isinstance(here, list):
        return range(len(here))
    return here if isinstance(here, dict) else ()


def _report(tree: Tree, shape: Shape, error: ErrorDetails, where: Where) -> None:
    kind = error["type"]
    at_key = kind in ("missing", "extra_forbidden") or error["loc"][-1:] == ("[key]",)
    mark = tree.key_mark(where) if at_key else tree.mark(where)
    code, message, fix = _sentence(Mistake(error, where, mark), shape, tree)
    tree.report(mark, where, code, message, fix)


def _sentence(mistake: Mistake, shape: Shape, tree: Tree) -> Sentence:
    kind = mistake.error["type"]
    if kind == "missing":
        return _missing(mistake, shape, tree)
    if mistake.where == ("version",):
        return _version(mistake)
    if shaped := _BY_SHAPE.get(kind):
        return shaped(mistake, shape)
    if plain := _PLAIN.get(kind):
        return plain(mistake)
    message, fix = _lower(mistake.error["msg"]), mistake.limits.get("fix", "")
    if not fix:  # a plugin's own: `what is wrong: what would be right`
        message, _, fix = message.partition(": ")
    return "wrong_value", message, fix or "write something else"


def _lower(text: str) -> str:
    text = text.removeprefix("Value error, ")
    text = text.replace("Input should", "this should", 1)
    return text[:1].lower() + text[1:]


def _example(mistake: Mistake, shape: Shape) -> str:
    info = shape.fields(mistake.where[:-1]).get(mistake.key)
    if info is None or not info.examples:
        return f"{mistake.key}: …"
    return f"{mistake.key}: {as_yaml(info.examples[0])}"


def as_yaml(value: Any) -> str:
    """Write an example in one line, quoted where YAML readers would differ."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {as_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_yaml(v) for v in value) + "]"
    if isinstance(value, str) and value and value[0].isalpha() and ": " not in value:
        return value
    if isinstance(value, str) and value[-1:] in "%dhmsx/n" and value[:1].isdigit():
        return value
    return json.dumps(value, ensure_ascii=False)


def _missing(mistake: Mistake, shape: Shape, tree: Tree) -> Sentence:
    state = "empty" if mistake.where in tree.keys else "missing"
    verb = "write" if state == "empty" else "add"
    return "missing", f"{mistake.key!r} is {state}", f"{verb} `{_example(mistake, shape)}`"


def _too_short(mistake: Mistake, shape: Shape) -> Sentence:
    info = shape.fields(mistake.where[:-1]).get(mistake.key)
    needed = info is None or info.is_required()
    message = f"at least {mistake.limits['min_length']} must be named here"
    return "empty", message, "add to the list" + ("" if needed else f", or delete `{mistake.key}`")


def _unknown(mistake: Mistake, shape: Shape) -> Sentence:
    from difflib import get_close_matches

    *_, tag, _ = (None, *mistake.error["loc"])
    known = shape.fields(mistake.where[:-1], tag=tag)
    message = f"unknown key {mistake.key!r}"
    near = get_close_matches(mistake.key.lower(), known, n=1)
    if others := [one for one in shape.kinds_with(mistake.where[:-1], mistake.key) if one != tag]:
        fix = f"delete it, or choose the type that has it: {', '.join(others)}"
        return "unknown_key", f"{mistake.key!r} is not a key of this type, {tag}", fix
    if near:
        return "unknown_key", message, f"did you mean {near[0]!r}?"
    if home := _home_of(mistake.key, shape):
        return "unknown_key", message, f"{mistake.key!r} belongs under {home!r}: move it there"
    return "unknown_key", message, f"delete it; known here are {', '.join(known)}"


def _kindless(mistake: Mistake, shape: Shape) -> Sentence:
    """A section of one kind among several, and nothing says which."""
    given = mistake.error["input"]
    word = str(mistake.limits.get("discriminator") or "'type'").strip("'")
    if not isinstance(given, dict):
        if isinstance(given, str) and given in shape.kinds_with(mistake.where, word):
            return "wrong_type", "a section is wanted here", f"write {{{word}: {given}, …}}"
        return _SECTION(mistake)
    kinds = [kind for key in given for kind in shape.kinds_with(mistake.where, str(key))]
    likely = max(kinds, key=kinds.count, default="")
    fix = f"add `{word}: {likely}`" if likely else f"add `{word}: …`"
    return "missing", f"{word!r} is missing here", fix


def _home_of(key: str, shape: Shape) -> str | None:
    for name, info in shape.root.model_fields.items():
        if any(key in model.model_fields for model in sections(info.annotation)):
            return name
    return None


def _version(mistake: Mistake) -> Sentence:
    fix = "write `version: 1`"
    if isinstance(mistake.error["input"], int) and mistake.error["input"] > 1:
        fix += ", or install a newer clinicrelay"
    return "version", "this program understands version 1 of the settings only", fix


_TRAPS = {
    bool: "yes, no, on, off, true and false without quotes are not text: quote this",
    int: "digits without quotes are a number and lose leading zeros: quote this",
    float: "digits without quotes are a number and lose zeros: quote this",
}


def _unquoted(mistake: Mistake, shape: Shape) -> Sentence:
    """A text that YAML took for something else; a secret's own text is not repeated."""
    given = mistake.error["input"]
    if mistake.error["type"] == "string_type" and type(given) not in _TRAPS:
        return _text_wanted(mistake)
    reason = mistake.limits.get("reason") or _TRAPS[type(given)]
    show = mistake.mark.text and not shape.is_secret(mistake.where)
    quote = f'write "{mistake.mark.text}"' if show else "put the value in quotes"
    return "unquoted", reason, mistake.limits.get("fix") or quote


def _text_wanted(mistake: Mistake) -> Sentence:
    given = mistake.error["input"]
    if isinstance(given, dict) and any(k.startswith(("$", "{")) for k in given):
        return "unquoted", "a ${…} in braces must stand in quotes: quote this", 'write "${NAME}"'
    found = "a section" if isinstance(given, dict) else "a list" if given else "nothing"
    return "wrong_type", f"a text is wanted here, and {found} is given", "write one value, quoted"


def _words(mistake: Mistake) -> Sentence:
    from difflib import get_close_matches

    allowed = str(mistake.limits.get("expected") or mistake.limits.get("expected_tags") or "")
    words = allowed.replace(" or ", ", ").replace("'", "").split(", ")
    given = mistake.error["input"]
    if isinstance(given, dict):
        given = given.get(str(mistake.limits.get("discriminator", "")).strip("'"))
    if isinstance(given, bool):
        return "unquoted", _TRAPS[bool], f'write "off" or one of {", ".join(words)}, in quotes'
    near = get_close_matches(given.lower(), words, n=1) if isinstance(given, str) else []
    fix = f"write {near[0]}" if near else f"write {words[0]}"
    return "wrong_word", f"this must be one of {', '.join(words)}", fix


_BY_SHAPE: Mapping[str, Callable[[Mistake, Shape], Sentence]] = {
    "extra_forbidden": _unknown,
    "unquoted": _unquoted,
    "string_type": _unquoted,
    "union_tag_not_found": _kindless,
    "model_attributes_type": _kindless,
    "too_short": _too_short,
}


def _is(code: str, message: str, fix: str) -> Callable[[Mistake], Sentence]:
    return lambda mistake: (
        code,
        message.format(**mistake.limits),
        fix.format(key=mistake.key, **mistake.limits),
    )


_SECTION = _is("wrong_type", "a section is wanted here", "write keys below it, each `key: value`")
_LIST = _is("wrong_type", "a list is wanted here", "put brackets around it: {key}: […]")
_WHOLE = _is("wrong_type", "a whole number is wanted here", "write digits only: 10")
_NUMBER = _is("wrong_type", "a number is wanted here", "write digits: 1.5")
_SWITCH = _is("wrong_type", "this is a switch", "write true or false")
_DURATION = _is("wrong_value", "this is not a duration", "write 15m, 6h or 30d")

_PLAIN: Mapping[str, Callable[[Mistake], Sentence]] = {
    "enum": _words,
    "literal_error": _words,
    "union_tag_invalid": _words,
    "model_type": _SECTION,
    "dict_type": _SECTION,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    "greater_than_equal": _is("out_of_range", "this must be at least {ge}", "write {ge} or more"),
    "greater_than": _is("out_of_range", "this must be more than {gt}", "write more than {gt}"),
    "less_than_equal": _is("out_of_range", "this must be at most {le}", "write {le} or less"),
    "less_than": _is("out_of_range", "this must be less than {lt}", "write less than {lt}"),
    "string_too_short": _is("empty", "this must not be empty", "write something"),
    "string_pattern_mismatch": _is(
        "wrong_value", "this holds signs that are not allowed here", "it must match {pattern}"
    ),
    "path_type": _is("wrong_type", "a path is wanted here", "write a path in quotes"),
}
