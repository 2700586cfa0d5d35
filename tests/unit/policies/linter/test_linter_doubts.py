"""What the linter says, and of what it says nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.policies import examples
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.linter.surroundings import UNTOLD, Surroundings, surroundings
from watchtower_agent.policies.policy import Budget, PolicySet
from watchtower_agent.settings.model import STATEFUL_IMAGES

CHECKOUT = Path(__file__).resolve().parents[4]
SHIPPED = sorted((CHECKOUT / "config").rglob("policies/*.yaml"))
USUAL = surroundings(
    source="auto",
    engine_url="",
    interval=1.0,
    stateful_images=frozenset(STATEFUL_IMAGES),
    host_budget=Budget(most=6, per=600.0),
)
API = surroundings(source="stats-api", engine_url="", interval=1.0)
ALL = 'select: {name: "*"}'


def line(body: str, index: int = 0) -> str:
    """One policy in the file, its condition in quotes: brackets and commas mean something to YAML."""
    written = r"""(when|where): (?:"([^"]*)"|(.*?)), (?=(?:then|for|cooldown|windows|budget|backoff):)"""
    quoted = re.sub(written, r"\1: '\2\3', ", body)
    return f"  - {{name: p{index}, {quoted}}}"


def said(*policies: str, where: Surroundings = USUAL) -> list[str]:
    """The warnings about policies, whose third line the first one is."""
    lines = [line(body, index) for index, body in enumerate(policies)]
    loaded = load_policies({"a.yaml": "\n".join(["version: 1", "policies:", *lines]).encode()}, where)
    assert isinstance(loaded, PolicySet), "\n".join(map(str, loaded))
    assert all(warning.warning for warning in loaded.warnings)
    return [str(warning) for warning in loaded.warnings]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (
            f"{ALL}, when: memory.percent > 90% and memory.percent < 80%, then: {{restart: {{}}}}",
            "never true: memory.percent > 90% and memory.percent < 80% exclude each other",
        ),
        (f"{ALL}, when: memory.percent > 90% and not memory.percent >= 90%, then: {{notify: {{}}}}", "exclude each"),
        (f"{ALL}, when: memory.percent < 0%, then: {{notify: {{}}}}", "never true: memory.percent < 0%"),
        (f'{ALL}, when: health == "healthy" and health == "unhealthy", then: {{notify: {{}}}}', "never true"),
        (
            'select: {name: "*", status: running}, when: status == "exited", then: {start: {}}',
            'never true: status == "running" and status == "exited" exclude each other',
        ),
        ("when: engine.responding and not engine.responding, then: {notify: {}}", "never true"),
        (
            f"{ALL}, on: {{container: die}}, where: exit_code == 1 and exit_code == 2, then: {{notify: {{}}}}",
            "policies[0].where: this is never true",
        ),
        (f"{ALL}, when: uptime < 5m, for: 10m, then: {{notify: {{}}}}", "policies[0].for: uptime is never in those"),
        (f"{ALL}, when: memory.percent >= 0%, then: {{notify: {{}}}}", "true of every container at all times"),
        (f"{ALL}, when: uptime < 5m, then: {{restart: {{}}}}", "still true after each restart"),
        (f"{ALL}, when: uptime < 5m or memory.percent > 90%, then: {{restart: {{}}}}", "still true after each restart"),
        (f"{ALL}, when: restarts > 3, then: {{restart: {{}}}}", r"delta\(restarts, 1h\) > 3"),
        (f'{ALL}, when: labels["a"] == "b", then: {{restart: {{}}}}', "still true after each restart"),
        (f'{ALL}, when: status == "running" and restarts >= 1, then: {{restart: {{}}}}', "still true after each"),
        (
            f'{ALL}, when: health != "healthy", for: 1m, then: {{restart: {{}}}}',
            r'without a health check \(its health is none\), so it is repeated .*, write health == "unhealthy"',
        ),
        (
            f"{ALL}, when: uptime > 10s, then: {{restart: {{}}}}",
            r": 30s after each restart the next .* \(budget: 5 actions within 30m\), .* uptime > 24h",
        ),
        (f'{ALL}, when: uptime >= 5m and status == "running", then: {{restart: {{}}}}', ": 5m after each restart"),
        (f'{ALL}, when: health == "healthy" and uptime > 10s, for: 1m, then: {{restart: {{}}}}', ": 70s after each"),
        (f"{ALL}, on: {{container: stop}}, then: {{restart: {{}}}}", r"policies[0].on: what a person stopped is left"),
        (f"{ALL}, on: {{container: stop}}, then: {{start: {{}}}}", "a start on a stop is never done, write on: {"),
        (f"{ALL}, when: restarts > 10, then: {{stop: {{}}}}", r'after each stop, .* add and status == "running"'),
        (f"{ALL}, when: restarts > 10, then: {{kill: {{}}}}", "still true after each kill"),
        (f'{ALL}, when: status == "running", then: {{start: {{}}}}', "still true after each start"),
        (f'{ALL}, when: status == "running", then: {{restart: {{}}}}', "still true after each restart"),
        (f'{ALL}, when: health == "healthy", then: {{restart: {{}}}}', "true again once a restart has helped"),
        (f'{ALL}, when: health == "healthy" and status == "running", then: {{restart: {{}}}}', "true again once a"),
        (f'{ALL}, when: health in ["healthy", "starting"], for: 1m, then: {{start: {{}}}}', "once a start has helped"),
        (
            'select: {image: ["postgres:16", redis]}, when: health == "unhealthy", then: {restart: {}}',
            "policies[0].select.image: postgres is a stateful image",
        ),
        ('select: {swarm_service: web}, when: health == "unhealthy", then: {restart: {}}', "tasks, which Swarm"),
        (
            'select: {labels: {watchtower-agent.protect: "true"}}, when: health == "unhealthy", then: {restart: {}}',
            "no container with this label",
        ),
    ],
)
def test_a_policy_that_can_not_work(policy: str, words: str) -> None:
    (warning,) = said(policy)
    assert re.match(r"a\.yaml:3:\d+: warning: policies\[0\]\.", warning)
    assert re.search(words.replace("policies[0]", r"policies\[0\]"), warning), warning


@pytest.mark.parametrize(
    "policy",
    [
        f'{ALL}, when: health == "unhealthy", for: 1m, then: {{restart: {{}}}}',
        f"{ALL}, when: memory.percent > 90% and uptime > 10m, then: {{restart: {{}}}}",
        f"{ALL}, when: uptime > 24h, then: {{restart: {{}}}}",
        f"{ALL}, when: uptime > 10m, then: {{restart: {{}}}}",
        f"{ALL}, when: uptime > 10s, cooldown: 6m, then: {{restart: {{}}}}",
        f"{ALL}, when: uptime > 10s, backoff: {{initial: 10m}}, then: {{restart: {{}}}}",
        f"{ALL}, when: uptime > 10s and uptime < 1m, cooldown: 2m, then: {{restart: {{}}}}",
        f"{ALL}, when: uptime > 10s, then: {{stop: {{}}}}",
        f"{ALL}, on: {{container: [stop, die]}}, then: {{restart: {{}}}}",
        f"{ALL}, on: {{container: stop}}, restart_stopped: true, then: {{restart: {{}}}}",
        f"{ALL}, on: {{container: stop}}, then: {{notify: {{}}}}",
        f'{ALL}, when: uptime > 24h and health == "healthy", then: {{restart: {{}}}}',
        f'{ALL}, when: health == "healthy" and memory.percent > 90%, then: {{restart: {{}}}}',
        f'{ALL}, when: health == "starting", for: 10m, then: {{restart: {{}}}}',
        f"{ALL}, when: uptime < 5m, for: 4m, then: {{notify: {{}}}}",
        f"{ALL}, when: uptime < 5m, cooldown: 10m, then: {{restart: {{}}}}",
        f'{ALL}, when: "delta(restarts, 10m) > 3", then: {{stop: {{}}}}',
        f'{ALL}, when: restarts > 10 and status == "running", then: {{stop: {{}}}}',
        f'{ALL}, when: status in ["exited", "dead"] and exit_code not in [0, 143], then: {{start: {{}}}}',
        f"{ALL}, when: cpu.percent < 1%, for: 10m, then: {{restart: {{}}}}",
        f"{ALL}, when: restarts >= 3 and restarts <= 3, then: {{notify: {{}}}}",
        f"{ALL}, when: not restarts < 3 and not restarts > 3, then: {{notify: {{}}}}",
        f"{ALL}, when: memory.usage > memory.limit, then: {{restart: {{}}}}",
        f"{ALL}, when: memory.percent > 90% or memory.percent < 1%, then: {{notify: {{}}}}",
        f'{ALL}, when: "delta(memory.usage, 5m) < 0", then: {{notify: {{}}}}',
        f'{ALL}, when: "avg(memory.percent, 5m) > 80% and memory.percent < 70%", then: {{notify: {{}}}}',
        f'{ALL}, when: name == "web" or name == "api", then: {{notify: {{}}}}',
        f"{ALL}, when: memory.percent > 90%, then: {{kill: {{signal: HUP}}}}",
        f'{ALL}, when: labels["a"] == "b", then: {{kill: {{signal: HUP}}}}',
        'select: {image: [postgres, web]}, when: health == "unhealthy", then: {restart: {}}',
        'select: {image: postgres, name: db}, when: health == "unhealthy", then: {restart: {}}',
        'select: {image: postgres, labels: {autoheal: "true"}}, when: health == "unhealthy", then: {restart: {}}',
        'select: {image: postgres}, when: health == "unhealthy", then: {notify: {}}',
        'select: {swarm_service: web}, when: health == "unhealthy", then: {notify: {}}',
        f"mode: off, {ALL}, when: memory.percent < 0%, then: {{notify: {{}}}}",
    ],
)
def test_a_policy_that_can_work(policy: str) -> None:
    assert said(policy) == []


STOP_LEAKING = "select: {compose: {project: shop}}, when: memory.percent > 90%, then: {stop: {}}"
START_ENDED = 'select: {compose: {project: shop}}, when: status == "exited", then: {start: {}}'


BUSY = f"{ALL}, when: cpu.percent > 80%, then: {{pause: {{}}}}"
IDLE = f"{ALL}, when: cpu.percent < 20%, then: {{unpause: {{}}}}"
FULL = f"{ALL}, when: host.memory.percent > 80%, then: {{pause: {{}}}}"
ROOM = f"{ALL}, when: host.memory.percent < 85%, then: {{unpause: {{}}}}"
REVIVE = f'{ALL}, when: status == "paused", then: {{restart: {{}}}}'


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (STOP_LEAKING, START_ENDED, r"then\.start: this undoes the stop by policy p0 \(a\.yaml:3:5\)"),
        (START_ENDED, STOP_LEAKING, r"then\.stop: this is undone by policy p0 \(a\.yaml:3:5\), which does a start"),
        (
            'schedule: {cron: "0 20 * * *"}, select: {name: web}, then: {stop: {}}',
            'select: {name: "w*"}, when: not status == "running", for: 1m, then: {restart: {}}',
            "this undoes the stop",
        ),
        (
            STOP_LEAKING,
            "select: {compose: {project: shop, service: web}}, when: memory.percent > 95%, then: {restart: {}}",
            "restart here and stop by policy p0 .* are contrary, and both are wanted",
        ),
        (
            "select: {name: web}, on: {container: [oom, health_status]}, then: {restart: {}}",
            'select: {name: "*"}, on: {container: "*"}, where: health == "unhealthy", then: {stop: {}}',
            "are contrary",
        ),
        (
            'schedule: {cron: "0 20 * * *"}, select: {name: web}, then: {stop: {}}',
            'schedule: {cron: "0 20 * * *"}, select: {name: web}, then: {start: {}}',
            "are contrary",
        ),
        (
            f"{ALL}, when: host.memory.percent > 95%, then: {{pause: {{}}}}",
            f'{ALL}, when: status == "paused", then: {{unpause: {{}}}}',
            "this undoes the pause",
        ),
        (BUSY, IDLE, r"then\.unpause: this undoes the pause by policy p0"),
        (IDLE, BUSY, "this is undone by policy p0 .*, which does an unpause"),
        (BUSY, IDLE.replace("cpu.percent", "avg(cpu.percent_of_limit, 1m)"), "this undoes the pause"),
        (BUSY, IDLE.replace("then", "for: 30s, then").replace("20%", '20% and status == "paused"'), "undoes the pause"),
        (BUSY, REVIVE, r"then\.restart: this undoes the pause by policy p0"),
        (REVIVE, BUSY, "this is undone by policy p0 .*, which does a restart"),
        (BUSY, REVIVE.replace('== "paused"', '!= "running"'), "this undoes the pause"),
        (BUSY, IDLE.replace("unpause", "restart"), "this undoes the pause"),
        (BUSY, BUSY.replace("80", "95").replace("pause", "restart"), "pause by policy p0 .* are contrary"),
        (FULL, ROOM, r"unpause: this and the pause by policy p0 \(a.yaml:3:5\) go to and fro: .* ask of host.memory"),
        (ROOM, FULL, "pause: this and the unpause by policy p0 .* go to and fro"),
        (FULL, ROOM.replace("< 85%", "<= 80%"), "go to and fro"),
        (FULL, ROOM.replace("85%", "85% and host.load1 < 1"), "go to and fro"),  # wherever load is low
        (FULL, ROOM.replace("then", "for: 1m, then").replace("85%", '85% and status == "paused"'), "go to and fro"),
        (
            FULL.replace("pause", "stop").replace("80%", '80% and status == "running"'),
            ROOM.replace("unpause", "start").replace("85%", '85% and status == "exited"'),
            "go to and fro",
        ),
        (
            FULL.replace("host.memory.percent", "avg(host.memory.percent, 1m)"),
            ROOM.replace("host.memory.percent", "avg(host.memory.percent, 1m)"),
            r"ask of avg\(host.memory.percent, 1m\)",
        ),
    ],
)
def test_two_policies_against_each_other(one: str, other: str, words: str) -> None:
    (warning,) = said(one, other)
    assert re.match(r"a\.yaml:4:\d+: warning: policies\[1\]\.", warning)
    assert re.search(words, warning), warning


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # restarted while that may help, stopped when it does not
        (
            'select: {compose: {project: shop}}, when: health == "unhealthy" and restarts <= 5, then: {restart: {}}',
            'select: {name: "*"}, when: health != "none" and restarts > 5 and status == "running", then: {stop: {}}',
        ),
        (STOP_LEAKING, START_ENDED.replace("shop", "other")),
        (STOP_LEAKING, START_ENDED.replace("compose: {project: shop}", "labels: {a: b}")),
        (STOP_LEAKING, f"mode: shadow, {START_ENDED}"),
        (STOP_LEAKING, START_ENDED.replace("then:", "for: 1h, then:")),
        (
            STOP_LEAKING.replace("then:", 'windows: [{cron: "0 2 * * *", for: 1h}], then:'),
            START_ENDED.replace("then:", 'windows: [{cron: "0 6 * * *", for: 1h}], then:'),
        ),
        (
            'schedule: {cron: "0 20 * * *"}, select: {name: web}, then: {stop: {}}',
            'schedule: {cron: "0 8 * * *"}, select: {name: web}, then: {start: {}}',
        ),
        (
            "select: {name: web}, on: {container: oom}, then: {restart: {}}",
            "select: {name: web}, on: {container: pause}, then: {stop: {}}",
        ),
        (BUSY, IDLE.replace("then", "for: 10m, then")),
        (BUSY, IDLE.replace("cpu.percent <", "host.cpu.percent <")),
        (BUSY, IDLE.replace("cpu.percent < 20%", "cpu.percent < 20% and pids > 5")),
        # a gap, a long wait, another number, or something else that has to be so
        (FULL, ROOM.replace("85%", "70%")),
        (FULL, ROOM.replace("then", "for: 10m, then")),
        (FULL, ROOM.replace("memory", "cpu")),
        (FULL, ROOM.replace("host.memory.percent", "avg(host.memory.percent, 1m)")),
        (FULL.replace("80%", "80% and pids > 5"), ROOM.replace("85%", "85% and host.load1 < 1")),
        (FULL, ROOM.replace("unpause", "stop")),
        (BUSY, IDLE.replace("cpu.percent < 20%", "delta(cpu.percent, 1m) < 0%")),
        # paused first, and ended where that was not enough
        (BUSY, BUSY.replace("80", "95").replace("pause", "stop")),
        (BUSY, REVIVE.replace("then", "for: 1m, then").replace("restart", "kill")),
        # the engine can't start what is paused
        (BUSY, REVIVE.replace("restart", "start")),
        (BUSY, REVIVE.replace("then", "for: 10m, then")),
        (BUSY, REVIVE.replace("paused", "exited")),
        (BUSY.replace("pause", "stop"), IDLE.replace("unpause", "start")),
        (STOP_LEAKING, 'select: {compose: {project: shop}}, when: health == "unhealthy", then: {restart: {}}'),
        (
            STOP_LEAKING.replace("stop: {}", "kill: {signal: HUP}"),
            STOP_LEAKING.replace("stop: {}", "restart: {}"),
        ),
        (
            STOP_LEAKING.replace("{compose: {project: shop}}", "{compose: {project: shop}, name: web}"),
            START_ENDED.replace("{compose: {project: shop}}", "{compose: {project: shop}, not: {name: web}}"),
        ),
    ],
)
def test_two_policies_beside_each_other(one: str, other: str) -> None:
    # That one of them does nothing by itself is another matter.
    assert said(one, other) == [
        each.replace("policies[0]", "policies[1]").replace(":3:", ":4:") for each in said(other)
    ]


SICK = 'select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}'


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ("cooldown: 10m, budget: {max: 6, per: 30m}", "at most 3 action"),
        ("cooldown: 10m, budget: {max: 3, per: 30m}", "at most 3 action"),
        ("cooldown: 10m, budget: {max: 2, per: 30m}", ""),
        ("for: 10m, budget: {max: 3, per: 30m}", "at most 3 action"),
        ("cooldown: 10m", ""),
        ("backoff: {initial: 10m}, budget: {max: 4, per: 30m}", "at most 3 action"),
        ("backoff: {initial: 10s}, budget: {max: 6, per: 30m}", ""),
        ("cooldown: 1h, budget: {max: 1, per: 30m}", "at most 1 action"),
    ],
)
def test_a_budget_larger_than_its_window_allows(keys: str, fits: str) -> None:
    warnings = said(SICK.replace("then:", f"{keys}, then:"))
    assert [fits in warning for warning in warnings] == [True] * bool(fits)
    assert all("policies[0].budget: this budget is never used up" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("policy", "fits"),
    [
        (
            "budget: {max: 10, per: 1h}, prune: {PRUNE}",
            "with this cooldown at most 6 begin within 1h, write a max of 5",
        ),
        ("budget: {max: 6, per: 1h}, prune: {PRUNE}", ""),  # the usual one
        ("budget: {max: 5, per: 1h}, prune: {PRUNE}", ""),
        ("budget: {max: 5, per: 1h}, cooldown: 1h, prune: {PRUNE}", "at most 1 begins within 1h, write a longer per"),
        ("budget: {max: 50, per: 1h}, cooldown: 0s, prune: {PRUNE}", ""),
        ("for: 1m, budget: {max: 30, per: 6h}, then: {restart_engine: {}}", "at most 24 begin within 6h"),
        ("for: 1m, budget: {max: 9, per: 6h}, cooldown: 1h, then: {restart_engine: {}}", "at most 6 begin within 6h"),
        ("for: 1m, budget: {max: 9, per: 6h}, then: {restart_engine: {}}", ""),
        ("for: 1m, then: {restart_engine: {}}", ""),
    ],
)
def test_a_budget_larger_than_the_cooldown_of_what_is_not_about_containers_allows(policy: str, fits: str) -> None:
    when = "engine.responding == false" if "engine" in policy else "host.disk.percent > 85%"
    prune = "{until: host.disk.percent < 75%, images: {}}"
    warnings = said(f"when: {when}, {policy.replace('{PRUNE}', prune)}")
    assert [fits in warning for warning in warnings] == [True] * bool(fits), warnings
    assert all("policies[0].budget: this budget is never used up" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("cron", "budget", "fits"),
    [
        ("30 3 * * *", "{max: 5, per: 1h}", "at most 1 action begins within 1h, write a longer per"),
        ("30 3 * * *", "{max: 2, per: 1d}", "at most 2 actions begin within 1d, write a max of 1, or a longer per"),
        ("30 3 * * *", "{max: 1, per: 1d}", ""),
        ("0 * * * *", "{max: 8, per: 4h}", "at most 7 actions"),
        ("0 * * * *", "{max: 3, per: 2h}", ""),
        ("*/15 * * * *", "{max: 2, per: 30m}", ""),
        ("* * * * *", "{max: 500, per: 1d}", ""),
        ("*/5 3 1 * *", "{max: 6, per: 1h}", ""),
        ("*/5 3 1 * *", "{max: 20, per: 1h}", "at most 12 actions"),
        ("0 3 29 2 *", "{max: 1, per: 1d}", "at most 1 action"),
    ],
)
def test_a_budget_larger_than_the_schedule_allows(cron: str, budget: str, fits: str) -> None:
    schedule = f'schedule: {{cron: "{cron}"}}, cooldown: 1s, backoff: {{initial: 1s, max: 1s}}'
    policy = f"{schedule}, select: {{name: web}}, budget: {budget}, then: {{restart: {{}}}}"
    warnings = said(policy, where=UNTOLD)
    assert [fits in warning and "this schedule" in warning for warning in warnings] == [True] * bool(fits), warnings


def test_what_other_policies_do_counts_in_a_budget() -> None:
    budgeted = SICK.replace("then:", "cooldown: 10m, budget: {max: 6, per: 30m}, then:")
    leaking = f"{ALL}, when: memory.percent > 90%, then: {{restart: {{}}}}"
    assert said(budgeted, leaking) == []
    assert len(said(budgeted, f"mode: shadow, {leaking}")) == 1


def test_a_budget_larger_than_the_hosts() -> None:
    where = surroundings(source="auto", engine_url="", interval=1.0, host_budget=Budget(most=6, per=600.0))
    many = "cooldown: 1s, backoff: {initial: 0s}, budget: {max: 25, per: 30m}"
    (warning,) = said(SICK.replace("then:", f"{many}, then:"), where=where)
    assert "the host's ends before (guards.host_budget: 6 within 10m)" in warning
    assert said(SICK.replace("then:", f"{many.replace('25', '24')}, then:"), where=where) == []


@pytest.mark.parametrize(
    ("select", "in_vain", "why"),
    [
        ("{name: [web, api]}", 3, "select names 2 containers, write 2 or fewer"),
        ("{name: web}", 2, "select names 1 container, write 1 or fewer"),
        ("{name: [web, api]}", 2, ""),
        ('{name: ["web-*", api]}', 3, ""),
        ('{name: "*"}', 25, "the host's budget ends before (guards.host_budget: 6 within 10m), write 24 or fewer"),
        ('{name: "*"}', 24, ""),
    ],
)
def test_more_in_vain_than_there_can_be(select: str, in_vain: int, why: str) -> None:
    where = surroundings(source="auto", engine_url="", interval=1.0, host_budget=Budget(most=6, per=600.0))
    policy = f'select: {select}, when: health == "unhealthy", budget: {{in_vain: {in_vain}}}, then: {{restart: {{}}}}'
    warnings = said(policy, where=where)
    assert len(warnings) == bool(why)
    assert all(f"policies[0].budget.in_vain: so many in vain there never are: {why}" in each for each in warnings)


def test_what_the_source_does_not_tell_has_its_place_inside_the_condition() -> None:
    policy = f"{ALL}, when: memory.usage > 1GiB or pressure.memory > 50%, then: {{notify: {{}}}}"
    (warning,) = said(policy, where=API)
    column = line(policy).index("pressure.memory") + 1
    assert warning.startswith(f"a.yaml:3:{column}: warning: policies[0].when: pressure.memory is never known")
    assert "set sampling.source to cgroup" in warning
    assert said(policy) == []


@pytest.mark.parametrize(
    ("source", "url", "unknown"),
    [
        ("auto", "", []),
        ("auto", "unix:///run/docker.sock", []),
        ("auto", "tcp://proxy:2375", ["memory.oom_kills", "host.disk.percent"]),
        ("cgroup", "tcp://proxy:2375", ["host.disk.percent"]),
        ("stats-api", "", ["memory.oom_kills"]),
        ("cgroup", "", []),
    ],
)
def test_what_is_known_where(source: str, url: str, unknown: list[str]) -> None:
    where = surroundings(source=source, engine_url=url, interval=1.0)
    policy = f"{ALL}, when: memory.oom_kills > 1 and host.disk.percent > 90%, then: {{notify: {{}}}}"
    assert [re.findall(r"(\S+) is never known", warning)[0] for warning in said(policy, where=where)] == unknown


@pytest.mark.parametrize(
    ("source", "url", "warned"),
    [
        ("auto", "", False),
        ("auto", "tcp://proxy:2375", True),
        ("cgroup", "unix:///run/docker.sock", False),
        ("stats-api", "", True),
    ],
)
@pytest.mark.parametrize("name", ["cpu.percent_of_limit", "memory.percent", "max(memory.limit, 10m)", "memory.usage"])
def test_the_engine_tells_a_part_of_the_limits(source: str, url: str, name: str, *, warned: bool) -> None:
    limit = "> 1GiB" if "limit," in name or "usage" in name else "> 90%"
    policy = f'{ALL}, when: "pids > 1 and {name} {limit}", then: {{notify: {{}}}}'
    warnings = said(policy, where=surroundings(source=source, engine_url=url, interval=1.0))
    assert [re.findall(r"(\S+) goes by the container's own limit", each)[0] for each in warnings] == (
        [name.removeprefix("max(").partition(",")[0]] if warned and name != "memory.usage" else []
    )


def test_growth_needs_two_samples() -> None:
    policy = f'{ALL}, when: "rate(memory.usage, 10s) > 1MiB and avg(pids, 10s) > 1", then: {{notify: {{}}}}'
    slow = surroundings(source="auto", engine_url="", interval=10.0)
    (warning,) = said(policy, where=slow)
    assert "rate over 10s never has two samples to compare" in warning
    assert said(policy) == said(policy, where=UNTOLD) == []


@pytest.mark.parametrize("text", [*SHIPPED, *(text for _, text in examples())], ids=lambda each: Path(each).name[:20])
def test_what_is_shipped_and_what_the_pages_show_is_beyond_doubt(text: Path | str) -> None:
    content = text.read_bytes() if isinstance(text, Path) else text.encode()
    loaded = load_policies({"a.yaml": content}, USUAL)
    assert isinstance(loaded, PolicySet)
    assert loaded.policies
    assert loaded.warnings == ()


def test_a_folder_full_of_contradictions_loads_in_time_and_tells_a_thousand() -> None:
    policies = [(STOP_LEAKING, START_ENDED)[index % 2] for index in range(1000)]
    assert len(said(*policies)) == 1000
