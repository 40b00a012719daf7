"""What a plugin's author tests with: the contract of each room as a class to inherit, and fakes.

from clinicrelay.testing import NotifierContract

class TestPigeon(NotifierContract):
    def make(self, folder): return Pigeon(Pigeon.Options(loft="x"), kit(folder))
    def arrived(self, folder): ...
"""

import pytest

# Before they are imported, so that a broken promise shows the values it was broken with.
pytest.register_assert_rewrite(
    "clinicrelay.testing.calendars",
    "clinicrelay.testing.connectors",
    "clinicrelay.testing.looking",
    "clinicrelay.testing.notifiers",
    "clinicrelay.testing.options",
)

from clinicrelay.testing.applying import SeenEvent  # noqa: E402
from clinicrelay.testing.calendars import CalendarContract  # noqa: E402
from clinicrelay.testing.connectors import Booking, ConnectorContract  # noqa: E402
from clinicrelay.testing.diary import Diary, World  # noqa: E402
from clinicrelay.testing.fakes import FakeCalendar, FakeConnector, FakeNotifier  # noqa: E402
from clinicrelay.testing.http_server import Asked, HttpServer, Reply, serving  # noqa: E402
from clinicrelay.testing.kits import CANARIES, CLINIC, NOW, WINDOW, an_email, an_sms, kit  # noqa: E402
from clinicrelay.testing.notifiers import (  # noqa: E402
    Arrived,
    Fault,
    NotifierContract,
    ProviderContract,
)

__all__ = [
    "CANARIES",
    "CLINIC",
    "NOW",
    "WINDOW",
    "Arrived",
    "Asked",
    "Booking",
    "CalendarContract",
    "ConnectorContract",
    "Diary",
    "FakeCalendar",
    "FakeConnector",
    "FakeNotifier",
    "Fault",
    "HttpServer",
    "NotifierContract",
    "ProviderContract",
    "Reply",
    "SeenEvent",
    "World",
    "an_email",
    "an_sms",
    "kit",
    "serving",
]
