"""A relay before the broker that hears which messages it acknowledged: what is promised ends there.

A broker that is killed may lose what it acknowledged a moment before, and no agent can help that. What it did
acknowledge is known here, packet by packet.
"""

from __future__ import annotations

from tests.support.packet_relay import Kind, Packet, PacketRelay


class PubackOracle(PacketRelay):
    """Relays 127.0.0.1:`port` to the broker.

    Args:
        broker_port: Where to, on 127.0.0.1.

    Attributes:
        acknowledged: Topic and payload of every message with QoS 1 that the broker acknowledged, in order.
    """

    def __init__(self, broker_port: int) -> None:
        super().__init__(broker_port)
        self.acknowledged: list[tuple[str, bytes]] = []

    def passed(self, packet: Packet) -> None:
        """An acknowledgement is one once it was passed on."""
        if packet.kind is Kind.PUBACK and not packet.refusal:
            self.acknowledged.append((packet.topic, packet.payload))
