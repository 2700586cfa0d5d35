"""A relay before a broker that knows MQTT's packets: it holds one back, drops it, or answers in the broker's place.

MQTT 5 and 3.1.1, as far as a publisher speaks them (sections 2.1, 3.1, 3.3 and 3.4 of either specification).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from tests.support.broker import free_port
from tests.support.patience import patient

BLOCK = 65536
_V5 = 5


class Kind(IntEnum):
    """Of a packet."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet on its way.

    Attributes:
        kind: What it is.
        to_broker: Its direction.
        raw: All of its bytes.
        number: Of a PUBLISH with QoS 1 and its PUBACK; 0 for others.
        topic: Of a PUBLISH, and of the PUBACK that answers it.
        payload: Of a PUBLISH, and of what the PUBACK answers.
        refusal: The reason code of a PUBACK that refuses; 0 for others.
    """

    kind: Kind
    to_broker: bool
    raw: bytes = field(repr=False)
    number: int = 0
    topic: str = ""
    payload: bytes = b""
    refusal: int = 0


Choice = Callable[[Packet], bool]


def publish_on(topic_part: str, payload: bytes = b"") -> Choice:
    """Chooses a PUBLISH of the agent by a part of its topic and of its payload."""
    return lambda packet: packet.kind is Kind.PUBLISH and packet.to_broker and _about(packet, topic_part, payload)


def puback_on(topic_part: str, payload: bytes = b"") -> Choice:
    """Chooses the broker's PUBACK of such a PUBLISH."""
    return lambda packet: packet.kind is Kind.PUBACK and not packet.to_broker and _about(packet, topic_part, payload)


def _about(packet: Packet, topic_part: str, payload: bytes) -> bool:
    return topic_part in packet.topic and payload in packet.payload


class Held:
    """The first packet that fits, and all that is behind it on its way: they stay until told otherwise."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._arrived = threading.Event()
        self._decided = threading.Event()
        self._dropped = False
        self.packet: Packet | None = None
        """Which one it is, once it has come."""

    def takes(self, packet: Packet) -> bool:
        """Whether this is the one."""
        return self.packet is None and not self._decided.is_set() and self._choice(packet)

    def keep(self, packet: Packet) -> bool:
        """Keep it until somebody has decided; whether it goes on."""
        self.packet = packet
        self._arrived.set()
        self._decided.wait()
        return not self._dropped

    def wait(self, timeout: float = 15.0) -> Packet:
        """Wait until it has come."""
        assert self._arrived.wait(patient(timeout)), f"no such packet within {timeout:g} s"
        assert self.packet is not None
        return self.packet

    def release(self) -> None:
        """Let it go on."""
        self._decided.set()

    def drop(self) -> None:
        """It never arrives: its connection ends."""
        self._dropped = True
        self._decided.set()


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What is said in the broker's place, and how often yet."""

    choice: Choice
    reply: Callable[[Packet], bytes]
    times: int
    hang_up: bool


class PacketRelay:
    """Relays 127.0.0.1:`port` to the broker, packet by packet. Use as a context manager.

    Args:
        broker_port: Where to, on 127.0.0.1.

    Attributes:
        port: Where it listens.
        packets: What came, in order, whether or not it was passed on.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self.port = free_port()
        self.packets: list[Packet] = []
        self._held: list[Held] = []
        self._answers: list[_Answer] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._ended = False
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        for held in self._held:
            held.drop()
        for end in (self._listener, *self._open):
            _shut(end)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    # --- what tests ask for ----------------------------------------------------------------------------------------

    def hold(self, choice: Choice) -> Held:
        """Hold back the first packet from now on that fits."""
        held = Held(choice)
        self._held.append(held)
        return held

    def refuse(self, choice: Choice, code: int, *, times: int = 1_000_000) -> None:
        """Say no to each such PUBLISH by a PUBACK (MQTT 5) in the broker's place, which never sees it."""

        def puback(packet: Packet) -> bytes:
            return bytes((Kind.PUBACK << 4, 4)) + packet.number.to_bytes(2) + bytes((code, 0))

        self._answers.append(_Answer(choice=choice, reply=puback, times=times, hang_up=False))

    def disconnect(self, choice: Choice, code: int | None, *, times: int = 1_000_000) -> None:
        """End the connection at each such packet, which the broker never sees: with that reason, or without a word."""
        word = b"" if code is None else bytes((Kind.DISCONNECT << 4, 2, code, 0))
        self._answers.append(_Answer(choice=choice, reply=lambda _: word, times=times, hang_up=True))

    def allow(self) -> None:
        """No more answers in the broker's place."""
        self._answers.clear()

    # --- threads ---------------------------------------------------------------------------------------------------

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="packet-relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, agent)

    def _serve(self, agent: socket.socket) -> None:
        with (
            agent,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._broker_port), 5) as broker,
        ):
            broker.settimeout(None)
            self._open += (agent, broker)
            link = _Link()
            back = threading.Thread(target=self._relay, args=(broker, agent, link.from_broker), daemon=True)
            back.start()
            self._relay(agent, broker, link.from_agent)
            back.join()

    def _relay(
        self, source: socket.socket, target: socket.socket, packets: Callable[[bytes], Iterator[Packet]]
    ) -> None:
        """Until either end goes; the other one is told."""
        with contextlib.suppress(OSError):
            while piece := source.recv(BLOCK):
                if not all(self._passes(packet, source, target) for packet in packets(piece)):
                    break
        _shut(source)
        _shut(target)

    def _passes(self, packet: Packet, source: socket.socket, target: socket.socket) -> bool:
        """Pass it on, or do with it what was asked for; False when the connection is to end."""
        self.packets.append(packet)
        for answer in tuple(self._answers):
            if answer.times and answer.choice(packet):
                answer.times -= 1
                source.sendall(answer.reply(packet))
                return not answer.hang_up
        for held in tuple(self._held):
            if held.takes(packet) and not held.keep(packet):
                return False
        target.sendall(packet.raw)
        self.passed(packet)
        return True

    def passed(self, packet: Packet) -> None:
        """Told of each that was passed on."""


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


class _Link:
    """One connection: its protocol, and what is on its way by packet identifier."""

    def __init__(self) -> None:
        self._v5 = False
        self._sent: dict[int, Packet] = {}
        self._agents, self._brokers = _Cutter(), _Cutter()

    def from_agent(self, piece: bytes) -> Iterator[Packet]:
        for raw, body in self._agents.feed(piece):
            kind = Kind(raw[0] >> 4)
            if kind is Kind.CONNECT:
                self._v5 = body[6] == _V5
            yield self._publish(raw, body) if kind is Kind.PUBLISH else Packet(kind=kind, to_broker=True, raw=raw)

    def _publish(self, raw: bytes, body: bytes) -> Packet:
        end = 2 + int.from_bytes(body[:2])
        topic, number = body[2:end].decode(), 0
        if raw[0] & 0b0110:
            number = int.from_bytes(body[end : end + 2])
            end += 2
        if self._v5:
            length, size = _variable(body[end:])
            end += size + length
        made = Packet(kind=Kind.PUBLISH, to_broker=True, raw=raw, number=number, topic=topic, payload=body[end:])
        self._sent[number] = made
        return made

    def from_broker(self, piece: bytes) -> Iterator[Packet]:
        for raw, body in self._brokers.feed(piece):
            kind = Kind(raw[0] >> 4)
            number = int.from_bytes(body[:2])
            if kind is Kind.PUBACK and (sent := self._sent.pop(number, None)) is not None:
                refusal = body[2] if len(body) > 2 and body[2] >= 0x80 else 0
                yield Packet(
                    kind=kind,
                    to_broker=False,
                    raw=raw,
                    number=number,
                    topic=sent.topic,
                    payload=sent.payload,
                    refusal=refusal,
                )
            else:
                yield Packet(kind=kind, to_broker=False, raw=raw)


def _variable(data: bytes) -> tuple[int, int]:
    """A variable byte integer, and of how many bytes it is; (0, 0) where it is not whole."""
    value = 0
    for at, byte in enumerate(data[:4]):
        value |= (byte & 0x7F) << 7 * at
        if not byte & 0x80:
            return value, at + 1
    return 0, 0


class _Cutter:
    """Cuts a stream into packets."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Each packet that is complete, and what of it is behind its length."""
        self._data += piece
        while True:
            length, size = _variable(self._data[1:])
            end = 1 + size + length
            if not size or len(self._data) < end:
                return
            raw, self._data = self._data[:end], self._data[end:]
            yield raw, raw[1 + size :]
