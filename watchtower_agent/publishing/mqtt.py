"""One connection to the broker: the only importer of aiomqtt."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from types import MappingProxyType
from typing import Any

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTT_ERR_SUCCESS, ConnectFlags, DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from watchtower_agent.errors import TemporaryError
from watchtower_agent.publishing.broker_options import BrokerAddress, MqttOptions, MqttProtocol
from watchtower_agent.publishing.connect_sentences import REFUSALS, connect_sentence, ended_sentence
from watchtower_agent.publishing.connection import PublishResult, Verdict, result_of
from watchtower_agent.publishing.publish_properties import packed
from watchtower_agent.publishing.tls import tls_context

_WINDOW = 20  # more publishers in parallel are slower, not faster
_CONNECT_TIMEOUT = 10.0
_FAREWELL_TIMEOUT = 2.0
_SESSION_TAKEN_OVER = 0x8E


_LIBRARY_LOG = logging.getLogger("watchtower_agent.publishing.library")
_LIBRARY_LOG.setLevel(logging.CRITICAL)  # paho logs an error for every lost connection; the link says it in a sentence

# mosquitto answers a message over its message_size_limit with a PUBACK of code 0x95. The specification has no such
# PUBACK, so paho's table has none, its parser raises and the connection is lost, again at every try.
ReasonCode.names = MappingProxyType(
    {
        code: {name: [*{*packets, PacketTypes.PUBACK}] for name, packets in names.items()} if code >= 0x80 else names  # noqa: PLR2004 - the specification's border between success and failure
        for code, names in ReasonCode.names.items()
    }
)


class RefusedError(TemporaryError):
    """An attempt to connect failed; the text says why.

    Attributes:
        by_broker: True when the broker answered with a no that only a person can change.
    """

    def __init__(self, message: str, *, by_broker: bool = False) -> None:
        super().__init__(message)
        self.by_broker = by_broker


class _Client(aiomqtt.Client):
    """aiomqtt with what it keeps to itself: reason codes, the CONNACK's properties, and a way to hang up.

    It overrides and calls private methods of aiomqtt 2.5.1, hence that dependency's tight range: aiomqtt reports a
    PUBACK that refuses a message as success, and hides Receive Maximum, Maximum Packet Size and session present.
    """

    def __init__(self, address: BrokerAddress, options: MqttOptions, context: ssl.SSLContext | None) -> None:
        v5 = options.protocol is MqttProtocol.V5
        connect_properties = will_properties = None
        if v5:
            connect_properties = _properties(PacketTypes.CONNECT, SessionExpiryInterval=options.session_expiry)
            will_properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=options.will_delay)
        super().__init__(
            address.host,
            address.port,
            username=options.username,
            password=options.password,
            identifier=options.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if v5 else False,
            clean_start=False if v5 else MQTT_CLEAN_START_FIRST_ONLY,
            properties=connect_properties,
            will=aiomqtt.Will(options.status_topic, b"offline", qos=1, retain=True, properties=will_properties),
            transport="websockets" if address.websockets else "tcp",
            websocket_path=address.path if address.websockets else None,
            tls_context=context,
            keepalive=options.keepalive,
            timeout=_CONNECT_TIMEOUT,
            max_inflight_messages=_WINDOW,
            max_queued_incoming_messages=1000,
            logger=_LIBRARY_LOG,
        )
        self._chores_every = min(3.0, options.keepalive / 5)
        self.acks: dict[int, asyncio.Future[PublishResult]] = {}
        self.connack: Properties | None = None
        self.connect_error: OSError | None = None
        self._loop_thread = threading.get_ident()
        # A connection that is given up ends with an error that nobody waits for: no stack in the log for it.
        self._disconnected.add_done_callback(lambda end: end.cancelled() or end.exception())

    def _client_connect(self) -> None:
        try:
            super()._client_connect()
        except OSError as error:
            self.connect_error = error.with_traceback(None)  # aiomqtt keeps its text only
            raise

    def _on_connect(
        self,
        client: Any,  # noqa: ANN401 - as in aiomqtt
        userdata: Any,  # noqa: ANN401 - as in aiomqtt
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.connack = properties
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: Any,  # noqa: ANN401 - as in aiomqtt
        userdata: Any,  # noqa: ANN401 - as in aiomqtt
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():  # else aiomqtt waits its whole timeout for a CONNACK that can't come any more
            self._connected.set_exception(aiomqtt.MqttError("it hung up before it answered"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self,
        client: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        userdata: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,  # noqa: ARG002 - as in aiomqtt
    ) -> None:
        future = self.acks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(result_of(reason_code.value, str(reason_code)))

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ANN401, ARG002 - as in aiomqtt
        # aiomqtt registers the descriptor a turn of the loop later: by then it may be closed, or somebody else's.
        if threading.get_ident() == self._loop_thread:
            self._write_soon(sock)
        else:  # the CONNECT is sent from an executor's thread
            self._loop.call_soon_threadsafe(self._write_soon, sock)

    async def _misc_loop(self) -> None:
        # aiomqtt wakes the loop for this each second. Keep-alives need it less often: a broker waits half of one more.
        while self._client.loop_misc() == MQTT_ERR_SUCCESS:  # noqa: ASYNC110 - as in aiomqtt: nothing tells when it is time
            await asyncio.sleep(self._chores_every)

    def _write_soon(self, sock: Any) -> None:  # noqa: ANN401 - a socket, or paho's wrapper of one
        held = self._client.socket()
        if held is not None and held is sock and held.fileno() >= 0:
            self._loop.add_writer(held.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - as in aiomqtt: whatever it is, the connection is no good any more
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def send(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, properties: Properties | None
    ) -> asyncio.Future[PublishResult]:
        """Publish without a task and a timer per message. Nothing is written before control returns to the loop."""
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc == MQTT_ERR_SUCCESS:
            self.acks[info.mid] = future
        else:
            future.set_result(PublishResult(verdict=Verdict.LOST))
        return future

    def hang_up(self) -> None:
        """End the connection without a word, so that the broker sends the will; never blocks."""
        held = self._client.socket()
        if held is None:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(held.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)  # on a copy of the descriptor: a websocket is wrapped and has no shutdown
        with contextlib.suppress(Exception):  # paho sees the end and closes its socket; how that fails does not matter
            self._client.loop_read()

    @property
    def end_code(self) -> int | None:
        """The reason code with which the broker ended the connection (MQTT 5); None without one."""
        if not self._disconnected.done() or self._disconnected.cancelled():
            return None
        return _reason_value(self._disconnected.exception())


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call] # not typed in paho
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class _Packed(Properties):
    """What paho asks for its bytes when it sends, and for nothing else."""

    def __init__(self, content: bytes) -> None:
        object.__setattr__(self, "_content", content)

    def pack(self) -> bytes:
        content: bytes = object.__getattribute__(self, "_content")
        return content

    def __str__(self) -> str:
        return "packed"


class MqttConnection:
    """One connection, from its CONNACK to its end. Implements `Connection`."""

    def __init__(self, client: _Client, options: MqttOptions) -> None:
        self._options = options
        connack = client.connack
        self._client = client
        self._v5 = options.protocol is MqttProtocol.V5
        self._largest: int | None = getattr(connack, "MaximumPacketSize", None)
        self._window = max(1, min(_WINDOW, getattr(connack, "ReceiveMaximum", _WINDOW)))
        self._loop = asyncio.get_running_loop()
        self._unacknowledged = 0
        self._since = self._progress = self._loop.time()
        self._given_up: asyncio.Future[str] = self._loop.create_future()
        self._patience: asyncio.TimerHandle | None = None
        """Runs while something is unacknowledged: at other times nothing wakes the loop."""
        self.ended_busy = False
        """Whether messages waited for an acknowledgement when it ended."""
        self.silent = False
        """Whether it was given up because the broker acknowledged nothing for too long."""

    @property
    def window(self) -> int:
        """The broker's Receive Maximum, at most 20."""
        return self._window

    @property
    def reports_refusals(self) -> bool:
        """True with MQTT 5."""
        return self._v5

    @property
    def largest_packet(self) -> int | None:
        """The broker's Maximum Packet Size (MQTT 5)."""
        return self._largest

    @property
    def age(self) -> float:
        """Seconds since it was accepted."""
        return self._loop.time() - self._since

    @property
    def taken_over(self) -> bool:
        """Whether it ended because another client came with the same id (MQTT 5)."""
        return self._client.end_code == _SESSION_TAKEN_OVER

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        content_type: str = "",
        user_properties: tuple[tuple[str, str], ...] = (),
        expiry: int | None = None,
    ) -> asyncio.Future[PublishResult]:
        """See `Connection.publish`."""
        properties = None
        try:
            if self._v5 and (content_type or user_properties or expiry is not None):
                properties = _Packed(packed(content_type=content_type, user_properties=user_properties, expiry=expiry))
            if self._largest is not None and (size := _packet_size(topic, payload, properties)) > self._largest:
                reason = f"its packet has {size} bytes, the broker takes {self._largest} at most"
                return self._refused(reason)
            future = self._client.send(topic, payload, qos=qos, retain=retain, properties=properties)
        except Exception as error:  # noqa: BLE001 - paho raises a dozen kinds for a name or a value that MQTT can't carry
            return self._refused(f"MQTT can't carry it: {error}")
        if qos > 0:
            if not self._unacknowledged:
                self._progress = self._loop.time()
                self._wait_for_progress()
            self._unacknowledged += 1
            future.add_done_callback(self._acknowledged)
        return future

    def _acknowledged(self, _: asyncio.Future[PublishResult]) -> None:
        self._unacknowledged -= 1
        self._progress = self._loop.time()
        if not self._unacknowledged and self._patience is not None:
            self._patience.cancel()

    def _wait_for_progress(self) -> None:
        # Judged a turn after the timer fired: if the loop stood still, what came meanwhile is read in that very turn.
        if self._patience is not None:
            self._patience.cancel()
        ends = self._progress + self._options.ack_timeout
        self._patience = self._loop.call_at(ends, self._loop.call_soon, self._judge_silence)

    def _judge_silence(self) -> None:
        if not self._unacknowledged or self._given_up.done():
            return
        if self._loop.time() - self._progress < self._options.ack_timeout:
            self._wait_for_progress()
        else:
            self._given_up.set_result(f"it acknowledged nothing for {self._options.ack_timeout:g} s")

    def _refused(self, reason: str) -> asyncio.Future[PublishResult]:
        future: asyncio.Future[PublishResult] = self._loop.create_future()
        future.set_result(PublishResult(verdict=Verdict.NEVER, reason=reason))
        return future

    async def lost(self) -> str:
        """Wait until the connection is no good any more, and return why."""
        # Somebody must read, or a publish in flight would not end with the connection.
        reading = asyncio.create_task(_read(self._client), name="mqtt reading")
        try:
            await asyncio.wait({reading, self._given_up}, return_when=asyncio.FIRST_COMPLETED)
            self.silent = not reading.done()
            return (self._given_up if self.silent else reading).result()
        finally:
            reading.cancel()

    async def say(self, status: str) -> PublishResult:
        """Publish the agent's status and wait for the acknowledgement."""
        return await self.publish(self._options.status_topic, status.encode(), qos=1, retain=True)

    async def close(self) -> None:
        """Say `offline` and end the connection in good order, within a few seconds or without good order."""
        try:
            # aiomqtt ends a connection cleanly even after an error: the will is not sent, so the agent says it itself.
            async with asyncio.timeout(_FAREWELL_TIMEOUT):
                await self.say("offline")
            async with asyncio.timeout(_FAREWELL_TIMEOUT):
                await self._client.__aexit__(None, None, None)
        except (TimeoutError, aiomqtt.MqttError):
            pass  # the will says it then
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection without a word: the broker sends the will. What waits is lost."""
        self.ended_busy = self.ended_busy or self._unacknowledged > 0
        self._client.hang_up()
        waiting, self._client.acks = self._client.acks, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(PublishResult(verdict=Verdict.LOST))


async def connect(options: MqttOptions, address: BrokerAddress) -> MqttConnection:
    """Try once to connect, with a client of its own: aiomqtt's can't be used for a second attempt.

    Raises:
        RefusedError: It did not work.
    """
    where = options.url
    context = None
    if address.tls:
        try:
            context = await asyncio.to_thread(tls_context, options)  # reads files
        except OSError as error:  # ssl.SSLError is one
            raise RefusedError(f"The TLS files for {where} can't be used ({error}). Check mqtt.tls.") from None
    client = _Client(address, options, context)
    try:
        await client.__aenter__()
    except aiomqtt.MqttError as error:
        client.hang_up()
        if context is not None:
            context.close_last()
        code = _reason_value(error)
        if code is not None:
            remedy = REFUSALS.get(code, f"it answers {error}")
            sentence = f"The broker at {where} refused the agent: {remedy}."
            raise RefusedError(sentence, by_broker=code in REFUSALS) from None
        raise RefusedError(connect_sentence(where, client.connect_error, error)) from None
    except ValueError as error:
        raise RefusedError(f"The broker at {where} can't be used: {error}.") from None
    except BaseException:
        client.hang_up()
        raise
    return MqttConnection(client, options)


def _packet_size(topic: str, payload: bytes, properties: Properties | None) -> int:
    packed = 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call] # not typed in paho
    return 5 + 2 + len(topic.encode()) + 2 + packed + len(payload)


async def _read(client: _Client) -> str:
    """Take whatever arrives until the connection ends; return why it ended."""
    try:
        async for _ in client.messages:
            pass  # nothing is subscribed to: what a broker sends all the same has no meaning here
    except aiomqtt.MqttError as error:
        cause = error.__cause__ or error
        return ended_sentence(_reason_value(cause), cause)
    return ""


def _reason_value(error: BaseException | None) -> int | None:
    code = getattr(error, "rc", None)
    return code.value if isinstance(code, ReasonCode) else None
