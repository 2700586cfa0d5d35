"""The demo: four containers with troubles, an agent that sees to them, and what it does as an MQTT subscriber sees it.

`scripts/run --demo` starts this, with an engine (DOCKER_HOST) and a broker (WATCHTOWER_AGENT_MQTT__URL) that answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import sys
import tarfile
import textwrap
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import docker

CHECKOUT = Path(__file__).resolve().parent.parent
LABEL = "watchtower-agent.demo"
ENDS_AFTER = 90.0
"""Seconds after which an untold story is given up."""

SECOND = 1_000_000_000
MIB = 1024 * 1024
# A shell as pid 1 ignores TERM unless it is told otherwise, and hears it only between two commands.
OBEY = "trap 'exit 0' TERM; nap() { sleep $1 & wait $!; }; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One container of the demo.

    Attributes:
        name: Of the container.
        plot: What will happen to it, for people.
        script: What it runs.
        verb: How the agent is expected to answer.
        options: Further keys of its HostConfig.
        healthcheck: Its health check, None for none.
    """

    name: str
    plot: str
    script: str
    verb: str
    options: Mapping[str, Any] = field(default_factory=dict)
    healthcheck: Mapping[str, Any] | None = None


TROUBLES = (
    Trouble(
        name="demo-web",
        plot="its health check begins to fail after 8 s",
        script=OBEY + "rm -f /sick; [ -e /healed ] || { touch /healed; nap 8; touch /sick; }; nap 3600",
        verb="restart",
        healthcheck={"Test": ["CMD", "test", "!", "-e", "/sick"], "Interval": SECOND, "Timeout": SECOND, "Retries": 2},
    ),
    Trouble(
        name="demo-job",
        plot="crashes with exit code 3 after 5 s",
        script=OBEY + "[ -e /tried ] || { touch /tried; nap 5; exit 3; }; nap 3600",
        verb="start",
    ),
    Trouble(
        name="demo-hog",
        plot="wants more than its 32 MiB of memory after 12 s",
        script=OBEY + "nap 12; x=0123456789abcdef; while :; do x=$x$x; done",
        verb="notify",
        options={"Memory": 32 * MIB, "MemorySwap": 32 * MIB},
    ),
    Trouble(
        name="demo-busy",
        plot="uses all of the 0.3 cores it may",
        script="while :; do :; done",
        verb="notify",
        options={"NanoCpus": 300_000_000},
    ),
)


# The workload.


class Workload:
    """The demo's containers and their image, on whatever engine DOCKER_HOST names. Touches nothing else there."""

    def __init__(self, busybox: Path) -> None:
        self._busybox = busybox
        self._run = secrets.token_hex(4)
        self._image = f"watchtower-agent-demo:{self._run}"
        self._api = docker.from_env(timeout=30).api

    def start(self) -> None:
        """Make the image and start the containers."""
        self._remove({"label": [f"{LABEL}=true"]})  # an earlier demo that was killed could not clean up
        self._api.import_image_from_data(_root_file_system(self._busybox), *self._image.split(":"))
        for trouble in TROUBLES:
            container = self._api.create_container(
                self._image,
                ["/bin/sh", "-c", trouble.script],
                name=trouble.name,
                environment={"PATH": "/bin"},
                labels={LABEL: "true", f"{LABEL}.run": self._run},
                healthcheck=trouble.healthcheck,
                host_config={"NetworkMode": "none", **trouble.options},
            )
            self._api.start(container["Id"])

    def remove(self) -> None:
        """Remove what `start` made."""
        self._remove({"label": [f"{LABEL}.run={self._run}"]})
        with contextlib.suppress(docker.errors.ImageNotFound):
            self._api.remove_image(self._image, force=True)
        self._api.close()

    def _remove(self, filters: Mapping[str, list[str]]) -> None:
        for container in self._api.containers(all=True, filters=filters):
            with contextlib.suppress(docker.errors.NotFound):
                self._api.remove_container(container["Id"], force=True, v=True)


def _root_file_system(busybox: Path) -> bytes:
    """An image's content as a tar: one static program under the names that the scripts call."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        archive.add(busybox, "bin/busybox")
        for applet in ("rm", "sh", "sleep", "test", "touch", "["):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return buffer.getvalue()


# From events to lines.


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is shown of one event.

    Attributes:
        stage: `event`, `cause`, `decision`, `action`, `outcome`, `held` or `end`.
        who: The container.
        words: What happened, for people.
        story: The correlation id; empty for what belongs to no story.
        verb: Of a decision and all that follows it.
        done: Whether it ends its story well.
    """

    stage: str
    who: str
    words: str
    story: str = ""
    verb: str = ""
    done: bool = False


class Narrator:
    """Turns CloudEvents into lines. An engine's event is told once something follows from it; most never are."""

    def __init__(self) -> None:
        self._causes: dict[str, Line] = {}
        self._told: set[str] = set()
        self._sick: set[str] = set()

    def tell(self, event: Mapping[str, Any]) -> Iterator[Line]:
        """The lines that one event adds."""
        kind, action = event["type"].removeprefix("io.watchtower.").split(".")[:2]
        data, story = event["data"], event.get("correlationid", "")
        who = (data.get("container") or data.get("target") or {}).get("name", "")
        if who not in {trouble.name for trouble in TROUBLES}:
            return
        if kind == "container":
            yield from self._engine_event(action, who, data, story)
            return
        line = _of_the_agent(kind, action, who, event)
        if line:
            if story not in self._told and story in self._causes:
                yield self._causes.pop(story)
            self._told.add(story)
            yield line

    def _engine_event(self, action: str, who: str, data: Mapping[str, Any], story: str) -> Iterator[Line]:
        match action:
            case "die":
                self._causes[story] = Line(
                    stage="cause", who=who, words=f"ended with exit code {data.get('exit_code')}", story=story
                )
            case "oom":
                words = "killed by the kernel at its memory limit"
                self._causes[story] = Line(stage="cause", who=who, words=words, story=story)
            case "health_status" if data.get("health") == "unhealthy":
                self._sick.add(who)
                yield Line(stage="event", who=who, words="the health check says unhealthy")
            case "health_status" if data.get("health") == "healthy" and who in self._sick:
                self._sick.remove(who)
                yield Line(stage="event", who=who, words="the health check says healthy", done=True)
            case _:
                pass


def _of_the_agent(kind: str, action: str, who: str, event: Mapping[str, Any]) -> Line | None:
    """The line of an event about a policy or an action."""
    data = event["data"]
    verb, policy = data.get("verb", ""), data.get("policy", "")
    reason = data.get("reason", "").removeprefix(f"{who}: ")
    done = False
    match kind, action:
        case "policy", "firing":
            stage, words = "cause", f"{reason}{_numbers(data)}"
        case "policy", "decision":
            stage, words = "decision", f"{verb}, says policy {policy}"
        case "policy", "held":
            stage, words = "held", f"no {verb}: {reason}"
        case "policy", "resolved":
            stage, words = "end", reason
        case "action", "started":
            stage, words = "action", f"{verb} begins"
        case "action", "notify":
            stage, words, done = "outcome", f"{event['severity']} notification, policy {policy}", True
        case "action", "succeeded":
            stage, words, done = "outcome", f"{verb} succeeded in {data['duration']:.2f} s", True
        case "action", result:
            stage, words = "outcome", f"{verb} {result}: {reason}"
        case _:
            return None
    return Line(stage=stage, who=who, words=words, story=event.get("correlationid", ""), verb=verb, done=done)


def _numbers(data: Mapping[str, Any]) -> str:
    """The numbers behind a reason, in brackets."""
    numbers = data.get("numbers", {}).items()
    shown = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in numbers
    )
    return f" [{shown}]" if shown else ""


# What people see.

COLOURS = {"cause": "33", "decision": "36", "action": "35", "outcome": "32", "held": "31", "event": "2", "end": "2"}


class Screen:
    """Aligned lines; colours on a terminal only."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty() and os.environ.get("NO_COLOR") is None
        self._width = max(80, shutil.get_terminal_size().columns) if self._terminal else 120
        self._stories: dict[str, int] = {}
        self._since = time.monotonic()

    def say(self, text: str = "") -> None:
        """A sentence of the demo's own."""
        print(text, flush=True)

    def head(self) -> None:
        """The names of the columns; time counts from here."""
        self._since = time.monotonic()
        print(self._paint("1", f"{'time':>7}  {'story':5}  {'stage':8}  {'container':9}  what happened"), flush=True)

    def show(self, line: Line) -> None:
        """One line, wrapped under itself when it is long."""
        number = f"#{self.number(line.story)}" if line.story else ""
        front = f"{time.monotonic() - self._since:5.1f} s  {number:5}  "
        room = self._width - len(front) - 21
        words = textwrap.wrap(line.words, room) or [""]
        indent = " " * (len(front) + 21)
        body = f"\n{indent}".join(words)
        stage = self._paint(COLOURS[line.stage], f"{line.stage:8}")
        print(f"{front}{stage}  {line.who:9}  {body}", flush=True)

    def number(self, story: str) -> int:
        """A short number for a correlation id, by order of appearance."""
        return self._stories.setdefault(story, len(self._stories) + 1)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._terminal else text


class Progress:
    """Which of the troubles have been seen to."""

    def __init__(self) -> None:
        self.stories: dict[str, str] = {}
        """Container -> correlation id of the story that ended well."""
        self._healthy_again = False

    def note(self, line: Line) -> None:
        """Take one line into account."""
        self._healthy_again |= line.done and line.stage == "event"
        for trouble in TROUBLES:
            if line.done and line.who == trouble.name and line.verb == trouble.verb:
                self.stories.setdefault(trouble.name, line.story)

    @property
    def complete(self) -> bool:
        """Whether everything has happened that the demo is about."""
        return self._healthy_again and not self.missing

    @property
    def missing(self) -> list[str]:
        """Containers whose story has no good end yet."""
        return [trouble.name for trouble in TROUBLES if trouble.name not in self.stories]


# The run.


class DemoError(Exception):
    """The demo can't go on; the text says why."""


@contextlib.asynccontextmanager
async def agent(log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent itself, its log in a file; asked to end at the end."""
    with log.open("wb") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "watchtower_agent",
            "run",
            "--config",
            CHECKOUT / "config/demo/agent.yaml",
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
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def until_online(client: aiomqtt.Client) -> None:
    """Wait for the agent's own word that it is there."""
    await client.subscribe("watchtower/v1/demo/status", qos=1)
    async for message in client.messages:
        if message.payload == b"online":
            return


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
    raise DemoError(f"the agent ended with exit code {code}")


async def run(arguments: argparse.Namespace) -> int:
    """The demo from start to end; what it made is removed whatever happens."""
    screen, progress, workload = Screen(), Progress(), Workload(arguments.busybox)
    broker = urlsplit(os.environ["WATCHTOWER_AGENT_MQTT__URL"])
    try:
        async with (
            aiomqtt.Client(broker.hostname or "127.0.0.1", broker.port or 1883) as client,
            agent(arguments.log) as process,
        ):
            watch = asyncio.create_task(ended(process), name="agent")
            try:
                await _unless(watch, asyncio.wait_for(until_online(client), 30))
                await client.subscribe("watchtower/v1/demo/event/#", qos=1)
                screen.say("\nThe agent runs. Four containers start, each with a trouble of its own:")
                for trouble in TROUBLES:
                    screen.say(f"  {trouble.name:9}  {trouble.plot}")
                screen.say("Lines with the same number share one correlation id, from cause to outcome.\n")
                screen.head()
                await asyncio.to_thread(workload.start)
                story = tell(client, screen, progress, keep=arguments.keep)
                with contextlib.suppress(TimeoutError):
                    await _unless(watch, asyncio.wait_for(story, None if arguments.keep else ENDS_AFTER))
            finally:
                watch.cancel()
        _sum_up(screen, progress)
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


def _sum_up(screen: Screen, progress: Progress) -> None:
    screen.say()
    for trouble in TROUBLES:
        story = progress.stories.get(trouble.name)
        end = f"{trouble.verb:7}  story #{screen.number(story)}, correlation id {story}" if story else "NOT SEEN TO"
        screen.say(f"  {trouble.name:9}  {end}")
    screen.say("\nThe policies that said so: config/demo/policies/demo.yaml")


def main() -> int:
    """Parse the arguments, run, translate what can go wrong into a sentence."""
    parser = argparse.ArgumentParser(description="scripts/run --demo starts this")
    parser.add_argument("--busybox", type=Path, required=True, help="a busybox that needs no libraries")
    parser.add_argument("--log", type=Path, required=True, help="where the agent's log goes")
    parser.add_argument("--keep", action="store_true", help="go on until Ctrl-C")
    arguments = parser.parse_args()

    async def interruptible() -> int:
        task = asyncio.ensure_future(run(arguments))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        return 0 if arguments.keep else 130
    except TimeoutError:
        problem = "the agent did not come online within 30 s"
    except (DemoError, aiomqtt.MqttError, docker.errors.DockerException) as error:
        problem = str(error)
    print(f"demo: {problem}; the last lines of its log:", file=sys.stderr)
    if arguments.log.exists():
        print("\n".join(arguments.log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
