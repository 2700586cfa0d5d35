"""Whatever valid policy that scales is written: it loads, its strategy says what was written, and editors take it."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator

from tests.support.policies import loaded
from watchtower_agent.policies.catalogue import CATALOGUE, ValueType
from watchtower_agent.policies.files.core_schema import plain
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.files.schema import policy_schema
from watchtower_agent.policies.files.yaml_reader import read_yaml
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.strategies.scale import (
    HttpMetricRule,
    MetricRule,
    MqttMetricRule,
    OwnMetricRule,
    ScaleStrategy,
    ScaleTarget,
    ServiceKind,
)

Keys = dict[str, Any]

SCHEMA: Final = Draft202012Validator(policy_schema())
SCALABLE: Final = sorted(name for name, entry in CATALOGUE.items() if entry.scales)
SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}

names = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,12}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="*?[+#$"), min_size=1)
label_values = st.one_of(texts, st.just(""))
targets = st.one_of(
    st.fixed_dictionaries({"swarm_service": names}),
    st.fixed_dictionaries({"compose": st.fixed_dictionaries({"project": names, "service": names})}),
    st.fixed_dictionaries(
        {
            "group": st.fixed_dictionaries(
                {"labels": st.dictionaries(texts.map(lambda text: text[:255]), label_values, min_size=1, max_size=4)}
            )
        }
    ),
)
amounts = st.one_of(st.integers(1, 10**6), st.floats(0.001, 1e6).map(lambda number: round(number, 3)))


def durations(low: int, high: int) -> st.SearchStrategy[str]:
    """Whole seconds, minutes or hours between those seconds."""
    return st.one_of(
        st.integers(low, high).map("{}s".format),
        st.integers(-(-low // 60), high // 60).map("{}m".format),
    )


def percents(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map("{}%".format)


@st.composite
def own_metrics(draw: st.DrawFn) -> Keys:
    name = draw(st.sampled_from(SCALABLE))
    entry = CATALOGUE[name]
    match entry.type:
        case ValueType.PERCENT:
            target: object = draw(percents(1, entry.at_most or 400))
        case ValueType.BYTES:
            target = draw(st.integers(1, 4096).map("{}MiB".format))
        case _:
            target = draw(amounts)
    return {"metric": name, "target": target}


paths = st.lists(st.one_of(st.integers(0, 999), st.from_regex(r"[a-z_]{1,8}", fullmatch=True)), min_size=1, max_size=5)
external = {"target_per_replica": amounts}
optional = {"value": paths.map(lambda steps: ".".join(map(str, steps)))}
mqtt_metrics = st.fixed_dictionaries(
    {"mqtt": texts, **external}, optional={**optional, "stale_after": durations(5, 86400)}
)
urls = st.from_regex(r"https?://[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?(/[a-z0-9/]{0,9})?([?][!-~]{0,9})?", fullmatch=True)
http_metrics = st.fixed_dictionaries(
    {"http": urls, **external},
    optional={**optional, "every": durations(1, 60), "stale_after": durations(60, 86400)},
)


def _identity(keys: Keys) -> tuple[object, ...]:
    return keys.get("metric"), keys.get("mqtt"), keys.get("http"), keys.get("value")


metrics = st.lists(st.one_of(own_metrics(), mqtt_metrics, http_metrics), min_size=1, max_size=5, unique_by=_identity)
ups = st.fixed_dictionaries(
    {},
    optional={
        "window": durations(10, 3600),
        "tolerance": percents(0, 50),
        "step": st.builds("{} per {}".format, percents(1, 1000), durations(1, 3600)),
        "cooldown": durations(0, 3600),
    },
)
downs = st.fixed_dictionaries(
    {},
    optional={
        "window": durations(600, 3600),
        "fast": st.builds("{} after {}".format, percents(1, 100), durations(1, 480)),
        "step": st.builds("{} per {}".format, percents(1, 100), durations(1, 3600)),
    },
)
bounds = st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(sorted)


@st.composite
def policies(draw: st.DrawFn) -> Keys:
    least, most = draw(bounds)
    target, chosen = draw(targets), draw(metrics)
    scale: Keys = {"min": least, "max": most, "metrics": chosen}
    scale |= draw(st.fixed_dictionaries({}, optional={"up": ups, "down": downs}))
    if "swarm_service" not in target:
        sizes = st.integers(0, 4096).map("{}MiB".format)
        scale |= draw(st.fixed_dictionaries({}, optional={"reserve": sizes, "shared": st.booleans()}))
    if draw(st.booleans()):
        scale["idle"] = draw(
            st.fixed_dictionaries({}, optional={"below": percents(0, 99), "for": durations(900, 86400)})
        )
        if any("metric" not in each for each in chosen):
            scale["min"] = 0
    if draw(st.booleans()):
        low, high = draw(bounds)
        time = {"cron": "0 8 * * mon-fri", "for": draw(durations(1, 86400))}
        scale["schedule"] = [time | draw(st.sampled_from([{"min": low}, {"max": high}, {"min": low, "max": high}]))]
    return {"name": "a", "target": target, "scale": scale}


def seconds(text: str) -> float:
    return int(text[:-1]) * SECONDS[text[-1]]


def share(text: str) -> float:
    return int(text[:-1]) / 100


def step(text: str, word: str) -> tuple[float, float]:
    part, time = text.split(f" {word} ")
    return share(part), seconds(time)


@given(policies())
def test_what_is_written_is_what_it_says(written: Keys) -> None:
    text = f"version: 1\npolicies: [{json.dumps(written, ensure_ascii=False)}]\n"

    made = loaded(text).policies[0].trigger

    assert isinstance(made, ScaleStrategy)
    scale = written["scale"]
    _same_service(made.target, written["target"])
    assert (made.least, made.most) == (scale["min"], scale["max"])
    assert len(made.metrics) == len(scale["metrics"])
    for rule, keys in zip(made.metrics, scale["metrics"], strict=True):
        _same_metric(rule, keys)
    _same_rules(made, scale)
    _same_bounds(made, scale)
    read, mistakes = read_yaml(text.encode())
    assert read is not None
    assert not mistakes
    assert [error.message for error in SCHEMA.iter_errors(plain(read.root))] == []


def _same_service(made: ScaleTarget, written: Keys) -> None:
    if "compose" in written:
        assert (made.kind, {"project": made.project, "service": made.service}) == (
            ServiceKind.COMPOSE,
            written["compose"],
        )
    elif "group" in written:
        assert (made.kind, made.labels) == (ServiceKind.GROUP, written["group"]["labels"])
    else:
        assert (made.kind, made.service) == (ServiceKind.SWARM, written["swarm_service"])


def _same_metric(rule: MetricRule, keys: Keys) -> None:
    if isinstance(rule, OwnMetricRule):
        target = keys["target"]
        if isinstance(target, str):
            target = int(target[:-1]) if target.endswith("%") else int(target.removesuffix("MiB")) * 2**20
        assert (rule.name, rule.target) == (keys["metric"], target)
        return
    assert rule.target == keys["target_per_replica"]
    steps = keys["value"].split(".") if "value" in keys else []
    assert rule.value == tuple(int(each) if each.isdecimal() else each for each in steps)
    assert rule.stale_after == (seconds(keys["stale_after"]) if "stale_after" in keys else 60.0)
    if isinstance(rule, HttpMetricRule):
        assert (rule.url, rule.every) == (keys["http"], seconds(keys["every"]) if "every" in keys else 15.0)
    else:
        assert isinstance(rule, MqttMetricRule)
        assert rule.topic == keys["mqtt"]


def _same_rules(made: ScaleStrategy, scale: Keys) -> None:
    up, down = scale.get("up", {}), scale.get("down", {})
    assert made.rules.up.window == seconds(up.get("window", "20s"))
    assert made.rules.up.tolerance == share(up.get("tolerance", "12%"))
    assert (made.rules.up.step, made.rules.up.per) == step(up.get("step", "100% per 30s"), "per")
    assert made.rules.up.cooldown == seconds(up.get("cooldown", "15s"))
    assert made.rules.down.window == seconds(down.get("window", "8m"))
    assert (made.rules.down.fast, made.rules.down.fast_after) == step(down.get("fast", "25% after 150s"), "after")
    assert (made.rules.down.step, made.rules.down.per) == step(down.get("step", "50% per 60s"), "per")


def _same_bounds(made: ScaleStrategy, scale: Keys) -> None:
    idle = scale.get("idle")
    if idle is None:
        assert (made.idle, made.rules.idle_for) == (None, None)
    else:
        assert made.idle is not None
        assert made.idle.below == share(idle.get("below", "5%"))
        assert made.idle.idle_for == made.rules.idle_for == seconds(idle.get("for", "15m"))
    assert [(each.open_for, each.least, each.most) for each in made.schedule] == [
        (seconds(each["for"]), each.get("min"), each.get("max")) for each in scale.get("schedule", [])
    ]
    reserve = scale.get("reserve", "256MiB")
    assert made.reserve == int(reserve.removesuffix("MiB")) * 2**20
    assert made.shared is scale.get("shared", False)


JUNK: Final[list[Any]] = [
    *(
        "",
        " ",
        "x",
        "5",
        "5%",
        "5s",
        "5MiB",
        "1e999",
        "-1",
        "0",
        "100% per 30s",
        "25% after 150s",
        "a.b",
        "*",
        "#",
        "nan",
    ),
    *(0, 1, -1, 5, 10**30, 0.5, 1e300, True, False, None),
    *([], {}, ["x"], [{}], {"x": 1}, {"min": 1}, [[]]),
]


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below: list[tuple[str | int, ...]] = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in items:
        below += _paths(each, (*path, step))
    return below


@st.composite
def spoilt(draw: st.DrawFn) -> Keys:
    """A valid policy of which some values are others, or gone, or beside which there are keys of elsewhere."""
    policy: Any = draw(policies())
    if draw(st.booleans()):
        policy |= {"resize": {"memory": {"min": "1GiB", "max": "2GiB"}, "cpu": {"min": 1, "max": 2}}}
    if draw(st.booleans()):
        policy |= {"select": {"name": "a"}}
    if draw(st.integers(0, 3)) == 0:
        del policy["scale"], policy["target"]
    for _ in range(draw(st.integers(1, 3))):
        if not policy:
            break
        *way, last = draw(st.sampled_from(_paths(policy)))
        holder = policy
        for step in way:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(st.sampled_from(JUNK))
        elif isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.sampled_from(["min", "for", "when", "mqtt", "x", "target", "labels"]))] = "5"
        else:
            del holder[last]
    assert isinstance(policy, dict)
    return policy


@given(spoilt())
def test_whatever_is_written_is_taken_or_told_and_what_is_taken_is_right_for_editors(written: Keys) -> None:
    text = f"version: 1\npolicies: [{json.dumps(written, ensure_ascii=False)}]\n"

    found = load_policies({"a.yaml": text.encode()})

    if isinstance(found, PolicySet):
        read, _ = read_yaml(text.encode())
        assert read is not None
        assert [error.message for error in SCHEMA.iter_errors(plain(read.root))] == []
    else:
        assert found
        assert all((each.file, each.line) == ("a.yaml", 2) and each.message and each.remedy for each in found)
