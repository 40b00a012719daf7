"""Judges what pip-audit reported: a known hole fails, a service that could not be asked is only told.

`python .ci/audited.py REPORT.json`. pip-audit itself ends with 0 where it could look nothing up, which
would pass for clean. AUDIT_REQUIRED=1 makes that a failure as well.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Report = dict[str, Any]


def holes(report: Report) -> Iterator[str]:
    """Yield a line for each known hole."""
    for one in report["dependencies"]:
        for hole in one.get("vulns", ()):
            mended = ", ".join(hole["fix_versions"]) or "no version yet"
            yield f"{one['name']} {one['version']}: {hole['id']}, mended in {mended}"


def main(file: Path) -> int:
    try:
        report: Report = json.loads(file.read_text("utf-8"))
        looked_at = [one for one in report["dependencies"] if "skip_reason" not in one]
        found = list(holes(report))
    except (OSError, ValueError, KeyError, TypeError):
        report, looked_at, found = {"dependencies": []}, [], []
    for line in found:
        print(f"KNOWN HOLE  {line}")
    total = len(report["dependencies"])
    if looked_at and len(looked_at) == total:
        print(f"{total} packages looked up, {len(found)} known holes.")
        return 1 if found else 0
    print(
        f"NOT AUDITED: of {total} packages {len(looked_at)} could be looked up. Is there a network?"
    )
    return 1 if found or os.environ.get("AUDIT_REQUIRED") == "1" else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
