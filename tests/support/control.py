"""A hand-written agent behind a real control socket, for tests of the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from tests.support.facts import NOW


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
            "overruns": 2,
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


class FakeControl:
    """Answers like an agent. Events are put in by the test; None ends the stream as a stopping agent does."""

    def __init__(
        self, answer: Mapping[str, object] | None = None, past: Sequence[Mapping[str, object]] = HISTORY
    ) -> None:
        self.answer = status() if answer is None else answer
        self.past = past
        self.asked: list[dict[str, object]] = []
        self.queues: list[asyncio.Queue[Mapping[str, object] | None]] = []
        self.following = asyncio.Event()
        self.left = asyncio.Event()

    async def status(self) -> Mapping[str, object]:
        return self.answer

    async def history(self, *, limit: int, policy: str | None, target: str | None) -> Sequence[Mapping[str, object]]:
        self.asked.append({"limit": limit, "policy": policy, "target": target})
        return self.past[:limit]

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
