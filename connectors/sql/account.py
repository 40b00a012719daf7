"""What `check` says of a database: whether it answers, what the query gives, and the fourth lock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay.contracts import Finding, Window
from clinicrelay.errors import Refused, TryLater
from clinicrelay.paths import fold
from connectors.sql.query import tables_in
from connectors.sql.server import Server

if TYPE_CHECKING:
    from connectors.sql import Sql

_SKEW = timedelta(minutes=2)


def findings(source: Sql) -> Iterator[Finding]:
    """Yield what is wrong, from the outside in; the first thing that stops a read is the last told."""
    try:
        source.server.look(
            "SELECT 1" if source.server.backend != "oracle" else "SELECT 1 FROM dual"
        )
    except (TryLater, Refused) as error:
        yield _error("unreachable", error)
        return
    try:
        yield from _of_clock(source)
        yield from _of_account(source.server, source.options.query)
        if source.options.query is not None:
            yield from _of_query(source)
    except (TryLater, Refused) as error:
        yield _error("unreadable_source", error)
    finally:
        source.server.done()


def _error(code: str, error: TryLater | Refused) -> Finding:
    return Finding("error", code, str(error), getattr(error, "fix", ""))


def _of_clock(source: Sql) -> Iterator[Finding]:
    clock = source.clock(source.server)
    skew = abs(clock.now - source.real_now())
    if skew > _SKEW:
        message = f"the database's clock and ours are {skew // timedelta(minutes=1)} minutes apart"
        yield Finding("warning", "clock_skew", message, "let both be set by NTP")
    if source.options.cursor and not clock.sees_others and source.server.backend != "sqlite":
        message = (
            "the account does not see other transactions: a row that is committed later than the "
            "overlap after it was stamped is found only by the daily read of everything"
        )
        rights = {"postgresql": "GRANT pg_read_all_stats", "mysql": "GRANT PROCESS ON *.*"}
        right = rights.get(source.server.backend, "")
        fix = f"{right} TO the account, or an overlap" if right else "an overlap"
        yield Finding(
            "warning", "unseen_transactions", message, f"{fix} longer than any transaction"
        )


def _of_account(server: Server, query: str | None) -> Iterator[Finding]:
    if not (what := server.may_write()):
        return
    tables = tables_in(query, server.backend) if query else []
    message = f"the account may {what}; nothing here does, but none that could should be used"
    yield Finding("warning", "may_write", message, server.grants(tables))


def _of_query(source: Sql) -> Iterator[Finding]:
    window = Window(source.kit.now, source.kit.now + timedelta(days=120))
    columns = {fold(name) for name in source.columns_of(window)}
    wanted = source.kit.columns
    for group, fields in zip(wanted.required, wanted.fields, strict=False) if wanted else ():
        if not group & columns:
            message = f"the query gives no column that the mapping reads as {' or '.join(fields)}"
            yield Finding("error", "no_column", message, "name one with AS, or write a mapping")
    for group, lacking in wanted.hoped if wanted else ():
        if not group & columns:
            yield Finding(
                "warning", "no_column", lacking, "add the column to the query, if there is one"
            )
