"""The broker that workers share: a secret, never said, and not to be spoken to in the open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clinicrelay.settings import Loaded

Read = Callable[..., Loaded]


@pytest.mark.parametrize("text", ["", 'runner: {broker: "${RABBITMQ_URL:-}"}'])
def test_without_an_address_there_is_no_broker(read: Read, text: str) -> None:
    assert read(text).settings.runner.broker is None


def test_the_address_of_the_broker_is_never_shown(read: Read) -> None:
    loaded = read(
        'runner: {broker: "${RABBITMQ_URL}"}', RABBITMQ_URL="amqps://relay:canary-4711@mq.example/c"
    )
    runner = loaded.settings.runner
    assert runner.broker is not None
    assert runner.broker.get_secret_value() == "amqps://relay:canary-4711@mq.example/c"
    assert "canary-4711" not in repr(loaded)


@pytest.mark.parametrize(
    "url", ["amqp://relay:canary-4711@mq.example:port/", "redis://relay:canary-4711@mq.example/"]
)
def test_a_mistake_in_the_address_repeats_nothing_of_it(
    mistakes: Callable[..., list[object]], url: str
) -> None:
    (one,) = mistakes('runner: {broker: "${RABBITMQ_URL}"}', RABBITMQ_URL=url)
    assert "canary-4711" not in repr(one)


@pytest.mark.parametrize(
    ("url", "codes"),
    [
        ("amqp://mq.example/", ["broker_in_the_open"]),
        ("amqps://mq.example/", []),
        ("amqp://127.0.0.1/", []),
    ],
)
def test_a_broker_of_another_machine_wants_tls(read: Read, url: str, codes: list[str]) -> None:
    loaded = read('runner: {broker: "${RABBITMQ_URL}"}', RABBITMQ_URL=url)
    assert [one.code for one in loaded.findings] == codes
