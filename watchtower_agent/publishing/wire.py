"""One system call for many packets: what paho's client reads and writes one by one, read ahead and joined.

paho asks the socket three times for an acknowledgement of four bytes and sends each packet by itself, so that a broker
wakes for each. With twenty messages under way that is half of what delivering costs, on both sides.
"""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import MQTT_ERR_SUCCESS, PUBLISH, Client
from paho.mqtt.enums import MQTTErrorCode

_AHEAD = 2**14
"""Bytes read at once; a TLS record has as many."""
_TOGETHER = 2**16
"""Bytes sent at once, at most, where more than one packet waits."""
_KIND = 0xF0


class Wire:
    """Stands between a client of paho 2.2 and its socket.

    It replaces two of the client's methods and joins what is in its queue, all private, hence that dependency's tight
    range. For one connection: a client that connects again needs a new one.

    Args:
        client: Not connected yet; over TCP or TLS, not websockets, whose frames paho unpacks itself.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._receive: Callable[[int], bytes] = client._sock_recv  # noqa: SLF001 - nothing public reads
        self._loop_read: Callable[[], MQTTErrorCode] = client.loop_read
        self._held = b""
        self._at = 0
        client._sock_recv = self._take  # type: ignore[method-assign] # noqa: SLF001 - likewise
        client.loop_read = self._read_all  # type: ignore[method-assign] # what is held makes no socket readable

    def _take(self, bufsize: int) -> bytes:
        if self._at == len(self._held):
            if bufsize >= _AHEAD:
                return self._receive(bufsize)
            self._held, self._at = self._receive(_AHEAD), 0
        part = self._held[self._at : self._at + bufsize]
        self._at += len(part)
        return part

    def _read_all(self, max_packets: int = 1) -> MQTTErrorCode:  # noqa: ARG002 - paho does not heed it either
        code = self._loop_read()
        while code == MQTT_ERR_SUCCESS and self._at < len(self._held):
            code = self._loop_read()
        return code

    def join(self) -> None:
        """Make one piece of the messages at the head of the queue.

        Only of such that are acknowledged: what paho does once a piece is written concerns the others.
        """
        waiting = self._client._out_packet  # noqa: SLF001 - nothing public writes
        if len(waiting) < 2:  # noqa: PLR2004 - one packet is one piece
            return
        joined, size = [], 0
        while waiting and size < _TOGETHER and waiting[0]["command"] & _KIND == PUBLISH and waiting[0]["qos"] > 0:
            joined.append(waiting.popleft())
            size += joined[-1]["to_process"]
        if joined:
            last = joined[-1]
            last["packet"] = b"".join(memoryview(each["packet"])[each["pos"] :] for each in joined)
            last["pos"], last["to_process"] = 0, size
            waiting.appendleft(last)
