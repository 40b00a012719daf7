"""The note beside the store of how far it had come when it last sent something."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinicrelay import files
from sync.store import high_water


def test_each_run_that_sends_leaves_its_note(tmp_path: Path) -> None:
    for token in (4, 5, 5, 3):  # a store that was put back goes on from where it was
        high_water.note(tmp_path, token)
        assert high_water.noted(tmp_path) == token


def test_a_folder_that_cannot_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(files, "replace", _fail)
        high_water.note(tmp_path, 7)
    assert high_water.noted(tmp_path) is None
    high_water.note(tmp_path, 7)
    assert high_water.noted(tmp_path) == 7


def _fail(*_: object) -> None:
    raise OSError("no space left")
