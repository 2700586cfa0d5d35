"""Clones on a real engine: Compose takes them for its own, names lead to all of them, and blockers are named."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import Compose
from tests.support.engine import IMAGE, EngineFailedError, PrivateEngine
from tests.support.engine_watch import engine_calls
from tests.support.proxy import EngineProxy
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import (
    AbsentError,
    ForbiddenError,
    PermanentError,
    TemporaryError,
    UnansweredError,
    WatchtowerError,
)
from watchtower_agent.model.service import CLONE_OF

MIB = 2**20
COMMAND = """[sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"""
SHOP = f"""
name: shop
services:
  web:
    image: {IMAGE}
    pull_policy: never
    command: {COMMAND}
    environment: {{GREETING: "grüß Gott", EMPTY: ""}}
    networks: {{front: {{aliases: [shopfront]}}, back: {{}}}}
    ports: ["127.0.0.1:0:80"]
    volumes: ["/data", "read:/read:ro"]
    tmpfs: [/scratch]
    mem_limit: 64m
    mem_reservation: 16m
    cpus: 0.5
    labels: {{team: shop}}
    sysctls: {{net.core.somaxconn: 300}}
    ulimits: {{nofile: {{soft: 1000, hard: 2000}}}}
    cap_drop: [NET_RAW]
    init: true
    stop_grace_period: 3s
    healthcheck: {{test: "true", interval: 1s}}
  client:
    image: {IMAGE}
    pull_policy: never
    command: {COMMAND}
    networks: [front]
networks: {{front: {{}}, back: {{}}}}
volumes: {{read: {{}}}}
"""


@pytest.fixture
def docker(engine: PrivateEngine) -> Iterator[DockerEngine]:
    with (
        closing(engine_calls(engine.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        yield docker


def inspected(engine: PrivateEngine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.api("GET", f"/containers/{name}/json")
    return found


async def clone(docker: DockerEngine, original: str, *, shared: bool = False) -> str:
    return await docker.clone(original, policy="busy", decision="d1", shared=shared)


async def test_compose_takes_a_clone_for_a_replica_of_its_own(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path
) -> None:
    compose = Compose(engine, tmp_path, SHOP)
    compose("up", "--detach", "--wait")
    web = inspected(engine, "shop-web-1")["Id"]
    await clone(docker, web)
    await clone(docker, web)
    assert compose.names() == ["shop-client-1", "shop-web-1", "shop-web-2", "shop-web-3"]

    # An alias of the service leads to all of them, from wherever the network is.
    addresses = {
        inspected(engine, f"shop-web-{number}")["NetworkSettings"]["Networks"]["shop_front"]["IPAddress"]
        for number in (1, 2, 3)
    }
    assert len(addresses) == 3
    for name in ("web", "shopfront"):
        told = engine.docker("exec", "shop-client-1", "nslookup", name, "127.0.0.11")
        assert addresses == {line.split()[1] for line in told.splitlines()[2:] if line.startswith("Address")}
    assert "172." in engine.docker("exec", "shop-client-1", "nslookup", "shop-web-2", "127.0.0.11")

    # Compose takes away what its file does not ask for, and nothing else; the clones are its own to stop and remove.
    compose("up", "--detach", "--scale=web=2")
    assert compose.names() == ["shop-client-1", "shop-web-1", "shop-web-2"]
    assert inspected(engine, "shop-web-1")["Id"] == web
    compose("up", "--detach")
    assert compose.names() == ["shop-client-1", "shop-web-1"]
    assert inspected(engine, "shop-web-1")["Id"] == web, "it was not made anew"
    await clone(docker, web)
    compose("restart")
    compose("down", "--volumes")
    assert engine.api("GET", "/containers/json", all="1") == []
    # Anonymous volumes of replicas that it takes away Compose leaves behind, whoever made them.
    assert "shop_read" not in {volume["Name"] for volume in engine.api("GET", "/volumes")["Volumes"]}
    assert {network["Name"] for network in engine.api("GET", "/networks")} == {"bridge", "host", "none"}


async def test_a_clone_has_other_limits_than_its_original_where_it_is_to_have_them(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    """As the agent asks for them where it has lowered the original's."""
    made = ("create", "--memory=64m", "--memory-swap=96m", "--cpus=0.5", IMAGE, "true")
    web = inspected(engine, engine.docker(*made).strip())["Id"]

    async def limits(memory: int, cpu: float) -> list[int]:
        wish = {"policy": "busy", "decision": "d1"}
        of = inspected(engine, await docker.clone(web, **wish, shared=False, memory=memory, cpu=cpu))["HostConfig"]
        return [of[name] for name in ("Memory", "MemorySwap", "NanoCpus")]

    assert await limits(96 * MIB, 0.75) == [96 * MIB, 128 * MIB, 750_000_000]
    assert await limits(0, 0.0) == [0, 0, 0]


VOLATILE = {"Id", "Created", "Name", "State", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver"}


async def test_a_clone_is_like_its_original_in_everything_but_what_was_chosen_for_it(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path
) -> None:
    Compose(engine, tmp_path, SHOP)("up", "--detach", "--wait")
    original = inspected(engine, "shop-web-1")
    copy = inspected(engine, await clone(docker, original["Id"]))
    assert copy["HostConfig"] == original["HostConfig"]
    ours = {CLONE_OF: original["Id"], "watchtower-agent.decision": "d1", "watchtower-agent.policy": "busy"}
    labels = original["Config"]["Labels"] | ours | {"com.docker.compose.container-number": "2"}
    assert copy["Config"] == original["Config"] | {"Labels": labels, "Hostname": copy["Id"][:12]}
    assert original["Config"]["Hostname"] == original["Id"][:12]

    def mounts(of: dict[str, Any]) -> dict[str, str]:
        return {mount["Destination"]: mount["Name"] for mount in of["Mounts"]}

    assert mounts(copy).keys() == mounts(original).keys() == {"/data", "/read"}
    assert mounts(copy)["/read"] == mounts(original)["/read"] == "shop_read"
    assert mounts(copy)["/data"] != mounts(original)["/data"], "its anonymous volume is its own"
    networks = original["NetworkSettings"]["Networks"]
    assert copy["NetworkSettings"]["Networks"].keys() == networks.keys() == {"shop_front", "shop_back"}
    for name, endpoint in copy["NetworkSettings"]["Networks"].items():
        aliases = {alias if alias != "shop-web-1" else "shop-web-2" for alias in networks[name]["Aliases"]}
        assert set(endpoint["Aliases"]) == aliases
        assert endpoint["MacAddress"] != networks[name]["MacAddress"]
    (port,) = original["NetworkSettings"]["Ports"]["80/tcp"]
    (other,) = copy["NetworkSettings"]["Ports"]["80/tcp"]
    assert port["HostPort"] != other["HostPort"], "each has a port of its own"

    # Volumes that Compose hands on to a container that takes another one's place are not shared either.
    Compose(engine, tmp_path, SHOP.replace("300", "301"))("up", "--detach", "--wait", "web")
    anew = inspected(engine, "shop-web-1")
    assert (anew["Id"] != original["Id"], mounts(anew)["/data"]) == (True, mounts(original)["/data"])
    detail = (await docker.inspect(anew["Id"])).detail
    assert detail
    assert (detail.cloning.blockers, detail.cloning.volumes) == ((), ())
    assert detail.cloning.reservation == 16 * 2**20
    again = inspected(engine, await clone(docker, anew["Id"]))
    assert mounts(again).keys() == mounts(anew).keys()
    assert mounts(again)["/data"] != mounts(anew)["/data"]


async def test_only_its_anonymous_volumes_go_with_a_clone(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path
) -> None:
    compose = Compose(engine, tmp_path, SHOP.replace("read:/read:ro", "read:/read"))
    compose("up", "--detach", "--wait")
    before = {volume["Name"] for volume in engine.api("GET", "/volumes")["Volumes"]}
    made = await clone(docker, inspected(engine, "shop-web-1")["Id"], shared=True)
    assert len(engine.api("GET", "/volumes")["Volumes"]) == len(before) + 1
    await docker.remove_clone(made, stop_timeout=None)
    assert {volume["Name"] for volume in engine.api("GET", "/volumes")["Volumes"]} == before
    assert compose.names() == ["shop-client-1", "shop-web-1"]


ONE = f"""
name: lone
services:
  web:
    image: {IMAGE}
    pull_policy: never
    command: {COMMAND}
    {{more}}
  other: {{{{image: {IMAGE}, pull_policy: never, command: {COMMAND}}}}}
networks:
  fixed: {{{{ipam: {{{{config: [{{{{subnet: 10.213.77.0/24}}}}]}}}}}}}}
volumes: {{{{files: {{{{}}}}}}}}
"""


@pytest.mark.parametrize(
    ("more", "blocker"),
    [
        ('ports: ["127.0.0.1:18099:80"]', "it has the host's port 18099 (for 80/tcp)"),
        (
            "networks: {fixed: {ipv4_address: 10.213.77.9}}",
            "it has the fixed address 10.213.77.9 in the network lone_fixed",
        ),
        ("container_name: webby", "it has a name of its own, webby"),
        ("network_mode: host", "it is in the host's network"),
        ("network_mode: service:other", "it shares the network of another one (container:"),
        ('volumes: ["files:/data"]', "lone_files at /data"),
        ('volumes: ["/tmp:/host"]', "/tmp at /host"),
    ],
)
async def test_each_blocker_is_named_and_nothing_is_made(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path, more: str, blocker: str
) -> None:
    compose = Compose(engine, tmp_path, ONE.format(more=more))
    compose("up", "--detach", "web")
    before = compose.names()
    (name,) = [name for name in before if "other" not in name]
    web = await docker.inspect(inspected(engine, name)["Id"])
    assert web.detail
    (said,) = [*web.detail.cloning.blockers, *web.detail.cloning.volumes]
    assert said.startswith(blocker)
    with pytest.raises(PermanentError, match="cloning container") as refused:
        await clone(docker, web.id)
    assert said in str(refused.value)
    assert compose.names() == before


PUT_IN = f"""
name: given
services:
  web:
    image: {IMAGE}
    pull_policy: never
    command: [sh, -c, "trap 'exit 0' TERM; {{write}}; touch /ready; while :; do sleep 0.1; done"]
    {{more}}
configs:
  inline: {{{{content: "listen 80"}}}}
  mounted: {{{{file: ./compose.yaml}}}}
secrets: {{{{token: {{{{environment: GIVEN_TOKEN}}}}}}}}
"""


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("configs: [{source: inline, target: /etc/web/app.conf}]", "/etc/web/app.conf"),
        ("configs: [inline]", "/inline"),
        ("secrets: [token]", "/run/secrets/token"),
        ("configs: [{source: inline, target: /etc/passwd}]\n    secrets: [token]", "/run/secrets/token, /etc/passwd"),
    ],
)
async def test_what_compose_put_into_it_beside_mounts_stands_against_a_clone(
    engine: PrivateEngine,
    docker: DockerEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
    named: str,
) -> None:
    monkeypatch.setenv("GIVEN_TOKEN", "hunter2")
    writes = "mkdir /cache; for i in $$(seq 500); do echo $$i > /cache/$$i; done; echo a > /own; echo b > /etc/own"
    compose = Compose(engine, tmp_path, PUT_IN.format(more=more, write=writes))
    compose("up", "--detach")
    engine.docker("exec", "given-web-1", "sh", "-c", "until test -e /ready; do sleep 0.05; done")
    with pytest.raises(PermanentError, match="would be without") as refused:
        await clone(docker, inspected(engine, "given-web-1")["Id"])
    assert f"Compose put {named} into it" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert compose.names() == ["given-web-1"]


async def test_what_a_process_wrote_itself_and_what_is_mounted_stands_against_nothing(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path
) -> None:
    writes = "mkdir -p /run/secrets; echo a > /run/secrets/own; echo b > /own; ln -s /own /link; tar -cf /a.tar /own"
    compose = Compose(engine, tmp_path, PUT_IN.format(more="configs: [mounted]", write=writes))
    compose("up", "--detach")
    engine.docker("exec", "given-web-1", "sh", "-c", "until test -e /ready; do sleep 0.05; done")
    await clone(docker, inspected(engine, "given-web-1")["Id"])
    assert compose.names() == ["given-web-1", "given-web-2"]


@pytest.mark.parametrize(
    ("method", "path", "listed"),
    [
        ("GET", "/containers/*/changes", "GET /containers/{id}/changes"),
        ("HEAD", "/containers/*/archive", "HEAD /containers/{id}/archive"),
    ],
)
async def test_what_a_proxy_does_not_let_through_is_named_and_clones_are_removed_all_the_same(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path, method: str, path: str, listed: str
) -> None:
    compose = Compose(engine, tmp_path, ONE.format(more=""))
    compose("up", "--detach", "web")
    engine.docker("exec", "lone-web-1", "touch", "/written")
    web = inspected(engine, "lone-web-1")["Id"]
    made = await clone(docker, web)
    with (
        EngineProxy(engine.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as behind,
    ):
        proxy.forbid(method, path)
        with pytest.raises(ForbiddenError) as found:
            await clone(behind, web)
        assert f"{listed} is not let through (403)" in str(found.value)
        assert compose.names() == ["lone-web-1", "lone-web-2"]
        await behind.remove_clone(made, stop_timeout=1)
    assert compose.names() == ["lone-web-1"]


async def test_who_takes_too_long_to_be_compared_with_its_image_is_cloned(
    engine: PrivateEngine, tmp_path: Path
) -> None:
    compose = Compose(engine, tmp_path, ONE.format(more=""))
    compose("up", "--detach", "web")
    with (
        EngineProxy(engine.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=1)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        proxy.blackhole("GET", "/containers/*/changes")
        await clone(docker, inspected(engine, "lone-web-1")["Id"])
    assert compose.names() == ["lone-web-1", "lone-web-2"]


@pytest.mark.parametrize(
    "more", ['ports: ["80"]', 'ports: ["127.0.0.1:18100-18109:80"]', 'volumes: ["files:/data:ro"]']
)
async def test_what_leaves_room_for_another_one_is_no_blocker(
    engine: PrivateEngine, docker: DockerEngine, tmp_path: Path, more: str
) -> None:
    compose = Compose(engine, tmp_path, ONE.format(more=more))
    compose("up", "--detach", "web")
    await clone(docker, inspected(engine, "lone-web-1")["Id"])
    assert compose.names() == ["lone-web-1", "lone-web-2"]


async def test_a_group_is_cloned_with_links_hostnames_and_the_default_bridge(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    db = engine.run("db", network="default")
    engine.docker("network", "create", "extra")
    web = engine.run("web", network="default", options=["--link=db:database", "--hostname=fixed", "--rm"])
    engine.docker("network", "connect", "--alias=front", "extra", "web")
    copy = inspected(engine, await clone(docker, web))
    assert copy["Config"]["Hostname"] == "fixed"
    assert copy["HostConfig"]["Links"] == ["/db:/web-clone-1/database"]
    assert copy["NetworkSettings"]["Networks"].keys() == {"bridge", "extra"}
    assert copy["NetworkSettings"]["Networks"]["extra"]["Aliases"] == ["front"]
    # `--rm`: the engine itself removes it once it has ended, and may be at it still.
    await docker.remove_clone(copy["Id"], stop_timeout=5)
    with contextlib.suppress(EngineFailedError):
        engine.api("POST", f"/containers/{copy['Id']}/wait", condition="removed")
    assert {each["Id"] for each in engine.api("GET", "/containers/json", all="1")} == {db, web}


async def test_a_clone_runs_the_image_of_its_original_though_the_name_means_another_one_by_now(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    engine.docker("tag", IMAGE, "shop:1")
    web = engine.run("web", image="shop:1")
    engine.load_image("shop:1")
    original, copy = inspected(engine, web), inspected(engine, await clone(docker, web))
    assert copy["Image"] == original["Image"] != engine.api("GET", "/images/shop:1/json")["Id"]
    engine.docker("image", "remove", "shop:1")
    assert inspected(engine, await clone(docker, web))["Image"] == original["Image"]


async def test_a_clone_that_does_not_start_is_removed_again(engine: PrivateEngine, docker: DockerEngine) -> None:
    web = engine.run("web", network="bridge", options=["--publish=127.0.0.1:18110-18111:80", "--volume=/data"])
    engine.run("taker", network="bridge", options=["--publish=127.0.0.1:18110-18111:80"])
    volumes = engine.api("GET", "/volumes")["Volumes"]
    with pytest.raises(
        WatchtowerError, match=r"the engine refused.*all ports are allocated; the clone was removed again"
    ):
        await clone(docker, web)
    assert len(engine.api("GET", "/containers/json", all="1")) == 2
    assert engine.api("GET", "/volumes")["Volumes"] == volumes


async def test_a_clone_that_no_network_takes_is_removed_again(engine: PrivateEngine) -> None:
    web = engine.run("web", network="bridge")
    engine.docker("network", "create", "extra")
    engine.docker("network", "connect", "extra", "web")
    with (
        EngineProxy(engine.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        proxy.reject("POST", "/networks/*/connect")
        with pytest.raises(TemporaryError, match=f"cloning container {web[:12]}"):
            await clone(docker, web)
    assert [each["Names"] for each in engine.api("GET", "/containers/json", all="1")] == [["/web"]]


async def test_a_clone_of_whose_making_no_answer_came_is_removed_again(engine: PrivateEngine) -> None:
    web = engine.run("web")
    with (
        EngineProxy(engine.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock(), margin=2)) as docker,
    ):
        other = await clone(docker, web)
        proxy.lose_answers("/containers/create")
        with pytest.raises(UnansweredError):
            await clone(docker, web)
        proxy.wait_seen("DELETE", "/containers/*")
        assert {each["Id"] for each in engine.api("GET", "/containers/json", all="1")} == {web, other}


async def test_several_services_are_cloned_at_once(engine: PrivateEngine, docker: DockerEngine) -> None:
    originals = [engine.run(f"web{number}") for number in range(4)]
    made = await asyncio.gather(*(clone(docker, each) for each in originals))
    assert {inspected(engine, each)["Name"] for each in made} == {f"/web{number}-clone-1" for number in range(4)}


@pytest.mark.parametrize("state", ["created", "exited", "paused", "removed"])
async def test_a_clone_is_removed_in_whatever_state_a_crash_or_a_person_left_it(
    engine: PrivateEngine, docker: DockerEngine, state: str
) -> None:
    web = engine.run("web")
    made = await clone(docker, web)
    if state == "created":
        # As a crash of the agent between the two calls leaves it: made, and never started.
        labels = inspected(engine, made)["Config"]["Labels"]
        engine.docker("rm", "--force", made)
        options = [f"--label={key}={value}" for key, value in labels.items()]
        made = engine.docker("create", *options, IMAGE)
    elif state == "exited":
        engine.docker("kill", made)
    elif state == "paused":
        engine.docker("pause", made)
    else:
        engine.docker("rm", "--force", made)
        with pytest.raises(AbsentError):
            await docker.remove_clone(made, stop_timeout=1)
        return
    assert inspected(engine, made)["State"]["Status"] == state
    await docker.remove_clone(made, stop_timeout=1)
    assert [each["Id"] for each in engine.api("GET", "/containers/json", all="1")] == [web]
