"""A relay before the broker that hears which messages it acknowledged: what is promised ends there.

A broker that is killed may lose what it acknowledged a moment before, and no agent can help that. What it did
acknowledge is known here, packet by packet (MQTT 5, section 2.1 and 3.3; MQTT 3.1.1 differs in what is not read here).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self

from tests.support.broker import free_port

BLOCK = 65536
PUBLISH, PUBACK = 3, 4


class PubackOracle:
    """Relays 127.0.0.1:`port` to the broker.

    Args:
        broker_port: Where to, on 127.0.0.1.

    Attributes:
        port: Where it listens.
        acknowledged: Topic and payload of every message with QoS 1 that the broker acknowledged, in order. Before a
            payload stand the properties of MQTT 5.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self.port = free_port()
        self.acknowledged: list[tuple[str, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._ended = False
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        for end in (self._listener, *self._open):
            _shut(end)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="puback-oracle", daemon=True)
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
            link = _Link(self.acknowledged)
            back = threading.Thread(target=_relay, args=(broker, agent, link.from_broker), daemon=True)
            back.start()
            _relay(agent, broker, link.from_agent)
            back.join()


def _relay(source: socket.socket, target: socket.socket, heard: Callable[[bytes], None]) -> None:
    """Until either end goes; the other one is told."""
    with contextlib.suppress(OSError):
        while piece := source.recv(BLOCK):
            heard(piece)
            target.sendall(piece)
    _shut(source)
    _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


class _Link:
    """One connection: what is on its way, by packet identifier."""

    def __init__(self, acknowledged: list[tuple[str, bytes]]) -> None:
        self._acknowledged = acknowledged
        self._sent: dict[int, tuple[str, bytes]] = {}
        self._from_agent, self._from_broker = _Packets(), _Packets()

    def from_agent(self, piece: bytes) -> None:
        for kind, flags, body in self._from_agent.feed(piece):
            if kind == PUBLISH and flags & 0b0110:
                end = 2 + int.from_bytes(body[:2])
                self._sent[int.from_bytes(body[end : end + 2])] = (body[2:end].decode(), body[end + 2 :])

    def from_broker(self, piece: bytes) -> None:
        for kind, _, body in self._from_broker.feed(piece):
            refused = len(body) > 2 and body[2] >= 0x80
            if kind == PUBACK and (sent := self._sent.pop(int.from_bytes(body[:2]), None)) and not refused:
                self._acknowledged.append(sent)


class _Packets:
    """Cuts a stream into packets."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, piece: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Kind, flags and body of each packet that is complete."""
        self._data += piece
        while (found := self._first()) is not None:
            yield found

    def _first(self) -> tuple[int, int, bytes] | None:
        length = shift = 0
        for at, byte in enumerate(self._data[1:5], start=1):
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                end = at + 1 + length
                if len(self._data) < end:
                    return None
                packet, self._data = self._data[:end], self._data[end:]
                return packet[0] >> 4, packet[0] & 0x0F, packet[at + 1 :]
        return None
