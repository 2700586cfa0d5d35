"""What happens while the agent is away, or its engine out of reach: replayed where the engine remembers, declared lost
where it does not, and never undone when a person may have wanted it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing

from tests.support.agent import CRASHES_ON_USR1, AgentWatch, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.tape import EngineTape
from tests.support.troubles import KEEP_UP, reviving

RING = 256
LABELS = {"heal": "true"}
POLICIES = reviving() + KEEP_UP

TELLS_OF_CRASHES = """
version: 1
policies:
  - name: tell
    select: {labels: {heal: "true"}}
    on: {container: die}
    then: {notify: {}}
"""
NEVER_MET = """
  - name: never-{number}
    select: {{name: nobody}}
    when: memory.percent > 90% and cpu.percent > 90%
    for: 1m
    then: {{notify: {{}}}}
"""


async def present(host: Host) -> dict[str, str]:
    """Three containers that the agent knows."""
    ids = {name: host.engine.run(name, *CRASHES_ON_USR1, labels=LABELS) for name in ("stopped", "crashed", "gone")}
    for name in ids:
        await host.watch.until_told("container", "start", name)
    await inspected(host, ids)
    return ids


async def inspected(host: Host, names: Iterable[str]) -> None:
    """The agent knows of these what only an inspection tells: their stop signal, before which no signal is a crash."""
    await host.watch.until(lambda _: all((host.watch.state(name) or {}).get("started_at") for name in names))


def meanwhile(engine: PrivateEngine, tape: EngineTape) -> None:
    """What nobody tells the agent: one is stopped, one crashes, one is removed, one is new."""
    engine.docker("stop", "--time=1", "stopped")
    engine.docker("kill", "--signal=USR1", "crashed")
    tape.wait("crashed", "die")
    engine.docker("rm", "--force", "gone")
    engine.run("born", labels=LABELS)


def overflow_the_ring(engine: PrivateEngine) -> None:
    """More events than the engine remembers."""
    container = engine.api("POST", "/containers/create", {"Image": "busybox:local"}, name="filler")["Id"]
    for number in range(RING + 4):
        engine.api("POST", f"/containers/{container}/rename", name=f"filler-{number}")


def told_of(watch: AgentWatch, name: str) -> set[tuple[str, int]]:
    return {(told.action, told.time_ns) for told in watch.told("container", "", name)}


async def replayed(host: Host, tape: EngineTape, ids: dict[str, str]) -> None:
    """Every event of the time is told with its own stamp; the crash is answered, the stop respected."""
    await host.watch.until_told("action", "succeeded", "crashed")
    for policy in ("revive", "keep-up"):
        held = await host.watch.until_held("stopped", policy)
        assert held.guard == "operator_intent"
        assert "on purpose" in held.reason
    await host.watch.until_told("container", "start", "born")
    for name in ("stopped", "gone", "born"):
        wanted = {(event.action, event.time_ns) for event in tape.of(name)}
        assert told_of(host.watch, name) >= wanted, name
    assert {told.origin for told in host.watch.told("container", "destroy", "gone")} == {"replay"}
    assert host.watch.told("agent", "event_gap") == []
    assert {call.path for call in host.calls()} == {f"/containers/{ids['crashed']}/restart"}
    assert len(tape.of("crashed", "restart")) == 1
    await no_ghost(host)


async def declared(host: Host, cause: str) -> None:
    """A gap is declared, what changed is concluded, and nothing is restarted whose end nobody saw."""
    (gap, *_) = await host.watch.until_told("agent", "event_gap")
    assert gap.data["cause"] == cause
    for name in ("stopped", "crashed"):
        (died,) = await host.watch.until_told("container", "die", name, where=lambda told: told.origin == "synthetic")
        for policy in ("revive", "keep-up"):
            held = await host.watch.until_held(name, policy)
            assert held.guard == "operator_intent"
            assert "could not see" in held.reason
        assert died.arrived >= gap.arrived
    for action, name in (("destroy", "gone"), ("create", "born"), ("start", "born")):
        (told,) = await host.watch.until_told("container", action, name)
        assert told.origin == "synthetic"
    assert host.calls() == []
    await no_ghost(host)


async def no_ghost(host: Host) -> None:
    """Who subscribes now is told of those that exist and of no other."""
    await host.watch.until(lambda _: host.watch.state("gone") is None and host.watch.state("born") is not None)
    with AgentWatch(host.broker.port, host.agent.host) as late:
        await late.until(lambda _: late.state("born") is not None)
        assert late.state("gone") is None


async def test_what_happened_while_the_engine_was_out_of_reach_is_replayed(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    assert host.proxy is not None
    ids = await present(host)
    with EngineTape(engine) as tape:
        host.proxy.refuse()
        meanwhile(engine, tape)
        (down,) = await host.watch.until_told("engine", "down")
        assert host.agent.status()["engine"]["connected"] is False
        host.proxy.listen()

        up = (await host.watch.until_told("engine", "up", count=2))[-1]

        assert down.document["severity"] == "critical"
        assert up.data["down_seconds"] > 0
        assert up.data["restarted"] is False
        await replayed(host, tape, ids)


async def test_what_happened_while_the_agent_was_away_is_replayed(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    ids = await present(host)
    with EngineTape(engine) as tape:
        host.agent.kill()
        meanwhile(engine, tape)

        host.agent.start()

        await replayed(host, tape, ids)


async def test_what_happened_while_the_agent_was_away_sets_off_policies_that_take_long_to_read(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, TELLS_OF_CRASHES)
    # more than enough for the engine to answer first
    never = "".join(NEVER_MET.format(number=number) for number in range(400))
    host.agent.write_policies(f"version: 1\npolicies:\n{never}", "many.yaml")
    engine.run("crashed", *CRASHES_ON_USR1, labels=LABELS)
    await host.watch.until_told("container", "start", "crashed")
    with EngineTape(engine) as tape:
        host.agent.kill()
        engine.docker("kill", "--signal=USR1", "crashed")
        tape.wait("crashed", "die")

        host.agent.start()

        (told,) = await host.watch.until_told("action", "notify", "crashed")
    (died,) = host.watch.told("container", "die", "crashed")
    assert died.origin == "replay"
    assert told.correlation == died.correlation


async def test_what_happened_while_the_agent_was_away_that_had_seen_no_event_yet_is_replayed(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    names = ("stopped", "crashed", "gone")
    ids = {name: engine.run(name, *CRASHES_ON_USR1, labels=LABELS) for name in names}
    host = make_host(engine, module_broker, POLICIES)
    await inspected(host, names)
    with EngineTape(engine) as tape:
        host.agent.kill()
        meanwhile(engine, tape)

        host.agent.start()

        await replayed(host, tape, ids)


async def test_what_happened_while_the_agent_was_away_is_replayed_though_the_clock_was_stepped_back(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    ids = await present(host)
    with EngineTape(engine) as tape:
        host.agent.kill()
        meanwhile(engine, tape)
        with closing(sqlite3.connect(host.agent.directory / "state" / "store.db")) as store, store:
            stamp = "json_extract(value, '$.time_ns') + 3600000000000"
            store.execute(f"UPDATE meta SET value = json_set(value, '$.time_ns', {stamp}) WHERE key = 'cursor'")

        host.agent.start()

        await replayed(host, tape, ids)


async def test_a_cursor_from_the_future_that_the_engine_does_not_know_is_declared_and_holds_nothing_up(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    await present(host)
    host.agent.stop()
    future = json.dumps({"time_ns": time.time_ns() + 3600 * 10**9, "event_id": "unknown"})
    with closing(sqlite3.connect(host.agent.directory / "state" / "store.db")) as store, store:
        store.execute("UPDATE meta SET value = ? WHERE key = 'cursor'", (future,))
    begun = time.time()

    host.agent.start()

    (gap,) = await host.watch.until_told("agent", "event_gap")
    assert gap.data["cause"] == "clock_stepped_back"
    assert begun <= gap.data["since"] <= gap.data["until"] <= time.time()
    assert "clock was set back" in gap.document["data"]["reason"]
    engine.docker("kill", "--signal=USR1", "crashed")
    await host.watch.until_told("container", "die", "crashed")
    assert host.watch.told("engine", "down") == []


async def test_what_the_engine_forgot_before_it_came_back_is_declared_and_undone_by_nobody(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    assert host.proxy is not None
    await present(host)
    with EngineTape(engine) as tape:
        out_of_reach = host.proxy.reject("*", "*")
        host.proxy.cut()
        meanwhile(engine, tape)
        overflow_the_ring(engine)
        out_of_reach.release()

        await declared(host, "replay_incomplete")


async def test_what_the_engine_forgot_while_the_agent_was_away_is_declared_and_undone_by_nobody(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    await present(host)
    with EngineTape(engine) as tape:
        host.agent.stop()
        meanwhile(engine, tape)
        overflow_the_ring(engine)

        host.agent.start()

        await declared(host, "replay_incomplete")


async def test_what_is_there_at_the_first_start_ever_is_taken_as_it_is(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    for name in ("stopped", "crashed"):
        engine.run(name, *CRASHES_ON_USR1, labels=LABELS)
    engine.docker("stop", "--time=1", "stopped")
    engine.docker("kill", "--signal=USR1", "crashed")
    engine.docker("wait", "crashed")

    host = make_host(engine, module_broker, POLICIES)

    for name in ("stopped", "crashed"):
        (held,) = await host.watch.until_told("policy", "held", name)
        assert held.data["policy"] == "keep-up"
        assert held.guard == "operator_intent"
        assert "could not see" in held.reason
        state = host.watch.state(name)
        assert state is not None
        assert state["status"] == "exited"
    assert host.watch.told("container") == []
    assert host.watch.told("agent", "event_gap") == []
    assert host.calls() == []


async def test_what_is_retained_of_a_container_that_the_store_forgot_is_cleared(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    await present(host)
    await host.watch.until(lambda _: all(host.watch.state(name) for name in ("stopped", "crashed", "gone")))
    host.agent.stop()
    with closing(sqlite3.connect(host.agent.directory / "state" / "store.db")) as store, store:
        store.execute("UPDATE records SET value = '{}' WHERE kind = 'container'")  # as if written by another version
    engine.docker("rm", "--force", "gone")
    engine.run("born", labels=LABELS)
    overflow_the_ring(engine)

    host.agent.start()

    await no_ghost(host)
