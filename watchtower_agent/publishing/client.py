"""aiomqtt's client, with what it keeps to itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, Literal

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTT_ERR_SUCCESS, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from watchtower_agent.publishing.broker_options import BrokerAddress, MqttOptions, MqttProtocol
from watchtower_agent.publishing.connection import PublishResult, Verdict, result_of
from watchtower_agent.publishing.wire import Wire

WINDOW: Final = 20
"""Messages that wait for their PUBACK at the same time; more publishers in parallel are slower, not faster."""
_CONNECT_TIMEOUT = 10.0
_LARGEST_INCOMING: Final = 2**20 + 2**17
"""Bytes of a packet that the broker may send (MQTT 5): a payload of 1 MiB, its topic and properties. paho keeps a
packet in memory until it is whole."""
_MOST_EARLY: Final = 100
_FORGET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: at its end a socket forgets what it holds, and resets the connection."""
_LARGEST_EARLY: Final = 2**16
"""Bytes of a payload."""

_AIOMQTT_LOG = logging.getLogger("watchtower_agent.publishing.aiomqtt")
_AIOMQTT_LOG.setLevel(logging.CRITICAL)  # paho logs an error for every lost connection; the link says it in a sentence

# mosquitto answers a message over its message_size_limit with a PUBACK of code 0x95. The specification has no such
# PUBACK, so paho's table has none, its parser raises and the connection is lost, again at every try.
ReasonCode.names = MappingProxyType(
    {
        code: {name: [*{*packets, PacketTypes.PUBACK}] for name, packets in names.items()} if code >= 0x80 else names  # noqa: PLR2004 - the specification's border between success and failure
        for code, names in ReasonCode.names.items()
    }
)

_SUCCESS, _NOBODY_LISTENS = 0x00, 0x10
_ACCEPTED: Final = {code: ReasonCode(PacketTypes.PUBACK, identifier=code) for code in (_SUCCESS, _NOBODY_LISTENS)}
_NO_PROPERTIES: Final = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call] # not typed in paho


class MqttClient(aiomqtt.Client):
    """aiomqtt with what it keeps to itself: reason codes, the CONNACK's properties, and a way to hang up.

    It overrides and calls private methods of aiomqtt 2.5.1, hence that dependency's tight range: aiomqtt reports a
    PUBACK that refuses a message as success, and hides Receive Maximum, Maximum Packet Size and session present.
    """

    def __init__(self, address: BrokerAddress, options: MqttOptions, context: ssl.SSLContext | None) -> None:
        v5 = options.protocol is MqttProtocol.V5
        connect_properties = will_properties = None
        if v5:
            connect_properties = properties(
                PacketTypes.CONNECT, SessionExpiryInterval=options.session_expiry, MaximumPacketSize=_LARGEST_INCOMING
            )
            will_properties = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=options.will_delay)
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
            max_inflight_messages=WINDOW,
            logger=_AIOMQTT_LOG,
        )
        self._wire = None if address.websockets else Wire(self._client)
        self._chores_every = min(3.0, options.keepalive / 5)
        self._v5 = v5
        self.acks: dict[int, asyncio.Future[PublishResult]] = {}
        self.early: deque[tuple[str, bytes, bool]] = deque(maxlen=_MOST_EARLY)
        """What the broker sent right behind its acceptance, before anybody could take it."""
        self.receive: Callable[[str, bytes, bool], None] = self._keep_early
        """Takes each message that comes; must return at once, and raise nothing."""
        self.connack: Properties | None = None
        self.connect_error: OSError | None = None
        self._loop_thread = threading.get_ident()
        self._take_acknowledgement = self._client._handle_pubackcomp  # noqa: SLF001 - see `_acknowledged`
        if v5:
            self._client._handle_pubackcomp = self._acknowledged  # type: ignore[method-assign] # noqa: SLF001 - likewise
        # A connection that is given up ends with an error that nobody waits for: no stack in the log for it.
        self._disconnected.add_done_callback(lambda end: end.cancelled() or end.exception())

    def _keep_early(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as `receive`
        if len(payload) <= _LARGEST_EARLY:
            self.early.append((topic, payload, retained))

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

    def _acknowledged(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        """The plain acknowledgements, as nearly all are: paho makes two tables of each, a tenth of a storm's cost."""
        client, packet = self._client, self._client._in_packet["packet"]  # noqa: SLF001 - nothing public is called so early
        # The message's number; then, where it is not success, the reason; then, where it has any, properties.
        accepted = _ACCEPTED.get(packet[2] if len(packet) > 2 else _SUCCESS)  # noqa: PLR2004 - the number's bytes
        if cmd != "PUBACK" or accepted is None or len(packet) < 2 or bytes(packet[3:]) not in {b"", b"\0"}:  # noqa: PLR2004 - likewise
            return self._take_acknowledgement(cmd)
        number = int.from_bytes(packet[:2], "big")
        with client._out_message_mutex:  # noqa: SLF001 - as paho does it
            if number in client._out_messages:  # noqa: SLF001 - as paho does it
                return client._do_on_publish(number, accepted, _NO_PROPERTIES)  # noqa: SLF001 - as paho does it
        return MQTTErrorCode.MQTT_ERR_SUCCESS

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

    def _on_subscribe(
        self,
        client: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        userdata: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        mid: int,
        reason_codes: list[ReasonCode],
        properties: Properties | None = None,  # noqa: ARG002 - as in aiomqtt
    ) -> None:
        future = self.acks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(result_of(reason_codes[0].value, str(reason_codes[0])))

    def _on_unsubscribe(self, *_: object) -> None:
        """Nobody waits for that."""

    def _on_message(
        self,
        client: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        userdata: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        message: MQTTMessage,
    ) -> None:
        # Not into aiomqtt's queue, which drops the newest once it is full.
        with contextlib.suppress(UnicodeDecodeError):  # a topic that is none: whatever it says, nobody asked for it
            self.receive(message.topic, bytes(message.payload), message.retain)

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
            if self._wire is not None:
                self._wire.join()
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

    def listen(self, topic_filter: str, *, commands: bool) -> asyncio.Future[PublishResult]:
        """Subscribe.

        Measurements at QoS 0, without the batches that come back from ourselves where the broker can leave them out.
        Commands at QoS 1, and where it can the broker says of each whether it is to be retained.
        """
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()
        qos = 1 if commands else 0
        options = None
        if self._v5:
            options = SubscribeOptions(qos=qos, noLocal="+" in topic_filter, retainAsPublished=commands)
        # paho takes the QoS in one of the two places only
        result, mid = self._client.subscribe(topic_filter, 0 if options else qos, options)
        if result == MQTT_ERR_SUCCESS and mid is not None:
            self.acks[mid] = future
        else:
            future.set_result(PublishResult(verdict=Verdict.LOST))
        return future

    def ignore(self, topic_filter: str) -> None:
        """Unsubscribe."""
        self._client.unsubscribe(topic_filter)

    def hang_up(self, *, take_back: bool = False) -> None:
        """End the connection without a word, so that the broker sends the will; never blocks.

        Args:
            take_back: What was written and has not arrived is not to arrive any more. Else the kernel goes on to send
                it, for minutes where packets are lost.
        """
        held = self._client.socket()
        if held is None:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(held.fileno())) as line:
            if take_back:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
            # On a copy of the descriptor: a websocket is wrapped and has no shutdown.
            line.shutdown(socket.SHUT_RD if take_back else socket.SHUT_RDWR)
        with contextlib.suppress(Exception):  # paho sees the end and closes its socket; how that fails does not matter
            self._client.loop_read()

    @property
    def end_code(self) -> int | None:
        """The reason code with which the broker ended the connection (MQTT 5); None without one."""
        if not self._disconnected.done() or self._disconnected.cancelled():
            return None
        return reason_value(self._disconnected.exception())


def properties(packet: int, **values: object) -> Properties:
    """The properties of a packet of that kind.

    Args:
        packet: Its type, by paho's `PacketTypes`.
        values: By the names of the specification.
    """
    made = Properties(packet)  # type: ignore[no-untyped-call] # not typed in paho
    for name, value in values.items():
        setattr(made, name, value)
    return made


def reason_value(error: BaseException | None) -> int | None:
    """The reason code in an error of the library; None where there is none."""
    code = getattr(error, "rc", None)
    return code.value if isinstance(code, ReasonCode) else None
