"""Exports that come packed: read as a stream, and no further than is safe (C-20)."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from clinicrelay.testing.connectors import Read
from clinicrelay.testing.kits import WINDOW
from connectors.csv import archives

if TYPE_CHECKING:
    from conftest import Drops


HEAD = "id,date,time,patient,notes\n"
ROWS = "1,2026-12-01,09:00,p1,\n2,2026-12-02,10:00,p2,Grüße\n"


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def with_flag(content: bytes) -> bytes:
    """Mark the first member of a zip as encrypted, as a password does."""
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(mark) + at
        content = content[:start] + b"\x01" + content[start + 1 :]
    return content


def ids(read: Read) -> list[str]:
    return [record.data["id"] for record in read.records]


def why(read: Read) -> str:
    (bad,) = read.unreadable
    assert bad.reason == "not_csv"
    return bad.detail


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("form", ["gz", "zip"])
def test_a_packed_export_is_read_like_the_export_itself(
    drops: Drops, encoding: str, form: str
) -> None:
    content = (HEAD + ROWS).encode(encoding)
    packed = gzip.compress(content) if form == "gz" else zipped({"export.csv": content})
    drops.put(f"visits.csv.{form}", packed)
    read = drops.read()
    assert [dict(record.data) for record in read.records][1]["notes"] == "Grüße"
    assert read.pages[-1].complete
    assert drops.tree() == [f"processed/2026-11/visits.csv.{form}"]


def test_its_records_have_the_digests_of_the_unpacked_ones(drops: Drops) -> None:
    drops.put("a.csv", HEAD + ROWS, age=300)
    plain = drops.read()
    drops.put("b.zip", zipped({"visits.csv": HEAD + ROWS}))
    packed = drops.read(plain.cursor)
    assert [r.digest for r in packed.records] == [r.digest for r in plain.records]


def test_the_same_archive_twice_is_no_work(drops: Drops) -> None:
    content = gzip.compress((HEAD + ROWS).encode())
    drops.put("a.csv.gz", content, age=300)
    known = drops.read().cursor
    drops.put("b.csv.gz", content)
    assert [page.same for page in drops.read(known).pages] == [True]


@pytest.mark.parametrize(
    ("name", "pattern", "taken"),
    [
        ("visits.csv.gz", "*.csv", True),
        ("VISITS.ZIP", "*.csv", True),
        ("visits.csv.zip", "*.csv", True),
        ("visits_1.zip", "visits_*.csv", True),
        ("letters.zip", "visits_*.csv", False),
        ("visits.gz", "*.csv", False),
        ("visits.tar.gz", "*.csv", False),
        ("export.dat", "*.dat", True),
    ],
)
def test_the_pattern_is_that_of_the_file_inside(
    drops: Drops, name: str, pattern: str, taken: bool
) -> None:
    drops.put(name, zipped({"visits.csv": HEAD + ROWS}))
    assert bool(drops.read(pattern=pattern).records) is taken


def test_what_a_mac_adds_and_a_text_beside_the_table_do_not_matter(drops: Drops) -> None:
    mac = {"__MACOSX/out/._visits.csv": b"\x00\x05", "out/.DS_Store": b"\x00"}
    others = {"out/": "", "out/visits.csv": HEAD + ROWS, "out/readme.pdf": b"%PDF-1.7"}
    drops.put("visits.zip", zipped({**others, **mac}))
    assert ids(drops.read()) == ["1", "2"]


def test_a_name_that_leads_out_of_the_folder_leads_nowhere(drops: Drops) -> None:
    drops.put("visits.zip", zipped({"../../../escaped.csv": HEAD + ROWS}))
    assert ids(drops.read()) == ["1", "2"]
    assert drops.tree() == ["processed/2026-11/visits.zip"]
    assert [p.name for p in drops.root.iterdir()] == ["drops"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_flag(zipped({"visits.csv": HEAD + ROWS})), "protected by a password"),
        (zipped({"a.csv": HEAD, "b.csv": HEAD}), "holds 2 files"),
        (zipped({}), "holds no file"),
        (zipped({"visits.csv": zipped({"visits.csv": HEAD})}), "archive within an archive"),
        (zipped({"visits.csv": gzip.compress(b"x")}), "archive within an archive"),
        (gzip.compress(zipped({"visits.csv": HEAD})), "archive within an archive"),
        (zipped({"visits.csv": HEAD + ROWS})[:-40], "damaged or not whole"),
        (gzip.compress((HEAD + ROWS).encode())[:-12], "damaged or not whole"),
        (gzip.compress((HEAD + ROWS).encode())[:-8] + b"12345678", "damaged or not whole"),
        (zipped({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"}), "Excel workbook"),
        (zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}), "OpenDocument"),
        (zipped({"visits.csv": b"%PDF-1.7"}), "a PDF"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7-Zip"),
    ],
)
def test_what_cannot_be_read_goes_to_quarantine_with_a_sentence(
    drops: Drops, content: bytes, said: str
) -> None:
    drops.put("visits.csv", content)
    assert said in why(drops.read())
    assert "quarantine/visits.csv" in drops.tree()


def test_a_zip_packed_in_a_way_nobody_here_knows_is_told(drops: Drops) -> None:
    content = zipped({"visits.csv": HEAD + ROWS})
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.index(mark) + at
        content = content[:start] + b"\x63\x00" + content[start + 2 :]  # 99: AES
    drops.put("visits.zip", content)
    assert "without a password" in why(drops.read())


def test_a_bomb_is_given_up_without_filling_memory(
    drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "UNSUSPECTED", 1 << 20)
    bomb = gzip.compress(HEAD.encode() + bytes(50 << 20))
    drops.put("visits.csv.gz", bomb)
    tracemalloc.start()
    read = drops.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "unpacks to far more" in why(read)
    assert peak < 16 << 20


def test_an_archive_larger_than_any_export_is_given_up(
    drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LARGEST", 1000)
    drops.put("visits.zip", zipped({"visits.csv": HEAD + ROWS * 100}))
    assert "unpacks to far more" in why(drops.read())


def test_equal_rows_of_a_small_export_are_no_bomb(drops: Drops) -> None:
    drops.put("visits.csv.gz", gzip.compress((HEAD + "1,2026-12-01,09:00,p1,\n" * 40_000).encode()))
    assert len(drops.read().records) == 40_000


def test_a_large_archive_is_read_in_pages_of_constant_memory(drops: Drops) -> None:
    rows = "".join(f"{n},2026-12-01,09:00,p{n},{'note ' * 10}\n" for n in range(60_000))
    drops.put("visits.csv.gz", gzip.compress((HEAD + rows).encode()))
    connector = drops.connector()
    connector.claim()
    tracemalloc.start()
    count = sum(len(page.records) for page in connector.pull(None, WINDOW))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 12 << 20 < 3 * len(rows)
