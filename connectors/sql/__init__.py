"""SQL: one SELECT on the clinic's own database, which is only ever read.

Four locks keep it so: the query is parsed and found to be a single SELECT (`query`), it is run by the
path that takes one statement and values apart (`server`), in a session that cannot write (`postgres`,
`mysql`, `sqlite`), and `check` says when the account could (`account`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel

from clinicrelay.contracts import Connector, Cursor, Finding, Kit, Offer, Page, Window
from clinicrelay.errors import Refused
from connectors.sql.options import SqlOptions
from connectors.sql.query import BadQuery, approve
from connectors.sql.reading import Reader
from connectors.sql.server import Clock, Server, server_of
from connectors.sql.url import parsed

Options: TypeAlias = SqlOptions

_NO_QUERY = "no query says what to read"


class Sql(Connector):
    """Reads rows of a database."""

    Options: ClassVar[type[BaseModel]] = SqlOptions
    mapping: ClassVar[str | None] = "reception_sql"

    # The source's own clock; tests put their own in.
    clock: Callable[[Server], Clock] = staticmethod(lambda server: server.clock())
    real_now: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))

    options: SqlOptions

    def __init__(self, options: Any, kit: Kit) -> None:
        super().__init__(options, kit)
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The database, connected to when it is first asked. Raises Refused."""
        if self._server is None:
            try:
                url = parsed(self.options.url.get_secret_value())
            except ValueError as error:
                raise Refused(str(error), fix="write it as connect-sql shows it") from None
            self._server = server_of(url, timeout=self.options.timeout, folder=self.kit.folder)
        return self._server

    @property
    def gone_after(self) -> int:
        return self.options.gone_after

    @property
    def duplicates(self) -> str:
        return self.options.duplicates

    @property
    def rereads(self) -> bool:  # type: ignore[override]
        """Whether a key that we know finds its row again: only where it is a plain number or text."""
        kinds = self.kit.memory.get("keys") or []
        return bool(self.options.key and kinds) and "other" not in kinds

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        """Yield what changed since the cursor, or everything where that is due."""
        reader = self._reader()
        way = reader.way(cursor, window)
        self.strategy = way.strategy
        yield from reader.pages(way, window)

    def reread(self, keys: Sequence[str]) -> Iterator[Page]:
        if self.rereads:
            yield from self._reader().among(keys)

    def advise(self) -> Iterator[Finding]:
        if self.options.query is None:
            yield Finding("error", "no_query", _NO_QUERY, self._probe())
            return
        try:
            self.approved()
        except Refused as error:
            yield Finding("error", "refused_query", str(error), error.fix, path="query")
        if self.options.key is None:
            message = (
                "key does not say which column names a visit: deletions take two reads to prove"
            )
            fix = "add key: and the column's name, such as appointment_id"
            yield Finding("warning", "no_key", message, fix)

    def check(self) -> Iterator[Finding]:
        from connectors.sql.account import findings

        yield from findings(self)

    def offers(self) -> Iterator[Offer]:
        from connectors.sql.offers import offer_of_query, offers_of

        if self.options.query is None:
            yield from offers_of(self.server)
            return
        span = timedelta(days=60)
        window = Window(self.kit.now - span, self.kit.now + span)
        yield offer_of_query(self.options, *self._reader().sample(window))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def columns_of(self, window: Window) -> Sequence[str]:
        """Return the columns that the query gives; its rows are left where they are."""
        return self._reader().columns(window)

    def _reader(self) -> Reader:
        return Reader(
            self.options, self.kit, self.server, self.approved(), lambda: self.clock(self.server)
        )

    def approved(self) -> str:
        """Return the query, found harmless. Raises Refused."""
        text = self.options.query
        if text is None:
            raise Refused(_NO_QUERY, fix=self._probe())
        backend = self.server.url.get_backend_name()
        try:
            approve(text, backend, memory=self.kit.memory, key=self.kit.instance_key)
        except BadQuery as error:
            raise Refused(str(error), fix=error.fix) from None
        return text

    def _probe(self) -> str:
        return f"`clinicrelay probe {self.kit.name}` looks at the database and proposes one"
