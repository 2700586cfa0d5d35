"""The agent as a service: what begins once its policies are in force, what it tells systemd, and SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Final

from watchtower_agent.engine.session import EngineSession
from watchtower_agent.parts import Parts
from watchtower_agent.policy_folder import PolicyFolder
from watchtower_agent.reloading import Reloading
from watchtower_agent.service_manager import ServiceManager
from watchtower_agent.vitals import stuck

_POLICIES_MAY_TAKE: Final = 10.0
"""Seconds that the engine is not listened to at the start until the policies were read. A folder that hangs then does
not keep the agent deaf: it publishes, and acts once there are policies."""


async def listen_once_policies_are_read(folder: PolicyFolder, session: EngineSession) -> None:
    """Listen to the engine. What it replays at the start sets off the policies in force when it is handled."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(folder.looked.wait(), _POLICIES_MAY_TAKE)
    await session.run()


async def serve_as_service(service: ServiceManager, folder: PolicyFolder, parts: Parts) -> None:
    """Ready once policies are in force, the engine or not: to tell that it is away is part of the work."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(folder.looked.wait(), _POLICIES_MAY_TAKE)
    service.ready(parts.line())
    vitals = parts.vitals()
    await service.watch(lambda: stuck(vitals, parts.clock.now().monotonic), parts.line)


def on_hangup(reloading: Reloading, folder: PolicyFolder, service: ServiceManager, parts: Parts) -> None:
    """SIGHUP: read the settings and the policies now."""
    running = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()
    turn = asyncio.Lock()

    async def read() -> None:
        async with turn:
            service.reloading(parts.clock.now().monotonic)
            try:
                await reloading.reload()
                await folder.reload()
            finally:
                service.ready(parts.line())

    def reload() -> None:
        task = asyncio.create_task(read(), name="reload on SIGHUP")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    running.add_signal_handler(signal.SIGHUP, reload)
