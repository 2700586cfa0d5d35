"""What keeps a real agent from sampling, too few descriptors or a silent file, is said once; the rest goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.cgroups import v2_tree
from tests.support.engine import IMAGE, PrivateEngine, UnixConnection

MANY = 60
WATCHED = """
version: 1
policies:
  - name: silent
    when: engine.responding == false
    then: {notify: {severity: critical}}
  - name: alive
    select: {name: "many-*"}
    when: memory.usage > 0 and cpu.percent >= 0% and pids >= 1
    then: {notify: {}}
"""
HANGING = f"""{WATCHED}
  - name: busy
    select: {{name: "many-*"}}
    when: cpu.percent >= 0%
    then: {{notify: {{}}}}
"""


def run_many(engine: PrivateEngine) -> None:
    def run(number: int) -> None:
        connection = UnixConnection(engine.socket)
        body = {"Image": IMAGE, "Cmd": ["sleep", "3600"], "HostConfig": {"NetworkMode": "none"}}
        name = f"many-{number}"
        made = engine.api("POST", "/containers/create", body, name=name, connection=connection)["Id"]
        engine.api("POST", f"/containers/{made}/start", connection=connection)
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(MANY)))


def open_files_of(host: Host) -> int:
    return len(list(Path(f"/proc/{host.agent.pid}/fd").iterdir()))


@pytest.fixture(scope="module")
def crowded() -> Iterator[PrivateEngine]:
    """An engine with sixty containers."""
    with PrivateEngine() as engine:
        run_many(engine)
        yield engine


@pytest.mark.parametrize("open_files", [400, 100], ids=["some can be kept", "none can be kept"])
async def test_under_too_low_a_limit_everything_is_sampled_and_that_is_said_once(
    crowded: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], open_files: int
) -> None:
    host = make_host(crowded, module_broker, WATCHED, open_files=open_files, proxied=False)

    firing = await host.watch.until_told("policy", "firing", count=MANY, timeout=30)
    assert len({told.name for told in firing}) == MANY
    ticks = host.agent.status()["sampling"]["ticks"]
    await host.watch.until(lambda _: host.agent.status()["sampling"]["ticks"] > ticks + 5)
    (told,) = host.watch.told("agent", "sampling_degraded")
    assert told.data["collector"] == "descriptors"
    assert "LimitNOFILE=65536" in told.reason
    assert open_files_of(host) < open_files
    assert set(host.agent.status()["sampling"]["failures"]) == {"descriptors"}
    assert host.watch.told("policy", "resolved") == []


async def test_with_descriptors_enough_nothing_is_said_and_they_are_kept(
    crowded: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(crowded, module_broker, WATCHED, proxied=False)

    await host.watch.until_told("policy", "firing", count=MANY, timeout=30)
    assert open_files_of(host) > 3 * MANY
    assert host.watch.told("agent", "sampling_degraded") == []


async def test_a_file_that_never_answers_is_said_once_and_all_else_is_watched_still(
    own_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    path = f"docker/{own_engine.run('many-0')}"
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(path)
    file = tree.file(path, "memory.current")
    file.unlink()
    os.mkfifo(file)  # who opens it waits until somebody writes
    settings = {"sampling": {"cgroup_root": str(tree.root), "source": "cgroup"}}
    host = make_host(own_engine, module_broker, HANGING, settings=settings, proxied=False)

    (told,) = await host.watch.until_told("agent", "sampling_degraded", timeout=30)
    assert told.data["collector"] == "memory"
    assert f"The collector memory waits for {file}" in told.reason
    assert host.agent.status()["sampling"]["failures"]["memory"] == told.reason
    await host.watch.until_told("policy", "firing", timeout=20, where=lambda told: told.data["policy"] == "busy")
    own_engine.freeze()
    try:
        await host.watch.until_told("policy", "firing", timeout=20, where=lambda told: told.data["policy"] == "silent")
    finally:
        own_engine.thaw()
    await host.watch.until_told("policy", "resolved", timeout=20, where=lambda told: told.data["policy"] == "silent")
    assert len(host.watch.told("agent", "sampling_degraded")) == 1

    pipe = file.rename(file.with_name("pipe"))
    file.write_text("1000000\n")
    await asyncio.to_thread(lambda: os.close(os.open(pipe, os.O_WRONLY)))
    await host.watch.until_told(
        "agent", "sampling_restored", timeout=20, where=lambda told: told.data["collector"] == "memory"
    )
    await host.watch.until_told("policy", "firing", timeout=20, where=lambda told: told.data["policy"] == "alive")
    assert len(host.watch.told("agent", "sampling_degraded")) == 1
    assert host.agent.status()["sampling"]["failures"] == {}
    assert not [told for told in host.watch.told("policy", "resolved") if told.data["policy"] == "busy"]
