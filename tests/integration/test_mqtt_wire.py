"""What the network makes of packets: cut anywhere, many in one piece, a broker that reads late. Nothing is mixed up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from tests.support.broker import PrivateBroker
from tests.support.store_values import BASE_TOPIC
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol, parse_broker_url
from watchtower_agent.publishing.connection import Verdict
from watchtower_agent.publishing.mqtt import MqttConnection, connect

CONNACK = b"\x20\x03\x00\x00\x00"
"""Accepted, MQTT 5, no properties."""
SUCCESS, NOBODY_LISTENS, QUOTA = 0x00, 0x10, 0x97


def puback(number: int, reason: int) -> bytes:
    """The shortest that the specification allows, as mosquitto sends it (MQTT 5, 3.4)."""
    body = number.to_bytes(2, "big") + (bytes([reason]) if reason else b"")
    return b"\x40" + bytes([len(body)]) + body


def incoming(topic: str, payload: bytes) -> bytes:
    """A message with QoS 0 for the agent (MQTT 5, 3.3)."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + b"\0" + payload
    return b"\x30" + _length(len(body)) + body


def _length(number: int) -> bytes:
    digits = []
    while True:
        number, low = divmod(number, 128)
        digits.append(low | (128 if number else 0))
        if not number:
            return bytes(digits)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    size = 0
    for shift in range(0, 28, 7):
        digit = (await reader.readexactly(1))[0]
        size += (digit & 127) << shift
        if digit < 128:
            break
    return kind, await reader.readexactly(size)


@asynccontextmanager
async def scripted(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
) -> AsyncIterator[MqttConnection]:
    """A connection to a broker that takes the CONNECT and then does what the test says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _packet(reader)
        writer.write(CONNACK)
        try:
            await talk(reader, writer)  # type: ignore[misc] # a coroutine function; what it returns does not matter
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the agent has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**16)
    async with server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connection = await connect(options(url), parse_broker_url(url))
        ends = asyncio.create_task(connection.lost())
        try:
            yield connection
        finally:
            connection.hang_up()
            await ends


def options(url: str, protocol: MqttProtocol = MqttProtocol.V5) -> MqttOptions:
    return MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC, protocol=protocol)


def pieces(whole: bytes, sizes: Iterable[int]) -> list[bytes]:
    """The bytes, cut by those sizes in turn."""
    cut: list[bytes] = []
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(whole):
            return cut
        cut.append(whole[at : at + size])
        at += size
    return cut


@pytest.mark.parametrize("sizes", [[1], [2, 3], [5, 1, 7], [100_000]])
async def test_answers_are_taken_however_they_are_cut(sizes: list[int]) -> None:
    reasons = [(SUCCESS, NOBODY_LISTENS, QUOTA)[number % 3] for number in range(20)]
    heard: list[tuple[str, bytes]] = []
    all_heard = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        numbers: list[int] = []
        while len(numbers) < len(reasons):
            _, body = await _packet(reader)
            topic = int.from_bytes(body[:2], "big")
            numbers.append(int.from_bytes(body[2 + topic : 4 + topic], "big"))
        answers = b"".join(
            puback(number, reason) + incoming(f"said/{number}", b"x" * 300)
            for number, reason in zip(numbers, reasons, strict=True)
        )
        for piece in pieces(answers, sizes):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with asyncio.timeout(10), scripted(talk) as connection:

        def receive(topic: str, payload: bytes, _: bool) -> None:
            heard.append((topic, payload))
            if len(heard) == len(reasons):
                all_heard.set()

        connection.deliver_to(receive)
        sent = [connection.publish(f"t/{number}", b"p", qos=1) for number in range(len(reasons))]
        verdicts = [(await answer).verdict for answer in sent]
        await all_heard.wait()
    assert verdicts == [Verdict.LATER if reason == QUOTA else Verdict.DELIVERED for reason in reasons]
    assert [len(payload) for _, payload in heard] == [300] * len(reasons)
    assert len({topic for topic, _ in heard}) == len(reasons)


async def test_a_broker_that_reads_late_gets_every_byte_in_order() -> None:
    payloads = [bytes([65 + number]) * (1_200_000 if number % 3 == 2 else 1) for number in range(20)]
    seen: list[bytes] = []
    late = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await late.wait()
        while len(seen) < len(payloads) + 1:
            kind, body = await _packet(reader)
            topic = int.from_bytes(body[:2], "big")
            acknowledged = kind & 6
            seen.append(body[2 + topic + (2 if acknowledged else 0) + 1 :])
            if acknowledged:
                writer.write(puback(int.from_bytes(body[2 + topic : 4 + topic], "big"), SUCCESS))
        await reader.read()

    async with asyncio.timeout(20), scripted(talk) as connection:
        sent = [connection.publish("t", payload, qos=1) for payload in payloads[:1]]
        between = connection.publish("t", b"at most once", qos=0)
        sent += [connection.publish("t", payload, qos=1) for payload in payloads[1:]]
        asyncio.get_running_loop().call_later(0.2, late.set)  # the socket is full by then, in the middle of a packet
        assert {(await answer).verdict for answer in sent} == {Verdict.DELIVERED}
        await between
    assert seen == [*payloads[:1], b"at most once", *payloads[1:]]


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_a_hundred_rounds_with_a_real_broker(
    make_broker: Callable[..., PrivateBroker], protocol: MqttProtocol
) -> None:
    broker = make_broker()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    connection = await connect(options(broker.url, protocol), parse_broker_url(broker.url))
    ends = asyncio.create_task(connection.lost())
    connection.deliver_to(lambda _, payload, __: heard.put_nowait(payload))
    assert (await connection.subscribe(f"{BASE_TOPIC}/t", commands=True)).verdict is Verdict.DELIVERED
    expected = []
    async with asyncio.timeout(30):
        for round_ in range(100):
            part = [f"{round_}-{number}".encode() + b"." * (number * 37) for number in range(20)]
            expected += part
            answers = [connection.publish(f"{BASE_TOPIC}/t", payload, qos=1) for payload in part]
            assert {(await answer).verdict for answer in answers} == {Verdict.DELIVERED}
        assert [await heard.get() for _ in expected] == expected
    await connection.close()
    await ends
    assert heard.empty()
