"""The whole agent as a process of its own, and everything that an outsider can see of it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.broker import PersistentSubscriber, PrivateBroker, Received
from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from tests.support.proxy import EngineProxy, Request
from tests.support.schema import strict_json
from tests.support.tape import Recorded
from watchtower_agent.serving.client import ANSWER_TIME, ControlClient

CHECKOUT = Path(__file__).resolve().parents[2]

CRASHES_ON_USR1 = (
    "sh",
    "-c",
    "trap 'exit 0' TERM; test -e /tmp/once || trap 'touch /tmp/once; exit 3' USR1; while :; do sleep 0.02; done",
)
"""A container that crashes on USR1 in its first life, as no operator's act does, and then stays."""

CRASHES_ONCE = ("sh", "-c", "test -e /tmp/once && exec sleep 3600; touch /tmp/once; exit 1")
"""A container that crashes at once, and stays when it is restarted."""

_OTHER_UPTIME = 'mount --bind "$0" /proc/uptime && exec "$@"'
"""What a host shows that is up for longer: all processes of before, the engine's among them, look older by so much."""

Json = dict[str, Any]


def _uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


class AgentProcess:
    """`watchtower-agent run` with a folder of its own. Start it, end it, kill it, start it again.

    Attributes:
        host: Its level in every topic.
        directory: Configuration, policies, state, log.
        settings: What its agent.yaml holds; a change counts from the next start.
        lines: Every line of its log, over all starts.
    """

    def __init__(
        self,
        *,
        engine_url: str,
        mqtt_url: str | None,
        policies: str,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        open_files: int | None = None,
        host_up: float | None = None,
    ) -> None:
        self.host = f"h{secrets.token_hex(4)}"
        # Short, because the path of a unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="wt-agent-"))
        self.policies = self.directory / "policies"
        self.policies.mkdir()
        self.write_policies(policies)
        self.socket = self.directory / "control.sock"
        self.log = self.directory / "agent.log"
        self.settings: Json = _merged(
            {
                "host": self.host,
                "policies": str(self.policies),
                "state_dir": str(self.directory / "state"),
                "engine": {"url": engine_url, "timeout": f"{patient(2):g}s"},
                "sampling": {"interval": "200ms"},
                "mqtt": {"url": mqtt_url, "metrics": {"interval": "2s"}},
                "http": {"listen": None},
                "control": {"socket": str(self.socket)},
                # what a test is about must not be held back by what the tests before it did
                "guards": {"host_budget": {"max": 1000, "per": "1s"}, "shared_cause": {"hold": "0s"}},
                "log": {"level": "info", "format": "json"},
            },
            settings or {},
        )
        self.lines: list[Json] = []
        self.forged: list[str] = []
        self._environment = dict(environment or {})
        self._limited = [] if open_files is None else ["prlimit", f"--nofile={open_files}:{open_files}"]
        if host_up is not None:
            (self.directory / "uptime").write_text(f"{_uptime() + host_up:.2f} 0.00\n")
            self._limited += ["unshare", "--mount", "sh", "-c", _OTHER_UPTIME, str(self.directory / "uptime")]
        self._news = threading.Condition()
        self._begun = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def write_policies(self, text: str, name: str = "policies.yaml") -> None:
        """Put a policy file in place, whole at once as editors do."""
        draft = self.policies / f".{name}.new"
        draft.write_text(text)
        draft.rename(self.policies / name)

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self, *, ready: bool = True) -> Self:
        """Start it; by default wait until it has its engine, its policies and its broker."""
        assert self._process is None
        config = self.directory / "agent.yaml"
        config.write_text(json.dumps(self.settings))  # YAML 1.2 takes JSON as it is
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WATCHTOWER_AGENT_", "DOCKER_"))}
        self._begun = len(self.lines)
        self._process = subprocess.Popen(
            [*self._limited, sys.executable, "-m", "watchtower_agent", "run", "--config", str(config)],
            cwd=CHECKOUT,
            env=kept | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="agent-log", daemon=True)
        self._reader.start()
        if ready:
            self.wait_log("policy_loaded")
            self.wait_log("engine_up")
            if self.settings["mqtt"]["url"] is not None:
                self.wait_log("mqtt_up")
        return self

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None, "the agent does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self, *, within: float = 25.0) -> float:
        """SIGTERM, and an orderly end with exit code 0.

        Returns:
            Seconds that it took.
        """
        begun = time.monotonic()
        self.send(signal.SIGTERM)
        code = self.wait_end(within)
        assert code == 0, f"exit code {code}: {self.tail()}"
        return time.monotonic() - begun

    def kill(self) -> None:
        """kill -9."""
        self.send(signal.SIGKILL)
        self.wait_end(10)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait_end(self, within: float) -> int:
        """Wait for its end, its log read to the last line; the exit code."""
        process, reader = self._process, self._reader
        assert process is not None
        assert reader is not None
        try:
            code = process.wait(patient(within))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent still runs after {within:g} s: {self.tail()}") from None
        reader.join(10)
        assert process.stderr is not None
        process.stderr.close()
        self._process = self._reader = None
        return code

    def close(self) -> None:
        """End it, whatever its state, and remove its folder."""
        if self._process is not None:
            self._process.kill()
            self.wait_end(10)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- log -------------------------------------------------------------------------------------------------------

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with self.log.open("a") as copy:
            for text in process.stderr:
                copy.write(text)
                copy.flush()
                try:
                    line = json.loads(text)
                    wrong = not isinstance(line, dict) or "event" not in line
                except ValueError:
                    wrong, line = True, {"event": "", "text": text}
                with self._news:
                    if wrong:
                        self.forged.append(text)
                    else:
                        self.lines.append(line)
                    self._news.notify_all()

    def logged(self, event: str, **fields: object) -> list[Json]:
        """Lines of the newest start with that event name and these values."""
        return [
            line
            for line in self.lines[self._begun :]
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_log(self, event: str, *, count: int = 1, timeout: float = 20.0, **fields: object) -> list[Json]:
        """Wait for such lines of the newest start."""
        deadline = time.monotonic() + patient(timeout)
        with self._news:
            while len(found := self.logged(event, **fields)) < count:
                assert self.running, f"the agent ended before {event}: {self.tail()}"
                left = deadline - time.monotonic()
                assert left > 0, f"no {event} {fields} within {timeout:g} s: {self.tail()}"
                self._news.wait(min(left, 0.5))
        return found

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""

    def check_log(self) -> None:
        """Nothing in the log but whole lines of the agent's own, and no stack."""
        assert not self.forged, f"lines that are not the agent's: {self.forged[:3]}"
        stacks = [line for line in self.lines if "exception" in line]
        assert not stacks, stacks[0]

    # --- questions -------------------------------------------------------------------------------------------------

    def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON is any of its types
        """Ask over the control socket."""
        return ControlClient(self.socket, answer_time=patient(ANSWER_TIME)).ask(command, **arguments)

    def command(self, *arguments: str, code: int = 0) -> str:
        """What a command of the command line writes about it: on standard output if all is well, else as an error."""
        done = subprocess.run(
            [sys.executable, "-m", "watchtower_agent", *arguments, "--socket", str(self.socket)],
            cwd=CHECKOUT,
            env=os.environ | {"COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=patient(20),
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def explained(self, policy: str, *target: str) -> Json:
        """What `explain --json` says of one target of a policy."""
        (found,) = json.loads(self.command("explain", policy, *target, "--json"))["targets"]
        assert isinstance(found, dict)
        return found

    def status(self) -> Json:
        """Its answer to `status`."""
        answer = self.ask("status")
        assert isinstance(answer, dict)
        return answer

    def history(self, *, policy: str | None = None, target: str | None = None) -> list[Json]:
        """Its answer to `history`, newest first."""
        rows = self.ask("history", limit=1000, policy=policy, target=target)
        assert isinstance(rows, list)
        return rows

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read its store from outside, also while it runs."""
        path = self.directory / "state" / "store.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def ledger(self, target: str) -> list[Json]:
        """The ledger's rows about a container, oldest first, as the disk has them."""
        rows = self.query(
            "SELECT verb, result, outcome, intent_at, policy FROM ledger WHERE target = ? ORDER BY number", target
        )
        return [
            {"verb": verb, "result": result, "at": at, "policy": policy, **json.loads(outcome or "{}")}
            for verb, result, outcome, at, policy in rows
        ]


def _merged(base: Json, changes: Mapping[str, object]) -> Json:
    merged = dict(base)
    for name, value in changes.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as the subscriber saw it: its topic taken apart, its CloudEvent decoded."""

    kind: str
    action: str
    key: str
    topic: str
    document: Json = field(repr=False)
    arrived: float

    @property
    def data(self) -> Json:
        """What the event is about."""
        data: Json = self.document["data"]
        return data

    @property
    def name(self) -> str:
        """The container or target it is about, else empty."""
        about = self.data.get("container") or self.data.get("target") or {}
        return str(about.get("name", "") if isinstance(about, dict) else about)

    @property
    def actor(self) -> str:
        """The engine's id of what an engine's event is about."""
        about = self.data.get("container") or self.data.get("actor") or {}
        return str(about.get("id", "") if isinstance(about, dict) else "")

    @property
    def correlation(self) -> str:
        """Links cause and effect."""
        return str(self.document["correlationid"])

    @property
    def guard(self) -> str:
        """Which guard held it, else empty."""
        return str(self.data.get("guard", ""))

    @property
    def reason(self) -> str:
        """The sentence for people."""
        return str(self.data.get("reason", ""))

    @property
    def time_ns(self) -> int:
        """When it happened by the engine's stamp, nanoseconds since the epoch."""
        return nanoseconds(str(self.document["time"]))

    @property
    def origin(self) -> str:
        """`stream`, `replay`, `synthetic` or `agent`."""
        return str(self.document["origin"])


def nanoseconds(stamp: str) -> int:
    """Of an RFC 3339 stamp in UTC, since the epoch."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(f"{fraction:0<9}")


def told(topic: str, payload: bytes, arrived: float) -> Told:
    """One event, out of its message."""
    _, _, _, _, kind, action, key = topic.split("/")
    return Told(kind=kind, action=action, key=key, topic=topic, document=json.loads(payload), arrived=arrived)


def of_engine(events: Iterable[Told]) -> list[Recorded]:
    """Those of the engine's own stream, each once, in order of first sight."""
    seen = (
        Recorded(time_ns=e.time_ns, kind=e.kind, action=e.action, actor=e.actor, name="")
        for e in events
        if e.origin in {"stream", "replay"}
    )
    return list(dict.fromkeys(seen))


class AgentWatch(PersistentSubscriber):
    """A subscriber with a session that the broker keeps, to everything one agent says.

    Attributes:
        events: In order of arrival, repetitions included.
        statuses: `online` and `offline` as they came.
    """

    def __init__(self, port: int, host: str, *, user: tuple[str, str] | None = None) -> None:
        self.events: list[Told] = []
        self.statuses: list[str] = []
        super().__init__(port, topics=(f"watchtower/v1/{host}/#",), user=user, on_message=self._decode)

    def _decode(self, message: Received) -> None:
        levels = message.topic.split("/")
        if levels[3] == "event":
            self.events.append(told(message.topic, message.payload, message.arrived))
        elif levels[3] == "status":
            self.statuses.append(message.payload.decode())

    def told(
        self, kind: str, action: str = "", name: str = "", *, where: Callable[[Told], bool] = lambda _: True
    ) -> list[Told]:
        """Events of that kind, action and container or target, each once."""
        found: dict[str, Told] = {}
        for event in tuple(self.events):
            if event.kind == kind and action in {"", event.action} and name in {"", event.name} and where(event):
                found.setdefault(event.document["id"], event)
        return list(found.values())

    def engine_events(self) -> list[Recorded]:
        """What it told of the engine's own stream, each once, in order of first sight."""
        return of_engine(tuple(self.events))

    async def until_told(
        self,
        kind: str,
        action: str = "",
        name: str = "",
        *,
        count: int = 1,
        timeout: float = 15.0,  # noqa: ASYNC109 - as PersistentSubscriber.until
        where: Callable[[Told], bool] = lambda _: True,
    ) -> list[Told]:
        """Wait for that many such events, and return them."""
        try:
            await self.until(lambda _: len(self.told(kind, action, name, where=where)) >= count, timeout=timeout)
        except AssertionError as error:
            last = [f"{e.kind}/{e.action} {e.name} {e.guard} {e.reason[:80]}" for e in self.events[-12:]]
            raise AssertionError(f"no {count} {kind}/{action} {name}: {error}; last: {last}") from None
        return self.told(kind, action, name, where=where)

    async def until_held(self, name: str, policy: str) -> Told:
        """Wait until a guard stopped that policy's decision about a container or host."""
        held = await self.until_told("policy", "held", name, where=lambda told: bool(told.data["policy"] == policy))
        return held[0]

    def state(self, name: str) -> Json | None:
        """The newest retained state of a container; None when there is none or it was cleared."""
        newest: Json | None = None
        for message in self.messages:
            if "/state/container/" in message.topic:
                document = strict_json(message.payload) if message.payload else {}
                if document.get("name") == name:
                    newest = document
                elif not document and newest is not None and message.topic.endswith(f"/{name}"):
                    newest = None
        return newest

    def check(self) -> None:
        """No event was handled twice: what came again is the same message."""
        numbers: dict[str, str] = {}
        for event in self.events:
            sequence = event.document["sequence"]
            assert numbers.setdefault(event.document["id"], sequence) == sequence, f"{event} was handled twice"


@dataclass(slots=True, kw_only=True)
class Host:
    """One host: an engine, its agent, and what others see of both.

    Attributes:
        proxy: Between agent and engine; None when the agent speaks to the engine itself.
    """

    engine: PrivateEngine
    broker: PrivateBroker
    agent: AgentProcess
    watch: AgentWatch
    proxy: EngineProxy | None

    def calls(self, container_id: str = "*") -> list[Request]:
        """What the agent asked the engine to change, as the proxy saw it."""
        assert self.proxy is not None
        return self.proxy.seen("POST", f"/containers/{container_id}/*")

    def starts(self, container_id: str) -> str:
        """When the container's present life began, in the engine's words."""
        return str(self.engine.api("GET", f"/containers/{container_id}/json")["State"]["StartedAt"])


@pytest.fixture(scope="module")
def module_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """One broker for a module's tests; each agent has its own host level in the topics. Never stop this one."""
    broker = PrivateBroker(directory=tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """Starts agents with their observers. At the end their logs are checked, and that they handled no event twice."""
    hosts: list[Host] = []

    def make(
        engine: PrivateEngine,
        broker: PrivateBroker,
        policies: str,
        *,
        settings: Mapping[str, object] | None = None,
        proxied: bool = True,
        start: bool = True,
        mqtt_port: int | None = None,
        open_files: int | None = None,
        environment: Mapping[str, str] | None = None,
        host_up: float | None = None,
    ) -> Host:
        proxy = EngineProxy(engine.socket) if proxied else None
        if proxy is not None:
            proxy.listen()
        agent = AgentProcess(
            engine_url=proxy.url if proxy is not None else engine.url,
            mqtt_url=f"mqtt://127.0.0.1:{mqtt_port}" if mqtt_port else broker.url,
            policies=policies,
            settings=settings,
            open_files=open_files,
            environment=environment,
            host_up=host_up,
        )
        user = next(iter(broker.passwords.items()), None)
        watch = AgentWatch(broker.port, agent.host, user=user).start()
        host = Host(engine=engine, broker=broker, agent=agent, watch=watch, proxy=proxy)
        hosts.append(host)
        if start:
            agent.start()
        return host

    yield make
    try:
        for host in hosts:
            if host.agent.running:
                host.agent.stop()
        for host in hosts:
            host.agent.check_log()
            host.watch.check()
            assert host.proxy is None or host.proxy.out_of_bounds == []
    finally:
        for host in hosts:
            host.agent.close()
            host.watch.stop()
            if host.proxy is not None:
                host.proxy.close()
