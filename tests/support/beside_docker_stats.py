"""What an agent publishes, beside what the engine itself says of the same time and `docker stats` shows.

Both read the same counters of the kernel, so they agree however busy the machine is. What could set them apart is
looking at different stretches of time: the agent's rates are averaged over exactly that between two frames of the
engine's own stream.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise

import pytest

from tests.support.agent import AgentWatch
from tests.support.engine import PrivateEngine
from tests.support.engine_stats import StatsStream, cpu_percent, docker_stats, not_stolen, settled
from tests.support.published import Published

MIB = 1 << 20
AGREE = 0.02
BURN = "while :; do :; done"
SIZE = 40 * MIB
ANONYMOUS = f"""
import mmap, time
held = mmap.mmap(-1, {SIZE}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, {SIZE}, 4096): held[page] = 1
print("held", flush=True)
time.sleep(3600)
"""
MAPPED = f"""
import mmap, time
with open("/file", "rb") as file:
    held = mmap.mmap(file.fileno(), {SIZE}, prot=mmap.PROT_READ)
for page in range(0, {SIZE}, 4096): held[page]
print("held", flush=True)
time.sleep(3600)
"""
MOUNTS = ("/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro")
PYTHON = ("--env=PATH=/bin:/usr/bin", *(f"--volume={mount}" for mount in MOUNTS))
WRITE = "dd if=/dev/zero of=/file bs=1M count=40 2>/dev/null"
HELD = {
    "cache": ((), WRITE),
    "active": ((), f"{WRITE} && cat /file >/dev/null"),
    "limited": (("--memory=80m",), WRITE),
    "tmpfs": (("--tmpfs=/hold", "--memory=80m"), WRITE.replace("/file", "/hold/file")),
    "anonymous": ((*PYTHON, "--memory=200m"), f"exec python3 -c '{ANONYMOUS}'"),
    "mapped": (PYTHON, f"{WRITE} && exec python3 -c '{MAPPED}'"),
}
"""Name -> options and a script that holds 40 MiB of one kind of memory."""


def until_said(engine: PrivateEngine, name: str, word: str) -> None:
    """Wait until a container has written a line."""
    command = ["docker", "logs", "--follow", name]
    with subprocess.Popen(command, env=engine.environment(), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        said = []
        for line in following.stdout:
            said.append(line)
            if line.strip() == word:
                break
        following.terminate()
    assert [line for line in said if line.strip() == word], f"{name} only said {said}"


async def compare_cpu(
    engine: PrivateEngine, watch: AgentWatch, burners: Mapping[str, str], *, stretch: float, limit: float = 60.0
) -> None:
    """Hold what the agent published of one stretch of time against the engine's own stream and against `docker stats`.

    Args:
        engine: Where they run.
        watch: Of its agent, which publishes every second.
        burners: Name -> id.
        stretch: Seconds that are compared.
        limit: Seconds that any waiting beside it may take.
    """
    published = {name: Published(watch, container_id) for name, container_id in burners.items()}
    with ExitStack() as stack:
        streams = {name: stack.enter_context(StatsStream(engine, each)) for name, each in burners.items()}
        began = max([(await each.until(lambda _, now: "cpu.percent" in now, limit))[0] for each in published.values()])
        printed = await asyncio.to_thread(docker_stats, engine)
        for stream in streams.values():
            await asyncio.to_thread(
                stream.until, lambda frames: bool(frames) and frames[-1].at > began + stretch, stretch + limit
            )
    ended = max(stream.frames[-1].at for stream in streams.values())
    for name, each in published.items():
        await each.until(lambda at, _: at >= ended, limit)
        frames = [frame for frame in streams[name].frames if frame.at >= began]
        first, last = frames[0], frames[-1]
        used = each.average("cpu.percent", first.at, last.at)
        assert used == pytest.approx(cpu_percent(first, last) * not_stolen(first, last), rel=AGREE), name
        # the engine gives the same frames to all who ask: what was printed is what two of them tell
        between = [cpu_percent(*pair) for pair in pairwise(streams[name].frames)]
        assert printed[name].cpu_percent in [pytest.approx(each, abs=0.0051) for each in between], name


async def compare_memory(engine: PrivateEngine, watch: AgentWatch, *, limit: float = 60.0) -> None:
    """Run a container for each kind of memory, and hold what the agent published of each against what the engine said.

    Args:
        engine: Where they run.
        watch: Of its agent, which publishes every second.
        limit: Seconds that any waiting may take.
    """
    ids = {}
    for name, (options, script) in HELD.items():
        whole = f"{script} && echo held && exec sleep 3600"
        ids[name] = await asyncio.to_thread(engine.run, name, "sh", "-c", whole, options=options)
    for name in HELD:
        await asyncio.to_thread(until_said, engine, name, "held")
    with ExitStack() as stack:
        streams = {name: stack.enter_context(StatsStream(engine, each)) for name, each in ids.items()}
        for stream in streams.values():
            await asyncio.to_thread(stream.until, settled, limit)
        printed = await asyncio.to_thread(docker_stats, engine)
        frames = {name: stream.frames[-1] for name, stream in streams.items()}
    working_sets = {}
    for name, frame in frames.items():
        _, now = await Published(watch, ids[name]).until(lambda at, _, since=frame.at: at > since, limit)  # type: ignore[misc]
        working_sets[name] = now["memory.working_set"]
        assert now["memory.usage"] > SIZE * 0.9, name
        assert now["memory.usage"] == pytest.approx(frame.usage, rel=AGREE), name
        assert now["memory.working_set"] == pytest.approx(frame.working_set, rel=AGREE), name
        assert now["memory.working_set"] == pytest.approx(printed[name].memory, rel=AGREE), name
        assert now["memory.limit"] == frame.limit, name
        assert now["memory.percent"] == pytest.approx(printed[name].memory_percent, rel=AGREE, abs=0.0051), name
    # else it would not matter what is subtracted
    assert working_sets["cache"] < SIZE / 4
    assert min(working_sets["tmpfs"], working_sets["anonymous"]) > SIZE * 0.9
