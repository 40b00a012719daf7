"""Between a clinic's run and its three peers: every request is counted, and one of them can go wrong."""

from __future__ import annotations

import copy
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from google_peer.peer import GooglePeer

from clinicrelay.testing import Asked, HttpServer, Reply, serving
from tests.crash.ehr import Ehr
from tests.crash.scene import ROBOT
from tests.notifiers import test_twilio as twilio

DOCTORS = ("acar@riverside.example", "braun@riverside.example")
WRITES = ("insert", "patch", "update", "delete")
SAID = ("status", "summary", "description", "location", "start", "end", "extendedProperties")
_A_MOMENT = 0.004  # seconds: the answer is out, and is being understood or kept


class When(StrEnum):
    """What becomes of a request: three moments of a kill, and three faults without one."""

    BEFORE = "killed before it arrives"
    APPLIED = "killed when it is done and not answered"
    ANSWERED = "killed when it is answered"
    DROPPED = "done, and its answer dropped"
    TROUBLE = "answered with 500"
    BUSY = "answered with 429"


KILLS = (When.BEFORE, When.APPLIED, When.ANSWERED)
FAULTS = (When.DROPPED, When.TROUBLE, When.BUSY)


class Strike(NamedTuple):
    """The n-th request to one of the peers, and what becomes of it."""

    peer: str
    number: int
    when: When


# Every peer finds its own words in it: Google's are under `error`, Twilio's `code` stands beside.
def _trouble(status: int, reason: str) -> Any:
    why = {"domain": "usageLimits", "reason": reason, "message": "not now"}
    google = {"code": status, "message": "not now", "errors": [why]}
    return {"error": google, "code": 20000 + status, "status": status, "message": "not now"}


_FAULTS = {
    When.TROUBLE: Reply(_trouble(500, "backendError"), 500),
    When.BUSY: Reply(_trouble(429, "rateLimitExceeded"), 429, {"Retry-After": "1"}),
}


@dataclass
class Wire:
    """Counts what is asked, and strikes once, if told so."""

    asked: Counter[str] = field(default_factory=Counter)
    strike: Strike | None = None
    struck: str = ""  # what was asked then
    process: subprocess.Popen[str] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, strike: Strike | None) -> None:
        """Count anew, and strike there."""
        self.asked.clear()
        self.strike, self.struck, self.process = strike, "", None

    def to(self, peer: str, answer: Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
        """Return how a peer answers by this wire."""

        def answers(asked: Asked) -> Reply:
            when = self._due(peer, asked)
            if when in _FAULTS:
                return _FAULTS[when]
            if when is When.BEFORE:
                self._kill()
                return Reply(reset=True)
            reply = answer(asked)
            if when is When.APPLIED:
                self._kill()
            elif when is When.ANSWERED:
                threading.Timer(_A_MOMENT, self._kill).start()
            return Reply(reset=True) if when in (When.APPLIED, When.DROPPED) else reply

        return answers

    def _due(self, peer: str, asked: Asked) -> When | None:
        with self.lock:
            self.asked[peer] += 1
            strike = self.strike
            if strike is None or (peer, self.asked[peer]) != strike[:2]:
                return None
            self.struck = f"{asked.method} {asked.path}"
            return strike.when

    def _kill(self) -> None:
        if self.process is not None:
            self.process.kill()


@dataclass
class Peers:
    """A system of the clinic's own, Google and Twilio; and how they stood when it was kept."""

    wire: Wire
    ehr: Ehr
    google: GooglePeer
    twilio: twilio.Exchange
    server: HttpServer
    kept: Any = None

    def keep(self) -> None:
        """Keep how they stand, for `restore`."""
        self.kept = copy.deepcopy((self.google.world.calendars, self.twilio.messages))

    def restore(self) -> None:
        self.google.world.calendars, self.twilio.messages = copy.deepcopy(self.kept)
        self.google.forget_calls()

    @property
    def writes(self) -> int:
        """How often anything was changed there."""
        done = [call for call in self.google.calls(*WRITES) if 200 <= call.status < 300]
        return len(done) + len(self.twilio.messages)

    def show(self) -> dict[str, Any]:
        """Return what doctors see and patients got."""
        events = [
            (doctor, *(repr(event.get(name)) for name in SAID))
            for doctor in DOCTORS
            for event in self.google.dump(doctor)
        ]
        texts = Counter((one["to"], one["body"]) for one in self.twilio.messages)
        return {
            "events": sorted(events),  # those that went as well
            "messages": dict(texts),
            "twice": self.google.duplicates(),
            "mails": self.google.mails(),
        }


@contextmanager
def peers() -> Iterator[Peers]:
    """Serve all three behind one wire."""
    wire, ehr, exchange = Wire(), Ehr(), twilio.Exchange()
    google = GooglePeer(seed=7)
    google._server.answer = wire.to("google", google._server.answer)
    with ExitStack() as open_:
        open_.enter_context(google)
        ehr.url = open_.enter_context(serving(wire.to("ehr", ehr.answer))).url
        server = open_.enter_context(serving(wire.to("twilio", exchange.answer)))
        for doctor in DOCTORS:
            google.calendar(doctor, shared={ROBOT: "writer"})
        yield Peers(wire, ehr, google, exchange, server)
