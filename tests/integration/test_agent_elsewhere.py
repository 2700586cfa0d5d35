"""Whole agents whose engine is elsewhere: over TCP with mutual TLS, and over ssh. What docs/engines.md says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support import plans
from tests.support.agent import Host
from tests.support.broker import PrivateBroker, free_port, throwaway_ca
from tests.support.elsewhere import BEGIN, HEAL, MEASURED, REVIVE
from tests.support.engine import IMAGE, PrivateEngine, over_tls
from tests.support.engine_watch import in_thread
from tests.support.ssh_server import SshServer
from tests.support.troubles import KILLED_CHILD, SICKENS

MIB = 2**20
RIGHT_SIZE = """\
  - name: right-size
    select: {name: hog}
    resize: {memory: {min: 16MiB, max: 200MiB}}
"""
BY_HAND = """\
  - name: by-hand
    schedule: {cron: "0 0 29 2 *", timezone: UTC}
    prune: {images: {unused_for: 1s, keep_newest: 0, without_digest: true, keep: [IMAGE]}}
""".replace("IMAGE", f'"{IMAGE}"')
POLICIES = BEGIN + HEAL + REVIVE + MEASURED + RIGHT_SIZE + BY_HAND


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """An engine, and how an agent gets there.

    Attributes:
        settings: The agent's `engine` by the name of the way.
        without_certificate: The same over TLS, for who has none of its own.
    """

    engine: PrivateEngine
    settings: dict[str, dict[str, object]]
    without_certificate: dict[str, object]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    files, url = throwaway_ca(tmp_path_factory.mktemp("tls")), f"tcp://127.0.0.1:{free_port()}"
    tls = {"ca": str(files.ca), "cert": str(files.client_cert), "key": str(files.client_key)}
    with PrivateEngine(options=over_tls(files, url=url)) as engine, SshServer() as server:
        yield Elsewhere(
            engine=engine,
            settings={
                "tls": {"url": url, "tls": tls},
                "ssh": {"url": server.url(engine.socket), "ssh_config": str(server.config)},
            },
            without_certificate={"url": url, "tls": {"ca": str(files.ca)}},
        )


@pytest.mark.parametrize("way", ["tls", pytest.param("ssh", marks=pytest.mark.only_full)])
async def test_an_agent_heals_measures_resizes_and_prunes_and_leaves_alone_what_a_person_stopped(
    elsewhere: Elsewhere, module_broker: PrivateBroker, make_host: Callable[..., Host], way: str
) -> None:
    engine = elsewhere.engine
    engine.sweep()
    host = make_host(
        engine,
        module_broker,
        POLICIES,
        proxied=False,
        settings={"engine": elsewhere.settings[way] | {"timeout": "10s"}},
    )
    engine.run("web", options=SICKENS)
    engine.run("stopped")
    engine.run("hog", *KILLED_CHILD, options=("--memory=32m", "--memory-swap=32m"))
    engine.load_image("old:1")
    await host.watch.until_told("action", "notify", "web")
    assert host.agent.status()["sampling"]["source"] == "stats-api"

    await in_thread(lambda: engine.docker("exec", "web", "touch", "/tmp/bad"))
    (healed,) = await host.watch.until_told("action", "succeeded", "web")
    (die,) = host.watch.told("container", "die", "web")
    assert die.correlation == healed.correlation

    await in_thread(lambda: engine.docker("stop", "--time=1", "stopped"))
    assert (await host.watch.until_held("stopped", "revive")).guard == "operator_intent"

    await in_thread(lambda: engine.docker("exec", "hog", "touch", "/tmp/go"))
    await host.watch.until_told("action", "succeeded", "hog")
    assert engine.api("GET", "/containers/hog/json")["HostConfig"]["Memory"] == 132 * MIB

    await plans.planned(host, "old:1", policy="by-hand")
    await in_thread(lambda: host.agent.command("prune", "by-hand", "--yes"))
    (pruned,) = await host.watch.until_told("policy", "pruned")
    assert (pruned.data["name"], pruned.data["freed"]) == ("old:1", None), "its disk can't be measured from here"


async def test_who_has_no_certificate_is_turned_away_and_says_so(
    elsewhere: Elsewhere, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(
        elsewhere.engine,
        module_broker,
        POLICIES,
        proxied=False,
        start=False,
        settings={"engine": elsewhere.without_certificate},
    )
    host.agent.start(ready=False)
    (down,) = await host.watch.until_told("engine", "down")
    assert "certificate required" in down.reason
