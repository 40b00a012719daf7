"""The units start what there is, keep secrets to themselves, and may do little else."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import NamedTuple

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


# --- what is typed by hand -----------------------------------------------------------------------

WRAPPER = DEPLOY / "systemd" / "clinicrelay.sh"
FAKES = {
    "id": "echo ${FAKE_UID:-0}",
    "systemctl": 'echo "$@" >"$RECORD.systemctl"',
    "systemd-run": """for word; do printf '%s\\0' "$word"; done >"$RECORD"
[ -z "${FAKE_CTRL_C:-}" ] || kill -INT $PPID
exit "${FAKE_EXIT:-0}\"""",
}


class Typed(NamedTuple):
    """What the wrapper had systemd-run do: its options, the command, and how it ended."""

    options: list[str]
    command: list[str]
    exit: int
    err: str

    def properties(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for option in self.options:
            if given := re.fullmatch(r"--property=(\w+)=(.*)", option):
                found.setdefault(given[1], []).append(given[2])
        return found


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., Typed]:
    """Type a command on a machine with a fake systemd-run, whose secrets lie below tmp_path."""
    secrets, fakes, record = tmp_path / "secrets", tmp_path / "bin", tmp_path / "record"
    script = tmp_path / "clinicrelay"
    script.write_text(WRAPPER.read_text("utf-8").replace("/etc/clinicrelay/secrets", str(secrets)))
    fakes.mkdir()
    for name, does in FAKES.items():
        (fakes / name).write_text(f"#!/bin/sh\n{does}\n")
        (fakes / name).chmod(0o755)

    def typed(*words: str, terminal: bool = False, **environ: str) -> Typed:
        path = f"{fakes}:{os.environ['PATH']}"
        environ = {"PATH": path, "RECORD": str(record), **environ}
        record.unlink(missing_ok=True)
        line = ["sh", str(script), *words]
        ours, theirs = os.openpty()
        ends: dict[str, int] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        if not terminal:
            ends = {"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE}
        ran = subprocess.run(line, env=environ, text=True, check=False, **ends)  # type: ignore[call-overload]
        os.close(ours)
        os.close(theirs)
        said = record.read_text("utf-8").split("\0")[:-1] if record.exists() else []
        at = said.index("/usr/bin/clinicrelay") if said else 0
        return Typed(said[:at], said[at:], ran.returncode, ran.stderr or "")

    secrets.mkdir()
    return typed


def test_what_is_typed_runs_as_the_units_run_it(typed: Callable[..., Typed]) -> None:
    ran = typed("status")
    given = ran.properties()

    assert set(given) <= set(KEYS["Service"].split())
    for unit in UNITS:
        service = read(unit)["Service"]
        program, *words = shlex.split(service["ExecStart"][0])
        assert ran.command == [program, "status"]
        assert (
            f"--setenv=CLINICRELAY_SETTINGS={words[words.index('--settings') + 1]}" in ran.options
        )
        assert given == {key: service[key] for key in given}
    for key in ("User", "Group", "UMask", "StateDirectory", "WorkingDirectory"):
        assert key in given
    assert {"--wait", "--collect", "--quiet"} <= set(ran.options)


def test_every_secret_is_handed_over_from_where_the_units_have_theirs(
    typed: Callable[..., Typed], tmp_path: Path
) -> None:
    names = ["ehr.pem", "smtp_password", "with a space"]
    for name in names:
        (tmp_path / "secrets" / name).write_text("s3cret")
    (tmp_path / "secrets" / "a-folder").mkdir()

    handed = typed("status").properties()["LoadCredential"]
    assert sorted(handed) == [f"{name}:{tmp_path}/secrets/{name}" for name in names]
    for unit in UNITS:
        for line in read(unit)["Service"]["LoadCredential"]:
            name, file = line.split(":")
            assert file == f"/etc/clinicrelay/secrets/{name}"
    assert "/etc/clinicrelay/secrets/*" in WRAPPER.read_text("utf-8")


def test_no_word_that_is_typed_is_split_changed_or_taken_for_an_option_of_systemd(
    typed: Callable[..., Typed],
) -> None:
    words = [
        "pause",
        "--reason",
        "two  words",
        "",
        "*",
        "a\nb\n",
        "--pty",
        "--help",
        "%n",
        'q"\\',
        "é",
    ]
    assert typed(*words).command == ["/usr/bin/clinicrelay", *words]


def test_a_dollar_is_doubled_as_systemd_makes_one_of_two(typed: Callable[..., Typed]) -> None:
    ran = typed("pause", "--reason", "$5, ${HOME}\n$$\n")
    assert ran.command[-1] == "$$5, $${HOME}\n$$$$\n"


@pytest.mark.parametrize("code", [0, 2, 3, 4, 75])
def test_the_exit_code_is_that_of_the_command(typed: Callable[..., Typed], code: int) -> None:
    assert typed("status", FAKE_EXIT=str(code)).exit == code


def test_ctrl_c_in_a_pipe_stops_the_command_too(
    typed: Callable[..., Typed], tmp_path: Path
) -> None:
    ran = typed("log", "--follow", FAKE_CTRL_C="yes", FAKE_EXIT="130")
    [unit] = [option.split("=")[1] for option in ran.options if option.startswith("--unit=")]

    assert ran.exit == 130
    assert (tmp_path / "record.systemctl").read_text() == f"--no-block stop {unit}\n"
    assert re.fullmatch(r"clinicrelay-typed-\d+\.service", unit)


def test_a_terminal_is_passed_on_as_one_and_a_pipe_as_a_pipe(typed: Callable[..., Typed]) -> None:
    assert "--pipe" in typed("status").options
    assert "--pty" not in typed("status").options
    assert "--pty" in typed("status", terminal=True).options
    assert "--pipe" not in typed("status", terminal=True).options


def test_the_audit_trail_learns_who_typed_it_and_the_journal_not_what(
    typed: Callable[..., Typed],
) -> None:
    assert "--setenv=SUDO_USER=anna" in typed("status", SUDO_USER="anna").options
    ran = typed("forget", "+493012345678")
    assert "--setenv=SUDO_USER=root" in ran.options
    [said] = [option for option in ran.options if option.startswith("--description=")]
    assert "forget" not in said


def test_who_is_not_root_is_told_and_nothing_is_started(typed: Callable[..., Typed]) -> None:
    ran = typed("status", FAKE_UID="1000")
    assert (ran.exit, ran.command) == (2, [])
    assert "sudo" in ran.err


def test_the_page_installs_it_where_root_finds_it_first() -> None:
    page = (ROOT / "docs" / "howto" / "systemd.md").read_text("utf-8")
    assert "install -D -m 0755 deploy/systemd/clinicrelay.sh /usr/local/sbin/clinicrelay\n" in page
    assert WRAPPER.stat().st_mode & 0o111


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
