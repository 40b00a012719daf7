"""The compose file names only what compose knows, and gives no container more than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinicrelay.settings import load
from tests.deploy.conftest import DEPLOY, documents, parse

COMPOSE = DEPLOY / "compose"
SETTINGS = COMPOSE / "settings" / "settings.yaml"
[FILE] = documents(COMPOSE / "compose.yaml")
OURS = ("service", "worker")
each_service = pytest.mark.parametrize("name", sorted(FILE["services"]))

# Of the Compose Specification, what this file uses.
TOP = {"name", "services", "networks", "volumes", "secrets"}
SERVICE = {
    *("cap_drop", "command", "depends_on", "environment", "healthcheck", "hostname", "image"),
    *(
        "mem_limit",
        "networks",
        "pids_limit",
        "ports",
        "profiles",
        "read_only",
        "restart",
        "secrets",
    ),
    *("security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes"),
}
HEALTH = {"test", "interval", "timeout", "start_period", "retries", "disable"}


def service(name: str) -> dict[str, Any]:
    return dict(FILE["services"][name])


def test_the_file_has_only_keys_that_compose_knows() -> None:
    assert {key for key in FILE if not key.startswith("x-")} == TOP
    for name in FILE["services"]:
        assert set(service(name)) <= SERVICE
        assert set(service(name)["healthcheck"]) <= HEALTH


@each_service
def test_no_container_may_do_more_than_it_needs(name: str) -> None:
    given = service(name)
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert int(given["user"].partition(":")[0]) > 0
    assert given["mem_limit"]
    assert given["pids_limit"]


@each_service
def test_no_port_is_open_but_monitoring_on_this_machine(name: str) -> None:
    expected = ["127.0.0.1:9464:9464"] if name == "service" else []
    assert service(name).get("ports", []) == expected


@each_service
def test_secrets_are_files_that_are_named_and_none_is_in_the_environment(name: str) -> None:
    given = service(name)
    named = {one if isinstance(one, str) else one["source"] for one in given["secrets"]}
    assert named <= set(FILE["secrets"])
    for value in given.get("environment", {}).values():
        assert "://" not in value
    assert all(one["file"].startswith("./secrets/") for one in FILE["secrets"].values())


@pytest.mark.parametrize("name", OURS)
def test_the_settings_hold_with_what_each_container_is_given(name: str, tmp_path: Path) -> None:
    given = service(name)
    written = {
        "store_url": "postgresql+psycopg://clinicrelay:word@postgres/clinicrelay",
        "broker_url": "amqp://clinicrelay:word@rabbitmq/",
    }
    for secret in given["secrets"]:
        (tmp_path / secret).write_text(written.get(secret, "word"))
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), **given.get("environment", {})}
    loaded = load(SETTINGS, environ=environ)
    broker = loaded.settings.runner.broker
    assert broker is not None
    assert broker.get_secret_value() == written["broker_url"]

    (tmp_path / "broker_url").write_text("")  # as `touch` makes it
    loaded = load(SETTINGS, environ=environ)
    assert loaded.settings.runner.broker is None
    assert [one.code for one in loaded.findings if one.code != "open_file"] == []


@each_service
def test_every_container_comes_back_after_a_reboot(name: str) -> None:
    assert service(name)["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_settings_are_mounted_as_a_folder_so_that_an_edited_file_is_seen(name: str) -> None:
    mounts = dict(mount.split(":")[:2] for mount in service(name)["volumes"])
    folder = COMPOSE / next(here for here, there in mounts.items() if there == "/etc/clinicrelay")
    assert folder == SETTINGS.parent
    assert [file.name for file in folder.iterdir()] == ["settings.yaml"]


@each_service
def test_every_container_is_looked_at_or_ends_by_itself(name: str) -> None:
    health = service(name)["healthcheck"]
    assert health == {"disable": True} if name == "worker" else health["test"][0] == "CMD"
    for needed in service(name).get("depends_on", {}):
        assert "test" in service(needed)["healthcheck"]


def test_what_is_mounted_and_named_is_there() -> None:
    for name, given in ((name, service(name)) for name in FILE["services"]):
        for mount in given["volumes"]:
            source = mount.split(":")[0]
            known = (
                (COMPOSE / source).exists() if source.startswith(".") else source in FILE["volumes"]
            )
            assert known, (name, mount)
        assert set(given["networks"]) <= set(FILE["networks"])
    assert FILE["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_start_commands_of_ours(name: str) -> None:
    words = service(name)["command"]
    parse(words)
