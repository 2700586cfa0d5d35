"""The agent on a host as operators have it: systemd as first process, cgroup v2, Docker as a service.

One story in the order of its tests, on one virtual machine (`scripts/machine`). It is emulated, so what takes a second
elsewhere may take twenty.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.machine.conftest import PASSWORD, Story
from tests.support.agent import Told
from tests.support.beside_docker_stats import BURN, HELD, compare_cpu, compare_memory
from tests.support.machine import BROKER, CHECKOUT, CPUS, Machine
from tests.support.schema import validate_message
from tests.support.tape import EngineTape, Recorded, recorded

pytestmark = pytest.mark.only_full

LONG = 300.0
"""Seconds that anything may take here."""
MOST_EXPOSED = 2.0
WELL_UNTIL_SICK = "rm -f /tmp/sick; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
WELL_AND_SLOW_TO_END = "rm -f /tmp/sick; trap : TERM; while :; do sleep 3600 & wait $!; done"
HEALED = ("--label=autoheal=true", "--restart=unless-stopped", "--health-cmd=test ! -e /tmp/sick")
OFTEN = ("--health-interval=5s", "--health-timeout=60s", "--health-retries=1")
OPERATORS_OWN = (
    f"s|url: mqtt://127.0.0.1:1883|url: {BROKER}|; s|username: null|username: agent|; "
    "s|interval: 10s, per|interval: 1s, per|; s|hold: 5m|hold: 20s|"
)
"""What the operator changes in the shipped agent.yaml. A hold of 5 min after each start of the engine is long."""

RESTARTS_ENGINE = """
version: 1
policies:
  - name: engine-hangs
    when: engine.responding == false
    for: 5s
    then: {restart_engine: {}}
    cooldown: 1m
    budget: {max: 20, per: 1h}
"""


async def run(machine: Machine, name: str, script: str, *options: str) -> str:
    """A container of the image that is there; its id."""
    return await asyncio.to_thread(machine.engine.run, name, "sh", "-c", script, options=options)


async def inside(machine: Machine, command: str, **options: bool) -> str:
    """What a command in the machine writes."""
    return await asyncio.to_thread(machine.run, command, **options)


async def lives(machine: Machine, name: str) -> tuple[str, int]:
    """When the container's present life began, and how often the engine has restarted it by itself."""
    found = await asyncio.to_thread(machine.engine.api, "GET", f"/containers/{name}/json")
    return found["State"]["StartedAt"], found["RestartCount"]


def ledger(machine: Machine, target: str) -> list[dict[str, object]]:
    """What the agent did to a container, as its command line tells root."""
    rows = json.loads(machine.run("watchtower-agent history --limit 1000 --json"))
    return [row for row in rows if row["target"] == target and row["verb"] == "restart"]


async def started(story: Story, count: int) -> list[Told]:
    """Wait until the agent has told so many starts of its own."""
    return await story.watch.until_told("agent", "started", count=count, timeout=LONG)


async def test_the_package_is_installed_and_the_agent_runs_with_few_rights(story: Story, package: Path) -> None:
    machine = story.machine
    machine.put(package, "/root/watchtower-agent.deb")
    await inside(
        machine, "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /root/watchtower-agent.deb"
    )
    assert machine.unit("ActiveState") == "active"
    machine.run(f"sed -i '{OPERATORS_OWN}' /etc/watchtower-agent/agent.yaml")
    machine.run(
        f"printf %s {json.dumps(PASSWORD)} | install -m 600 /dev/stdin /etc/watchtower-agent/credentials/mqtt__password"
    )
    await inside(machine, "systemctl restart watchtower-agent")
    # the broker lets nobody in without a password
    await started(story, 1)
    said = machine.run("systemd-analyze security --no-pager watchtower-agent.service")
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert level is not None, said
    assert float(level[1]) <= MOST_EXPOSED
    assert machine.run("stat -c %U /proc/$(systemctl show --value -p MainPID watchtower-agent)") == "watchtower-agent"
    assert machine.run("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param({"b10": 0.1, "b50": 0.5}, id="10+50"),
        pytest.param({"b100": 1.0}, id="100"),  # all that the machine has, unless it is given more
        *([pytest.param({"b150": 1.5}, id="150")] if CPUS > 1 else []),
    ],
)
async def test_cpu_is_what_docker_stats_shows_on_cgroup_v2(story: Story, shares: Mapping[str, float]) -> None:
    machine = story.machine
    try:
        burners = {
            name: await run(machine, name, f"{BURN} & {BURN}" if cores > 1 else BURN, f"--cpus={cores:g}")
            for name, cores in shares.items()
        }
        await compare_cpu(machine.engine, story.watch, burners, stretch=60, limit=LONG)
    finally:
        await asyncio.to_thread(machine.engine.docker, "rm", "--force", *shares)


async def test_memory_is_what_docker_stats_shows_on_cgroup_v2(story: Story) -> None:
    machine = story.machine
    try:
        await compare_memory(machine.engine, story.watch, limit=LONG)
    finally:
        await asyncio.to_thread(machine.engine.docker, "rm", "--force", *HELD)


async def test_what_turns_unhealthy_is_restarted(story: Story) -> None:
    machine, watch = story.machine, story.watch
    await run(machine, "web", WELL_UNTIL_SICK, *HEALED, *OFTEN)
    before, _ = await lives(machine, "web")
    await asyncio.to_thread(machine.engine.docker, "exec", "web", "touch", "/tmp/sick")
    await watch.until_told("action", "succeeded", "web", timeout=LONG)
    after, by_engine = await lives(machine, "web")
    assert after > before
    assert by_engine == 0
    assert len(watch.told("action", "started", "web")) == len(ledger(machine, "web")) == 1
    (firing,) = watch.told("policy", "firing", "web")
    assert {each.correlation for each in watch.told("action", "", "web")} == {firing.correlation}


async def test_the_engine_restarted_as_a_service_is_told_and_takes_nothing_along(story: Story) -> None:
    machine, watch = story.machine, story.watch
    agent = machine.unit("MainPID")
    came = len(watch.told("engine", "up"))
    await inside(machine, "systemctl restart docker")
    ups = await watch.until_told("engine", "up", count=came + 1, timeout=LONG)
    downs = watch.told("engine", "down")
    assert len(downs) == 1
    assert downs[0].document["sequence"] < ups[-1].document["sequence"]
    assert ups[-1].data["restarted"] is True
    assert machine.unit("MainPID") == agent
    await asyncio.to_thread(machine.reach_engine)
    there = {name.removeprefix("/") for each in machine.engine.api("GET", "/containers/json") for name in each["Names"]}
    assert there == {"web"}
    await watch.until(lambda _: (watch.state("web") or {}).get("status") == "running", timeout=LONG)


async def test_an_agent_that_hangs_is_started_again_by_the_watchdog(story: Story) -> None:
    machine, watch = story.machine, story.watch
    agent, times = machine.unit("MainPID"), len(watch.told("agent", "started"))
    assert machine.unit("NRestarts") == "0"
    machine.run("systemctl kill --kill-whom=main --signal=STOP watchtower-agent.service")
    await started(story, times + 1)
    assert machine.unit("MainPID") != agent
    assert machine.unit("NRestarts") == "1"
    assert "Watchdog timeout" in machine.run("journalctl --unit watchtower-agent --no-pager --output cat")
    assert watch.statuses[-2:] == ["offline", "online"]


async def test_an_engine_that_hangs_is_restarted_once_systemd_lets_the_agent(story: Story, tmp_path: Path) -> None:
    machine, watch = story.machine, story.watch
    policy = tmp_path / "engine.yaml"
    policy.write_text(RESTARTS_ENGINE)
    machine.put(policy, "/etc/watchtower-agent/policies/engine.yaml")
    machine.put(CHECKOUT / "config/polkit/50-watchtower-agent.rules", "/root/agent.rules")
    machine.run("chmod 644 /etc/watchtower-agent/policies/engine.yaml")
    machine.run("sed -i 's|restart_engine: false|restart_engine: true|' /etc/watchtower-agent/agent.yaml")
    times = len(watch.told("agent", "started"))
    await inside(machine, "systemctl restart watchtower-agent")
    await started(story, times + 1)
    hung = machine.run("systemctl show --value --property=MainPID docker")

    # without the rule polkit refuses, and says so; the engine is as it was
    machine.run("systemctl kill --kill-whom=main --signal=STOP docker")
    refused, *_ = await watch.until_told("action", "failed", "machine", timeout=LONG)
    assert "denied" in refused.reason or "authentication" in refused.reason, refused.reason
    assert machine.run("systemctl show --value --property=MainPID docker") == hung

    # with it the same engine, hanging still, is restarted
    machine.run("install -m 644 /root/agent.rules /etc/polkit-1/rules.d/50-watchtower-agent.rules")
    (done,) = await watch.until_told("action", "succeeded", "machine", timeout=LONG)
    assert done.data["numbers"]["unit"] == "docker.service"
    assert machine.run("systemctl show --value --property=MainPID docker") != hung
    assert machine.run("systemctl is-active docker") == "active"

    # the rule is for that one unit and that one verb
    for command in ("stop docker", "restart ssh", "reboot"):
        tried = machine.run(f"runuser -u watchtower-agent -- systemctl --no-ask-password {command} 2>&1", check=False)
        assert "denied" in tried or "authentication" in tried, tried

    # what a person has stopped stays stopped
    machine.run("systemctl stop docker.socket docker.service")
    await watch.until_told(
        "action", "abandoned", "machine", timeout=LONG, where=lambda told: "was stopped" in told.reason
    )
    assert machine.run("systemctl is-active docker", check=False) == "inactive"
    machine.run("rm /etc/watchtower-agent/policies/engine.yaml /etc/polkit-1/rules.d/50-watchtower-agent.rules")
    await inside(machine, "systemctl start docker.socket docker.service")
    await asyncio.to_thread(machine.reach_engine)
    await watch.until(lambda _: (watch.state("web") or {}).get("status") == "running", timeout=LONG)


@pytest.mark.parametrize("how", ["reboot", "lose_power"])
async def test_a_reboot_amid_an_action_loses_no_event_and_repeats_nothing(story: Story, how: str) -> None:
    machine, watch = story.machine, story.watch
    name = f"slow-{how}"
    # restarting it takes until its stop timeout is over: the host ends meanwhile
    await run(machine, name, WELL_AND_SLOW_TO_END, *HEALED, *OFTEN, "--label=autoheal.stop.timeout=30")
    times, ups = len(watch.told("agent", "started")), len(watch.told("engine", "up"))
    with EngineTape(machine.engine) as tape:
        await asyncio.to_thread(machine.engine.docker, "exec", name, "touch", "/tmp/sick")
        await watch.until_told("action", "started", name, timeout=LONG)
        await asyncio.to_thread(getattr(machine, how))
    await started(story, times + 1)
    await watch.until_told("engine", "up", count=ups + 1, timeout=LONG)
    await watch.until(lambda _: outcomes(story, name) != [], timeout=LONG)
    await run(machine, f"last-{how}", WELL_UNTIL_SICK)
    await watch.until_told("container", "start", f"last-{how}", timeout=LONG)

    # everything that the engine said before and has said since arrived, or is within a gap that was declared
    lines = await inside(machine, "docker events --since 0 --until $(date +%s) --format '{{json .}}'")
    said = tape.published() + [told for line in lines.splitlines() if not (told := recorded(json.loads(line))).is_exec]
    arrived = set(watch.engine_events())
    lost = [each for each in said if each not in arrived and not within_gap(story, each)]
    assert lost == [], watch.told("agent", "event_gap")

    # one attempt, with one outcome, and the engine has started it since at most once
    (row,) = ledger(machine, name)
    assert row["result"] == outcomes(story, name)[0]
    assert len(watch.told("action", "started", name)) == 1
    assert len(outcomes(story, name)) == 1
    begun, _ = await lives(machine, name)
    starts = [
        each
        for each in map(recorded, map(json.loads, lines.splitlines()))
        if (each.name, each.action) == (name, "start")
    ]
    assert len(starts) == 1, begun
    watch.check()


def outcomes(story: Story, name: str) -> list[str]:
    """How actions on a container ended."""
    ends = ("succeeded", "failed", "interrupted", "abandoned")
    return [each.action for each in story.watch.told("action", "", name) if each.action in ends]


def within_gap(story: Story, event: Recorded) -> bool:
    """Whether a subscriber was told that something of this time may be missing."""
    gaps = [each.data for each in story.watch.told("agent", "event_gap")]
    return any(gap.get("since", 0) <= event.time_ns / 1e9 <= gap.get("until", 0) for gap in gaps)


def newer_than(package: Path, folder: Path) -> Path:
    """A later version of the package, which brings two changed files of the configuration."""
    tree, newer = folder / "tree", folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.MULTILINE))
    for name in ("agent.yaml", "policies/notify-oom.yaml"):
        with (tree / "etc/watchtower-agent" / name).open("a") as shipped:
            shipped.write("# a newer version's\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, newer], check=True, capture_output=True)
    return newer


async def test_an_upgrade_keeps_configuration_and_state(story: Story, package: Path, tmp_path: Path) -> None:
    machine, watch = story.machine, story.watch
    newer = await asyncio.to_thread(newer_than, package, tmp_path)
    machine.put(newer, "/root/newer.deb")
    machine.run("rm /etc/watchtower-agent/policies/prune-disk.yaml")
    configured, done = machine.run("cat /etc/watchtower-agent/agent.yaml"), ledger(machine, "web")
    times = len(watch.told("agent", "started"))
    await inside(
        machine, "DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Options::=--force-confold install -y /root/newer.deb"
    )
    before, after = (await started(story, times + 1))[-2:]
    assert machine.run("dpkg-query -W -f '${Version}' watchtower-agent") == "99.0"
    assert machine.run("cat /etc/watchtower-agent/agent.yaml") == configured
    assert machine.run("tail -n 1 /etc/watchtower-agent/policies/notify-oom.yaml") == "# a newer version's"
    assert machine.run("ls /etc/watchtower-agent/policies | grep -c prune-disk.yaml", check=False) == "0"
    assert before.document["sequence"] < after.document["sequence"]
    assert ledger(machine, "web") == done
    assert machine.unit("ActiveState") == "active"


async def test_purged_nothing_of_it_stays(story: Story) -> None:
    machine, watch = story.machine, story.watch
    for message in watch.messages:
        validate_message(message.topic, message.payload)
    await inside(machine, "DEBIAN_FRONTEND=noninteractive apt-get purge -y watchtower-agent")
    assert watch.statuses[-1] == "offline"
    assert left(machine) == []


def left(machine: Machine) -> list[str]:
    """Files and units that are called like the agent, but for what the test has brought and systemd's own notes."""
    found = machine.run(
        "find / -xdev -name '*watchtower*' -not -path '/root/*' -not -path '/tmp/*' -not -path '/var/tmp/*'"
    )
    units = machine.run("systemctl list-unit-files --no-legend 'watchtower*'", check=False)
    return [*found.splitlines(), *units.splitlines()]


async def test_the_installer_does_the_same_from_a_checkout(story: Story, checkout: Path, wheels: Path) -> None:
    machine = story.machine
    machine.put(checkout, "/root/checkout")
    machine.put(wheels, "/root/wheels")
    install = "/root/checkout/scripts/install"
    await asyncio.to_thread(machine.run, f"{install} --wheels /root/wheels", timeout=1500)
    assert machine.unit("ActiveState") == "active"
    status = json.loads(machine.run("watchtower-agent status --json", check=False))
    assert status["engine"]["connected"] is True
    await inside(machine, f"{install} --uninstall")
    kept = {"/etc/watchtower-agent", "/var/lib/watchtower-agent"}
    assert set(left(machine)) == kept
    await inside(machine, f"{install} --uninstall --purge")
    assert left(machine) == []
    assert machine.run("id watchtower-agent", check=False) == ""
