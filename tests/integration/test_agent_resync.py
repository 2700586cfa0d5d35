"""What only a comparison shows, on a real engine: a gap that swallowed more events than the engine remembers."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.troubles import reviving

RING = 256
POLICIES = reviving('{name: "*"}')


async def test_names_and_states_that_changed_in_a_gap_are_told_and_nothing_is_made_up(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    ids = {name: engine.run(name) for name in ("web", "db")}
    for name in ids:
        await host.watch.until_told("container", "start", name)
    await host.watch.until(lambda _: all(host.watch.state(name) for name in ids))

    host.agent.kill()
    engine.docker("rename", "web", "shop")
    engine.docker("pause", "db")
    # All that the engine remembers then is that a container got other names which never ran.
    filler = engine.api("POST", "/containers/create", {"Image": "busybox:local"}, name="filler")["Id"]
    for number in range(RING + 4):
        engine.api("POST", f"/containers/{filler}/rename", name=f"filler-{number}")
    last = f"filler-{RING + 3}"
    host.agent.start()

    (renamed,) = await host.watch.until_told("container", "rename", "shop")
    (paused,) = await host.watch.until_told("container", "pause", "db")
    await host.watch.until(lambda _: bool(host.watch.state(last) and host.watch.state("shop")))
    await host.watch.until(lambda _: host.watch.state("web") is None)
    assert (renamed.origin, renamed.data["old_name"]) == ("synthetic", "web")
    assert paused.origin == "synthetic"
    state = host.watch.state(last) or {}
    assert (state["status"], state["running"]) == ("created", False)
    assert (host.watch.state("shop") or {})["id"] == ids["web"]
    told = {each.action for each in host.watch.told("container") if each.data["container"]["id"] == filler}
    assert told == {"rename"}
    assert host.watch.told("container", "die") == []
    assert host.calls() == []
