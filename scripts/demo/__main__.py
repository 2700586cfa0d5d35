"""Runs the demo.

`scripts/run --demo` starts this, with an engine (DOCKER_HOST) and a broker (WATCHTOWER_AGENT_MQTT__URL) that answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt
import docker

from scripts.demo.screen import Screen
from scripts.demo.story import Narrator, Progress
from scripts.demo.workload import NameTakenError, Workload

CHECKOUT: Final = Path(__file__).resolve().parents[2]
ENDS_AFTER: Final = 90.0
"""Seconds after which an untold story is given up."""
ONLINE_WITHIN: Final = 30.0
AGENT_ENDS_WITHIN: Final = 20.0


class AgentError(Exception):
    """The agent is not there as the demo needs it; the text says how, the agent's log says why."""


@contextlib.asynccontextmanager
async def agent(log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent itself, its log in a file; asked to end at the end."""
    with log.open("wb") as words:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "watchtower_agent", "run", "--config", CHECKOUT / "config/demo/agent.yaml"),
            cwd=CHECKOUT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), AGENT_ENDS_WITHIN)
            except TimeoutError:
                process.kill()
                await process.wait()


async def online(client: aiomqtt.Client) -> None:
    """Wait for the agent's own word that it is there."""
    await client.subscribe("watchtower/v1/demo/status", qos=1)
    try:
        async with asyncio.timeout(ONLINE_WITHIN):
            async for message in client.messages:
                if message.payload == b"online":
                    return
    except TimeoutError:
        raise AgentError(f"the agent did not come online within {ONLINE_WITHIN:g} s") from None


async def tell(client: aiomqtt.Client, screen: Screen, progress: Progress, *, keep: bool) -> None:
    """Show what arrives, until the story is complete."""
    narrator = Narrator()
    async for message in client.messages:
        if not message.topic.matches("watchtower/v1/demo/event/#") or not isinstance(message.payload, bytes):
            continue
        for line in narrator.tell(json.loads(message.payload)):
            screen.show(line)
            progress.note(line)
        if progress.complete and not keep:
            return


async def ended(process: asyncio.subprocess.Process) -> None:
    """Fail as soon as the agent ends."""
    code = await process.wait()
    raise AgentError(f"the agent ended with exit code {code}")


async def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """The demo from start to end; what it made is removed whatever happens."""
    progress, workload = Progress(), Workload(arguments.busybox)
    broker = urlsplit(os.environ["WATCHTOWER_AGENT_MQTT__URL"])
    port = broker.port or 1883
    await asyncio.to_thread(workload.look)
    try:
        async with (
            aiomqtt.Client(broker.hostname or "127.0.0.1", port) as client,
            agent(arguments.log) as process,
        ):
            watch = asyncio.create_task(ended(process), name="agent")
            try:
                await _unless(watch, online(client))
                await client.subscribe("watchtower/v1/demo/event/#", qos=1)
                screen.introduce(port)
                await asyncio.to_thread(workload.start)
                story = tell(client, screen, progress, keep=arguments.keep)
                with contextlib.suppress(TimeoutError):
                    await _unless(watch, asyncio.wait_for(story, None if arguments.keep else ENDS_AFTER))
            finally:
                watch.cancel()
        screen.sum_up(progress)
        return 1 if progress.missing else 0
    finally:
        await asyncio.to_thread(workload.remove)
        screen.say("The demo's containers and their image are removed.")


async def _unless(watch: asyncio.Task[None], work: Any) -> None:  # noqa: ANN401 - any awaitable
    """Await the work, or fail with the watch if that ends first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({watch, task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            watch.result()
        await task
    finally:
        task.cancel()


async def interruptible(arguments: argparse.Namespace) -> int:
    """The demo, which a signal ends; a second one does not keep it from cleaning up."""
    screen = Screen()
    task = asyncio.ensure_future(run(arguments, screen))

    def end() -> None:
        if not task.cancelling():
            screen.say("\nEnding: what the demo made is being removed.")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return await task


def main() -> int:
    """Parse the arguments, run, translate what can go wrong into a sentence."""
    parser = argparse.ArgumentParser(description="scripts/run --demo starts this")
    parser.add_argument("--busybox", type=Path, required=True, help="a busybox that needs no libraries")
    parser.add_argument("--log", type=Path, required=True, help="where the agent's log goes")
    parser.add_argument("--keep", action="store_true", help="go on until Ctrl-C")
    arguments = parser.parse_args()
    try:
        return asyncio.run(interruptible(arguments))
    except asyncio.CancelledError:
        return 0 if arguments.keep else 130
    except AgentError as error:
        print(f"demo: {error}; the last lines of its log:", file=sys.stderr)
        print("\n".join(arguments.log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
    except NameTakenError as error:
        print(f"demo: {error}.", file=sys.stderr)
    except docker.errors.APIError as error:
        print(f"demo: the engine refused: {error.explanation}", file=sys.stderr)
    except (aiomqtt.MqttError, docker.errors.DockerException) as error:
        print(f"demo: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
