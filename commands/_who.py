"""Who types a command: the login name and the machine, for pauses, going live and the audit trail."""

from __future__ import annotations

import os


def actor() -> str:
    """Return `NAME@HOST`; `NAME (ROOT)@HOST` where NAME works as somebody else by sudo."""
    import getpass
    import socket

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    by_sudo = os.environ.get("SUDO_USER", "")
    if by_sudo and by_sudo != name:
        name = f"{by_sudo} ({name})"
    return f"{name}@{socket.gethostname()}"[:120]
