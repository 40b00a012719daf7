"""The query's text: what may stand in it (the first lock), and what is bound into it.

A text is refused when it could be read in two ways: what a parser takes for a comment or the inside
of a string, and the server does not, would be run unseen (`/*! … */`, `--1`, nested comments,
backslashes, dollar quotes). So none of these may stand in it at all.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from connectors.sql.functions import stranger

BINDS = frozenset({"watermark", "window_start", "window_end"})

_VERSION = b"4"  # of these rules: a text that was found right by older ones is looked at again
_BIND = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
# Strings, quoted names and comments to the end of a line; none of them holds a name to bind.
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[ \t][^\n]*|--(?=\n|$)")
_BEGINS = re.compile(r"(?:\s|--[^\n]*\n|\()*(?:select|with)\b", re.IGNORECASE)

_DOUBTFUL = (
    (r"/\*", "a /* comment */ can hide what a server runs all the same", "begin it with two "
     "hyphens and a space instead, on a line of its own"),
    (r"\\", "a backslash is read otherwise by each server", "leave it out"),
    (r"\$\w*\$", "dollar quotes are read otherwise by each server", "write strings in '…'"),
    (r"--(?![ \t\n]|$)", "two hyphens without a space are no comment for every server",
     "write a space after them"),
    (r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\x85]", "a control character stands in the query",
     "take it out"),
)  # fmt: skip

_MEANT = "|".join(sorted(BINDS))
# Names that are to be bound, written as other programs want them: the server would take them for a
# text, or for something of its own.
_OTHERWISE = (
    (rf"\{{\s*(?:{_MEANT})\b[^}}]*\}}", "in braces"),
    (rf"%\((?:{_MEANT})\)s", "as Python writes it"),
    (rf"[@$](?:{_MEANT})\b", "as a variable"),
)

_PARSED_AS = {"postgresql": "postgres", "mssql": "tsql"}


class BadQuery(ValueError):
    """The query is none that may run; `fix` says what would be right."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


def tidied(text: str) -> str:
    """Return a query without what ends it, found harmless as far as that needs no parser.

    Raises BadQuery.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    text = text.rstrip("; \n\t")
    if not _BEGINS.match(text):
        raise BadQuery("only a single SELECT may read a source", "begin with SELECT or WITH")
    if ";" in text:
        raise BadQuery("a ; would begin a second statement", "write a single SELECT without it")
    for pattern, message, fix in _DOUBTFUL:
        if re.search(pattern, text):
            raise BadQuery(message, fix)
    _check_names(text)
    return text


def _check_names(text: str) -> None:
    """Refuse a name that no value is bound to, where none is meant or it is written otherwise."""
    if strange := sorted(bind_names(text) - BINDS):
        near = get_close_matches(strange[0].lower(), BINDS, 1)
        meant = f"did you mean :{near[0]}? " if near else ""
        names = ", ".join(f":{name}" for name in sorted(BINDS))
        raise BadQuery(f"nothing is bound to :{strange[0]}", f"{meant}the names are {names}")
    how = next((how for pattern, how in _OTHERWISE if re.search(pattern, text)), "")
    if not how and any(re.search(rf":({_MEANT})\b", text) for text in _literals(text)):
        how = "inside quotes"
    if how:
        raise BadQuery(
            f"a time that is bound into the query stands there {how}, where nothing is bound",
            "write it plainly, with a colon and no format: start >= :window_start",
        )


def _literals(text: str) -> Iterator[str]:
    return (found[0] for found in _QUOTED.finditer(text) if found[0].startswith("'"))


@lru_cache(maxsize=64)
def bind_names(text: str) -> frozenset[str]:
    """Return the names that values are bound to, outside of strings and comments."""
    return frozenset(_BIND.findall(_QUOTED.sub("''", text)))


# --- the parser ------------------------------------------------------------------------------------


def check(text: str, backend: str) -> None:
    """Parse a query and refuse all that does not only read. Raises BadQuery."""
    from sqlglot import exp

    tree = _parsed(text, backend)
    body = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(body, (exp.Select, exp.SetOperation)):
        raise BadQuery("only a single SELECT may read a source", "begin with SELECT or WITH")
    if _is_cut(tree):
        raise BadQuery(
            "LIMIT, OFFSET, FETCH or TOP leaves rows out, and those would be taken for deleted",
            "take it out; compare the start with :window_start and :window_end to read fewer rows",
        )
    dialect = _PARSED_AS.get(backend, backend)
    for node in tree.walk():
        if why := _harm(node):
            raise BadQuery(f"the query {why}", "write a SELECT that only reads, or ask for a view")
        if name := stranger(node, dialect):
            raise BadQuery(
                f"the query calls {name}, which is not known to do no more than read",
                "leave it out, or make a view in the database that calls it, and read that",
            )


def _is_cut(body: Any) -> bool:
    """Whether the rows of a query, or of what it reads first, end at a number."""
    from sqlglot import exp

    ctes = {cte.alias: cte.this for cte in body.find_all(exp.CTE)}
    seen: set[int] = set()

    def cut(part: Any) -> bool:
        if part is None or id(part) in seen:
            return False
        seen.add(id(part))
        if any(part.args.get(name) for name in ("limit", "offset", "fetch")):
            return True
        if isinstance(part, exp.SetOperation):
            return cut(part.left) or cut(part.right)
        if isinstance(part, exp.Subquery):
            return cut(part.this)
        if isinstance(part, exp.Table):
            return cut(ctes.get(part.name))
        first = part.args.get("from_") or part.args.get("from")
        return cut(first.this) if first else False

    return cut(body)


def _parsed(text: str, backend: str) -> Any:
    import logging

    import sqlglot
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it would print parts of the text
    dialect = _PARSED_AS.get(backend, backend)
    if backend == "mysql" and "#" in text:
        raise BadQuery("a # begins a comment here, and no other server knows it", "write two hyphens "
                       "and a space")  # fmt: skip
    try:
        trees = sqlglot.parse(text, read=dialect if dialect in _known() else None)
    except (SqlglotError, RecursionError):
        fix = "try it in the database's own console; what only that understands goes into a view"
        raise BadQuery("the query is not understood", fix) from None
    if len(trees) != 1 or trees[0] is None:
        raise BadQuery("more than one statement stands in the query", "write a single SELECT")
    return trees[0]


def _known() -> frozenset[str]:
    return frozenset({"postgres", "mysql", "sqlite", "tsql", "oracle"})


def _harm(node: Any) -> str:
    """Return why a part of a query may not run, empty where it may."""
    from sqlglot import exp

    kinds = {
        "writes": (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into, exp.Copy),
        "changes the database": (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable),
        "locks rows": (exp.Lock,),
        "is a command": (exp.Command, exp.Set, exp.Pragma, exp.Use, exp.Transaction, exp.Commit,
                         exp.Rollback, exp.Execute, exp.Attach, exp.Detach, exp.LoadData),
        "draws a number from a sequence": (exp.NextValueFor,),
        "sets a variable": (exp.PropertyEQ,),
        "reads uncommitted or locked rows by a hint": (exp.WithTableHint,),
    }  # fmt: skip
    for why, types in kinds.items():
        if isinstance(node, types):
            return why
    if isinstance(node, exp.Parameter):
        return "uses a variable"
    if isinstance(node, exp.Placeholder) and node.name not in BINDS:
        return "holds a ? to which nothing is bound"
    return ""


def approve(text: str, backend: str, *, memory: MutableMapping[str, Any], key: bytes) -> None:
    """Check a query, once: texts that were found right are known by a seal that only we can make.

    Parsing takes ten times as long as a poll that finds nothing. Without a `key` (bytes that nobody
    else knows) nothing is remembered. Raises BadQuery.
    """
    told = b"\0".join((_VERSION, backend.encode(), text.encode()))
    seal = hmac.digest(key, b"query\0" + told, "sha256").hex() if key else ""
    if seal and hmac.compare_digest(str(memory.get("query", "")), seal):
        return
    check(text, backend)
    if seal:
        memory["query"] = seal


def tables_in(text: str, backend: str) -> list[str]:
    """Return the names of the tables that a query reads, with the quotes that it writes."""
    from sqlglot import exp

    tree, dialect = _parsed(text, backend), _PARSED_AS.get(backend, backend)
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    found = (table for table in tree.find_all(exp.Table) if table.name not in {"", *own})
    names = (".".join(part.sql(dialect=dialect) for part in table.parts) for table in found)
    return sorted(set(names))


# --- what is run -----------------------------------------------------------------------------------


def since(text: str, column: str) -> str:
    """Return a query for rows written since :watermark, and for those that do not say when."""
    return f"SELECT * FROM (\n{text}\n) visits WHERE {column} >= :watermark OR {column} IS NULL"


def among(text: str, columns: Sequence[str], number: int) -> str:
    """Return a query for the rows of `number` keys, bound as :key0, :key1 …, column by column."""
    width = len(columns)
    ones = (
        " AND ".join(f"{name} = :key{at * width + place}" for place, name in enumerate(columns))
        for at in range(number)
    )
    return f"SELECT * FROM (\n{text}\n) visits WHERE {' OR '.join(f'({one})' for one in ones)}"


def in_style(
    text: str, values: Mapping[str, Any], style: str
) -> tuple[str, dict[str, Any] | list[Any]]:
    """Return a query and its values as a driver takes them (PEP 249, paramstyle)."""
    used: list[str] = []
    marks = {"named": ":{}", "pyformat": "%({})s", "qmark": "?", "format": "%s"}
    mark = marks.get(style, "?")

    def written() -> Iterator[str]:
        end = 0
        for quoted in [*_QUOTED.finditer(text), None]:
            plain = text[end : quoted.start() if quoted else None]
            yield _BIND.sub(put, escaped(plain))
            if quoted:
                yield escaped(quoted[0])
                end = quoted.end()

    def put(found: re.Match[str]) -> str:
        used.append(found[1])
        return mark.format(found[1])

    def escaped(part: str) -> str:
        return part.replace("%", "%%") if style in ("pyformat", "format") else part

    made = "".join(written())
    if style in ("named", "pyformat"):
        return made, {name: values[name] for name in used}
    return made, [values[name] for name in used]
