"""How to reach the broker, as the settings give it."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from watchtower_agent.errors import SettingsError
from watchtower_agent.model.shown_address import without_secrets
from watchtower_agent.model.values import dataclass

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


class MqttProtocol(StrEnum):
    """The protocol's versions that the agent speaks."""

    V5 = "5"
    V311 = "3.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """A broker's URL, taken apart."""

    host: str
    port: int
    tls: bool
    websockets: bool
    path: str


def parse_broker_url(url: str) -> BrokerAddress:
    """Take a `mqtt`, `mqtts`, `ws` or `wss` URL apart.

    Raises:
        SettingsError: It is none; the text says what would be right.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        why = "" if "@" in url else f" ({error})"  # the library repeats a part, and that may be part of a password
        raise SettingsError(
            f"mqtt.url: {without_secrets(url)!r} is not a URL{why}. Example: mqtt://127.0.0.1:1883"
        ) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise SettingsError(
            f"mqtt.url: {without_secrets(url)!r} must begin with mqtt://, mqtts://, ws:// or wss:// and name a host. "
            "Example: mqtt://127.0.0.1:1883"
        )
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            "mqtt.url: leave user and password out of the URL, it is shown in logs. "
            "Put them into mqtt.username and mqtt.password_file."
        )
    return BrokerAddress(
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[parts.scheme],
        tls=parts.scheme in {"mqtts", "wss"},
        websockets=parts.scheme in {"ws", "wss"},
        path=parts.path or "/mqtt",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """How to reach the broker, and as whom.

    Attributes:
        url: `mqtt`, `mqtts`, `ws` or `wss` URL, without user and password.
        host: The agent's host, a level of its topics.
        client_id: Unique on that broker.
        base_topic: First level of every topic.
        username: None for an anonymous client.
        password: Never shown.
        protocol: MQTT 5 or 3.1.1.
        tls_ca: Authority that signed the broker's certificate; None for the system's.
        tls_cert: The agent's own certificate, where the broker asks for one.
        tls_key: Its key.
        keepalive: Seconds of silence after which the broker is asked for a sign of life; it is given as many to answer.
        session_expiry: Seconds for which the broker keeps the session of an absent agent (MQTT 5).
        will_delay: Seconds for which the broker waits for a lost agent to return before it says `offline` (MQTT 5).
        ack_timeout: Seconds without any acknowledgement after which the connection is given up.
    """

    url: str
    host: str
    client_id: str
    base_topic: str = "watchtower"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: MqttProtocol = MqttProtocol.V5
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    keepalive: int = 15
    session_expiry: int = 3600
    will_delay: int = 15
    ack_timeout: float = 20.0

    @property
    def status_topic(self) -> str:
        """Where `online` and `offline` are told."""
        return f"{self.base_topic}/v1/{self.host}/status"
