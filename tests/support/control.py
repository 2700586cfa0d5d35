"""A hand-written agent behind a real control socket, for tests of the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from tests.support.facts import NOW
from watchtower_agent.errors import PermanentError


def status(**changes: object) -> dict[str, object]:
    """A status with something in every part."""
    return {
        "well": False,
        "unwell": ["the broker is not connected: connection refused", "the policy folder has 1 problem"],
        "agent": {
            "version": "0.1.0",
            "host": "h1",
            "mode": "enforce",
            "install_id": "i1",
            "started_at": NOW - 4000,
            "uptime": 4000.0,
        },
        "engine": {
            "connected": True,
            "id": "engine-1",
            "version": "26.1.5",
            "url": "unix:///var/run/docker.sock",
            "url_source": "default",
            "since": NOW - 3999,
            "events": 1234,
            "gaps": 1,
            "lag": 0.0012,
            "last_error": "",
        },
        "mqtt": {
            "connected": False,
            "url": "mqtt://broker:1883",
            "since": NOW - 60,
            "last_error": "connection refused",
            "delivered": 1200,
            "in_flight": 0,
            "parked": 0,
        },
        "outbox": {"depth": 34, "bytes": 34567, "oldest": NOW - 61, "dropped": 0, "dead_letters": 0},
        "sampling": {
            "interval": 1.0,
            "source": "cgroup2",
            "containers": 12,
            "ticks": 4000,
            "left_out": 2,
            "last_duration": 0.0021,
            "failures": {"memory": "permission denied"},
        },
        "containers": {"running": 12, "paused": 1, "stopped": 3},
        "policies": {
            "digest": "abcdef",
            "loaded_at": NOW - 3000,
            "problems": ['heal.yaml:3:5: policies[0].whn: unknown key "whn", did you mean when?'],
            "items": [
                {
                    "name": "heal-unhealthy",
                    "mode": "enforce",
                    "trigger": "when",
                    "targets": 3,
                    "firing": ["web"],
                    "last_decision": {"target": "web", "verb": "restart", "result": "succeeded", "at": NOW - 100},
                },
                {
                    "name": "notify-oom",
                    "mode": "shadow",
                    "trigger": "on",
                    "targets": 16,
                    "firing": [],
                    "last_decision": None,
                },
            ],
        },
        "pending": [
            {
                "policy": "heal-unhealthy",
                "target": "db",
                "verb": "restart",
                "guard": "operator_intent",
                "reason": "a person stopped it 3 min ago",
                "since": NOW - 180,
                "release_at": NOW + 720,
            }
        ],
    } | changes


HISTORY: list[dict[str, object]] = [
    {
        "id": "d2",
        "policy": "heal-unhealthy",
        "target": "shop-web-1",
        "verb": "restart",
        "result": None,
        "reason": "",
        "cause": "health was unhealthy for 60 s",
        "correlation_id": "abc123def",
        "started_at": NOW - 2,
        "finished_at": None,
        "numbers": {},
    },
    {
        "id": "d1",
        "policy": "heal-unhealthy",
        "target": "db\x1b[2J",
        "verb": "restart",
        "result": "failed",
        "reason": "the engine did not do it within 40 s",
        "cause": "health was unhealthy for 60 s",
        "correlation_id": "123456789",
        "started_at": NOW - 100,
        "finished_at": NOW - 60,
        "numbers": {"seconds": 40.0},
    },
]


def watcher(policy: str, **changes: object) -> dict[str, object]:
    """A policy that watches something, two thirds of the way to firing."""
    return {
        "policy": policy,
        "mode": "enforce",
        "does": "restart",
        "guard": None,
        "guard_reason": None,
        "release_at": None,
        "under_way": False,
        "true": False,
        "firing": False,
        "closeness": 0.6667,
        "held_for": 0.0,
        "for": 120.0,
        "comparisons": [
            {
                "name": "memory.percent",
                "value": 60.0,
                "sign": ">",
                "threshold": "90%",
                "limit": 90,
                "true": False,
                "closeness": 0.6667,
            }
        ],
        "comparisons_left_out": 0,
    } | changes


def shown(name: str, **changes: object) -> dict[str, object]:
    """A container as `top` is told of it."""
    return {
        "id": name[:40],
        "name": name,
        "image": "web:1",
        "status": "running",
        "health": "healthy",
        "exit_code": None,
        "restarts": 2,
        "restarts_by_agent": 1,
        "uptime": 7500.0,
        "operator_action": None,
        "values": {
            "cpu.percent": 12.34,
            "cpu.percent_of_limit": 24.7,
            "cpu.throttled": None,
            "memory.working_set": 300 * 2.0**20,
            "memory.limit": 512 * 2.0**20,
            "memory.percent": 60.0,
            "memory.oom_kills": 0,
            "pressure.cpu": 1.0,
            "pressure.memory": 17.0,
            "pressure.io": None,
            "network.receive": 1500.0,
            "network.transmit": 2.5e6,
            "io.read": 0.0,
            "io.write": 4096.0,
            "pids": 12,
        },
        "watched_by": 1,
        "watchers": [watcher("leak")],
    } | changes


def frame(containers: Sequence[Mapping[str, object]], **changes: object) -> dict[str, object]:
    """All of a host as `top` is told of it."""
    return {
        "agent": {"version": "0.1.0", "host": "h1", "mode": "enforce", "uptime": 4000.0, "interval": 1.0},
        "at": NOW,
        "host": {
            "host.cpu.percent": 40.0,
            "host.memory.percent": 50.0,
            "host.disk.percent": 93.0,
            "host.load1": 0.5,
            "host.load5": 0.25,
        },
        "engine": {
            "version": "26.1.5",
            "since": NOW - 3999,
            "last_error": None,
            "engine.connected": True,
            "engine.responding": True,
            "engine.latency": 0.0012,
            "engine.event_lag": 0.002,
            "engine.restarts": 0,
            "engine.containers.running": 3,
            "engine.containers.paused": 0,
            "engine.containers.stopped": 1,
        },
        "policies": {"in_force": 3, "firing": 1, "counting": 2, "held": 1, "problems": 0},
        "watchers": [watcher("disk", closeness=0.8)],
        "containers": list(containers),
    } | changes


class FakeControl:
    """Answers like an agent. Events are put in by the test; None ends the stream as a stopping agent does."""

    def __init__(
        self, answer: Mapping[str, object] | None = None, past: Sequence[Mapping[str, object]] = HISTORY
    ) -> None:
        self.answer = status() if answer is None else answer
        self.rows = past
        self.frame: Mapping[str, object] = frame([])
        self.readings: Mapping[str, object] = {}
        self.seen: Mapping[str, object] = {}
        self.pauses: Mapping[str, object] = {}
        self.approvals: Mapping[str, object] = {}
        self.explained: Mapping[str, object] = {}
        self.triggered: Mapping[str, object] = {}
        self.reverted: Mapping[str, object] = {}
        self.plans: Sequence[Mapping[str, object]] = []
        self.pruned: Mapping[str, object] = {}
        self.told: Sequence[Mapping[str, object] | None] = []
        self.asked: list[dict[str, object]] = []
        self.queues: list[asyncio.Queue[Mapping[str, object] | None]] = []
        self.following = asyncio.Event()
        self.left = asyncio.Event()

    async def status(self) -> Mapping[str, object]:
        return self.answer

    async def history(self, *, limit: int, policy: str | None, target: str | None) -> Sequence[Mapping[str, object]]:
        self.asked.append({"limit": limit, "policy": policy, "target": target})
        return self.rows[:limit]

    async def top(self, *, sort: str, backwards: bool, offset: int, limit: int) -> Mapping[str, object]:
        """A page of the frame it was given, in the order that it has; by name in the order of names."""
        self.asked.append({"sort": sort, "backwards": backwards, "offset": offset, "limit": limit})
        whole = self.frame["containers"]
        assert isinstance(whole, list)
        ordered = sorted(whole, key=lambda each: str(each["name"])) if sort == "name" else whole
        ordered = ordered[::-1] if backwards else ordered
        page = {"total": len(whole), "offset": offset, "sort": sort, "containers": ordered[offset : offset + limit]}
        return {**self.frame, **page}

    async def metrics(self, *, container: str | None) -> Mapping[str, object]:
        self.asked.append({"container": container})
        if container not in {None, "web"}:
            raise PermanentError(f"there is no container {container!r}; did you mean web?")
        return self.readings

    async def past(self, *, name: str, container: str | None, last: int) -> Mapping[str, object]:
        self.asked.append({"name": name, "container": container, "last": last})
        if name != self.seen.get("name"):
            raise PermanentError(f"there is no name {name!r}; did you mean cpu.percent?")
        return self.seen

    async def pause(self, *, policy: str | None, target: str | None, length: int, reason: str) -> Mapping[str, object]:
        self.asked.append({"policy": policy, "target": target, "length": length, "reason": reason})
        if policy not in {None, "leak"}:
            raise PermanentError(f"there is no policy {policy!r}; did you mean leak?")
        return self.pauses

    async def resume(self, *, policy: str | None, target: str | None) -> Mapping[str, object]:
        self.asked.append({"policy": policy, "target": target})
        return self.pauses

    async def approve(self, *, approval: str | None, reason: str) -> Mapping[str, object]:
        self.asked.append({"approve": approval, "reason": reason})
        if approval == "nope":
            raise PermanentError("there is no approval 'nope' to give; none waits for an answer")
        return self.approvals

    async def reject(self, *, approval: str, reason: str) -> Mapping[str, object]:
        self.asked.append({"reject": approval, "reason": reason})
        return self.approvals

    async def explain(self, *, policy: str, target: str | None, offset: int, limit: int) -> Mapping[str, object]:
        """A page of the targets that it was given."""
        self.asked.append({"policy": policy, "target": target, "offset": offset, "limit": limit})
        if policy != "heal":
            raise PermanentError(f"there is no policy {policy!r}; did you mean heal?")
        targets = self.explained.get("targets", [])
        assert isinstance(targets, list)
        return {**self.explained, "total": len(targets), "offset": offset, "targets": targets[offset : offset + limit]}

    async def trigger(self, *, policy: str, target: str | None) -> Mapping[str, object]:
        self.asked.append({"policy": policy, "target": target})
        return self.triggered

    async def trigger_dry_run(
        self, *, policy: str, target: str | None, offset: int, limit: int
    ) -> Mapping[str, object]:
        return {**await self.explain(policy=policy, target=target, offset=offset, limit=limit), "by_hand": True}

    async def revert(self, *, container: str, policy: str | None) -> Mapping[str, object]:
        self.asked.append({"container": container, "policy": policy})
        if container != "web":
            raise PermanentError(f"no limit of {container} is as the agent made it")
        return self.reverted

    async def prune_plan(
        self, *, policy: str | None, plan: str | None, offset: int, limit: int
    ) -> Mapping[str, object]:
        """The plans that it was given, of each a page of its objects."""
        self.asked.append({"policy": policy, "plan": plan, "offset": offset, "limit": limit})
        if policy not in {None, "disk"}:
            raise PermanentError(f"there is no policy {policy!r}; of those that prune, did you mean disk?")
        plans = []
        for each in self.plans:
            items, keeps = each["items"], each["keeps"]
            assert isinstance(items, list)
            assert isinstance(keeps, list)
            rows = slice(offset, offset + limit)
            plans.append({**each, "offset": offset, "items": items[rows], "keeps": keeps[rows]})
        return {"at": NOW, "limit": limit, "plans": plans}

    async def prune(self, *, policy: str, plan: str) -> Mapping[str, object]:
        """The answer that it was given; the events that it was given follow."""
        self.asked.append({"policy": policy, "plan": plan})
        for event in self.told:
            self.publish(event)
        return self.pruned

    async def lag(self, *, seconds: float) -> Mapping[str, object]:
        self.asked.append({"seconds": seconds})
        return {"timers": {"count": 0}}

    async def follow(self) -> AsyncIterator[Mapping[str, object]]:
        queue: asyncio.Queue[Mapping[str, object] | None] = asyncio.Queue()
        self.queues.append(queue)
        self.following.set()
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self.queues.remove(queue)
            self.left.set()

    async def reload(self) -> Mapping[str, object]:
        return {"policies": 2}

    def publish(self, event: Mapping[str, object] | None) -> None:
        for queue in self.queues:
            queue.put_nowait(event)
