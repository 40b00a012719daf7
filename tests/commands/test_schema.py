"""`clinicrelay schema`: one schema, on the screen, in a file, and in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import commands
from clinicrelay.settings import reference
from clinicrelay.settings.json_schema import text


def schema(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        commands.main(["schema", *words])
    said = capsys.readouterr()
    return int(str(end.value.code)), said.out, said.err


def test_the_schema_is_printed_as_it_stands_in_the_repository(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = schema(capsys)

    assert code == 0
    assert out == (reference.FOLDER / "settings.schema.json").read_text(encoding="utf-8")
    assert json.loads(out)["properties"]["clinic"]


def test_the_schema_is_written_with_the_line_to_begin_a_settings_file_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = schema(capsys, "--write", str(tmp_path / "new" / "s.json"))

    assert (code, out) == (0, "")
    assert (tmp_path / "new" / "s.json").read_text(encoding="utf-8") == text()
    assert "# yaml-language-server: $schema=s.json" in err


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = schema(capsys, "--write", str(tmp_path))

    assert code == 2
    assert "cannot be written" in err
    assert "Traceback" not in err
