"""`prune` as it is written becomes rules, or is refused with what to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.support.policies import lines, policy
from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.policy import Budget, ScheduleTrigger, Then, WhenTrigger
from watchtower_agent.policies.pruning.rules import (
    CacheRules,
    ContainerRules,
    ImageRules,
    NetworkRules,
    Rules,
    VolumeRules,
)
from watchtower_agent.policies.strategies.prune import Prune

DAY = 86400.0
NIGHTLY = 'schedule: {cron: "30 3 * * *"}'
PRESSURE = "when: host.disk.percent > 85%"
FINE = f"{NIGHTLY}\n    prune: {{images: {{}}}}"


def prune(written: str, trigger: str = NIGHTLY) -> Prune:
    """What stands under `prune`, beside that trigger."""
    made = policy(f"{trigger}\n    prune: {{{written}}}").prune
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        ("build_cache: {}", Rules(build_cache=CacheRules(unused_for=0.0))),
        ("build_cache: {unused_for: 72h}", Rules(build_cache=CacheRules(unused_for=3 * DAY))),
        ("images: {}", Rules(images=ImageRules(unused_for=DAY, keep_newest=2))),
        ("images: {unused_for: 0s, keep_newest: 0}", Rules(images=ImageRules(unused_for=0.0, keep_newest=0))),
        ("images: {keep_newest: 1000}", Rules(images=ImageRules(keep_newest=1000))),
        ('images: {keep: ["base/*", debian]}', Rules(images=ImageRules(keep=("base/*", "debian")))),
        ("images: {keep: base/*}", Rules(images=ImageRules(keep=("base/*",)))),
        ("images: {dangling: true}", Rules(images=ImageRules(dangling=True))),
        ("images: {dangling: true, keep_newest: 0}", Rules(images=ImageRules(dangling=True, keep_newest=0))),
        ("images: {dangling: true, keep: x}", Rules(images=ImageRules(dangling=True, keep=("x",)))),
        ("images: {without_digest: true}", Rules(images=ImageRules(without_digest=True))),
        ("images: {dangling: false, keep_newest: 1}", Rules(images=ImageRules(keep_newest=1))),
        ("containers: {}", Rules(containers=ContainerRules(finished_for=7 * DAY))),
        ("containers: {finished_for: 12h}", Rules(containers=ContainerRules(finished_for=DAY / 2))),
        ("networks: {}", Rules(networks=NetworkRules(unused_for=DAY))),
        ("networks: {unused_for: 2d}", Rules(networks=NetworkRules(unused_for=2 * DAY))),
        ('volumes: {only: ["cache-*"]}', Rules(volumes=VolumeRules(only=("cache-*",), unattached_for=7 * DAY))),
        ("volumes: {only: a, unattached_for: 30d}", Rules(volumes=VolumeRules(only=("a",), unattached_for=30 * DAY))),
        (
            "networks: {}, images: {}, build_cache: {}",
            Rules(images=ImageRules(), build_cache=CacheRules(), networks=NetworkRules()),
        ),
    ],
)
def test_what_may_be_deleted(written: str, rules: Rules) -> None:
    assert prune(written) == Prune(rules=rules)


def test_a_policy_for_want_of_space() -> None:
    made = policy(f"{PRESSURE}\n    for: 1m\n    prune: {{until: host.disk.percent < 75%, images: {{}}}}")
    assert isinstance(made.trigger, WhenTrigger)
    assert (made.trigger.condition.text, made.trigger.hold) == ("host.disk.percent > 85%", 60.0)
    assert made.prune is not None
    assert made.prune.until is not None
    assert made.prune.until.text == "host.disk.percent < 75%"
    assert (made.selector, made.then) == (None, Then(verb=Verb.PRUNE))


def test_a_policy_by_the_clock() -> None:
    made = policy(FINE)
    assert isinstance(made.trigger, ScheduleTrigger)
    assert made.prune == Prune(rules=Rules(images=ImageRules()))


@pytest.mark.parametrize(
    ("written", "cooldown", "budget"),
    [
        ("", 600.0, Budget(most=6, per=3600.0)),
        ("cooldown: 0s", 0.0, Budget(most=6, per=3600.0)),
        ("cooldown: 2h\n    budget: {max: 2}", 7200.0, Budget(most=2, per=3600.0)),
        ("budget: {per: 1d}", 600.0, Budget(most=6, per=DAY)),
        ("budget: {max: 5, per: 30m}", 600.0, Budget(most=5, per=1800.0)),
        ("budget: {probe_after: 3h, on_open: notify}", 600.0, Budget(most=6, per=3600.0, probe_after=10800.0)),
    ],
)
def test_how_soon_and_how_often(written: str, cooldown: float, budget: Budget) -> None:
    made = policy(f"{FINE}\n    {written}")
    assert (made.cooldown, made.budget) == (cooldown, budget)


@pytest.mark.parametrize("mode", list(Mode))
def test_modes_windows_and_approvals_are_as_for_any_action(mode: Mode) -> None:
    made = policy(
        f"{FINE}\n    mode: {mode}\n    windows: [{{cron: '0 2 * * *', for: 3h}}]"
        + ("" if mode is Mode.ENFORCE else "\n    approve_within: 10m")
    )
    assert (made.mode, len(made.windows), made.prune is not None) == (mode, 1, True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{}", "12: policies[0].prune: nothing is named that may be deleted, name one of build_cache, images, contai"),
        ("{until: host.disk.percent < 75%}", "12: policies[0].prune: nothing is named that may be deleted"),
        ("images", "12: policies[0].prune: this is not a mapping, write {images: {unused_for: 24h}, build_cache: {}}"),
        ("[images]", "12: policies[0].prune: this is not a mapping"),
        ("{image: {}}", '13: policies[0].prune.image: unknown key "image", did you mean images?'),
        ("{cache: {}}", '13: policies[0].prune.cache: unknown key "cache", did you mean build_cache?'),
        ("{volume: {}}", '13: policies[0].prune.volume: unknown key "volume", did you mean volumes?'),
        ("{images: all}", "21: policies[0].prune.images: this is not a mapping, write {unused_for: 24h, keep_newest"),
        ("{images: true}", "21: policies[0].prune.images: this is not a mapping"),
        ("{build_cache: true}", "26: policies[0].prune.build_cache: this is not a mapping, write {unused_for: 72h}, "),
        ("{containers: 7d}", "25: policies[0].prune.containers: this is not a mapping, write {finished_for: 7d}, or"),
        ("{networks: a}", "23: policies[0].prune.networks: this is not a mapping, write {unused_for: 24h}, or {}"),
        ("{volumes: [a]}", '22: policies[0].prune.volumes: this is not a mapping, write {only: ["cache-*"]}'),
        ("{networks: , images: {}}", "23: policies[0].prune.networks: there is no value, write {} for no parameters"),
        ("{images: {until: 24h}}", '22: policies[0].prune.images.until: unknown key "until", did you mean unused_for'),
        ("{images: {older_than: 1d}}", '22: policies[0].prune.images.older_than: unknown key "older_than", did you me'),
        ("{images: {exclude: a}}", '22: policies[0].prune.images.exclude: unknown key "exclude", did you mean keep?'),
        (
            "{images: {keep_last: 3}}",
            '22: policies[0].prune.images.keep_last: unknown key "keep_last", did you mean kee',
        ),
        ("{images: {unused_for: 24}}", '34: policies[0].prune.images.unused_for: "24" has no unit, write 24s for sec'),
        ("{images: {unused_for: -1h}}", '34: policies[0].prune.images.unused_for: "-1h" is less than nothing'),
        ("{images: {unused_for: [1h]}}", "34: policies[0].prune.images.unused_for: this is not a duration"),
        ("{build_cache: {unused_for: 24}}", '39: policies[0].prune.build_cache.unused_for: "24" has no unit'),
        ("{containers: {unused_for: 7d}}", '26: policies[0].prune.containers.unused_for: unknown key "unused_for"'),
        ("{containers: {finished_for: x}}", '40: policies[0].prune.containers.finished_for: "x" is not a duration'),
        ("{networks: {unused_for: 1w}}", '36: policies[0].prune.networks.unused_for: unknown unit "w", the units are'),
        ("{images: {keep_newest: -1}}", "35: policies[0].prune.images.keep_newest: this is not a number of images, wr"),
        ("{images: {keep_newest: 1001}}", "35: policies[0].prune.images.keep_newest: this is not a number of images"),
        ("{images: {keep_newest: 1.5}}", "35: policies[0].prune.images.keep_newest: this is not a number of images"),
        ("{images: {keep_newest: true}}", "35: policies[0].prune.images.keep_newest: this is not a number of images"),
        ("{images: {keep: []}}", "28: policies[0].prune.images.keep: the list is empty, name at least one, or leave"),
        ("{images: {keep: ['', a]}}", "29: policies[0].prune.images.keep[0]: the pattern is empty and matches no name"),
        ("{images: {keep: 'a['}}", '30: policies[0].prune.images.keep: the bracket in "a[" is never closed'),
        ("{images: {dangling: 1}}", "32: policies[0].prune.images.dangling: this is neither true nor false, write tr"),
        ("{images: {without_digest: yes}}", "38: policies[0].prune.images.without_digest: this is neither true nor"),
        (
            "{images: {without_digest: false, dangling: true}}",
            "22: policies[0].prune.images.without_digest: without_digest is about images with a name, and dangling",
        ),
        ("{volumes: {}}", '22: policies[0].prune.volumes.only: the key only is missing, add only: ["cache-*"], the v'),
        ("{volumes: {only: []}}", '29: policies[0].prune.volumes.only: no volume is named, write only: ["cache-*"]'),
        ("{volumes: {only: '*'}}", '29: policies[0].prune.volumes.only: this names every volume, write only: ["cac'),
        ("{volumes: {only: [a, '?*']}}", "29: policies[0].prune.volumes.only: this names every volume"),
        ("{volumes: {only: 3}}", "29: policies[0].prune.volumes.only"),
        ("{volumes: {only: a, unattached_for: 7}}", '48: policies[0].prune.volumes.unattached_for: "7" has no unit'),
        ("{volumes: {only: a, keep: b}}", '32: policies[0].prune.volumes.keep: unknown key "keep"'),
    ],
)
def test_a_mistake_in_it_has_its_place_and_a_remedy(written: str, expected: str) -> None:
    (found,) = lines(f"{NIGHTLY}\n    prune: {written}")
    assert found.startswith(f"a.yaml:5:{expected}"), found


@pytest.mark.parametrize("key", ["images: {keep: [%s]}", "volumes: {only: [%s]}"])
def test_a_hundred_patterns_are_the_most(key: str) -> None:
    names = [f"a{number}" for number in range(101)]
    assert prune(key % ", ".join(names[:100])) is not None
    (found,) = lines(f"{NIGHTLY}\n    prune: {{{key % ', '.join(names)}}}")
    assert "101 patterns are more than anybody keeps in mind, 100 is the most" in found


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (
            "host.disk.percent > 75%",
            "14: policies[0].prune.until: host.disk.percent > 75% is not made true by deleting",
        ),
        (
            "host.disk.free < 5GiB",
            "14: policies[0].prune.until: host.disk.free < 5GiB is not made true by deleting, wr",
        ),
        (
            "host.disk.percent < 75% and host.disk.inodes_percent >= 3%",
            "42: policies[0].prune.until: host.disk.inodes_percent >= 3% is not made true by deleting, write it like",
        ),
        ("not host.disk.percent < 75%", "18: policies[0].prune.until: not host.disk.percent < 75% is not made true by"),
        (
            "host.disk.percent < host.disk.inodes_percent",
            "14: policies[0].prune.until: host.disk.percent < host.disk.i",
        ),
        ("host.disk.percent < 0%", "14: policies[0].prune.until: this is never true: host.disk.percent < 0%"),
        ("host.disk.free >= 0", "14: policies[0].prune.until: this is always true, and nothing would be deleted"),
        ("host.disk.percent", "14: policies[0].prune.until: host.disk.percent is a percentage, not true or false"),
        (
            "host.disk.precent < 75%",
            '14: policies[0].prune.until: unknown name "host.disk.precent", did you mean host.',
        ),
        (
            "host.load1 < 3",
            "14: policies[0].prune.until: host.load1 is not measured after each deletion, choose one of",
        ),
        (
            "engine.images < 30",
            "14: policies[0].prune.until: engine.images is not measured after each deletion, choose",
        ),
        (
            "cpu.percent < 3%",
            "14: policies[0].prune.until: cpu.percent is about a container, and this is about the hos",
        ),
        ('labels["a"] == "b"', "14: policies[0].prune.until: labels are those of a container, and this is about the"),
        ("event.age > 3s", "14: policies[0].prune.until: event.age is known only of an event, choose one of host.disk"),
        ("healthy", '14: policies[0].prune.until: unknown name "healthy", choose one of host.disk.percent, host.disk'),
        (
            "avg(host.disk.percent, 5m) < 75%",
            "14: policies[0].prune.until: avg looks back, and here the disk is measured at one moment, write it",
        ),
        ("75%", "14: policies[0].prune.until"),
    ],
)
def test_a_mistake_in_until(until: str, expected: str) -> None:
    (found,) = lines(f"{PRESSURE}\n    prune:\n      images: {{}}\n      until: {until}")
    assert found.startswith(f"a.yaml:7:{expected}"), found


@pytest.mark.parametrize(
    "until",
    [
        "host.disk.percent < 75%",
        "host.disk.percent <= 75",
        "host.disk.inodes_percent < 60%",
        "host.disk.free > 20GiB",
        "host.disk.percent < 75% and host.disk.inodes_percent < 75%",
        "host.disk.percent < 75% or host.disk.free > 1TiB",
        "not (host.disk.percent > 75% or host.disk.inodes_percent > 75%)",
        "75% > host.disk.percent",
    ],
)
def test_marks(until: str) -> None:
    made = prune(f"until: '{until}', images: {{}}", PRESSURE)
    assert made.until is not None
    assert made.until.text == until
    assert prune(f"until: '{until}', images: {{}}").until == made.until


@pytest.mark.parametrize(
    ("when", "example"),
    [
        ("host.disk.percent > 85%", "host.disk.percent < 75%"),
        ("host.disk.free < 5GiB", "host.disk.free > 50GiB"),
        ("avg(host.disk.percent, 5m) > 85%", "host.disk.percent < 75%"),
        (
            "host.disk.inodes_percent > 85% or host.disk.percent > 85%",
            "host.disk.percent < 75% and host.disk.inodes_percent < 75%",
        ),
        ("engine.images > 100 and host.disk.percent > 50%", "host.disk.percent < 75%"),
    ],
)
def test_want_of_space_has_to_end(when: str, example: str) -> None:
    (found,) = lines(f"when: {when}\n    prune: {{images: {{}}}}")
    message = "policies[0].prune: when is about the disk, and nothing says when there is enough space"
    assert found == f"a.yaml:5:12: {message}, add until: {example}"


@pytest.mark.parametrize(
    "when",
    [
        "engine.images > 100",
        "engine.containers.stopped > 50 and host.load1 < 1",
        "not engine.responding or host.memory.percent > 3%",
        "avg(host.cpu.percent, 1h) < 5%",
    ],
)
def test_other_triggers_need_no_end(when: str) -> None:
    assert prune("images: {}", f"when: {when}").until is None


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("cpu.percent > 85%", "4:11: policies[0].when: cpu.percent is about a container, and this is about the host"),
        ("host.load1 > 3 and health == 'unhealthy'", "4:30: policies[0].when: health is about a container, and this"),
        ("avg(memory.percent, 5m) > 3%", "4:15: policies[0].when: memory.percent is about a container"),
        ("labels['a'] == 'b'", "4:11: policies[0].when: labels are those of a container, and this is about the host"),
        ("labels.a == 'b'", "4:11: policies[0].when: labels are those of a container"),
        ("event.age > 3s", "4:11: policies[0].when: event.age is known only of an event, use names that begin with ho"),
        ("event.attributes['a'] == 'b'", "4:11: policies[0].when: event.attributes are those of an event, and this"),
        ("event.foo > 3", "4:11: policies[0].when: what begins with event. is known only of an event, use names that"),
        ("memory > 3%", '4:11: policies[0].when: unknown name "memory"'),
    ],
)
def test_a_container_sets_nothing_off(when: str, expected: str) -> None:
    (found,) = lines(f"when: {when}\n    prune: {{images: {{}}}}")
    assert found.startswith(f"a.yaml:{expected}"), found


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ("keep_for: 1m", "keep_for: keep_for can't stand beside prune, leave it out; until says when a pass ends"),
        ("on: {engine: up}", "on: on can't stand beside prune, leave it out: a pass begins by when, as in engine.im"),
        ("where: event.age > 1s", "where: where can't stand beside prune, leave it out: a pass begins by when"),
        ("then: {notify: {}}", "then: then can't stand beside prune, leave it out: prune is what is done, and each"),
        ("select: {name: a}", "select: select can't stand beside prune, leave it out: prune is about this host, and"),
        ("target: {swarm_service: a}", "target: target can't stand beside prune, leave it out: prune is about this"),
        ("backoff: {initial: 3s}", "backoff: backoff can't stand beside prune, leave it out: it is about restarts"),
        ("depends: db", "depends: depends can't stand beside prune"),
        ("restart_stopped: false", "restart_stopped: restart_stopped can't stand beside prune"),
        ("for: 1m", "for: for belongs to when, remove it, or use when instead of schedule"),
        ("when: host.load1 > 3", "schedule: a policy has one trigger, and this has when and schedule, make two polici"),
        ("approve_within: 1h", "approve_within: approve_within belongs to mode: approve"),
        ("windows: []", "windows: no window is named"),
        ("budget: {on_open: stop}", "budget.on_open: stop is about a container, and prune is about this host, leave"),
        ("budget: {max: 0}", "budget.max: this is not a number of actions"),
    ],
)
def test_what_can_t_stand_beside_it(beside: str, expected: str) -> None:
    (found,) = lines(f"{FINE}\n    {beside}")
    assert f" policies[0].{expected}" in found, found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "prune: {images: {}}",
            "3:5: policies[0]: the policy has no trigger, add when: host.disk.percent > 85%, or sch",
        ),
        ("on: {engine: up}\n    prune: {images: {}}", "4:5: policies[0].on: on can't stand beside prune"),
        ("on: {engine: nonsense}\n    prune: {images: {}}", "4:5: policies[0].on: on can't stand beside prune"),
        (
            f"{NIGHTLY}\n    then: {{prune: {{images: {{}}}}}}",
            "5:12: policies[0].then.prune: prune does not stand under then, write prune in place of then",
        ),
        (f"{NIGHTLY}\n    prun: {{images: {{}}}}", '5:5: policies[0].prun: unknown key "prun", did you mean prune?'),
    ],
)
def test_it_stands_beside_a_trigger(body: str, expected: str) -> None:
    (found,) = lines(body)
    assert found.startswith(f"a.yaml:{expected}"), found


@pytest.mark.parametrize(
    "other",
    [
        "target: {swarm_service: a}\n    scale: {min: 1, max: 2, metrics: [{metric: cpu.percent, target: 60%}]}",
        "select: {name: a}\n    resize: {cpu: {min: 1, max: 2}}",
    ],
)
def test_a_policy_does_one_thing(other: str) -> None:
    strategy = "scale" if "scale" in other else "resize"
    (found,) = lines(f"{other}\n    prune: {{images: {{}}}}")
    assert (
        f"policies[0].prune: a policy does one thing, and this has {strategy} and prune, make two policies of it"
        in found
    )


SECONDS = st.integers(0, 3650 * 86400)
NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9/.-]{0,8}\*?", fullmatch=True), min_size=1, max_size=4, unique=True)
IMAGES = st.fixed_dictionaries(
    {},
    optional={
        "unused_for": SECONDS,
        "keep_newest": st.integers(0, 1000),
        "keep": NAMES,
        "without_digest": st.booleans(),
    },
)
OF_TIME = {
    key: st.fixed_dictionaries({}, optional={time: SECONDS})
    for key, time in (("build_cache", "unused_for"), ("containers", "finished_for"), ("networks", "unused_for"))
}
VOLUMES = st.fixed_dictionaries({"only": NAMES}, optional={"unattached_for": SECONDS})
KINDS = st.fixed_dictionaries({}, optional={"images": IMAGES, "volumes": VOLUMES, **OF_TIME}).filter(bool)


def written(value: object, key: str = "") -> str:
    """As YAML."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name}: {written(below, name)}" for name, below in value.items()) + "}"
        case list():
            return "[" + ", ".join(f"'{each}'" for each in value) + "]"
        case bool():
            return str(value).lower()
        case _:
            return f"{value}s" if key.endswith("_for") else str(value)


@given(KINDS)
def test_whatever_is_written_is_what_is_meant(keys: dict[str, dict[str, object]]) -> None:
    rules = prune(written(keys)[1:-1]).rules
    for kind in ("build_cache", "images", "containers", "networks", "volumes"):
        made = getattr(rules, kind)
        assert (made is not None) == (kind in keys)
        for key, value in keys.get(kind, {}).items():
            assert getattr(made, key) == (tuple(value) if isinstance(value, list) else value), (kind, key)
