"""The disk of the store is full in the middle of a sync: it says so, and with room it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.crash.scene import ROOT, Scene, visit, write_settings

pytestmark = pytest.mark.crash

NOW = "2026-11-23T09:00"
VISITS = 1500
DONE, TRY_AGAIN = 0, 75
OWN_DISK = ["unshare", "--user", "--map-root-user", "--mount"]

# All in one namespace of mounts: its disk ends with it. What stood there is copied out at the end.
SCRIPT = """
mkdir disk && mount -t tmpfs -o size=1400k none disk
run() {{
  code=0
  "{python}" -c "import commands; commands.main()" "$@" --now {now} > $log 2>&1 || code=$?
  echo $code >> codes
}}
log=full; run sync
mount -o remount,size=2g disk
log=roomy; run sync
log=checked; run store check
cp disk/store.db* .
"""


@pytest.fixture
def _own_disk() -> None:
    """Skip where nobody may mount a small disk of their own."""
    mount = [*OWN_DISK, "mount", "-t", "tmpfs", "none", "/mnt"]
    if (
        not shutil.which("unshare")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no small disk can be mounted here")


@pytest.mark.usefixtures("_own_disk")
def test_a_sync_that_fills_the_disk_says_so_and_the_next_one_with_room_is_complete(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path, f"sqlite:///{tmp_path}/disk/store.db")
    write_settings(tmp_path)
    monday = datetime(2026, 12, 7, 8)
    scene.drop([visit(n, monday + timedelta(hours=n % 9, days=n // 40)) for n in range(VISITS)], 1)
    script = SCRIPT.format(python=sys.executable, now=NOW)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STORE_URL": scene.store_url}
    subprocess.run([*OWN_DISK, "sh", "-ec", script], cwd=tmp_path, env=environ, check=True)

    full, roomy, checked = ((tmp_path / name).read_text() for name in ("full", "roomy", "checked"))
    codes = [int(code) for code in (tmp_path / "codes").read_text().split()]
    assert codes == [TRY_AGAIN, DONE, DONE], full + roomy + checked
    assert "the disk of the store is full" in full
    assert "Traceback" not in full + roomy
    scene.store_url = f"sqlite:///{tmp_path}/store.db"
    tables = scene.result()["tables"]
    assert len(tables["appointments"]) == VISITS == len(tables["events"])
