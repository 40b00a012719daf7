"""What a clinic may say about a database in settings.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from clinicrelay.settings.values import Section, SomeTime, Whole, Zone, read_zone, wrong
from connectors.sql.cells import text_of
from connectors.sql.query import BadQuery, bind_names, tidied
from connectors.sql.url import read_url

Strategy: TypeAlias = Literal["auto", "cursor", "watermark", "row_hash", "snapshot"]


class DatabaseUrl(SecretStr):
    """A database's URL: what shows it shows stars, as it may hold a password."""


def _url(value: DatabaseUrl) -> DatabaseUrl:
    return DatabaseUrl(read_url(value.get_secret_value()))


def _query(value: str) -> str:
    try:
        return tidied(value)
    except BadQuery as error:
        raise wrong(str(error), error.fix) from None


def _strategy(value: Any) -> Any:
    return "cursor" if value == "watermark" else value


Word: TypeAlias = str | int


def _column_zone(value: Any) -> Any:
    """Say of a zone that does not exist which was meant, not that it is no word of ours."""
    return read_zone(value) if isinstance(value, str) and value not in ("clinic", "utc") else value


ColumnZone: TypeAlias = Annotated[Literal["clinic", "utc"] | Zone, BeforeValidator(_column_zone)]


class SqlOptions(Section):
    """One SELECT on a database that belongs to somebody else."""

    url: Annotated[DatabaseUrl, AfterValidator(_url)] = Field(
        description="The database, as SQLAlchemy writes it: postgresql://, mysql://, mariadb://, "
        "sqlite:///, mssql+pyodbc://, oracle+oracledb://. It is only ever read.",
        examples=["postgresql://reader:${BILLING_DB_PASSWORD}@db.clinic.example/practice"],
    )
    query: Annotated[str, AfterValidator(_query)] | None = Field(
        default=None,
        description="A single SELECT, one row a visit. It may name :watermark, :window_start and "
        ":window_end. Absent: `clinicrelay probe NAME` proposes one.",
        examples=["SELECT * FROM appointments WHERE updated_at >= :watermark"],
    )
    strategy: Annotated[Strategy, AfterValidator(_strategy)] = Field(
        default="auto",
        description="How changes are found: cursor, or watermark (rows whose cursor column says so), "
        "row_hash (all of the window, compared), snapshot (everything, compared), or auto.",
        examples=["watermark"],
    )
    cursor: str | None = Field(
        default=None,
        description="The column that says when a row was last written.",
        examples=["updated_at"],
    )
    overlap: SomeTime = Field(
        default=timedelta(minutes=10),
        description="How far before the watermark a read begins; longer than the longest "
        "transaction that writes appointments.",
        examples=["10m"],
    )
    reconcile_every: SomeTime = Field(
        default=timedelta(hours=24),
        description="How often everything is read, deletions and late rows included, where "
        "otherwise only changes are.",
        examples=["24h"],
    )
    key: str | tuple[str, ...] | None = Field(
        default=None,
        description="The column, or columns, that name a visit for ever. Absent: the mapping's key.",
        examples=["appointment_id"],
    )
    gone: Mapping[str, Word | tuple[Word, ...]] = Field(
        default={},
        description="What a column says of a visit that was deleted, as one word or several: such a "
        "row proves it. For logs of changes, and for flags.",
        examples=[{"operation": ["DELETE", "D"]}],
    )
    zones: Mapping[str, ColumnZone] = Field(
        default={},
        description="The time zone of a column that does not say it itself: clinic, utc or a name. "
        "Absent: as the mapping says.",
        examples=[{"updated_at": "utc"}],
    )
    fetch_size: Whole = Field(
        default=1000, ge=10, le=20000, description="Rows that are fetched at a time."
    )
    timeout: SomeTime = Field(
        default=timedelta(seconds=30),
        description="Longest wait for an answer; the database is told to stop after it.",
        examples=["30s"],
    )
    max_rows: Whole = Field(
        default=2_000_000, ge=1, description="More rows than this are a mistake in the query."
    )
    duplicates: Literal["reject", "last", "first"] = Field(
        default="reject",
        description="What happens when two different rows have one key: both are set aside, or "
        "the last or first is taken.",
    )
    gone_after: Whole = Field(
        default=2,
        ge=1,
        description="Complete reads without a visit before it counts as gone, where the database "
        "cannot be asked for it by its key.",
    )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key, none where the mapping finds it."""
        return (self.key,) if isinstance(self.key, str) else self.key or ()

    @property
    def words_of_gone(self) -> dict[str, frozenset[str]]:
        """The words of each column that say that a visit was deleted, in small letters."""
        return {
            column: frozenset(
                text_of(word).casefold() for word in (said if isinstance(said, tuple) else (said,))
            )
            for column, said in self.gone.items()
        }

    @model_validator(mode="after")
    def _the_strategy_has_what_it_needs(self) -> SqlOptions:
        binds = bind_names(self.query) if self.query else frozenset()
        if "watermark" in binds and self.cursor is None:
            raise wrong(
                "the query names :watermark, but cursor does not say which column it is compared with",
                "add cursor: updated_at, or whatever your column is called",
            )
        if self.strategy == "cursor" and self.query and self.cursor is None:
            raise wrong(
                "strategy cursor needs a column that says when a row was last written",
                "add cursor: updated_at, or write strategy: row_hash",
            )
        if self.strategy in ("row_hash", "snapshot") and "watermark" in binds:
            raise wrong(
                f"strategy {self.strategy} reads all rows, and :watermark leaves some out",
                "take the comparison with :watermark out of the query",
            )
        if (
            self.strategy == "row_hash"
            and self.query
            and not binds & {"window_start", "window_end"}
        ):
            raise wrong(
                "strategy row_hash compares a window, and the query names none",
                "compare the visit's start with :window_start and :window_end, or write "
                "strategy: snapshot",
            )
        return self
