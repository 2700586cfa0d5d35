"""From a container's `die` event to the start of the engine call that answers it.

The process in a container is killed from outside, one container after the other; a policy restarts what died. A
recorder before the engine's socket stamps the event's bytes on their way to the agent, and the restart call on its way
back. The peer is the shortest loop that the Docker SDK allows, with the same priority: nothing durable, no guards, no
broker.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from report import Figure, machine, options, progress, show, spread
from stage import NICE, Json, Observer, Stage, running

LIMIT_P99_MS = 10.0

POLICIES = """
version: 1
policies:
  - name: revive
    select: {labels: {bench: "yes"}}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
    cooldown: 0s
    backoff: {initial: 0s}
    budget: {max: 1000, per: 1s}
"""

SETTINGS = {"guards": {"host_budget": {"max": 1000, "per": "1s"}, "shared_cause": {"hold": "0s"}}}
"""It is to act as often as containers die."""

PEER = """
import sys, docker
client = docker.DockerClient(base_url=sys.argv[1])
events = client.events(decode=True, filters={"event": "die"})
print("ready", flush=True)
for event in events:
    client.api.restart(event["Actor"]["ID"], timeout=1)
"""


def kill_them(stage: Stage, containers: list[str], count: int) -> None:
    """Kill the process of one container after the other, each when the one before was restarted."""
    oracle = stage.oracle()
    for number in range(1, count + 1):
        os.kill(stage.pid(containers[number % len(containers)]), signal.SIGKILL)
        expected = 5 * number  # die, start, restart, and its network left and joined
        if oracle.wait_count(expected, within=20) < expected:
            raise TimeoutError("a container that died was not restarted within 20 s")
        time.sleep(0.03)
        if number % 50 == 0:
            progress(f"  {number} of {count}")
    oracle.close()


def reactions(seen: list[Json]) -> list[float]:
    """Milliseconds from each die event to the restart call that followed it."""
    deaths: dict[str, int] = {}
    found = []
    marks = [
        (s["monotonic"], "die", s["event"]["Actor"]["ID"])
        for s in seen
        if s["what"] == "event" and s["event"]["Type"] == "container" and s["event"]["Action"] == "die"
    ] + [
        (s["monotonic"], "call", s["path"].split("/")[2])
        for s in seen
        if s["what"] == "request" and s["method"] == "POST" and s["path"].endswith("/restart")
    ]
    for at, what, container in sorted(marks):
        if what == "die":
            deaths[container] = at
        elif container in deaths:
            found.append((at - deaths.pop(container)) / 1e6)
    return found


def with_agent(stage: Stage, containers: list[str], count: int) -> list[float]:
    recorder, url = stage.recorder()
    with running(stage, stage.agent(POLICIES, engine_url=url, settings=SETTINGS)):
        time.sleep(2)  # the inspections of the start are over
        kill_them(stage, containers, count)
    return reactions(recorder.end())


def with_peer(stage: Stage, containers: list[str], count: int) -> list[float]:
    recorder: Observer
    recorder, url = stage.recorder()
    script = Path(stage.directory, "peer.py")
    script.write_text(PEER)
    with subprocess.Popen([*NICE, sys.executable, str(script), url], stdout=subprocess.PIPE) as peer:
        try:
            assert peer.stdout is not None
            peer.stdout.readline()
            threading.Event().wait(0.5)
            kill_them(stage, containers, count)
        finally:
            peer.terminate()
    return reactions(recorder.end())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=300, help="deaths with the agent (default: 300)")
    # What is of no use on five containers ends the policy: killed again and again, these look like that.
    parser.add_argument("--containers", type=int, default=4, help="containers that die in turn (default: 4)")
    parser.add_argument("--no-peer", action="store_true", help="only the agent")
    chosen = options(parser)
    host = machine()
    with Stage() as stage:
        progress(f"making {chosen.containers} containers")
        containers = stage.idle_containers("c", chosen.containers, labels={"bench": "yes"})
        progress("the agent")
        agent = with_agent(stage, containers, chosen.n)
        progress("the peer")
        peer = [] if chosen.no_peer else with_peer(stage, containers, max(50, chosen.n // 3))
    figures = spread("die to restart call", "ms", agent, {0.99: LIMIT_P99_MS})
    figures.append(
        Figure(name="deaths answered", value=len(agent), unit="", limit=chosen.n, at_least=True, note=f"of {chosen.n}")
    )
    if peer:
        figures += spread("peer: bare SDK loop", "ms", peer, {}, "nothing durable, no guards, no broker")
    return show("Reaction", figures, host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
