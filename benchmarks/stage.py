"""What every benchmark needs on stage: a private engine and broker, the agent as it is installed, and observers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from report import CHECKOUT

from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from watchtower_agent.errors import WatchtowerError
from watchtower_agent.serving.client import ControlClient

HOST = "bench"
OPTIMIZED = "2"
"""Python's level: without docstrings the agent takes 3 MiB less."""
_UNIT = (CHECKOUT / "config" / "systemd" / "watchtower-agent.service").read_text()
NICE = ["nice", "-n", *re.findall(r"^Nice=(-?\d+)$", _UNIT, re.MULTILINE)]
"""Before a command: the priority that the agent's unit gives it. The peers of its speed get the same."""
EVENTS = f"watchtower/v1/{HOST}/event/#"
METRICS = f"watchtower/v1/{HOST}/metrics"

Json = dict[str, Any]


class Observer:
    """One of `observers.py`, running."""

    def __init__(self, out: Path, role: str, *arguments: str) -> None:
        self._out = out
        self._process = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "benchmarks" / "observers.py"), role, *arguments, str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready", f"the {role} did not start"

    def count(self) -> int:
        """How much it has seen."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait_count(self, at_least: int, *, within: float) -> int:
        """Wait until it has seen so much, or the time is over; what it has seen."""
        return _wait(self.count, at_least, within)

    def end(self) -> list[Json]:
        """End it; everything that it has seen."""
        self.close()
        return [json.loads(line) for line in self._out.read_text().splitlines()]

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Subscriber:
    """`mosquitto_sub`, which shares nothing with the agent and takes little from it, writing to a file."""

    def __init__(self, out: Path, port: int, topic: str) -> None:
        self._out = out
        self._lines = 0
        self._reader = out.open("w+b")
        probe = f"probe/{out.stem}"
        # Stamps are of the wall clock; both clocks run alike for as long as a benchmark takes.
        self._offset = time.monotonic_ns() - time.time_ns()
        address = ["-h", "127.0.0.1", "-p", str(port)]
        with out.open("ab") as output:
            self._process = subprocess.Popen(
                ["mosquitto_sub", *address, "-V", "5", "-q", "1", "-t", topic, "-t", probe, "-F", "%U %t %p"],
                stdout=output,
            )
        while not self.count():
            subprocess.run(["mosquitto_pub", *address, "-t", probe, "-m", ""], check=True)
            time.sleep(0.02)

    def count(self) -> int:
        """Messages so far, with a few that only tell that it is there."""
        while block := self._reader.read(1 << 20):
            self._lines += block.count(b"\n")
        return self._lines

    def wait_count(self, at_least: int, *, within: float) -> int:
        """Wait until so many have come, or the time is over; how many have."""
        return _wait(self.count, at_least, within)

    def end(self) -> list[Json]:
        """End it; every message."""
        self.close()
        return self.messages()

    def messages(self) -> list[Json]:
        """Every message so far with its stamps, in nanoseconds."""
        messages = []
        whole, _, _ = self._out.read_bytes().rpartition(b"\n")
        for line in whole.split(b"\n"):
            stamp, topic, payload = line.decode().split(" ", 2)
            if not topic.startswith("probe/"):
                wall = int(stamp.replace(".", ""))
                messages.append({"topic": topic, "payload": payload, "wall": wall, "monotonic": wall + self._offset})
        return messages

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)
        self._reader.close()


def _wait(count: Callable[[], int], at_least: int, within: float) -> int:
    deadline = time.monotonic() + within
    while (so_far := count()) < at_least and time.monotonic() < deadline:
        time.sleep(0.02)
    return so_far


class Agent:
    """`watchtower-agent run` from a byte-compiled copy of the package, as an installed one is.

    Its settings are the defaults, but for what a private engine and broker need and the benchmark asks for.
    """

    def __init__(self, directory: Path, settings: Mapping[str, object], policies: str) -> None:
        self._directory = directory
        self.socket = directory / "control.sock"
        (directory / "policies").mkdir(parents=True)
        (directory / "policies" / "policies.yaml").write_text(policies)
        own = {
            "host": HOST,
            "policies": str(directory / "policies"),
            "state_dir": str(directory / "state"),
            "control": {"socket": str(self.socket)},
            "log": {"format": "json"},
        }
        self._config = directory / "agent.yaml"
        self._config.write_text(json.dumps(own | dict(settings)))  # YAML 1.2 takes JSON as it is
        self.process: subprocess.Popen[bytes] | None = None
        self.started_ns = 0

    def start(self, code: Path, *, through: Sequence[str] = ("-m", "watchtower_agent")) -> None:
        """Start it from that folder, without waiting for anything.

        Args:
            code: Where the package is.
            through: How Python is to start it.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("WATCHTOWER_AGENT_", "DOCKER_"))}
        environment["PYTHONPATH"] = str(code)
        environment["PYTHONOPTIMIZE"] = OPTIMIZED  # as the container image and docs/install.md start it
        log = (self._directory / "agent.log").open("ab")
        self.started_ns = time.monotonic_ns()
        with log:
            self.process = subprocess.Popen(
                [*NICE, sys.executable, *through, "run", "--config", str(self._config)],
                cwd=code,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Of its process, which runs."""
        assert self.process is not None
        return self.process.pid

    def status(self) -> Json:
        """Its answer over the control socket."""
        return self.ask("status")

    def lag(self, seconds: int) -> Json:
        """How late its event loop is, measured inside: so many seconds by its turns, as many by timers."""
        return self.ask("lag", answer_time=2 * seconds + 30.0, seconds=seconds)

    def ask(self, command: str, *, answer_time: float = 15.0, **arguments: object) -> Json:
        """Its answer to a question over the control socket."""
        answer = ControlClient(self.socket, answer_time=answer_time).ask(command, **arguments)
        assert isinstance(answer, dict)
        return answer

    def wait_ready(self, *, within: float = 20.0) -> None:
        """Wait until it has its engine, its policies and its broker."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, f"the agent ended:\n{self.log_tail()}"
            with contextlib.suppress(WatchtowerError, OSError):
                status = self.status()
                if status["engine"]["connected"] and status["policies"]["items"] and status["mqtt"]["connected"]:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"the agent is not ready within {within:g} s:\n{self.log_tail()}")

    def log_tail(self, lines: int = 10) -> str:
        """The last lines of its log."""
        log = self._directory / "agent.log"
        return "\n".join(log.read_text().splitlines()[-lines:]) if log.exists() else ""

    def stop(self) -> None:
        """End it in good order."""
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        self.process.wait()
        self.process = None


class Stage:
    """Engine, broker and a scratch folder; everything that was started on it ends with it."""

    def __init__(self) -> None:
        # Short, because the path of a unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="wt-bench-"))
        self.engine = PrivateEngine()
        self._others: list[PrivateEngine] = []
        self.broker = PrivateBroker(directory=self.directory / "broker")
        self._observers: list[Observer | Subscriber] = []
        self._agents: list[Agent] = []
        self._number = 0
        self._code: Path | None = None

    def __enter__(self) -> Self:
        try:
            self.engine.start()
            self.engine.load_image()
            self.broker.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for agent in self._agents:
            agent.stop()
        for observer in self._observers:
            observer.close()
        self.broker.stop()
        for engine in (self.engine, *self._others):
            engine.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # Observers.

    def _observe(self, role: str, *arguments: str) -> Observer:
        self._number += 1
        observer = Observer(self.directory / f"{role}-{self._number}.jsonl", role, *arguments)
        self._observers.append(observer)
        return observer

    def recorder(self) -> tuple[Observer, str]:
        """A recorder before the engine, and the address that the agent is to be given."""
        listen = self.directory / f"recorder-{self._number}.sock"
        return self._observe("recorder", str(listen), str(self.engine.socket)), f"unix://{listen}"

    def oracle(self, engine: PrivateEngine | None = None) -> Observer:
        """An event stream of its own, of another engine where one is given."""
        return self._observe("oracle", str((engine or self.engine).socket))

    def subscriber(self, topic: str) -> Subscriber:
        """A subscriber at the broker."""
        self._number += 1
        subscriber = Subscriber(self.directory / f"subscriber-{self._number}.txt", self.broker.port, topic)
        self._observers.append(subscriber)
        return subscriber

    # The agent.

    def agent(self, policies: str, *, engine_url: str = "", settings: Mapping[str, object] | None = None) -> Agent:
        """An agent with a folder of its own, not started."""
        self._number += 1
        own: Json = {"engine": {"url": engine_url or self.engine.url}, "mqtt": {"url": self.broker.url}}
        for name, value in (settings or {}).items():
            own[name] = own.get(name, {}) | value if isinstance(value, dict) else value
        agent = Agent(self.directory / f"agent-{self._number}", own, policies)
        self._agents.append(agent)
        return agent

    def code(self) -> Path:
        """A folder with a byte-compiled copy of the package."""
        if self._code is None:
            self._code = self.directory / "code"
            shutil.copytree(
                CHECKOUT / "watchtower_agent",
                self._code / "watchtower_agent",
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            folders = [str(self._code), *site.getsitepackages()]
            subprocess.run([sys.executable, "-m", "compileall", "-q", "-o", OPTIMIZED, *folders], check=True)
        return self._code

    # The engine.

    def second_engine(self) -> PrivateEngine:
        """One more engine, started."""
        engine = PrivateEngine()
        self._others.append(engine)
        engine.start()
        engine.load_image()
        return engine

    def idle_containers(
        self, prefix: str, count: int, *, labels: Mapping[str, str] | None = None, engine: PrivateEngine | None = None
    ) -> list[str]:
        """Containers that wait for ever, of another engine where one is given; their ids."""
        where = engine or self.engine
        body = {
            "Image": "busybox:local",
            "Cmd": ["sleep", "100000000"],
            "Labels": dict(labels or {}),
            "HostConfig": {"NetworkMode": "none"},
        }

        def one(number: int) -> str:
            made = where.api("POST", "/containers/create", body, name=f"{prefix}{number}")
            where.api("POST", f"/containers/{made['Id']}/start")
            return str(made["Id"])

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(one, range(count)))

    def pid(self, container_id: str) -> int:
        """Of a running container's first process on this host."""
        pid = int(self.engine.api("GET", f"/containers/{container_id}/json")["State"]["Pid"])
        assert pid > 1, f"container {container_id[:12]} does not run"
        return pid


@contextlib.contextmanager
def running(stage: Stage, agent: Agent) -> Iterator[Agent]:
    """The agent, ready, and stopped in the end."""
    agent.start(stage.code())
    agent.wait_ready()
    try:
        yield agent
    finally:
        agent.stop()


def shipped_policies() -> str:
    """All of `config/policies` as one file."""
    lines = ["version: 1", "policies:"]
    for file in sorted((CHECKOUT / "config" / "policies").glob("*.yaml")):
        text = file.read_text().split("policies:\n", 1)[1]
        lines.append(text.rstrip())
    return "\n".join(lines) + "\n"
