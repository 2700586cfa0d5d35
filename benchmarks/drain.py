"""How fast an outbox is emptied: events on the disk, a broker on this machine, QoS 1; how late the loop gets meanwhile.

    PYTHONPATH=. python benchmarks/drain.py [--events 100000]

The floor is the same number of messages of the same size out of memory, by a client that does nothing but write
PUBLISH packets and count acknowledgements, with as many under way.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

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
        options = MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC)
        link = MqttLink(options, on_up=print, on_down=print, on_alarm=print)
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


async def main() -> None:
    """Measure both and say so."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateBroker(directory=Path(folder), persistence=False) as broker,
    ):
        least = await floor(broker.port, events)
        took, used, late = await drained(broker.url, events)
    print(f"floor   {events / least:8.0f} events/s")
    print(f"agent   {events / took:8.0f} events/s ({least / took:.0%} of the floor)")
    print(f"CPU     {used / events * 1e6:8.0f} us an event: {events / used:.0f} events/s where a core is free for it")
    print(f"loop    late by {late * 1000:.0f} ms at worst")


asyncio.run(main())
