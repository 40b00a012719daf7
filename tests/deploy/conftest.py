"""What is shipped for a clinic's IT, read the way their tools read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import commands

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def documents(file: Path) -> list[Any]:
    """Every document of a YAML file, as the tools of YAML 1.1 and 1.2 agree to read it."""
    return list(YAML(typ="safe").load_all(file.read_text("utf-8")))


def parse(words: list[str]) -> None:
    """Have the real command line read these words, without doing anything. Raises what it raises."""
    context = commands.app(commands.names()).make_context("clinicrelay", list(words))  # type: ignore[attr-defined]
    while hasattr(context.command, "commands"):
        left = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)


def containers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every container that a workload starts."""
    yield from pod_of(document).get("containers", []) if has_pod(document) else []


def has_pod(document: dict[str, Any]) -> bool:
    return document["kind"] in ("CronJob", "Deployment", "Job")


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    """The spec of the pods that a workload starts."""
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return dict(spec["template"]["spec"])
