"""kill -9 at every step between a die, the intent, the engine call and the outcome: nothing is done twice."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.support.agent import CRASHES_ON_USR1, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.tape import EngineTape
from tests.support.troubles import UNLIMITED, reviving

LABELS = {"heal": "true"}
COOLDOWN = 1.5
REVIVE = (
    reviving(cooldown="1500ms", **UNLIMITED)
    + """
  - name: sick
    select: {labels: {heal: sick}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 2s}}
    cooldown: 1500ms
    backoff: {initial: 0s}
    budget: {max: 1000, per: 1s}
"""
)
SICK = ("--health-cmd=test -e /tmp/good", "--health-interval=200ms", "--health-retries=1")
RELOAD_AND_START = """
version: 1
policies:
  - name: reload
    select: {labels: {heal: reload}}
    on: {container: health_status}
    where: health == "unhealthy"
    then: {kill: {signal: SIGHUP}}
    cooldown: 1s
  - name: start
    select: {labels: {heal: start}}
    on: {container: die}
    then: {start: {}}
    cooldown: 1s
    backoff: {initial: 0s}
"""
RELOADS = ("sh", "-c", "trap : HUP; trap 'exit 0' TERM; while :; do sleep 0.1; done")
CHECKED = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=200ms", "--health-retries=1")
DEAF = ("sh", "-c", "trap '' TERM; test -e /tmp/once && touch /tmp/good; touch /tmp/once; while :; do sleep 0.2; done")
"""Does not end on TERM: its restart takes the whole stop timeout. Healthy from its second life on."""


async def test_nothing_is_done_twice_and_what_was_not_done_is_done_after_the_cooldown(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, REVIVE)
    proxy, agent = host.proxy, host.agent
    assert proxy is not None
    asked, unheard, answered, died = (
        engine.run(name, *CRASHES_ON_USR1, labels=LABELS) for name in ("asked", "unheard", "answered", "died")
    )
    with EngineTape(engine) as tape:
        # The call of the first never reaches the engine, the second's answer never reaches the agent.
        held = proxy.hold("POST", f"/containers/{asked}/restart")
        proxy.lose_answers(f"/containers/{unheard}/restart")
        for name in ("asked", "unheard"):
            engine.docker("kill", "--signal=USR1", name)
        held.wait()
        tape.wait("unheard", "restart")
        # The engine is at the third: it waits for the end of a container that does not want to.
        at_it = engine.run("at-it", *DEAF, labels={"heal": "sick"}, options=SICK)
        await host.watch.until_told("action", "started", "at-it")
        proxy.wait_seen("POST", f"/containers/{at_it}/restart")
        # The fourth is answered, and the agent killed before it could write that down. The fifth dies unseen.
        frozen = proxy.hold("POST", f"/containers/{answered}/restart")
        engine.docker("kill", "--signal=USR1", "answered")
        frozen.wait()
        agent.send(signal.SIGSTOP)
        frozen.release()
        tape.wait("answered", "restart")
        engine.docker("kill", "--signal=USR1", "died")
        tape.wait("died", "die")
        agent.kill()
        proxy.cut(f"/containers/{asked}/restart")
        held.release()

        agent.start()

        # Each is found out about; only the one that was never asked for is asked for again.
        for name in ("unheard", "at-it", "answered", "asked"):
            await host.watch.until_told("action", "interrupted", name, timeout=20)
        for name in ("died", "asked"):
            await host.watch.until_told("action", "succeeded", name, timeout=20)
        for name, results in {
            "asked": [("interrupted", False), ("succeeded", None)],
            "unheard": [("interrupted", True)],
            "at-it": [("interrupted", True)],
            "answered": [("interrupted", True)],
            "died": [("succeeded", None)],
        }.items():
            rows = agent.ledger(name)
            assert [(row["result"], row["numbers"].get("engine_did_it")) for row in rows] == results, name
            tape.wait(name, "restart")
            assert len(tape.of(name, "restart")) == 1, name
        (first, again) = agent.ledger("asked")
        assert again["at"] - first["finished_at"] >= COOLDOWN
        (interrupted,) = host.watch.told("action", "interrupted", "asked")
        (succeeded,) = host.watch.told("action", "succeeded", "asked")
        assert interrupted.correlation == succeeded.correlation
        assert [call.path for call in host.calls(asked)] == [f"/containers/{asked}/restart"] * 2
        assert [len(host.calls(it)) for it in (unheard, at_it, answered, died)] == [1, 1, 1, 1]
        # What they were restarted from does not count as an operator's act, and none is thought to have crashed again.
        assert agent.status()["pending"] == []


async def test_a_reload_and_a_start_of_which_the_agent_heard_no_answer_are_not_called_undone(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, RELOAD_AND_START)
    assert host.proxy is not None
    reloads = engine.run("reloads", *RELOADS, labels={"heal": "reload"}, options=CHECKED)
    await host.watch.until_told("container", "start", "reloads")
    host.proxy.lose_answers("/containers/*/kill")
    host.proxy.lose_answers("/containers/*/start")
    with EngineTape(engine) as tape:
        engine.docker("exec", "reloads", "touch", "/tmp/bad")
        job = engine.run("job", "sh", "-c", "sleep 0.3; exit 3", labels={"heal": "start"})
        tape.wait("reloads", "kill")
        tape.wait("job", "die", count=2)
        host.agent.kill()

        host.agent.start()

        (kill,) = await host.watch.until_told("action", "interrupted", "reloads", timeout=20)
        (start,) = await host.watch.until_told("action", "interrupted", "job", timeout=20)
        assert (kill.data["numbers"]["engine_did_it"], start.data["numbers"]["engine_did_it"]) == (None, True)
        await host.watch.until(lambda _: len(host.calls(job)) > 1)  # its second end is another
        assert len(host.calls(reloads)) == 1
        assert len(tape.of("reloads", "kill")) == 1
    host.agent.kill()  # told to end, it would wait its 15 s for the answer to the second start
