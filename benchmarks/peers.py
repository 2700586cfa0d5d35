"""Who else watches containers, each run for a stretch: the least that is possible in C, and programs that people use.

Those that have to be installed are installed when they are asked for, into the benchmark's own folder, which goes with
it: Python programs into a virtual environment, the Debian package unpacked. One that can't be had, or does not do what
it is run for, is told as not measured, with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from costs import family, threads
from report import CHECKOUT, progress
from stage import Stage

from watchtower_agent.collectors.cgroup_tree import CgroupTree, discover


class NotMeasuredError(Exception):
    """A peer can't be measured here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A peer, ready to run.

    Attributes:
        version: As its package says.
        command: With arguments.
        environment: Of its process.
        settles: Seconds that it has before it is measured.
        works: Raises NotMeasuredError unless it does what it is run for; asked after it was measured.
        note: How it runs.
    """

    version: str
    command: Sequence[str]
    environment: Mapping[str, str]
    settles: float
    works: Callable[[int], None]
    note: str
    log: Path = field(default=Path(os.devnull))


@contextlib.contextmanager
def running(program: Program) -> Iterator[int]:
    """It runs and has settled; its pid. It ends with everything that it started."""
    with program.log.open("ab") as log:
        process = subprocess.Popen(
            program.command, env=program.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        time.sleep(program.settles)
        _alive(process, program)
        yield process.pid
        _alive(process, program)
        program.works(process.pid)
    finally:
        ends = family(process.pid)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        for pid in ends[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.kill()
        process.wait()


def _alive(process: subprocess.Popen[bytes], program: Program) -> None:
    if process.poll() is not None:
        said = program.log.read_text(errors="replace").strip().splitlines() if program.log.is_file() else []
        raise NotMeasuredError(f"it ended with exit code {process.returncode}: {said[-1] if said else 'no word'}")


def _done(*command: str, cwd: Path | None = None, timeout: float = 300.0) -> str:
    """What a command says.

    Raises:
        NotMeasuredError: It is not there, fails, or takes too long.
    """
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasuredError(f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        tool = Path(command[0]).name
        raise NotMeasuredError(f"{tool} {command[1]} failed: {said[-1] if said else done.returncode}")
    return done.stdout.strip()


# --- in C ---


def compiled(stage: Stage) -> Path:
    """The program in C."""
    program = stage.directory / "reader"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(CHECKOUT / "benchmarks" / "reader.c")], check=True)
    return program


def _files(tree: CgroupTree, container_ids: Sequence[str]) -> list[str]:
    """What the program in C reads."""
    paths = []
    for container_id in container_ids:
        (accounting,) = Path(tree.accounting).glob(f"**/*{container_id}*")
        memory = Path(tree.memory) / accounting.relative_to(tree.accounting)
        if tree.v1:
            paths += [accounting / "cpuacct.usage", memory / "memory.usage_in_bytes", memory / "memory.stat"]
        else:
            paths += [accounting / "cpu.stat", memory / "memory.current", memory / "memory.stat"]
    return [str(path) for path in paths]


@contextlib.contextmanager
def in_c(stage: Stage, program: Path, container_ids: Sequence[str]) -> Iterator[int]:
    """It runs; its pid."""
    tree = discover("/sys/fs/cgroup")
    listing = stage.directory / "files.txt"
    listing.write_text("\n".join(_files(tree, container_ids)) + "\n")
    with listing.open() as source, (stage.directory / "reader.out").open("w") as out:
        process = subprocess.Popen([str(program), "v1" if tree.v1 else "v2"], stdin=source, stdout=out)
    try:
        time.sleep(2)
        assert process.poll() is None, "the program in C ended"
        yield process.pid
    finally:
        process.kill()
        process.wait()


# --- programs that people use ---


def docker_stats(stage: Stage) -> Program:
    """The client that most scripts ask."""
    return Program(
        version=_done("docker", "--version").split()[2].rstrip(","),
        command=["docker", "stats"],
        environment=stage.engine.environment(),
        settles=8,
        works=lambda _: None,
        note="",
    )


def _python(stage: Stage, package: str, extra: str = "") -> tuple[Path, str]:
    """A virtual environment with a package from the index that pip is set to, and which version it got."""
    folder = stage.directory / f"venv-{package}"
    _done(sys.executable, "-m", "venv", str(folder))
    _done(str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", package + extra)
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    return folder / "bin", _done(str(folder / "bin" / "python"), "-c", ask)


def glances(stage: Stage, containers: int) -> Program:
    """Glances with nothing but its plugin for containers, which streams the stats of each in a thread of its own."""
    folder, version = _python(stage, "glances", "[containers]")

    def works(pid: int) -> None:
        if (seen := threads(pid)) <= containers:
            raise NotMeasuredError(f"it has {seen} threads, so it does not follow all {containers} containers")

    plugins = ["--disable-plugin", "all", "--enable-plugin", "containers"]
    return Program(
        version=version,
        command=[str(folder / "glances"), "--quiet", "--disable-webui", "--disable-check-update", "-t", "1", *plugins],
        environment=stage.engine.environment() | {"HOME": str(stage.directory), "TMPDIR": str(stage.directory)},
        settles=30,
        works=works,
        note="its containers plugin alone, every second",
        log=stage.directory / "glances.log",
    )


def docker2mqtt(stage: Stage, containers: int) -> Program:
    """docker2mqtt: `docker stats` and `docker events` as children, to the same broker as the agent's."""
    folder, version = _python(stage, "docker2mqtt")
    subscriber = stage.subscriber("docker2mqtt/+/+/stats")

    def works(_: int) -> None:
        seen = len({message["topic"] for message in subscriber.end() if message["payload"] != "{}"})
        if seen < containers:
            raise NotMeasuredError(f"it published the stats of {seen} of {containers} containers")

    client = [
        "--name",
        "bench",
        "--host",
        "127.0.0.1",
        "--port",
        str(stage.broker.port),
        "--topic-prefix",
        "docker2mqtt",
    ]
    return Program(
        version=version,
        command=[str(folder / "docker2mqtt"), *client, "--stats", "--events"],
        environment=stage.engine.environment() | {"HOME": str(stage.directory)},
        settles=40,
        works=works,
        note="with its docker stats and docker events",
        log=stage.directory / "docker2mqtt.log",
    )


COLLECTD = """
Interval 1
BaseDir "{folder}"
PIDFile "{folder}/pid"
PluginDir "{root}/usr/lib/collectd"
TypesDB "{root}/usr/share/collectd/types.db"
PostCacheChain "Nowhere"
<Chain "Nowhere">
  Target "stop"
</Chain>
LoadPlugin cgroups
<Plugin cgroups>
  IgnoreSelected true
</Plugin>
LoadPlugin unixsock
<Plugin unixsock>
  SocketFile "{folder}/sock"
</Plugin>
"""


def collectd(stage: Stage, containers: int) -> Program:
    """Collectd with its plugin for cgroups, which reads CPU time alone; the values go nowhere."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotMeasuredError(f"it is unpacked from Debian's package collectd-core, and there is no {tool} here")
    folder = stage.directory / "collectd"
    root = folder / "root"
    folder.mkdir()
    _done("apt-get", "download", "collectd-core", cwd=folder)
    (package,) = folder.glob("collectd-core_*.deb")
    _done("dpkg-deb", "--extract", str(package), str(root))
    if discover("/sys/fs/cgroup").v1.get("cpuacct") is None:
        raise NotMeasuredError("its plugin reads cgroup v1 only, and this host has v2")
    config = folder / "collectd.conf"
    config.write_text(COLLECTD.format(folder=folder, root=root))

    def works(_: int) -> None:
        seen = len({line.split("/")[1] for line in _listed(folder / "sock") if "/cgroups-" in line})
        if seen < containers:
            raise NotMeasuredError(f"it reads {seen} of {containers} containers' cgroups")

    return Program(
        version=_done("dpkg-deb", "--field", str(package), "Version"),
        command=[str(root / "usr/sbin/collectd"), "-f", "-C", str(config)],
        environment=dict(os.environ),
        settles=5,
        works=works,
        note="its cgroups plugin alone: CPU time of every cgroup, kept and written nowhere",
        log=folder / "log",
    )


def _listed(path: Path) -> list[str]:
    """Every value that collectd has, by its own list."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.connect(str(path))
        asked.sendall(b"LISTVAL\n")
        with asked.makefile("r") as answers:
            count = int(answers.readline().split()[0])
            return [answers.readline().strip() for _ in range(count)]


PEERS: Mapping[str, Callable[[Stage, int], Program]] = {
    "glances": glances,
    "docker2mqtt": docker2mqtt,
    "collectd": collectd,
}


def made(name: str, stage: Stage, containers: int) -> Program:
    """A peer, installed.

    Raises:
        NotMeasuredError: It can't be had here.
    """
    progress(f"installing {name}")
    return PEERS[name](stage, containers)
