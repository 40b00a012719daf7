"""The units start what there is, keep secrets to themselves, and may do little else."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY, ROOT, parse

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)

# systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.resource-control(5),
# systemd.timer(5), as of version 247, which has LoadCredential.
KEYS = {
    "Unit": "Description Documentation Wants After RequiresMountsFor StartLimitIntervalSec "
    "StartLimitBurst",
    "Service": "Type ExecStart ExecReload KillSignal TimeoutStartSec TimeoutStopSec Restart RestartSec "
    "RestartPreventExitStatus SuccessExitStatus MemoryMax TasksMax User Group StateDirectory "
    "StateDirectoryMode WorkingDirectory UMask LoadCredential NoNewPrivileges CapabilityBoundingSet "
    "AmbientCapabilities ProtectSystem ProtectHome PrivateTmp PrivateDevices PrivateUsers "
    "ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules "
    "ProtectKernelTunables ProtectProc ProcSubset RestrictAddressFamilies RestrictNamespaces "
    "RestrictRealtime RestrictSUIDSGID RemoveIPC LockPersonality MemoryDenyWriteExecute "
    "SystemCallArchitectures SystemCallFilter SystemCallErrorNumber",
    "Timer": "OnCalendar AccuracySec Persistent",
    "Install": "WantedBy",
}


def read(unit: Path) -> dict[str, dict[str, list[str]]]:
    """Sections, their keys, and the values of each; a key may stand there more than once."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in unit.read_text("utf-8").splitlines():
        if section := re.fullmatch(r"\[(\w+)\]", line):
            here = found.setdefault(section[1], {})
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            here.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", [*UNITS, *TIMERS], ids=lambda unit: unit.name)
def test_a_unit_has_only_keys_that_systemd_knows(unit: Path) -> None:
    for section, keys in read(unit).items():
        assert set(keys) <= set(KEYS[section].split())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    for unit in (*UNITS, *TIMERS):  # the program need not be installed here
        text = unit.read_text("utf-8").replace("/usr/bin/clinicrelay ", "/bin/true ")
        (tmp_path / unit.name).write_text(text)
    units = [f"./{unit.name}" for unit in (*UNITS, *TIMERS)]
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in ran.stderr.splitlines() if "clinicrelay" in line]
    assert (ran.returncode, said) == (0, [])


@each_unit
def test_a_unit_starts_a_command_of_ours(unit: Path) -> None:
    [line] = read(unit)["Service"]["ExecStart"]
    program, *words = shlex.split(line)
    assert program == "/usr/bin/clinicrelay"
    parse(words)


@each_unit
def test_what_waits_for_a_person_is_no_failure_and_wrong_settings_are_not_tried_again(
    unit: Path,
) -> None:
    service = read(unit)["Service"]
    assert service["SuccessExitStatus"] == ["3 4 75"]
    if service["Type"] == ["exec"]:
        assert service["Restart"] == ["on-failure"]
        assert service["RestartPreventExitStatus"] == ["2"]
        assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert service["KillSignal"] == ["SIGTERM"]
    assert int(service["TimeoutStopSec"][0]) > 10  # we promise to be gone by then


@each_unit
def test_a_unit_may_write_in_one_place_and_is_nobody_special(unit: Path) -> None:
    service = read(unit)["Service"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["StateDirectory"] == ["clinicrelay"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["User"] == ["clinicrelay"]
    assert "Environment" not in service, "secrets in the environment are seen by `systemctl show`"
    assert service["LoadCredential"]


@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.name)
def test_every_timer_has_its_service(timer: Path) -> None:
    assert timer.with_suffix(".service") in UNITS


# --- cron ----------------------------------------------------------------------------------------


def test_the_crontab_is_the_one_that_the_page_shows() -> None:
    page = (ROOT / "docs" / "howto" / "cron-and-kubernetes.md").read_text("utf-8")
    [shown] = re.findall(r"(?ms)^```crontab\n(.*?)^```$", page)
    assert (DEPLOY / "cron" / "crontab").read_text("utf-8") == shown


def test_every_line_of_the_crontab_is_a_command_of_ours() -> None:
    text = (DEPLOY / "cron" / "crontab").read_text("utf-8")
    lines = re.findall(r"(?m)^(?:\S+ +){5}clinicrelay (.+)$", text)
    assert len(lines) == 5
    for line in lines:
        parse(shlex.split(re.sub(r"\$\(.*?\)", "2026-12-01", line)))
