"""What records are made of: rows of a table (CSV, SQL), and entries that many records share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clinicrelay.paths import fold


class Header:
    """The column names of a table; the same object serves every row of one read."""

    __slots__ = ("index", "names")

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.index: dict[str, int] = {}
        for position, name in enumerate(names):
            self.index.setdefault(fold(name), position)


class Shared(dict[str, Any]):
    """One entry of a list in records, such as a patient: the same object in each visit of hers.

    Nobody changes it once it is made. So whoever reads it may leave in `read` what was made of it: not
    to look at a patient twice is worth 2 µs a visit.
    """

    __slots__ = ("read",)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.read: Any = None


class Row(Mapping[str, Any]):
    """One row; `split` turns its raw text into cells at the first look at any of them.

    Looked up by folded name (see `clinicrelay.paths.fold`).
    """

    __slots__ = ("_cells", "_raw", "_split", "header")

    def __init__(self, header: Header, raw: Any, split: Callable[[Any], Sequence[Any]]) -> None:
        self.header = header
        self._raw = raw
        self._split = split
        self._cells: Sequence[Any] | None = None

    @property
    def cells(self) -> Sequence[Any]:
        """The values, in the order of the header and as many."""
        if self._cells is None:
            self._cells = self._split(self._raw)
        return self._cells

    def __getitem__(self, name: str) -> Any:
        return self.cells[self.header.index[fold(name)]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.header.names)

    def __len__(self) -> int:
        return len(self.header.names)
