"""From an event to an independent MQTT subscriber, with the event on the disk first.

Containers are renamed, and some made and removed, at an even pace. Two beginnings are measured: the engine's own stamp
(`timeNano`), and the moment at which the event's bytes passed on their way to the agent. The floors are what a message
takes from one client of the same broker to another, and what one synced write to the same disk takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from report import Figure, machine, options, percentile, progress, show, spread
from stage import EVENTS, Json, Stage, running

from watchtower_agent.engine.event import normalise_event

LIMIT_P50_MS, LIMIT_P99_MS = 5.0, 25.0

POLICIES = """
version: 1
policies:
  - name: told-when-it-dies
    on: {container: die}
    then: {notify: {severity: warning}}
"""


def make_events(stage: Stage, containers: list[str], count: int, pace: float) -> None:
    """About so many events, one call each `pace` seconds."""
    made = 0
    due = time.monotonic()
    while made < count:
        if made % 50 == 0:
            body = {"Image": "busybox:local", "HostConfig": {"NetworkMode": "none"}}
            fresh = stage.engine.api("POST", "/containers/create", body, name=f"made{made}")["Id"]
            stage.engine.api("DELETE", f"/containers/{fresh}")
            made += 2
        else:
            stage.engine.api("POST", f"/containers/{containers[made % len(containers)]}/rename", name=f"renamed{made}")
            made += 1
        due += pace
        time.sleep(max(0.0, due - time.monotonic()))


def latencies(passed: list[Json], arrived: list[Json], engine_id: str) -> tuple[list[float], list[float]]:
    """Milliseconds from the engine's stamp, and from the recorder, to the subscriber."""
    at: dict[str, Json] = {}
    for message in arrived:
        at.setdefault(json.loads(message["payload"])["id"], message)
    from_engine, from_recorder = [], []
    for seen in passed:
        if seen["what"] != "event":
            continue
        event = normalise_event(seen["event"], engine_id=engine_id)
        if event is not None and event.id in at:
            from_engine.append((at[event.id]["wall"] - event.time_ns) / 1e6)
            from_recorder.append((at[event.id]["monotonic"] - seen["monotonic"]) / 1e6)
    return from_engine, from_recorder


def broker_floor(stage: Stage, count: int, pace: float) -> list[float]:
    """Milliseconds from one client of the broker to another, same quality of service."""
    subscriber = stage.subscriber("floor")
    connected = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", stage.broker.port)
    client.loop_start()
    assert connected.wait(10)
    sent = []
    for _ in range(count):
        sent.append(time.monotonic_ns())
        client.publish("floor", b"x" * 800, qos=1).wait_for_publish(5)
        time.sleep(pace)
    client.disconnect()
    client.loop_stop()
    time.sleep(0.2)
    return [(message["monotonic"] - at) / 1e6 for message, at in zip(subscriber.end(), sent, strict=True)]


def disk_floor(directory: Path, count: int, pace: float) -> list[float]:
    """Milliseconds of one write of 4 KiB with a sync."""
    taken = []
    with (directory / "floor").open("ab", buffering=0) as file:
        for _ in range(count):
            begun = time.monotonic_ns()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            taken.append((time.monotonic_ns() - begun) / 1e6)
            time.sleep(pace)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="events (default: 1000)")
    parser.add_argument("--pace", type=float, default=0.03, help="seconds between two calls (default: 0.03)")
    parser.add_argument("--containers", type=int, default=20, help="running containers (default: 20)")
    chosen = options(parser)
    host = machine()
    with Stage() as stage:
        progress(f"making {chosen.containers} containers")
        containers = stage.idle_containers("c", chosen.containers)
        engine_id = stage.engine.api("GET", "/info")["ID"]
        recorder, url = stage.recorder()
        subscriber = stage.subscriber(EVENTS)
        with running(stage, stage.agent(POLICIES, engine_url=url)):
            time.sleep(2)  # the inspections of the start are over
            before = subscriber.count()
            progress(f"making {chosen.n} events")
            make_events(stage, containers, chosen.n, chosen.pace)
            subscriber.wait_count(before + chosen.n, within=10)
        from_engine, from_recorder = latencies(recorder.end(), subscriber.end(), engine_id)
        progress("the floors")
        broker = broker_floor(stage, 300, chosen.pace / 3)
        disk = disk_floor(stage.directory, 300, chosen.pace / 3)
    figures = [
        *spread("engine's stamp to subscriber", "ms", from_engine, {0.5: LIMIT_P50_MS, 0.99: LIMIT_P99_MS}),
        *spread("bytes passed to subscriber", "ms", from_recorder, {}),
        *(
            Figure(name=f"floor: {name}, {word}", value=percentile(values, share), unit="ms", note=f"n={len(values)}")
            for name, values in (("client to client over the broker", broker), ("4 KiB written and synced", disk))
            for word, share in (("p50", 0.5), ("p99", 0.99))
        ),
    ]
    return show("Delivery", figures, host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
