"""A real broker of the test's own, and an independent subscriber that remembers everything: the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.support.patience import patient
from tests.support.schema import validate_message

CONTRACT = "watchtower/v1/"
"""Below this every message is as an agent writes it. Tests of delivery, with payloads of their own, go elsewhere."""


DISCOVERY = "homeassistant/device/watchtower_"
"""With this begins what agents tell Home Assistant."""


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """A throw-away certificate authority with a certificate for the broker on 127.0.0.1, and one for a client."""

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path


def throwaway_ca(directory: Path) -> TlsFiles:
    """Make the authority and both certificates with the openssl command."""
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority")
    for name, extension in (
        ("broker", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ("client", "keyUsage=critical,digitalSignature"),
    ):
        (directory / f"{name}.ext").write_text(f"{extension}\n")
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.crt", "-days", "2", "-extfile", f"{name}.ext"),
        )
    return TlsFiles(
        ca=directory / "ca.crt",
        cert=directory / "broker.crt",
        key=directory / "broker.key",
        client_cert=directory / "client.crt",
        client_key=directory / "client.key",
    )


@dataclass(slots=True, kw_only=True)
class PrivateBroker:
    """Mosquitto on a loopback port, which keeps what it acknowledged in a folder of its own.

    Attributes:
        directory: For its configuration, its log and its persistent data.
        port: Its listener; stays the same over restarts.
        websockets: Speak MQTT over websockets on that port.
        tls: Listen with TLS.
        passwords: User -> password; anonymous clients are refused when there are any.
        acl: Lines of its ACL file; empty: everything is allowed.
        max_inflight: Receive Maximum that it tells MQTT 5 clients; 0: unlimited.
        options: Further lines of configuration (`max_packet_size 2000`, `message_size_limit 1000`).
        persistence: Keep sessions, retained messages and queues on disk.
        save_each_change: Save after every change rather than every second: for kill -9, costly with long queues.
    """

    directory: Path
    port: int = field(default_factory=free_port)
    websockets: bool = False
    tls: TlsFiles | None = None
    require_client_certificate: bool = False
    passwords: dict[str, str] = field(default_factory=dict)
    acl: Sequence[str] = ()
    max_inflight: int = 0
    options: Sequence[str] = ()
    persistence: bool = True
    save_each_change: bool = False
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address as the agent's settings want it."""
        scheme = ("wss" if self.tls else "ws") if self.websockets else ("mqtts" if self.tls else "mqtt")
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it wrote so far."""
        return (self.directory / "broker.log").read_text(errors="replace")

    def _configuration(self) -> str:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "user root",  # ignored unless root; else it would drop its rights and lose its folder
            f"allow_anonymous {'false' if self.passwords else 'true'}",
            f"max_inflight_messages {self.max_inflight}",
            # Not 0 for "no limit": mosquitto 2.0.21 compares a refused message with that very number and hangs up.
            "max_queued_messages 1000000",
            "max_queued_bytes 0",
            "set_tcp_nodelay true",
            "log_type all",
        ]
        if self.websockets:
            lines.append("protocol websockets")
        if self.persistence:
            lines += ["persistence true", f"persistence_location {self.directory}/", "autosave_interval 1"]
            lines.append(f"autosave_on_changes {'true' if self.save_each_change else 'false'}")
        if self.tls:
            lines += [f"cafile {self.tls.ca}", f"certfile {self.tls.cert}", f"keyfile {self.tls.key}"]
            lines.append(f"require_certificate {'true' if self.require_client_certificate else 'false'}")
        if self.passwords:
            password_file = self.directory / "passwords"
            password_file.write_text("".join(f"{user}:{word}\n" for user, word in self.passwords.items()))
            password_file.chmod(0o600)
            subprocess.run(["mosquitto_passwd", "-U", str(password_file)], check=True, capture_output=True)
            lines.append(f"password_file {password_file}")
        if self.acl:
            acl_file = self.directory / "acl"
            acl_file.write_text("\n".join(self.acl) + "\n")
            acl_file.chmod(0o600)
            lines.append(f"acl_file {acl_file}")
        return "\n".join([*lines, *self.options]) + "\n"

    def start(self) -> Self:
        """Start it and wait until it serves.

        It listens a little before that, and what is told to end just then goes on for ever.
        """
        assert self._process is None
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "broker.conf"
        configuration.write_text(self._configuration())
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["mosquitto", "-c", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + patient(10)
        while True:
            if self._process.poll() is not None:
                raise AssertionError(f"the broker ended with {self._process.returncode}: {self.log}")
            try:
                self._answered()
            except OSError:
                if time.monotonic() > deadline:
                    raise AssertionError(f"the broker does not serve: {self.log}") from None
                time.sleep(0.01)
            else:
                return self

    def _answered(self) -> None:
        """Hang up on it, and wait until it does the same."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patient(10)) as caller:
            caller.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                caller.recv(1)

    def stop(self) -> None:
        """End it in good order; it saves its data. Nothing happens when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            os.kill(process.pid, with_signal)
        try:
            process.wait(patient(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the broker did not end on {with_signal.name}: {self.log}") from None

    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after a freeze."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """End it in good order and start it again on the same port."""
        self.stop()
        self.start()

    def allow(self, *acl: str) -> None:
        """Give it another access list while it runs."""
        self.acl = acl
        (self.directory / "acl").write_text("\n".join(acl) + "\n")
        os.kill(self.pid, signal.SIGHUP)

    def forget(self) -> None:
        """Lose all persistent data, as a broker without a volume does. It must not run."""
        assert self._process is None
        (self.directory / "mosquitto.db").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as the subscriber saw it.

    Attributes:
        topic: Its topic.
        payload: Its bytes.
        qos: At which it arrived.
        retain: True when the broker had kept it from before the subscription.
        properties: MQTT 5 user properties.
        content_type: MQTT 5 content type, empty when absent.
        expiry: MQTT 5 message expiry left, None when absent.
        arrived: When, on the monotonic clock.
        arrived_wall: When, seconds since the epoch.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: tuple[tuple[str, str], ...]
    content_type: str
    expiry: int | None
    arrived: float
    arrived_wall: float


_listened: list[PersistentSubscriber] = []


class PersistentSubscriber:
    """Subscribes at QoS 1 with a session that the broker keeps, and remembers every message in order of arrival.

    It runs in a thread of its own and reconnects for ever, so it lives through restarts of the broker.

    Args:
        port: The broker's, on 127.0.0.1.
        topics: Filters to subscribe to.
        user: Name and password where the broker wants them.
        tls_ca: The authority's certificate when the broker speaks TLS.
        on_message: Called in the subscriber's thread for each message, after it was recorded.
        session: Name of the session, where another subscriber is to go on with it.
    """

    def __init__(
        self,
        port: int,
        *,
        topics: Sequence[str] = ("#",),
        user: tuple[str, str] | None = None,
        tls_ca: Path | None = None,
        on_message: Callable[[Received], None] | None = None,
        session: str = "",
    ) -> None:
        _listened.append(self)
        self._messages: list[Received] = []
        self._subscribed = threading.Event()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._topics = topics
        self._port = port
        self._forward = on_message
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=session or f"oracle-{secrets.token_hex(6)}", protocol=paho.MQTTv5
        )
        self._client.reconnect_delay_set(min_delay=0.05, max_delay=0.2)  # type: ignore[arg-type] # floats work; its signature says int
        self._client.connect_timeout = 2.0
        if user is not None:
            self._client.username_pw_set(*user)
        if tls_ca is not None:
            self._client.tls_set(ca_certs=str(tls_ca))
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._on_subscribed
        self._client.on_message = self._received

    def start(self) -> Self:
        """Connect, and return once the broker has confirmed the subscription."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # not typed in paho
        properties.SessionExpiryInterval = 3600
        self._client.connect_async("127.0.0.1", self._port, keepalive=10, clean_start=False, properties=properties)
        self._client.loop_start()
        if not self._subscribed.wait(patient(10)):
            self.stop()
            raise AssertionError("the subscriber got no confirmation from the broker")
        return self

    def stop(self) -> None:
        """Disconnect and end the thread; the broker keeps the session."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def messages(self) -> list[Received]:
        """Everything that arrived so far, in order."""
        return list(self._messages)

    def on(self, topic_part: str) -> list[Received]:
        """The messages whose topic contains the text, in order."""
        return [message for message in self.messages if topic_part in message.topic]

    async def until(self, predicate: Callable[[list[Received]], bool], *, timeout: float = 30.0) -> list[Received]:  # noqa: ASYNC109 - the message of its failure says what did arrive
        """Wait until the predicate holds; looked at whenever something arrived, and every now and then.

        What it looks at may be elsewhere, too: the broker's log, or what the agent answers while nothing is told.

        Returns:
            Everything that arrived so far.

        Raises:
            AssertionError: It did not hold in time; the text shows the last topics that arrived.
        """
        news = asyncio.Event()
        entry = (asyncio.get_running_loop(), news)
        self._waiting.add(entry)
        try:
            async with asyncio.timeout(patient(timeout)):
                while not predicate(self.messages):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), 0.1)
                    await asyncio.sleep(0.005)  # let a burst come in before the predicate looks again
                    news.clear()
        except TimeoutError:
            last = [message.topic for message in self.messages[-10:]]
            raise AssertionError(
                f"not within {timeout:g} s; {len(self.messages)} messages arrived, the last on {last}"
            ) from None
        finally:
            self._waiting.discard(entry)
        return self.messages

    async def until_topic(self, topic_part: str, *, count: int = 1, timeout: float = 30.0) -> list[Received]:  # noqa: ASYNC109 - as in until
        """Wait for that many messages whose topic contains the text, and return them."""
        await self.until(
            lambda messages: sum(topic_part in message.topic for message in messages) >= count, timeout=timeout
        )
        return self.on(topic_part)

    def _connected(
        self,
        client: paho.Client,
        userdata: object,  # noqa: ARG002 - paho's signature
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None,  # noqa: ARG002 - paho's signature
    ) -> None:
        if reason_code.is_failure:
            return
        if flags.session_present:
            self._subscribed.set()
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribed(self, *_: object) -> None:
        self._subscribed.set()

    def _received(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:  # noqa: ARG002 - paho's signature
        now, wall = time.monotonic(), time.time()
        properties = message.properties
        record = Received(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            properties=tuple(getattr(properties, "UserProperty", ())),
            content_type=getattr(properties, "ContentType", ""),
            expiry=getattr(properties, "MessageExpiryInterval", None),
            arrived=now,
            arrived_wall=wall,
        )
        self._messages.append(record)
        if self._forward is not None:
            self._forward(record)
        for loop, news in tuple(self._waiting):
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)


@pytest.fixture(autouse=True)
def contract() -> Iterator[None]:
    """Every message that a subscriber saw in a test fits its published schema, or the test fails.

    Commands are left out: others send them, and may send what they want.
    """
    _listened.clear()
    yield
    problems = [problem for subscriber in _listened for message in subscriber.messages if (problem := _misfit(message))]
    assert not problems, f"{len(problems)} messages are not as the contract says, the first: {problems[0]}"


def _misfit(message: Received) -> str:
    ours = message.topic.startswith((CONTRACT, DISCOVERY))
    if not ours or message.topic.split("/")[3] == "command":
        return ""
    try:
        validate_message(message.topic, message.payload)
    except (AssertionError, ValueError) as error:
        return str(error)
    return ""


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., PrivateBroker]]:
    """Makes and starts private brokers, with PrivateBroker's options; all end with the test."""
    brokers: list[PrivateBroker] = []
    numbers = itertools.count()

    def make(**options: object) -> PrivateBroker:
        made = PrivateBroker(directory=tmp_path / f"broker-{next(numbers)}", **options)  # type: ignore[arg-type] # checked by the dataclass
        brokers.append(made)
        return made.start()

    yield make
    for made in brokers:
        made.kill()


@pytest.fixture
def broker(make_broker: Callable[..., PrivateBroker]) -> PrivateBroker:
    """A running private broker."""
    return make_broker()


@pytest.fixture
def subscriber(broker: PrivateBroker) -> Iterator[PersistentSubscriber]:
    """An independent subscriber to everything on that broker."""
    with PersistentSubscriber(broker.port) as oracle:
        yield oracle
