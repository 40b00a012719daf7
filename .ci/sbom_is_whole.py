"""Compares a CycloneDX list with the environment of the Python that runs this, and with the lock.

`ENVIRONMENT/bin/python .ci/sbom_is_whole.py SBOM.json requirements.lock`: fails for a distribution that
is installed and not listed, or installed in another version than the lock names.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import distributions
from pathlib import Path


def named(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def main(sbom: Path, lock: Path) -> int:
    found = json.loads(sbom.read_text("utf-8"))
    own = found["metadata"].get("component", {})
    listed = {
        (named(c["name"]), c.get("version")) for c in [*found.get("components", ()), own] if c
    }
    pinned = dict(re.findall(r"(?m)^([a-z0-9][a-z0-9.-]*)==(\S+)", lock.read_text("utf-8")))
    installed = {(named(d.metadata["Name"]), d.version) for d in distributions()}
    names = {name for name, _ in listed}
    wrong = [
        f"{name} {version} is installed and not listed"
        for name, version in sorted(installed)
        if (name, version) not in listed and not (name == "clinicrelay" and name in names)
    ]
    wrong += [
        f"{name} {version} is installed and the lock does not name it"
        for name, version in sorted(installed)
        if name != "clinicrelay" and pinned.get(name) != version
    ]
    print(
        "\n".join(wrong) or f"{len(installed)} distributions installed, each listed and as locked."
    )
    return 1 if wrong or len(installed) < 2 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
