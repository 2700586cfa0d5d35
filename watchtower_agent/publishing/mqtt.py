"""One connection to the broker, from the attempt to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiomqtt
from paho.mqtt.properties import Properties

from watchtower_agent.errors import TemporaryError
from watchtower_agent.publishing.broker_options import BrokerAddress, MqttOptions, MqttProtocol
from watchtower_agent.publishing.client import WINDOW, MqttClient, reason_value
from watchtower_agent.publishing.connect_sentences import REFUSALS, connect_sentence, ended_sentence
from watchtower_agent.publishing.connection import NEVER, PublishResult, Verdict
from watchtower_agent.publishing.publish_properties import packed
from watchtower_agent.publishing.tls import tls_context

_FAREWELL_TIMEOUT = 2.0
_SESSION_TAKEN_OVER = 0x8E
_NO_REASON = frozenset({0x00, 0x80})
"""Success and `unspecified error`: what paho says of an end without a word."""


class RefusedError(TemporaryError):
    """An attempt to connect failed; the text says why.

    Attributes:
        by_broker: True when the broker answered with a no that only a person can change.
    """

    def __init__(self, message: str, *, by_broker: bool = False) -> None:
        super().__init__(message)
        self.by_broker = by_broker


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

    def __init__(self, client: MqttClient, options: MqttOptions) -> None:
        self._options = options
        connack = client.connack
        self._client = client
        self._v5 = options.protocol is MqttProtocol.V5
        self._largest: int | None = getattr(connack, "MaximumPacketSize", None)
        self._window = max(1, min(WINDOW, getattr(connack, "ReceiveMaximum", WINDOW)))
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
    def blames_packet(self) -> bool:
        """See `Connection.blames_packet`."""
        return self._client.end_code in NEVER

    @property
    def excuses_packet(self) -> bool:
        """See `Connection.excuses_packet`."""
        code = self._client.end_code
        return code is not None and code not in NEVER | _NO_REASON

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

    def subscribe(self, topic_filter: str, *, commands: bool = False) -> asyncio.Future[PublishResult]:
        """See `Line.subscribe`."""
        try:
            return self._client.listen(topic_filter, commands=commands)
        except Exception as error:  # noqa: BLE001 - as for publish
            return self._refused(f"MQTT can't carry it: {error}")

    def unsubscribe(self, topic_filter: str) -> None:
        """See `Line.unsubscribe`."""
        with contextlib.suppress(Exception):  # as for publish: what MQTT can't carry is not subscribed to either
            self._client.ignore(topic_filter)

    def deliver_to(self, receive: Callable[[str, bytes, bool], None]) -> None:
        """Hand over each message that comes: topic, payload, and whether the broker had kept it."""
        self._client.receive = receive
        while self._client.early:
            receive(*self._client.early.popleft())

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
    client = MqttClient(address, options, context)
    # A CONNECT of ours that arrives after the next one would throw that one out, as a second client with our id does.
    try:
        await client.__aenter__()
    except aiomqtt.MqttError as error:
        client.hang_up(take_back=True)
        if context is not None:
            context.close_last()
        code = reason_value(error)
        if code is not None:
            remedy = REFUSALS.get(code, f"it answers {error}")
            sentence = f"The broker at {where} refused the agent: {remedy}."
            raise RefusedError(sentence, by_broker=code in REFUSALS) from None
        raise RefusedError(connect_sentence(where, client.connect_error, error)) from None
    except ValueError as error:
        raise RefusedError(f"The broker at {where} can't be used: {error}.") from None
    except BaseException:
        client.hang_up(take_back=True)
        raise
    return MqttConnection(client, options)


def _packet_size(topic: str, payload: bytes, properties: Properties | None) -> int:
    packed = 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call] # not typed in paho
    return 5 + 2 + len(topic.encode()) + 2 + packed + len(payload)


async def _read(client: MqttClient) -> str:
    """Take whatever arrives until the connection ends; return why it ended."""
    try:
        async for _ in client.messages:
            pass  # none get here: the client hands them over as they come
    except aiomqtt.MqttError as error:
        cause = error.__cause__ or error
        return ended_sentence(reason_value(cause), cause)
    return ""
