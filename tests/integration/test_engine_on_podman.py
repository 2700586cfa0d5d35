"""Podman, which speaks the Docker Engine's API with words, orders and gaps of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine_watch import EngineWatch, engine_calls, in_thread
from tests.support.podman import PodmanEngine
from tests.support.troubles import crash
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.observation import EngineFound, GapObserved

IMAGE = "docker.io/library/busybox:local"
POLICIES = """
version: 1
policies:
  - name: heal
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    for: 1s
    then: {restart: {stop_timeout: 1s}}
  - name: revive
    select: {labels: {revive: "true"}}
    on: {container: die}
    then: {restart: {}}
  - name: revive-all
    select: {labels: {always: "true"}}
    on: {container: die}
    restart_stopped: true
    then: {restart: {}}
  - name: busy
    select: {name: web}
    when: memory.working_set > 1KiB
    then: {notify: {severity: info}}
"""


@pytest.fixture(scope="module")
def shared_podman() -> Iterator[PodmanEngine]:
    with PodmanEngine() as podman:
        yield podman


@pytest.fixture
def podman(shared_podman: PodmanEngine) -> Iterator[PodmanEngine]:
    yield shared_podman
    shared_podman.podman("rm", "--all", "--force", "--time=0")


async def test_events_come_in_dockers_words_once_each_and_none_is_lost_while_its_service_is_away(
    podman: PodmanEngine,
) -> None:
    async with EngineWatch(podman.url, timeout=5) as watch:
        await watch.until_listed()
        first = watch.of(EngineFound)[0].info

        web = await in_thread(lambda: podman.run("web", labels={"a": "b"}, image=IMAGE))
        await in_thread(lambda: podman.docker("exec", "web", "true"))
        await in_thread(lambda: podman.docker("kill", "web"))
        await watch.until(lambda: "die" in watch.actions(web))
        await in_thread(lambda: podman.docker("volume", "create", "data"))
        await in_thread(lambda: podman.docker("volume", "rm", "data"))
        await watch.until(lambda: "destroy" in watch.actions("data"))
        await in_thread(podman.stop)
        await in_thread(lambda: podman.podman("rm", "web"))
        await in_thread(podman.start)
        await watch.until(lambda: "destroy" in watch.actions(web))
        await watch.until_listed(2)

        told = watch.actions(web)
        assert told == ["create", "start", "exec_start", "exec_die", "kill", "die", "destroy"]
        start = next(event for event in watch.events if event.action == "start")
        assert dict(start.attributes) == {"name": "web", "image": IMAGE, "a": "b"}
        assert {found.info.id for found in watch.of(EngineFound)} == {first.id}
        assert first.podman
        assert not watch.of(GapObserved)


async def test_every_verb(podman: PodmanEngine) -> None:
    web = podman.run("web", image=IMAGE)

    def state() -> tuple[str, str]:
        seen = podman.api("GET", f"/containers/{web}/json")["State"]
        return seen["Status"], seen["StartedAt"]

    with (
        closing(engine_calls(podman.url, timeout=10)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        _, before = state()
        await docker.restart(web, stop_timeout=1.0)
        status, after = state()
        assert (status, after != before) == ("running", True)
        await docker.pause(web)
        assert state()[0] == "paused"
        await docker.unpause(web)
        await docker.kill(web, signal="KILL")
        await in_thread(lambda: podman.podman("wait", "web"))
        await docker.start(web)
        assert state()[0] == "running"
        await docker.stop(web, stop_timeout=1.0)
        assert state()[0] == "exited"

        for refused in (
            docker.disk_usage(),
            docker.clone(web, policy="p", decision="d", shared=False),
            docker.resize(web, memory=64 * 2**20, cpu=None),
        ):
            with pytest.raises(PermanentError, match="Podman"):
                await refused


async def test_an_agent_heals_measures_and_leaves_alone_what_may_have_been_stopped_on_purpose(
    podman: PodmanEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(podman, module_broker, POLICIES)
    sick = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=1s", "--health-retries=1")
    podman.run("web", labels={"heal": "true"}, image=IMAGE, options=sick)
    for name, label in (("stopped", "revive"), ("crashed", "revive"), ("always", "always")):
        podman.run(name, labels={label: "true"}, image=IMAGE)

    # measured, from its cgroup
    await host.watch.until_told("action", "notify", "web")

    # unhealthy: restarted by the agent, which takes that for its own doing
    podman.docker("exec", "web", "touch", "/tmp/bad")
    podman.check_health("web")
    (healed,) = await host.watch.until_told(
        "action", "succeeded", "web", where=lambda told: told.data["policy"] == "heal"
    )
    (die,) = await host.watch.until_told("container", "die", "web")  # Podman tells it in its own time
    assert die.correlation == healed.correlation

    # of a stop that is heeded at once nothing may be told but its end, as of a crash: neither is undone unasked
    podman.docker("stop", "stopped")
    assert (await host.watch.until_held("stopped", "revive")).guard == "operator_intent"
    crash(podman, "crashed")
    held = await host.watch.until_held("crashed", "revive")
    assert held.guard == "operator_intent"
    assert "it may have been stopped on purpose" in held.reason
    crash(podman, "always")
    await host.watch.until_told("action", "succeeded", "always")

    # restarted by hand: left alone, for a while
    podman.docker("restart", "web")
    podman.docker("exec", "web", "touch", "/tmp/bad")
    podman.check_health("web")
    held = await host.watch.until_held("web", "heal")
    assert held.guard == "operator_intent"
    assert "restart" in held.reason
