"""Conditions: what they mean, what they refuse, and where."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.conditions import Facts
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.conditions.condition import Condition, ConditionProblem, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.tree import (
    SIGNS,
)
from watchtower_agent.policies.conditions.truth import UNKNOWN, Truth, Value


def when(text: str) -> Condition:
    return parse_condition(text, ConditionScope.WHEN)


def where(text: str) -> Condition:
    return parse_condition(text, ConditionScope.WHERE)


@pytest.mark.parametrize(
    ("text", "facts", "truth"),
    [
        ("avg(memory.percent, 10m) > 90%", {"avg(memory.percent, 600s)": 90.1}, True),
        ("avg(memory.percent, 10m) > 90%", {"memory.percent": 99}, None),
        ("memory.percent > avg(memory.percent, 1h)", {"memory.percent": 2, "avg(memory.percent, 3600s)": 1}, True),
        ("delta(restarts, 10m) >= 3", {"delta(restarts, 600s)": 3}, True),
        ("delta(restarts, 10m) == 3", {"delta(restarts, 600s)": 3}, True),
        ("rate(memory.usage, 30s) > 1MiB", {"rate(memory.usage, 30s)": 2**20 + 1}, True),
        ("p95(engine.latency, 90s) < 100ms", {"p95(engine.latency, 90s)": 0.05}, True),
        ("memory.percent > 90%", {"memory.percent": 90.1}, True),
        ("memory.percent > 90%", {"memory.percent": 90.0}, False),
        ("memory.percent >= 90", {"memory.percent": 90.0}, True),
        ("memory.percent > 90%", {}, None),
        ("90% < memory.percent", {"memory.percent": 91.0}, True),
        ("memory.usage > 1.5GiB", {"memory.usage": 1.5 * 2**30 + 1}, True),
        ("memory.usage <= 1.5GB", {"memory.usage": 1.5e9}, True),
        ("age < 5m", {"age": 299.0}, True),
        ("uptime >= 500ms", {"uptime": 0.5}, True),
        ('health == "unhealthy"', {"health": "unhealthy"}, True),
        ("health != 'unhealthy'", {"health": "healthy"}, True),
        ('status in ["exited", "dead"]', {"status": "dead"}, True),
        ('status not in ["exited", "dead"]', {"status": "dead"}, False),
        ('not (status in ["exited", "dead"])', {"status": "running"}, True),
        ("exit_code not in [0, 137]", {"exit_code": 1}, True),
        ("exit_code not in [0, 137]", {}, None),
        ("engine.connected", {"engine.connected": True}, True),
        ("not engine.connected", {"engine.connected": True}, False),
        ("engine.responding == false", {"engine.responding": False}, True),
        ("memory.usage > memory.limit", {"memory.usage": 2, "memory.limit": 1}, True),
        ("memory.usage > memory.limit", {"memory.usage": 2}, None),
        ('labels["team"] == "a \\"b\\""', {'labels["team"]': 'a "b"'}, True),
        ('labels["team"] == ""', {}, True),
        ("host.load1 > -1 and exit_code == -1", {"host.load1": 0.0, "exit_code": -1}, True),
        ("host.load1 > 1e3", {"host.load1": 1001.0}, True),
        # Three values: what is known may decide, what is not known never does.
        ("cpu.cores > 1 and engine.connected", {"engine.connected": False}, False),
        ("cpu.cores > 1 and engine.connected", {"engine.connected": True}, None),
        ("cpu.cores > 1 or engine.connected", {"engine.connected": True}, True),
        ("cpu.cores > 1 or engine.connected", {"engine.connected": False}, None),
        ("not cpu.cores > 1", {}, None),
        # `and` binds closer than `or`, `not` closer than both.
        ("engine.connected or engine.connected and cpu.cores > 9", {"engine.connected": True, "cpu.cores": 1}, True),
        ("not engine.connected or engine.connected", {"engine.connected": True}, True),
    ],
)
def test_a_condition_is_true_false_or_unknown(text: str, facts: Mapping[str, Value], truth: Truth) -> None:
    assert when(text).evaluate(Facts(facts)) is truth


OF_ONE_TWO_THREE = {
    "==": (False, True, False),
    "!=": (True, False, True),
    "<": (True, False, False),
    "<=": (True, True, False),
    ">": (False, False, True),
    ">=": (False, True, True),
}
"""What 1, 2 and 3 are to 2."""
FROM_THE_OTHER_SIDE = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@pytest.mark.parametrize("sign", OF_ONE_TWO_THREE)
@pytest.mark.parametrize("name", ["pids", "max(pids, 5m)"])
def test_every_comparison_at_below_and_above_its_limit_from_either_side(sign: str, name: str) -> None:
    asked = "max(pids, 300s)" if "(" in name else name
    for number, truth in zip((1, 2, 3), OF_ONE_TWO_THREE[sign], strict=True):
        for text in (f"{name} {sign} 2", f"2 {FROM_THE_OTHER_SIDE[sign]} {name}", f"{name} {sign} restarts"):
            assert when(text).evaluate(Facts({asked: number, "restarts": 2})) is truth, (text, number)
    for text in (f"{name} {sign} 2", f"{name} {sign} restarts", f"restarts {sign} {name}"):
        assert when(text).evaluate(Facts({"restarts": 2})) is None, text


def test_where_knows_the_event() -> None:
    condition = where('event.action == "die" and event.attributes["team"] == "payments" and event.exit_code != 0')
    facts: dict[str, Value] = {"event.action": "die", 'event.attributes["team"]': "payments", "event.exit_code": 1}
    assert condition.evaluate(Facts(facts)) is True
    assert condition.evaluate(Facts(facts | {'event.attributes["team"]': "ops"})) is False


def test_a_condition_tells_what_it_asks_of_the_past() -> None:
    condition = when("max(memory.percent, 10m) > 95% and health == 'none' and max(memory.percent, 600s) > 95%")
    past = Window(function=WindowFunction.MAX, name="memory.percent", seconds=600.0)
    assert condition.windows == {past}
    assert condition.names == {"memory.percent", "health"}
    numbers = condition.numbers(Facts({"max(memory.percent, 600s)": 97.0}))
    assert numbers == {"max(memory.percent, 10m)": 97.0, "health": None, "max(memory.percent, 600s)": 97.0}


def test_a_condition_tells_what_it_looks_at() -> None:
    condition = when('memory.percent > 90% and labels["team"] == "a" and (health != "none" or memory.percent < 1)')
    assert condition.names == {"memory.percent", "health"}
    assert condition.numbers(Facts({"memory.percent": 91.5, "health": UNKNOWN})) == {
        "memory.percent": 91.5,
        'labels["team"]': "",
        "health": None,
    }


@pytest.mark.parametrize(
    ("text", "column", "message", "remedy"),
    [
        ("", 1, "empty", "write it like"),
        ("   ", 1, "empty", "write it like"),
        ("memory.prcent > 90%", 1, 'unknown name "memory.prcent"', "memory.percent"),
        ("memory > 90%", 1, 'unknown name "memory"', "did you mean memory."),
        ("xyzzy > 1", 1, 'unknown name "xyzzy"', "watchtower-agent metrics lists all names"),
        ("cpu.usage > 1", 1, "unknown name", "did you mean cpu.percent?"),
        ("container.cpu.percent > 1", 1, "unknown name", "did you mean cpu.percent?"),
        ("container.memory > 1", 1, "unknown name", "did you mean memory.percent?"),
        ("engine.down", 1, "unknown name", "did you mean engine.connected?"),
        ("network.rx > 1", 1, "unknown name", "did you mean network.receive?"),
        ("disk > 90%", 1, "unknown name", "did you mean host.disk.percent?"),
        ("TRUE", 1, "TRUE alone is no condition", "compare a name with it"),
        ("not False", 5, "False alone is no condition", "compare a name with it"),
        ("engine.connected == TRUE", 21, 'unknown name "TRUE"', "did you mean true?"),
        ("engine.connected != FALSE", 21, 'unknown name "FALSE"', "did you mean false?"),
        ("engine.connected == True", 21, 'unknown name "True"', "did you mean true?"),
        ("memory.percent > 90% and cpu.prcent > 1", 26, 'unknown name "cpu.prcent"', "cpu.percent"),
        ("mean(memory.percent, 10m) > 3", 1, "unknown function", "one of avg, max, min, p95, rate, delta"),
        ("agv(memory.percent, 10m) > 3", 1, "unknown function", "did you mean avg?"),
        ("avg(memory.percent) > 3", 1, "takes a name and a duration", "avg(cpu.percent, 5m)"),
        ("avg(5m, memory.percent) > 3", 5, "about a measured name", "avg(cpu.percent, 5m)"),
        ('avg(labels["a"], 5m) > 3', 5, "about a measured name", "avg(cpu.percent, 5m)"),
        ("avg(avg(cpu.percent, 5m), 5m) > 3", 5, "about a measured name", "avg(cpu.percent, 5m)"),
        ("avg(memory.prcent, 5m) > 3", 5, 'unknown name "memory.prcent"', "memory.percent"),
        ("max(health, 5m) > 3", 5, "health has no past", "avg(cpu.percent, 5m)"),
        ("max(age, 5m) > 3", 5, "age has no past", "avg(cpu.percent, 5m)"),
        ("avg(memory.percent, 10) > 3", 21, "10 is not a duration", "avg(memory.percent, 5m)"),
        ("avg(memory.percent, 10%) > 3", 21, "10% is not a duration", "avg(memory.percent, 5m)"),
        ("avg(memory.percent, memory.usage) > 3", 21, "memory.usage is not a duration", "avg(memory.percent, 5m)"),
        ("avg(memory.percent, 2h) > 3", 21, "a window of 2h can't be kept", "between 1s and 1h"),
        ("avg(memory.percent, 10ms) > 3", 21, "a window of 10ms can't be kept", "between 1s and 1h"),
        ("avg(memory.percent, 10m) > 3s", 28, "avg(memory.percent, 10m) is a percentage", "> 80%"),
        ("avg(restarts, 10m) == 3", 23, "measured and hardly ever exactly 3", ">= 3"),
        ("avg(memory.percent, 10m)", 1, "not true or false", "compare it"),
        ("1 < cpu.cores < 3", 15, "chained", "1 < cpu.cores and cpu.cores < 3"),
        ("health == unhealthy", 11, "not a name", '"unhealthy"'),
        ("health in [unhealthy]", 12, "not a value", '"unhealthy"'),
        ('health == "healty"', 11, 'never "healty"', '"healthy"'),
        ('health > "healthy"', 1, "no order", "=="),
        ("health == 3", 11, "a number", '"none"'),
        ("age > 30", 7, "30 is a number", "write 30s for seconds, or 30m for minutes"),
        ("age > 30%", 7, "30% is a percentage", "> 30s"),
        ('age > "30s"', 7, "is a text", "write it without quotes: 30s"),
        ("memory.usage > 30s", 16, "30s is a duration", "> 512MiB"),
        ("memory.percent > 1GiB", 18, "number of bytes", "> 80%"),
        ("cpu.cores > 50%", 13, "percentage", "> 3"),
        ("memory.percent > memory.usage", 18, "number of bytes", "> 80%"),
        ("memory.percent == 90%", 19, "hardly ever exactly", ">= 90%"),
        ("engine.responding == 1", 22, "a number", "== true"),
        ("memory.usage > 512Mi", 16, 'unknown unit "Mi"', "512MiB"),
        ("age > 5min", 7, 'unknown unit "min"', "did you mean 5m?"),
        ("age > 5mins", 7, 'unknown unit "mins"', "did you mean 5m?"),
        ("age > 5H", 7, 'unknown unit "H"', "did you mean 5h?"),
        ("age > 5M", 7, 'unknown unit "M"', "write 5MiB if it is bytes, or 5m if it is minutes"),
        ("memory.usage > 512M", 16, 'unknown unit "M"', "write 512MiB if it is bytes, or 512m if it is minutes"),
        ("memory.usage > 512K", 16, 'unknown unit "K"', "did you mean 512KiB?"),
        ("memory.usage > 512k", 16, 'unknown unit "k"', "did you mean 512KiB?"),
        ("memory.usage > 2G", 16, 'unknown unit "G"', "did you mean 2GiB?"),
        ("memory.usage > 1.5g", 16, 'unknown unit "g"', "did you mean 1.5GiB?"),
        ("memory.usage > 1t", 16, 'unknown unit "t"', "did you mean 1TiB?"),
        ("memory.usage > 512Mi", 16, 'unknown unit "Mi"', "did you mean 512MiB?"),
        ("cpu.percent > 80 %", 18, '"80 %" has a blank before its unit', "write 80%"),
        ("memory.usage > 1.5 GiB", 20, '"1.5 GiB" has a blank before its unit', "write 1.5GiB"),
        ("memory.usage > 512 Mi and age > 3s", 20, '"512 Mi" has a blank before its unit', "write 512MiB"),
        ("memory.usage > 2 g", 18, '"2 g" has a blank before its unit', "write 2GiB"),
        ("memory.usage > 3 gb", 18, '"3 gb" has a blank before its unit', "write 3GB"),
        ("age > 30 m", 10, '"30 m" has a blank before its unit', "write 30m"),
        ("age > 10 s or age > 3s", 10, '"10 s" has a blank before its unit', "write 10s"),
        ("age > 2 hours", 9, '"2 hours" has a blank before its unit', "write 2h"),
        ("memory.percent > 90 percent", 21, '"90 percent" has a blank before its unit', "write 90%"),
        ("max(cpu.percent, 5 m) > 80%", 20, '"5 m" has a blank before its unit', "write 5m"),
        ("exit_code in [1, 2 s]", 20, '"2 s" has a blank before its unit', "write 2s"),
        ("uptime > 1h30m", 12, '"1h30m" has more than one unit', "write 90m"),
        ("uptime > 1h 30 min", 13, '"1h 30 min" has more than one unit', "write 90m"),
        ("uptime > 1.5h30m", 14, '"1.5h30m" has more than one unit', "write 120m"),
        ("cpu.cores > 1 x", 15, "not expected", "and, or"),
        ("memory.usage > 512", 16, "memory.usage is a number of bytes and 512 has no unit", "did you mean 512MiB?"),
        ("memory.usage > 1.5", 16, "1.5 has no unit", "did you mean 1.5GiB? write 1.5B if it is bytes"),
        ("io.read > 2", 11, "2 has no unit", "did you mean 2MiB?"),
        ("512 < memory.usage", 1, "512 has no unit", "did you mean 512MiB?"),
        ("max(memory.usage, 5m) > 1023", 25, "1023 has no unit", "did you mean 1023MiB?"),
        ("memory.limit in [0, 512]", 21, "512 has no unit", "did you mean 512MiB?"),
        ("memory.percent > 150%", 18, "memory.percent > 150% is never true: it is at most 100%", "write a smaller one"),
        ("memory.percent > 100", 18, "memory.percent > 100 is never true", "write a smaller one"),
        ("memory.percent < 101%", 18, "is always true", "write a smaller one"),
        ("100.5% < host.disk.percent", 1, "host.disk.percent > 100.5% is never true", "write a smaller one"),
        ("avg(host.memory.percent, 5m) >= 512", 33, "is never true", "write a smaller one"),
        ("cpu.throttled > 101%", 17, "is never true", "write a smaller one"),
        ("memory.usage > 9223372036854775808", 16, "9223372036854775808 is more bytes than", "write it like"),
        ("memory.usage > 8388608TiB", 16, '"8388608TiB" is more bytes than', "write a size below 8388608TiB"),
        ("memory.percent < -5", 18, "memory.percent is never below zero", "write it like memory.percent > 80%"),
        ("engine.latency > -5s", 18, "engine.latency is never below zero", "write it like engine.latency >"),
        ("min(engine.event_lag, 5m) < -1ms", 29, "min(engine.event_lag, 5m) is never below zero", "write it like"),
        ("uptime in [-5m, 5m]", 12, "uptime is never below zero", "write it like uptime"),
        ("min(memory.usage, 5m) < -1MiB", 25, "min(memory.usage, 5m) is never below zero", "write it like"),
        ("avg(host.disk.percent, 5m) < -1%", 30, "avg(host.disk.percent, 5m) is never below zero", "write it like"),
        ("delta(memory.usage, 5m) < -10", 27, "-10 has no unit", "did you mean -10GiB? write -10B if it is bytes"),
        ("delta(memory.percent, 5m) < -0.5", 29, "less than one percent", "did you mean -50%? write -0.5% if not"),
        ("delta(memory.percent, 5m) < -100", 29, "is never true: it is at least -100%", "write a larger one"),
        ("delta(memory.percent, 5m) > -101%", 29, "is always true: it is at least -100%", "write a larger one"),
        ("rate(memory.usage, 5m) < -1e300", 26, "-1e300 is more bytes than anything has", "write it like"),
        ("memory.usage", 1, "not true or false", "memory.usage > 512MiB"),
        ("true", 1, "alone is no condition", "compare"),
        ("80% > 70%", 1, "two fixed values", "name"),
        ("(cpu.cores > 1) == true", 1, "in parentheses", "and, or, not"),
        ("exit_code in 3", 14, "comes a list", "[3]"),
        ("exit_code in []", 14, "list is empty", "at least one"),
        ("exit_code in [1, [2]]", 18, "fixed values", "=="),
        ("exit_code == [1]", 14, "a list can't be compared", "in"),
        ("labels.team == 'a'", 1, "needs a key", 'labels["team"]'),
        ("labels == 'a'", 1, "needs a key", 'labels["key"]'),
        ('name["x"] == "a"', 1, "takes no key", "labels"),
        ("event.exit_code == 3", 1, "only of an event", "where"),
        ('event.attributes["a"] == "b"', 1, "only of an event", "where"),
        ('name == "x', 9, "no end", "close it"),
        ('name == "a\\n"', 9, "not well formed", "backslash"),
        ('name = "x"', 6, '"="', "=="),
        ('name == "x" && age > 3s', 13, '"&&"', "write and"),
        ("!engine.connected", 1, '"!"', "write not"),
        ("AND", 1, "AND", "did you mean and?"),
        ("cpu.cores > 1 AND pids > 3", 15, '"AND"', "write and"),
        ("NOT engine.connected", 5, '"NOT"', "write not"),
        ("cpu.cores > 1 for 5m", 15, "not part of a condition", "write for: 5m beside when"),
        ('status in ("exited", "dead")', 20, "after in comes a list", 'in ["exited", …]'),
        ('status in ["exited" "dead"]', 21, "a comma is missing", "between two values"),
        ("delta(restarts 5m) > 1", 16, "a comma is missing", "between two values"),
        ("cpu.cores > 1, pids > 3", 14, '","', "write and, or or"),
        ("restarts > 3 in 10m", 14, "chained", "write delta(restarts, 10m) > 3"),
        ("network.receive > 10MB/s", 23, '"/s"', "rates are per second"),
        ('health not in "healthy"', 15, "comes a list", 'health not in ["healthy"]'),
        ("cpu.cores > 1 or", 17, "ends too early", "belongs here"),
        ("(cpu.cores > 1", 15, "ends too early", "close"),
        ("cpu.cores > 1)", 14, "closes nothing", "remove it"),
        ("cpu.cores > 1 health", 15, "not expected", "and, or"),
        ("cpu.cores > ; 1", 13, '";"', "write and, or or"),
        ("cpu.cores > @1", 13, '"@"', "use names"),
        ("cpu.cores > 1e999", 13, "too large", "smaller"),
    ],
)
def test_a_wrong_condition_is_told_with_its_place_and_a_remedy(
    text: str, column: int, message: str, remedy: str
) -> None:
    with pytest.raises(ConditionProblem) as caught:
        when(text)
    problem = caught.value
    assert (problem.line, problem.column, problem.offset) == (1, column, column - 1)
    assert message in problem.message
    assert remedy in problem.remedy


def test_places_count_lines() -> None:
    with pytest.raises(ConditionProblem) as caught:
        when('health == "unhealthy"\n  and memory.prcent > 3')
    assert (caught.value.line, caught.value.column) == (2, 7)


def test_where_does_not_know_the_host() -> None:
    with pytest.raises(ConditionProblem, match=r"host\.load1 is not known of an event"):
        where("host.load1 > 3")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("(" * 29 + "engine.connected" + ")" * 29, False),
        ("(" * 31 + "engine.connected" + ")" * 31, True),
        ("not " * 29 + "engine.connected", False),
        ("not " * 31 + "engine.connected", True),
        ("(" * 480 + "engine.connected" + ")" * 480, True),
        ("engine.connected" + " " * 984, False),
        ("engine.connected" + " " * 985, True),
    ],
)
def test_length_and_depth_are_bounded(text: str, *, refused: bool) -> None:
    if not refused:
        assert when(text).names == {"engine.connected"}
        return
    with pytest.raises(ConditionProblem, match=r"levels deep|characters"):
        when(text)


@pytest.mark.parametrize(
    "text",
    [
        *(f"memory.usage {sign} {size}" for sign in SIGNS for size in ("0", "0B", "512B", "1024", "1.5GiB")),
        "io.read > 0",
        "memory.limit in [0, 4096]",
        "memory.percent >= 100%",
        "memory.percent <= 100%",
        "memory.percent > 99.9%",
        "host.disk.percent < 100",
        "cpu.percent > 350%",
        "cpu.percent_of_limit > 105%",
        "engine.cpu.percent > 150%",
        "pids > 5",
    ],
)
def test_an_amount_that_makes_sense_is_taken(text: str) -> None:
    assert when(text).text == text
