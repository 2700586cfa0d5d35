"""How fast an outbox is emptied: events on the disk, a broker on this machine, QoS 1; how late the loop gets meanwhile.

The floor is the same number of messages of the same size out of memory, by a client that does nothing but write
PUBLISH packets and count acknowledgements, with as many under way.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from report import Figure, machine, options, progress, show

from tests.support.broker import PrivateBroker
from tests.support.store_values import BASE_TOPIC, event
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit
from watchtower_agent.publishing.broker_options import MqttOptions
from watchtower_agent.publishing.link import MqttLink
from watchtower_agent.publishing.outbox import OutboxPublisher
from watchtower_agent.storage import SqliteStore

PAYLOAD = b'{"specversion":"1.0","data":"' + b"x" * 820 + b'"}'
"""About as long as a container's event."""
WINDOW = 1000
TOPICS = 50
LEAST, MOST_LATE_MS = 8_000, 50.0


async def fill(store: SqliteStore, events: int) -> None:
    """Commit that many events, as a long outage leaves them."""
    for first in range(1, events + 1, 1000):
        numbers = range(first, min(first + 1000, events + 1))
        made = tuple(event(each, topic=f"container/die/web{each % TOPICS}", payload=PAYLOAD) for each in numbers)
        await store.commit(Commit(events=made))


async def lateness(worst: list[float]) -> None:
    """Remember by how much the loop is late, at most."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.002)
        worst[0] = max(worst[0], time.perf_counter() - before - 0.002)


async def drained(url: str, events: int) -> tuple[float, float, float]:
    """Seconds until the last of them is acknowledged, seconds of CPU, and by how many the loop was late at worst."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder), clock=SystemClock())
        await store.open()
        await store.load()
        await fill(store, events)
        mine = MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC)
        link = MqttLink(mine, on_up=progress, on_down=progress, on_alarm=lambda _, said: progress(said))
        publisher = OutboxPublisher(store, link, clock=SystemClock())
        worst = [0.0]
        watching = asyncio.create_task(lateness(worst))
        began, used = time.perf_counter(), time.process_time()
        running = asyncio.create_task(publisher.run())
        while (await store.facts()).outbox_depth:  # noqa: ASYNC110 - the store has nothing to wait on
            await asyncio.sleep(0.05)
        took, used = time.perf_counter() - began, time.process_time() - used
        watching.cancel()
        await publisher.drain(2)
        await running
        await store.close()
        return took, used, worst[0]


async def floor(port: int, events: int) -> float:
    """Seconds for the same out of memory, by packets that are written ahead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05floor")
    await reader.readexactly(4)
    topic = f"{BASE_TOPIC}/v1/h1/event/container/die/web".encode()
    body = len(topic).to_bytes(2, "big") + topic
    length = len(body) + 2 + len(PAYLOAD)
    head = b"\x32" + bytes([length % 128 | 128, length // 128]) + body
    began = time.perf_counter()
    sent = acknowledged = pieces = 0
    while acknowledged < events:
        batch = min(WINDOW - (sent - acknowledged), events - sent)
        writer.write(b"".join(head + ((sent + n) % 65535 + 1).to_bytes(2, "big") + PAYLOAD for n in range(batch)))
        sent += batch
        pieces += len(await reader.read(65536))
        acknowledged = pieces // 4
    took = time.perf_counter() - began
    writer.close()
    return took


async def measured(events: int) -> list[Figure]:
    """Both, on a broker of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateBroker(directory=Path(folder), persistence=False) as broker,
    ):
        progress("the floor")
        least = await floor(broker.port, events)
        progress(f"an outbox of {events} events")
        took, used, late = await drained(broker.url, events)
    return [
        Figure(name="an outbox emptied", value=events / took, unit="events/s", limit=LEAST, at_least=True),
        Figure(name="CPU of the agent", value=used / events * 1e6, unit="us/event", limit=1e6 / LEAST),
        Figure(name="a timer of the loop late by, at most", value=late * 1000, unit="ms", limit=MOST_LATE_MS),
        Figure(name="floor: packets written ahead, out of memory", value=events / least, unit="events/s"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="in the outbox (default: 100000)")
    chosen = options(parser)
    host = machine()
    return show("Drain", asyncio.run(measured(chosen.events)), host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
