"""Policies that would scale or resize the same containers: refused where it is certain, or told as a doubt."""

from __future__ import annotations

import pytest

from tests.support.policies import problems
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.linter.surroundings import UNTOLD, Surroundings, surroundings
from watchtower_agent.policies.policy import PolicySet

CPU = "{metric: cpu.percent, target: 60%}"
MEMORY = "{metric: memory.percent, target: 60%}"
QUEUE = "{mqtt: queue, target_per_replica: 30}"
WEB = "target: {compose: {project: shop, service: web}}"
GROUP = "target: {group: {labels: {app: web, tier: front}}}"
SWARM = "target: {swarm_service: web}"
SIZE = "resize: {cpu: {min: 1, max: 2}}"


def scale(*metrics: str, keys: str = "") -> str:
    return f"scale: {{min: 1, max: 9, metrics: [{', '.join(metrics or (CPU,))}]{keys}}}"


def file(*policies: str) -> str:
    return "version: 1\npolicies:\n" + "".join(f"  - {{name: p{i}, {each}}}\n" for i, each in enumerate(policies))


def refused(*policies: str) -> list[str]:
    return [str(each) for each in problems(file(*policies))]


def warned(*policies: str, where: Surroundings = UNTOLD) -> list[str]:
    loaded = load_policies({"a.yaml": file(*policies).encode()}, where)
    assert isinstance(loaded, PolicySet), "\n".join(map(str, loaded))
    return [str(each) for each in loaded.warnings]


# --- one service by two policies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [WEB, GROUP, SWARM])
@pytest.mark.parametrize("mode", ["enforce", "approve", "shadow"])
def test_a_service_is_scaled_by_one_policy(target: str, mode: str) -> None:
    (found,) = refused(f"{target}, {scale()}", f"mode: {mode}, {target}, {scale(QUEUE)}")
    assert found.startswith("a.yaml:4:")
    assert "policies[1].target: policy p0 (a.yaml:3:5) scales " in found
    assert found.endswith(
        "already, keep one of them: it can have the metrics of both, of which the one counts that needs most"
    )


def test_each_policy_after_the_first_is_told_of() -> None:
    assert len(refused(f"{WEB}, {scale()}", f"{WEB}, {scale()}", f"{WEB}, {scale()}")) == 2


def test_over_files_too_and_in_their_order() -> None:
    one, other = (f"version: 1\npolicies: [{{name: {name}, {SWARM}, {scale()}}}]\n".encode() for name in "ab")
    found = load_policies({"z.yaml": one, "b.yaml": other})
    assert isinstance(found, tuple)
    assert [(each.file, each.line) for each in found] == [("z.yaml", 2)]
    assert "policy b (b.yaml:2:12) scales web already" in str(found[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{app: web, tier: front}", "{app: web}"),
        ("{app: web}", "{app: web, tier: front}"),
    ],
)
def test_a_group_within_another_is_the_same_containers(one: str, other: str) -> None:
    (found,) = refused(
        f"target: {{group: {{labels: {one}}}}}, {scale()}", f"target: {{group: {{labels: {other}}}}}, {scale()}"
    )
    assert "policies[1].target: policy p0 (a.yaml:3:5) scales some of the same containers" in found


def test_a_group_by_labels_of_compose_is_a_service_of_compose() -> None:
    labels = "{com.docker.compose.project: shop, com.docker.compose.service: web}"
    (found,) = refused(f"{WEB}, {scale()}", f"target: {{group: {{labels: {labels}}}}}, {scale()}")
    assert "scales some of the same containers" in found


@pytest.mark.parametrize(
    "other",
    [
        f"mode: off, {WEB}",
        "target: {compose: {project: shop, service: api}}",
        "target: {compose: {project: test, service: web}}",
        SWARM,
        GROUP,
        "target: {swarm_service: shop_web}",
    ],
)
def test_another_service_is_another_one(other: str) -> None:
    assert warned(f"{WEB}, {scale()}", f"{other}, {scale()}") == []


# --- one resource both ways -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "select",
    [
        '{name: "*"}',
        "{name: shop-web-1}",
        "{compose: {project: shop}}",
        '{compose: {service: "w*"}}',
        "{compose: {project: [shop, test], service: [api, web]}}",
        "{labels: {tier: front}}",
        "{image: shop/web}",
        "{networks: shop_default}",
        "{compose: {project: shop}, not: {compose: {service: api}}}",
        '{name: "*", not: {compose: {service: web}, status: exited}}',
        "{labels: {com.docker.compose.service: web}}",
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_scaled_by_its_cpu_is_not_resized_by_it_too(select: str, order: int) -> None:
    pair = [f"{WEB}, {scale(QUEUE, CPU)}", f"select: {select}, {SIZE}"][::order]
    (found,) = refused(*pair)
    place = "a.yaml:3:5" if order == 1 else "a.yaml:4:5"
    name, index = ("p0", 1) if order == 1 else ("p1", 0)
    assert (
        f"policies[{index}].resize.cpu: policy {name} ({place}) scales by cpu.percent what this may select: " in found
    )
    assert found.endswith(
        "leave them out with not: {compose: {project: shop, service: web}} under select, or leave cpu out"
    )


def test_what_the_remedy_says_helps() -> None:
    for target, left_out in (
        (WEB, "{compose: {project: shop, service: web}}"),
        (GROUP, "{labels: {app: web, tier: front}}"),
        (SWARM, "{swarm_service: web}"),
    ):
        everything = 'swarm_service: "*"' if target is SWARM else 'name: "*"'
        (found,) = refused(f"{target}, {scale()}", f"select: {{{everything}}}, {SIZE}")
        assert f"not: {left_out} under select" in found
        load = load_policies(
            {"a.yaml": file(f"{target}, {scale()}", f"select: {{{everything}, not: {left_out}}}, {SIZE}").encode()}
        )
        assert isinstance(load, PolicySet)


@pytest.mark.parametrize(
    "other",
    [
        "select: {compose: {service: db}}, " + SIZE,
        'select: {compose: {service: "a*"}}, ' + SIZE,
        "select: {compose: {project: test, service: web}}, " + SIZE,
        "select: {labels: {com.docker.compose.service: db}}, " + SIZE,
        'select: {name: "*", not: {compose: {service: web}}}, ' + SIZE,
        'select: {name: "*", not: {compose: {service: "w*"}}}, ' + SIZE,
        'select: {name: "*"}, resize: {memory: {min: 1GiB, max: 2GiB}}',
        f'mode: off, select: {{name: "*"}}, {SIZE}',
        f'mode: shadow, select: {{name: "*"}}, {SIZE}',
    ],
)
def test_other_containers_or_another_resource_may_be_resized(other: str) -> None:
    assert warned(f"{WEB}, {scale()}", other) == []


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_a_service_that_is_not_really_scaled_may_be_resized(mode: str) -> None:
    assert warned(f"mode: {mode}, {WEB}, {scale()}", f'select: {{name: "*"}}, {SIZE}') == []


def test_tasks_of_a_swarm_are_never_resized_so_only_who_names_them_is_told() -> None:
    assert warned(f"{SWARM}, {scale()}", f'select: {{name: "*"}}, {SIZE}') == []
    (doubt,) = warned(f"{WEB}, {scale()}", f"select: {{swarm_service: web}}, {SIZE}")
    assert (
        "policies[1].select.swarm_service: these are tasks, which Swarm replaces by itself: the agent acts on" in doubt
    )
    assert doubt.endswith("(protected), leave their limits to Swarm")
    (found,) = refused(f"{SWARM}, {scale()}", f"select: {{swarm_service: [api, web]}}, {SIZE}")
    assert "scales by cpu.percent what this may select" in found


@pytest.mark.parametrize(
    ("metric", "resize", "key"),
    [
        (CPU, "{cpu: {min: 1, max: 2}}", "cpu"),
        ("{metric: cpu.cores, target: 1}", "{cpu: {min: 1, max: 2}}", "cpu"),
        ("{metric: pressure.cpu, target: 10%}", "{cpu: {min: 1, max: 2}}", "cpu"),
        (MEMORY, "{cpu: {min: 1, max: 2}, memory: {min: 1GiB, max: 2GiB}}", "memory"),
        ("{metric: memory.working_set, target: 1GiB}", "{memory: {min: 1GiB, max: 2GiB}}", "memory"),
        ("{metric: network.receive, target: 1MB}", "{cpu: {min: 1, max: 2}, memory: {min: 1GiB, max: 2GiB}}", ""),
        (QUEUE, "{cpu: {min: 1, max: 2}, memory: {min: 1GiB, max: 2GiB}}", ""),
    ],
)
def test_which_resource_it_is(metric: str, resize: str, key: str) -> None:
    pair = f"{WEB}, {scale(metric)}", f'select: {{name: "*"}}, resize: {resize}'
    if key:
        assert [line.split(": ")[1] for line in refused(*pair)] == [f"policies[1].resize.{key}"]
    else:
        assert warned(*pair) == []


# --- limits by two policies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ('{name: "*"}', "{name: web}", "sets"),
        ("{name: web}", '{name: "w*"}', "sets"),
        ('{name: "web-*"}', '{name: "*-1"}', "may set"),
        ('{name: "*wb"}', '{name: "[wd]b"}', "may set"),
        ("{labels: {tier: worker}}", "{labels: {team: shop}}", "may set"),
        ("{labels: {tier: worker}}", "{image: nginx}", "may set"),
        ("{name: web}", "{name: db}", ""),
        ('{name: "web-*"}', '{name: "db-*"}', ""),
        ('{name: "*-web"}', '{name: "*-db"}', ""),
        ("{labels: {tier: worker}}", "{labels: {tier: front, team: shop}}", ""),
        ("{image: nginx}", "{image: 'httpd:2'}", ""),
        ("{image: nginx}", "{image: 'nginx:1.27'}", "may set"),
        ('{name: "*"}', '{name: "*", not: {name: "*"}}', ""),
    ],
)
def test_two_policies_that_may_set_one_limit(one: str, other: str, how: str) -> None:
    found = warned(f"select: {one}, {SIZE}", f"select: {other}, {SIZE}")
    if not how:
        assert found == []
        return
    (line,) = found
    assert line.startswith("a.yaml:4:")
    assert f"warning: policies[1].resize.cpu: policy p0 (a.yaml:3:5) {how} the same limits (CPU) of the same" in line


@pytest.mark.parametrize(
    "other",
    [
        "resize: {memory: {min: 1GiB, max: 2GiB}}",
        f"mode: shadow, {SIZE}",
        f"mode: off, {SIZE}",
        f"windows: [{{cron: '0 3 * * *', for: 1h}}], {SIZE}",
    ],
)
def test_at_other_times_or_another_limit_it_is_meant(other: str) -> None:
    times = "windows: [{cron: '0 2 * * *', for: 1h}]"
    assert warned(f"select: {{name: web}}, {SIZE}, {times}", f"select: {{name: web}}, {other}") == []


# --- one policy alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metrics", "tolerance", "words"),
    [
        (
            ["{metric: memory.percent, target: 98%}"],
            "12%",
            "memory.percent is 100% at most, hardly more than the target, write a target below 89%",
        ),
        (["{metric: memory.percent, target: 80%}"], "50%", ""),
        (["{metric: memory.percent, target: 90%}"], "50%", "write a target below 66%"),
        (["{metric: memory.percent, target: 95%}"], "12%", ""),
        (["{metric: memory.percent, target: 98%}", CPU], "12%", ""),
        (["{metric: memory.percent, target: 98%}", QUEUE], "12%", ""),
        (["{metric: memory.percent, target: 98%}", "{metric: pressure.cpu, target: 99%}"], "12%", "metrics[1].target"),
        (["{metric: cpu.percent, target: 100%}"], "12%", ""),
    ],
)
def test_a_target_that_nothing_exceeds(metrics: list[str], tolerance: str, words: str) -> None:
    found = warned(f"{WEB}, {scale(*metrics, keys=f', up: {{tolerance: {tolerance}}}')}")
    assert len(found) == bool(words)
    assert all("no load makes this grow" in line and words in line for line in found), found


@pytest.mark.parametrize(
    ("keys", "warns"),
    [
        (", idle: {}", True),
        (", idle: {}, schedule: [{cron: '0 1 * * *', for: 5h, min: 0}]", False),
        (", idle: {}, schedule: [{cron: '0 1 * * *', for: 5h, min: 3}]", True),
        ("", False),
    ],
)
def test_an_idle_rule_that_min_keeps_from_ever_working(keys: str, warns: bool) -> None:
    found = warned(f"{SWARM}, {scale(QUEUE, keys=keys)}")
    assert [line.split(": ")[2] for line in found] == ["policies[0].scale.idle"] * warns


@pytest.mark.parametrize(
    ("target", "metrics", "least", "warns"),
    [
        (SWARM, [CPU], 0, True),
        (SWARM, [CPU, QUEUE], 0, False),
        (SWARM, [CPU], 2, False),
        (WEB, [CPU], 0, False),
    ],
)
def test_a_time_in_which_a_service_goes_down_to_none_and_nothing_tells_when_to_come_back(
    target: str, metrics: list[str], least: int, *, warns: bool
) -> None:
    bounds = [f"{{cron: '0 {hour} * * *', for: 1h, min: {each}}}" for hour, each in ((1, 1), (2, least))]
    keys = f", idle: {{}}, schedule: [{', '.join(bounds)}]"
    found = warned(f"{target}, {scale(*metrics, keys=keys)}")
    told = [line for line in found if "nothing brings one back before this time is over" in line]
    assert [line.split(": ")[2] for line in told] == ["policies[0].scale.schedule[1].min"] * warns


@pytest.mark.parametrize("target", [WEB, GROUP])
def test_an_idle_rule_of_what_never_goes_down_to_none(target: str) -> None:
    scaled = scale(QUEUE, keys=", idle: {}").replace("min: 1", "min: 0")
    (line,) = warned(f"{target}, {scaled}")
    assert "policies[0].scale.idle: the last replica never goes: of " in line
    assert "only what the agent made is removed, write min: 1, and leave idle out" in line


def test_metrics_that_these_settings_can_t_tell() -> None:
    api = surroundings(source="stats-api", engine_url="", interval=1.0)
    metrics = "{metric: pids, target: 9}", "{metric: pressure.cpu, target: 10%}", MEMORY
    never, partly = warned(f"{WEB}, {scale(*metrics)}", where=api)
    assert (
        "metrics[1].metric: pressure.cpu is never known with these settings, so that the service never shrinks" in never
    )
    assert "metrics[2].metric: memory.percent goes by the container's own limit with these settings" in partly


def test_a_protected_label_that_is_selected_to_be_resized() -> None:
    (found,) = warned(f'select: {{labels: {{watchtower-agent.protect: "true"}}}}, {SIZE}')
    assert found.endswith("the agent acts on no container with this label (protected), select by something else")


# --- beside policies that heal ----------------------------------------------------------------------------------------

HEAL = 'select: {name: %s}, when: health == "unhealthy", for: 1m, then: {restart: {}}, depends: %s'


def test_who_resizes_waits_for_nobody_and_breaks_no_circle() -> None:
    circle = HEAL % ("a", "b"), HEAL % ("b", "a")
    assert len(refused(*circle)) == 1
    assert len(refused(*circle, f"select: {{name: [a, b]}}, {SIZE}")) == 1


def test_who_resizes_uses_up_no_budget_of_restarts() -> None:
    slow = (
        "select: {name: a}, when: memory.percent > 90%, cooldown: 15m, then: {restart: {}}, budget: {max: 6, per: 1h}"
    )
    assert len(warned(slow)) == 1
    assert len(warned(slow, f"select: {{name: a}}, {SIZE}")) == 1
