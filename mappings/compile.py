"""A mapping that runs: records in, visits out, or a reason why not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from clinicrelay.contracts import Record
from clinicrelay.errors import BadRecord
from clinicrelay.model import Appointment
from clinicrelay.paths import fold, is_name
from clinicrelay.tables import Header, Row
from mappings.columns import InKeys, InTable, InTexts, wrong_column
from mappings.fields import InJson, ResolveLists, Source, compile_field, compile_text
from mappings.spec import Context, Skip
from mappings.visit import Lists, Make, compile_visit, fresh_names, key_part

if TYPE_CHECKING:
    from mappings.mapping import Mapping as Spec


class Bound:
    """A mapping's functions for one shape of record."""

    def __init__(self, spec: Spec, resolve: ResolveLists, context: Context) -> None:
        self._spec, self._resolve, self._context = spec, resolve, context
        self.skips = [skip for rule in spec.skips if (skip := _skip(rule, resolve))]
        field = spec.fields.get("key")
        key = compile_field(field, resolve, context) if field else None
        self._key = key_part({"key": key} if key else {})

    def make(self, source: Source, given: str | None) -> Appointment:
        """Return the visit that a record tells of. Raises BadRecord and ValueError."""
        return self._one_by_one(source, source, given)

    @cached_property
    def _one_by_one(self) -> Make:
        """Looks at each value of a record by itself."""
        lists = Lists(self._spec.each, self._spec.nulls)
        of = self._spec.fields, self._resolve, self._resolve, self._context
        return compile_visit(*of, lists)

    def key(self, source: Source, given: str | None) -> str | None:
        """Return a record's own key as far as it can be read at all."""
        try:
            return self._key(source, given)
        except (BadRecord, ValueError):
            return None


class BoundToTable(Bound):
    """A mapping's functions for the rows of one table."""

    def __init__(self, spec: Spec, table: InTable, context: Context) -> None:
        super().__init__(spec, table, context)
        texts = InTexts(table, fresh_names(spec.own_fields))
        self._texts = texts.take
        lists = Lists(spec.each, spec.nulls)
        self._at_once = compile_visit(spec.fields, table, texts, context, lists)

    def make(self, source: Source, given: str | None) -> Appointment:
        texts = self._texts(source)
        if texts is None:
            return self._one_by_one(source, source, given)
        return self._at_once(source, texts, given)


def _skip(rule: Skip, resolve: ResolveLists) -> Callable[[Source], bool] | None:
    text = compile_text(rule.name, resolve)
    if text is None:
        return None

    def skip(source: Source) -> bool:
        value = text(source)
        return value is not None and fold(value) in rule.equals

    return skip


class Mapper:
    """Maps the records of one source. Not to be shared between threads.

    `fingerprint` changes whenever the same record could come out differently.
    """

    def __init__(self, spec: Spec, context: Context) -> None:
        self.spec = spec
        self.context = context
        about = spec.fingerprint + msgspec.json.encode(context)
        self.fingerprint = blake2b(about, digest_size=16).digest()
        self._header: Header | None = None
        self._bound: Bound
        self._keys: tuple[str, ...] | None = None
        self._bound_to_keys: Bound
        self._in_keys = lru_cache(maxsize=32)(self._for_keys)
        self._in_json = cache(self._for_json)

    @cached_property
    def _plain(self) -> bool:
        """Flat names are compared as a table's are; JSON objects of one kind have few sets of keys."""
        return all(is_name(name.path) for name in self.spec.names)

    def __call__(self, record: Record) -> Appointment | None:
        """Return the visit that a record tells of, None for one that `skip_if` names.

        Raises BadRecord (with the key, where it could be read) for a record to set aside, and
        Refused for a table whose columns cannot be told apart.
        """
        data = record.data
        if type(data) is Row and data.header is self._header:
            bound, source = self._bound, data.cells
        else:
            bound, source = self._for(data)
        try:
            if bound.skips and any(skip(source) for skip in bound.skips):
                return None
            visit = bound.make(source, record.key)
        except BadRecord as wrong:
            wrong.key = wrong.key or bound.key(source, record.key)
            raise
        except ValueError as wrong:  # ours alone: a path into data of another shape
            key = bound.key(source, record.key)
            raise BadRecord("bad_shape", detail=str(wrong), key=key) from None
        if record.issues:
            return msgspec.structs.replace(visit, issues=visit.issues + record.issues)
        return visit

    def column_of(self, record: Record, field: str | None) -> int | None:
        """Return the number, from 1, of the column in which a table's row is wrong about a field.

        Of several columns it is the first that cannot be read. A connector names a field by its
        column.
        """
        if field is None or not isinstance(record.data, Row):
            return None
        spec = self.spec.fields.get(field)
        if spec is None:
            at = record.data.header.index.get(fold(field))
            return None if at is None else at + 1
        return wrong_column(spec, InTable(record.data.header, self.spec.nulls), record.data.cells)

    def _for(self, data: Any) -> tuple[Bound, Source]:
        if type(data) is Row:
            self._bound = self._in_table(data.header)
            self._header = data.header
            return self._bound, data.cells
        if self._plain:
            keys = tuple(data)
            if keys != self._keys:  # to compare them costs a tenth of hashing them
                self._keys, self._bound_to_keys = keys, self._in_keys(keys)
            return self._bound_to_keys, tuple(data.values())
        return self._in_json(), data

    def _in_table(self, header: Header) -> Bound:
        self.spec.bind(header)
        return BoundToTable(self.spec, InTable(header, self.spec.nulls), self.context)

    def _for_keys(self, keys: tuple[str, ...]) -> Bound:
        return Bound(self.spec, InKeys(Header(keys), self.spec.nulls), self.context)

    def _for_json(self) -> Bound:
        return Bound(self.spec, InJson(self.spec.nulls), self.context)
