"""What the last look at a clinic found, kept so that monitoring has its answer at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clinicrelay.errors import SettingsError, StoreBusy, StoreRefused
from sync.runners import verdict
from sync.runners.verdict import Reason

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.runners.kept import Kept

_OLD = 10.0  # seconds after which a look is taken again, when somebody asks
_WITHIN = 2.0  # seconds that who asks waits for it
_AT_MOST = 20  # looks a request: of a thousand clinics, those whose last one is the oldest
_THREADS = 4


class Look:
    """One clinic as it was last seen. `store` is why its store could not be used, if it could not."""

    def __init__(self) -> None:
        self.seen: float | None = None
        self.begun: float | None = None
        self.store: str | None = None
        self.reasons: tuple[Reason, ...] = ()

    def at(self, clinic: Clinic, now: float) -> None:
        """Look at a clinic that is open."""
        self.reasons, self.store, self.seen = verdict.look(clinic), None, now

    def take(self, kept: Kept, now: float) -> None:
        """Open the clinic and look; whatever is wrong with its store is what was found."""
        self.begun = now
        try:
            with kept.at_work(lambda _sentence: None) as clinic:
                self.at(clinic, now)
        except StoreBusy:
            self.store, self.seen = "store_busy", now
        except StoreRefused as error:
            self.store, self.seen = error.findings[0].code, now
        except SettingsError as error:
            self.store, self.seen = None, now
            self.reasons = (Reason(error.findings[0].code),)
        except Exception:  # noqa: BLE001 - the cycle meets it as well, and tells it
            self.store, self.seen = "our_mistake", now
        finally:
            self.begun = None

    def is_silent(self, now: float) -> bool:
        """Whether a store was asked and gives no answer."""
        return self.begun is not None and now - self.begun >= _WITHIN


def refresh(looks: Sequence[tuple[Look, Kept]], clock: Callable[[], float]) -> None:
    """Take the looks that are old anew, beside each other; whoever asks does not wait for long."""
    now = clock()
    old = [one for one in looks if one[0].seen is None or now - one[0].seen > _OLD]
    todo = sorted(
        (one for one in old if one[0].begun is None), key=lambda one: one[0].seen or float("-inf")
    )[:_AT_MOST]
    for look, _ in todo:
        look.begun = now
    threads = [
        threading.Thread(target=_take, args=(todo[n::_THREADS], clock), name="look", daemon=True)
        for n in range(min(_THREADS, len(todo)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, now + _WITHIN - clock()))


def _take(todo: Sequence[tuple[Look, Kept]], clock: Callable[[], float]) -> None:
    for look, kept in todo:
        look.take(kept, clock())
