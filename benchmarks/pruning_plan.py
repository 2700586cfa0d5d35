"""What a plan of pruning costs: 5,000 images and 2,000 containers, and all that is around them. Needs no engine.

.venv/bin/python benchmarks/pruning_plan.py [--images 5000] [--containers 2000]
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from collections.abc import Callable

from report import Figure, machine, options, progress, show, spread

from watchtower_agent.model.disk_usage import CacheRecord, DiskUsage, Image, KeptContainer, Network, Volume
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Cause, Circumstances
from watchtower_agent.policies.pruning.confirmation import objection
from watchtower_agent.policies.pruning.plan import plan
from watchtower_agent.policies.pruning.rules import (
    DAY,
    CacheRules,
    ContainerRules,
    ImageRules,
    NetworkRules,
    Rules,
    VolumeRules,
)
from watchtower_agent.policies.pruning.usage import Usage

PLAN_MS = 200.0
ROUNDS = 30
BEGIN = 1.7e9
GIB = 2**30
RULES = Rules(
    until=0.75,
    build_cache=CacheRules(),
    images=ImageRules(keep=("base/*", "*:stable")),
    containers=ContainerRules(),
    networks=NetworkRules(),
    volumes=VolumeRules(only=("scratch-*",)),
)
CIRCUMSTANCES = Circumstances(cause=Cause.SCHEDULE, own_containers=("0" * 12,), engine_up=30 * DAY)


def disk(images: int, containers: int, draw: random.Random) -> DiskUsage:
    """A busy build host: some repositories with many tags, half of the images built upon others, projects, a Swarm."""
    ids = [f"sha256:{draw.getrandbits(256):064x}" for _ in range(images)]
    repositories = [f"registry.example:5000/team/service-{number}" for number in range(200)]
    projects = [{"com.docker.compose.project": f"project-{number}"} for number in range(100)]

    def image(number: int) -> Image:
        name, pulled = draw.choice(repositories), draw.random() < 0.7
        return Image(
            id=ids[number],
            parent=ids[draw.randrange(number)] if number and draw.random() < 0.5 else "",
            tags=(f"{name}:{number}",) if draw.random() < 0.7 else (),
            digests=(f"{name}@{ids[number]}",) if pulled else (),
            created_at=BEGIN - draw.uniform(0, 300 * DAY),
            size=draw.randrange(GIB),
            shared=draw.randrange(GIB // 2),
            labels=draw.choice(projects) if draw.random() < 0.1 else {},
        )

    return DiskUsage(
        at=BEGIN,
        images=tuple(map(image, range(images))),
        containers=tuple(
            KeptContainer(
                id=f"{draw.getrandbits(256):064x}",
                name=f"c{number}",
                image_id=draw.choice(ids[: images // 4]),
                status=draw.choice(("running", "exited")),
                finished_at=BEGIN - draw.uniform(0, 60 * DAY),
                networks=(f"n{draw.randrange(300)}",),
                volumes=(f"scratch-{draw.randrange(2000)}",),
                labels=draw.choice(projects) if draw.random() < 0.3 else {},
            )
            for number in range(containers)
        ),
        cache=tuple(
            CacheRecord(
                id=f"r{number}",
                parents=(f"r{draw.randrange(number)}",) if number else (),
                size=draw.randrange(GIB // 50),
                used_at=BEGIN - draw.uniform(0, 60 * DAY),
            )
            for number in range(3000)
        ),
        networks=tuple(Network(id=f"n{number}", name=f"net-{number}") for number in range(500)),
        volumes=tuple(Volume(name=f"scratch-{number}", size=1) for number in range(3000)),
        service_images=frozenset(f"{name}:{number}" for number, name in enumerate(repositories[:50])),
    )


def now(after: float) -> Instant:
    """So many seconds after the begin."""
    return Instant(wall=BEGIN + after, monotonic=after, boot="b")


def timed(function: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of CPU time of each call: nothing in it waits, and what else runs here does not count."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        function()
        times.append(1e3 * (time.process_time() - begun))
    return times


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--containers", type=int, default=2000)
    chosen = options(parser)
    host = machine()
    progress("an engine's disk")
    draw, usage = random.Random(6), Usage()
    listing = disk(chosen.images, chosen.containers, draw)
    gc.freeze()
    begun = time.process_time()
    usage.listed(listing, now(0.0))
    first = 1e3 * (time.process_time() - begun)
    stored = json.dumps(usage.changes(now(0.0)))
    names = [tag for image in listing.images for tag in image.tags]
    events = [
        EngineEvent(
            id=str(number),
            kind=EventKind.CONTAINER,
            action="start",
            actor_id="c",
            attributes={"image": draw.choice(names), "name": "c"},
            time_ns=int((BEGIN + 1 + number) * 1e9),
        )
        for number in range(4000)
    ]
    progress("plans")
    begun = time.process_time()
    for number, event in enumerate(events):
        usage.event(event, now(1.0 + number))
    an_event = 1e6 * (time.process_time() - begun) / len(events)
    at = now(90 * DAY)
    made = plan(RULES, usage, listing, CIRCUMSTANCES, at)
    image = next(item for item in made.items if item.kind is Kind.IMAGE)
    figures = [
        *spread(
            "a plan",
            "ms",
            timed(lambda: plan(RULES, usage, listing, CIRCUMSTANCES, at)),
            {1.0: PLAN_MS},
            note=f"{len(made.items):,} items, {len(made.kept):,} kept",
        ),
        *spread(
            "a last look at one image",
            "ms",
            timed(lambda: objection(image, made, usage, listing, CIRCUMSTANCES, at)),
            {1.0: PLAN_MS},
        ),
        Figure(name="the first listing, taken", value=first, unit="ms"),
        Figure(name="a container's event, taken", value=an_event, unit="µs"),
        Figure(name="what is stored of uses", value=len(stored) / 1024, unit="KiB", note="once; then what changes"),
    ]
    title = f"Pruning: {chosen.images:,} images, {chosen.containers:,} containers"
    return show(title, figures, host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
