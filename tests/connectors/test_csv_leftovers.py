"""Exports that were read: how old they are, and one patient's rows taken out of them."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.csv.leftovers import cut, holds, leftovers
from connectors.csv.options import Options

OPTIONS = Options(contents="snapshot")
HIS = '2;CANARY Müller;"and\r\nhis"\r\n'
ROWS = f'id;name;notes\r\n1;Zoë Other;"two\r\nlines; of hers"\r\n{HIS}3;Bo;\r\n'


def about(text: str) -> bool:
    return "CANARY" in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_only_their_rows_go_and_every_other_byte_stays(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "visits.csv"
    file.write_bytes(ROWS.encode(encoding))
    os.utime(file, (1_790_000_000, 1_790_000_000))
    assert holds(file, OPTIONS, about)
    cut(file, OPTIONS, about)
    assert file.read_bytes() == ROWS.replace(HIS, "").encode(encoding)
    assert file.stat().st_mtime == 1_790_000_000
    assert not holds(file, OPTIONS, about)


def test_a_stray_quote_costs_no_other_row(tmp_path: Path) -> None:
    file = tmp_path / "visits.csv"
    file.write_text('id,name\n1,Zo"e\n2,CANARY\n3,Bo\n')
    cut(file, OPTIONS, about)
    assert file.read_text() == 'id,name\n1,Zo"e\n3,Bo\n'


def test_a_packed_file_goes_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "visits.csv.gz"
    file.write_bytes(gzip.compress(ROWS.encode()))
    assert holds(file, OPTIONS, about)
    cut(file, OPTIONS, about)
    assert not file.exists()


def test_what_waits_to_be_read_is_nobodys_leftover(tmp_path: Path) -> None:
    for name in ("new.csv", "processing/at.csv", "processed/2026-11/old.csv", "quarantine/bad.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, (1_790_000_000, 1_790_000_000))
    (tmp_path / "processed" / "link.csv").symlink_to(tmp_path / "new.csv")
    found = {one.path.name: one.at for one in leftovers(tmp_path)}
    assert found == dict.fromkeys(
        ("old.csv", "bad.csv"), datetime.fromtimestamp(1_790_000_000, UTC)
    )
