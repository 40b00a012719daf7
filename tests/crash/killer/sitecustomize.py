"""Put on PYTHONPATH of a real run: notes each commit and each file move, and ends the process at one.

KILLER_LOG names a file that gets a line `number kind when site` before and after each; KILLER_AT is
`number:before` or `number:after`. Nothing of the program is replaced: SIGKILL leaves no chance to
clean up, and the database sees a client that is simply gone. KILLER_SIGNAL=STOP freezes instead,
once no other thread is in a transaction: what it holds there would be the database's own guard.
KILLER_STATEMENTS=1 counts every statement, and every file that gets its name, as well.
KILLER_FLAW names a mistake of `flaws.py` that the program is to make; that shows who would see it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
ROOMS = tuple(f"{ROOT}/{room}/" for room in ("sync", "connectors", "calendars", "notifiers"))
GATEWAY = f"{ROOT}/sync/store/__init__.py"  # every transaction ends there; who opened it matters

_count = 0
_in_transaction: dict[int, int] = {}  # connections, and the thread of each


def site() -> str:
    """Return the two innermost places in our rooms, which tell whose commit this is."""
    found: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < 2:
        name = frame.f_code.co_filename
        if name.startswith(ROOMS) and name != GATEWAY:
            found.append(f"{Path(name).relative_to(ROOT)}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return "<".join(found) or "elsewhere"


def only_looks() -> bool:
    """Whether the transaction that ends here was opened to read, so that nothing lasts of it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == GATEWAY and frame.f_code.co_name in ("read", "write"):
            return frame.f_code.co_name == "read"
        frame = frame.f_back  # type: ignore[assignment]
    return False


def watched(kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        global _count  # noqa: PLW0603 - one counter for the whole process
        number = _count = _count + 1
        where = site()
        target = f" {_target(kind, arguments)}"
        reached(number, kind, "before", where, target)
        result = real(*arguments, **named)
        reached(number, kind, "after", where, target)
        return result

    return call


def _target(kind: str, arguments: Any) -> str:
    if kind == "statement":
        return " ".join(str(arguments[2]).split()[:3])
    if kind == "commit":
        return "look" if only_looks() else ""
    return Path(arguments[1]).name if kind == "move" else ""


def reached(number: int, kind: str, when: str, where: str, target: str) -> None:
    with Path(os.environ["KILLER_LOG"]).open("a") as log:
        log.write(f"{number} {kind} {when} {where}{target}\n")
    if os.environ.get("KILLER_AT") == f"{number}:{when}":
        deadly = signal.Signals[f"SIG{os.environ.get('KILLER_SIGNAL', 'KILL')}"]
        me = threading.get_ident()  # told to the process, it might go on here while others stop
        if deadly is signal.SIGSTOP:
            _wait_for_others()
        signal.pthread_kill(me, deadly)


def _wait_for_others() -> None:
    """Wait until no other thread is in a transaction; from then on nothing else runs."""
    mine = {threading.get_ident()}
    until = time.monotonic() + 10
    sys.setswitchinterval(60)  # from the last look on nobody else gets to run
    while time.monotonic() < until:
        time.sleep(0.01)
        if not set(_in_transaction.values()) - mine:
            return


def ending(real: Callable[..., Any]) -> Callable[..., Any]:
    def call(dialect: Any, connection: Any) -> Any:
        result = real(dialect, connection)
        _in_transaction.pop(id(getattr(connection, "dbapi_connection", connection)), None)
        return result

    return call


if "KILLER_LOG" in os.environ:
    from sqlalchemy import Engine, event
    from sqlalchemy.engine.default import DefaultDialect

    @event.listens_for(Engine, "begin")
    def _begun(connection: Any) -> None:
        _in_transaction[id(connection.connection.dbapi_connection)] = threading.get_ident()

    DefaultDialect.do_commit = watched("commit", ending(DefaultDialect.do_commit))  # type: ignore[method-assign]
    DefaultDialect.do_rollback = ending(DefaultDialect.do_rollback)  # type: ignore[method-assign]
    os.replace = watched("move", os.replace)
    os.rename = watched("move", os.rename)
    if "KILLER_STATEMENTS" in os.environ:
        DefaultDialect.do_execute = watched("statement", DefaultDialect.do_execute)  # type: ignore[method-assign]
        os.link = watched("move", os.link)
    if "KILLER_FLAW" in os.environ:
        import flaws

        try:
            flaws.make(os.environ["KILLER_FLAW"])
        except Exception:  # noqa: BLE001 - python would go on without it, and its mistake would never be seen
            traceback.print_exc()
            os._exit(70)
