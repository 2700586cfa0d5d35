"""One cause that makes thirty containers unhealthy: next to none is restarted, one event says why, over a kill -9."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.agent import CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

MANY = 30
ALLOWED = 9
"""30 % of them: so many may fail by themselves."""
POLICIES = """
version: 1
policies:
  - name: heal
    select: {name: "app-*"}
    when: health == "unhealthy"
    for: 2s
    then: {restart: {stop_timeout: 1s}}
  - name: revive
    select: {name: "job*"}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
"""


def of_shared_cause(host: Host) -> Callable[[], set[str]]:
    return lambda: {told.name for told in host.watch.told("policy", "held") if told.guard == "shared_cause"}


async def test_thirty_made_unhealthy_by_one_cause_are_not_restarted(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    settings = {"guards": {"shared_cause": {"hold": "25s"}}}
    host = make_host(engine, module_broker, POLICIES, settings=settings)
    check = ("--health-cmd=test ! -e /shared/gone", "--health-interval=4s", "--health-retries=1")
    for number in range(MANY):
        engine.run(f"app-{number}", options=(*check, f"--volume={tmp_path}:/shared:ro"))
    await host.watch.until_told("container", "health_status", count=MANY, timeout=40)
    held = of_shared_cause(host)

    (tmp_path / "gone").touch()

    (told,) = await host.watch.until_told("agent", "shared_cause", timeout=40)
    assert (told.data["cause"], told.document["severity"]) == ("failures", "critical")
    assert told.data["numbers"]["failed"] > ALLOWED
    assert told.data["numbers"]["selected"] == MANY
    restarted = {call.path.split("/")[2] for call in host.calls()}
    assert len(restarted) <= ALLOWED
    await host.watch.until(lambda _: len(held()) >= MANY - len(restarted), timeout=40)
    assert (
        "no container is acted on" in host.agent.status()["shared_cause"]["reason"]
        or host.agent.status()["unwell"] == []
    )

    host.agent.kill()
    host.agent.start()
    (tmp_path / "gone").unlink()

    (over,) = await host.watch.until_told("agent", "shared_cause_over", timeout=60)
    assert over.data["held_for"] >= 25
    job = engine.run("job", *CRASHES_ONCE)
    await host.watch.until_told("action", "succeeded", "job")
    assert len(host.watch.told("agent", "shared_cause")) == 1
    assert {call.path.split("/")[2] for call in host.calls()} - {job} == restarted
    assert host.agent.status()["shared_cause"] is None


async def test_after_a_restart_of_the_engine_nothing_is_done_for_a_while(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings={"guards": {"shared_cause": {"hold": "8s"}}})
    engine.run("app-0")  # so that there are events whose loss proves the restart
    await host.watch.until_told("container", "start", "app-0")
    engine.stop()
    await host.watch.until_told("engine", "down")
    engine.start()

    (told,) = await host.watch.until_told("agent", "shared_cause", timeout=40)

    assert told.data["cause"] == "engine_restarted"
    await host.watch.until_told("engine", "up", where=lambda up: up.data["restarted"] is True)
    job = engine.run("job", *CRASHES_ONCE)
    await host.watch.until_told("policy", "held", "job", where=lambda told: told.guard == "shared_cause")
    await host.watch.until_told("action", "succeeded", "job", timeout=30)
    assert host.calls(job)[0].wall - told.time_ns / 1e9 >= 7.9
