"""What people write who know other languages, each with what it is here."""

from __future__ import annotations

import pytest

from watchtower_agent.policies.conditions.condition import ConditionProblem, ConditionScope, parse_condition


@pytest.mark.parametrize(
    ("text", "at", "message", "remedy"),
    [
        ("cpu.percent >> 80%", 14, '">>" is not an operator here', "write >"),
        ("cpu.percent > 80% And pids > 1", 19, '"And" is not an operator here', "write and"),
        ("memory.usage > 1,5GiB", 17, '"," is not part of a number', "write a point, as in 1.5GiB"),
        ("memory.usage > 1_000_000", 17, '"_000_000" is not part of a number', "write the number without _"),
        ("memory.usage > memory.limit * 0.9", 29, '"*" has no meaning here', "compare with a fixed value or a name"),
        ("cpu.percent > .5%", 15, '".5%" begins with a point', "write 0.5%"),
        ("cpu.percent > 5.%", 16, "a number ends with a point", "leave the point out"),
        ("uptime > 1:30", 11, '"1:30" is not a duration', "write it with one unit, as in 90s or 90m"),
        ("health == \u201cunhealthy\u201d", 11, '"\u201c" has no meaning here', "write straight quotes"),
        ("cpu.percent \u2265 80%", 13, '"\u2265" has no meaning here', "write >="),
        ("cpu.percent >\xa080%", 14, '"\\xa0" has no meaning here', "write an ordinary blank"),
        ("cpu.percent > 80% # much", 19, '"#" has no meaning here', "put a comment on a line of its own"),
        ("cpu.percent > $LIMIT", 15, '"$" has no meaning here', "write the value itself"),
        ('name ~ "web"', 6, '"~" has no meaning here', "write ==, or in for several; patterns with * belong in select"),
        ("if cpu.percent > 80%", 4, '"if" is not part of a condition', "leave it out"),
        ("cpu.percent > 80% then restart", 19, '"then" is not part of a condition', "write then: beside when"),
        ("restarts > 3 per 10m", 14, '"per" is not part', "write delta(restarts, 10m) > 3 for ten minutes"),
        ("pids between 1 and 5", 6, '"between" is not an operator here', "write pids >= 10% and pids <= 20%"),
        ('labels[team] == "a"', 8, '"team" is not in quotes', 'write labels["team"]'),
        ('labels["team" == "a"', 15, '"==" is not expected here', "close the bracket before it, with ]"),
        ('label["team"] == "a"', 1, 'unknown name "label"', 'did you mean labels["team"]?'),
        ("cpu.percent[5m] > 80%", 13, '"5m" is not expected here', "write avg(cpu.percent, 5m) for a mean"),
        ("cpu.percent(5m) > 80%", 1, "cpu.percent is no function", "write avg(cpu.percent, 5m) for a mean"),
        ("avg cpu.percent > 80%", 5, "avg takes a name and a duration in parentheses", "write avg(cpu.percent, 5m)"),
        ('status == "running" or paused', 24, 'unknown name "paused"', 'did you mean status == "paused"?'),
        ("unhealthy", 1, 'unknown name "unhealthy"', 'did you mean health == "unhealthy"?'),
        ("event.foo == 1", 1, "what begins with event. is known only of an event", "use it in where, beside on"),
        ("oom", 1, 'unknown name "oom"', "did you mean memory.oom_kills?"),
        ("replicas.running < 2", 1, "replicas.running is about a service", "give the service a target and scale"),
        ("cpu.percent > inf", 15, 'unknown name "inf"', "watchtower-agent metrics lists all names"),
        ('name == "web*"', 9, 'name is never "web*"', 'put it under select: {name: "web*"}'),
        ('image in ["a", "nginx:*"]', 16, 'image is never "nginx:*"', 'put it under select: {image: "nginx:*"}'),
        ("pids > pids", 8, "this compares pids with itself", "compare it with something else"),
        ("memory.percent > 0.9", 18, "memory.percent is a percentage", "did you mean 90%? write 0.9% if not"),
        ("network.receive > 10Mbps", 19, 'unknown unit "Mbps"', "write bytes, as in 1MB"),
        ("age > 2w", 7, 'unknown unit "w"', "write 14d"),
        ("age > 1month", 7, 'unknown unit "month"', "the units are %, ms, s, m, h, d"),
    ],
)
def test_what_is_meant_is_said_at_its_place(text: str, at: int, message: str, remedy: str) -> None:
    with pytest.raises(ConditionProblem) as caught:
        parse_condition(text, ConditionScope.WHEN)
    problem = caught.value
    assert (problem.line, problem.column) == (1, at)
    assert problem.message.startswith(message)
    assert problem.remedy.startswith(remedy)


@pytest.mark.parametrize(
    "text",
    [
        "memory.percent > 0.9%",
        "cpu.percent > 1",
        "memory.usage > 9223372036854775807",
        "memory.usage > 9223372036854775807B",
        "delta(memory.usage, 5m) < -9223372036854775807",
        "cpu.percent >= 0",
        'labels["a"] == "*"',
        "delta(memory.usage, 5m) < -10MiB",
        "rate(memory.usage, 5m) < -1MiB",
        "-10GiB > delta(host.disk.free, 1h)",
        "delta(memory.percent, 5m) < -5",
        "delta(memory.percent, 5m) > -100",
        "delta(cpu.percent, 5m) < -150%",
    ],
)
def test_what_only_looks_like_a_slip_is_taken(text: str) -> None:
    assert parse_condition(text, ConditionScope.WHEN).text == text
