"""Whatever a table holds, it is read as it was written; damage stays where it is."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clinicrelay.contracts import Columns, Record, Unreadable
from clinicrelay.testing.connectors import Read, preview
from clinicrelay.testing.kits import WINDOW, kit
from connectors.csv import Csv, Options

HEAD = ["id", "date", "patient", "notes"]
COLUMNS = Columns(
    names=frozenset(HEAD),
    required=(frozenset({"id"}), frozenset({"date"})),
    dates=frozenset({"date"}),
)
# No surrogates (no file holds them) and no NUL (taken out on purpose).
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
NASTY = st.text(st.sampled_from('a,;|"\n\r\t 1'), max_size=8)
FORMULAS = st.text(st.sampled_from("=+-@'1a"), max_size=4)
CELLS = st.tuples(TEXT | NASTY, NASTY | TEXT)


def read(content: str, encoding: str = "utf-8") -> Read:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "drops" / "test"
        inbox.mkdir(parents=True)
        (inbox / "visits.csv").write_bytes(content.encode(encoding))
        options = Options.model_validate({"contents": "snapshot", "ready": {"settle": "0s"}})
        found = preview(Csv(options, kit(Path(folder), columns=COLUMNS)), None)
        for record in found.records:
            len(list(record.data.values()))  # cells are split while the test looks on
        return found


def written(rows: list[list[str]], delimiter: str, quoting: int, end: str) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerows([HEAD, *rows])
    return out.getvalue()


@settings(deadline=None, max_examples=150)
@given(
    cells=st.lists(CELLS, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_table_is_read_back_exactly(
    cells: list[tuple[str, str]], delimiter: str, quoting: int, end: str
) -> None:
    rows = [[f"k{n}", "2026-12-01", *pair] for n, pair in enumerate(cells)]
    if any("\r" in cell for row in rows for cell in row):
        end = "\r\n"  # with "\n" the writer leaves a lone "\r" unquoted, and no reader can know
    found = read(written(rows, delimiter, quoting, end))
    expected = [[cell.replace("\r\n", "\n") for cell in row] for row in rows]
    assert [list(r.data.values()) for r in found.records] == expected
    assert not found.unreadable
    assert found.pages[-1].complete


@settings(deadline=None, max_examples=200)
@given(
    count=st.integers(2, 12),
    damaged=st.integers(0, 11),
    at=st.integers(0, 40),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_a_stray_quote_loses_at_most_its_own_record(
    count: int, damaged: int, at: int, quoting: int
) -> None:
    rows = [[f"k{n}", "2026-12-01", f"p{n}", "Doe, Jane"] for n in range(count)]
    lines = written(rows, ",", quoting, "\n").splitlines()
    victim = 1 + damaged % count
    line = lines[victim]
    lines[victim] = line[: at % (len(line) + 1)] + '"' + line[at % (len(line) + 1) :]
    found = read("\n".join(lines) + "\n")
    seen = {tuple(r.data.values()) for r in found.records}
    others = {tuple(row) for n, row in enumerate(rows) if n != victim - 1}
    assert others <= seen
    assert len(found.records) + len(found.unreadable) == count
    assert found.pages[-1].complete == (not found.unreadable)


_PIECES = (
    "a",
    "k1",
    ",",
    ",",
    ",",
    '"',
    '""',
    "\n",
    "\n",
    "\r\n",
    " ",
    "ü",
    "Total",
    "2026-12-01",
    "id",
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(_PIECES), max_size=60))
def test_the_encoding_makes_no_difference(pieces: list[str]) -> None:
    """UTF-8 is read as bytes, everything else as text, and they say the same of any file."""
    content = ",".join(HEAD) + "\n" + "".join(pieces)
    one, other = read(content), read(content, "utf-16")
    assert [(r.digest, r.raw, r.line, list(r.data.values())) for r in one.records] == [
        (r.digest, r.raw, r.line, list(r.data.values())) for r in other.records
    ]
    assert one.unreadable == other.unreadable
    assert [page.complete for page in one.pages] == [page.complete for page in other.pages]


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200) | st.builds(lambda b: b"id,date,patient,notes\n" + b, st.binary()))
def test_no_bytes_make_it_raise_or_lie_about_being_whole(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "drops" / "test"
        inbox.mkdir(parents=True)
        (inbox / "visits.csv").write_bytes(content or b"\n")
        said = {"contents": "snapshot", "ready": {"settle": "0s"}, "dates": "dmy"}
        made = kit(Path(folder), columns=COLUMNS)
        pages = preview(Csv(Options.model_validate(said), made), None).pages
    assert pages[-1].last or not content.strip()
    assert not (pages and pages[-1].complete and any(p.unreadable for p in pages))


@settings(deadline=None, max_examples=100)
@given(
    cells=st.lists(
        st.tuples(TEXT | NASTY | FORMULAS, NASTY | TEXT | FORMULAS), min_size=1, max_size=6
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_a_reject_file_brings_back_the_very_cells_that_went_out(
    cells: list[tuple[str, str]], delimiter: str
) -> None:
    rows = [[f"k{n}", "2026-12-01", *pair] for n, pair in enumerate(cells)]
    content = written(rows, delimiter, csv.QUOTE_ALL, "\r\n")
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "drops" / "test"
        inbox.mkdir(parents=True)
        (inbox / "visits.csv").write_bytes(content.encode())
        first = connector(folder)
        first.claim()
        pages = list(first.pull(None, WINDOW))
        first.rejected(pages[-1].cursor, [set_aside(r) for page in pages for r in page.records])
        first.kept(pages[-1].cursor)
        (back,) = inbox.glob("processed/*/*.rejects.csv")
        back.rename(inbox / back.name)
        again = [record for page in connector(folder).pull(None, WINDOW) for record in page.records]
        found = [list(record.data.values())[:4] for record in again]
    assert found == [[re.sub(r"\r+\n|\r", "\n", cell) for cell in row] for row in rows]


def connector(folder: str) -> Csv:
    options = Options.model_validate({"contents": "snapshot", "ready": {"settle": "0s"}})
    return Csv(options, kit(Path(folder), columns=COLUMNS))


def set_aside(record: Record) -> Unreadable:
    return Unreadable(
        f"{record.place}:{record.line}", "bad_time", record.raw or "", line=record.line
    )
