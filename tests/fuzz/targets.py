"""What comes from outside, and what must hold whatever it is: each target takes bytes and may only fail as it says."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.conditions import Facts
from tests.support.core import INSTALL_ID
from tests.support.schema import validate_message
from watchtower_agent.collectors import parsing
from watchtower_agent.collectors.stats_answer import parse_stats
from watchtower_agent.engine.event import MAX_ATTRIBUTES, MAX_TOTAL, parse_event
from watchtower_agent.errors import SettingsError
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.policies.conditions.condition import parse_condition
from watchtower_agent.policies.conditions.names import ConditionScope
from watchtower_agent.policies.conditions.passage import ConditionProblem
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.times.cron import CronError, parse_cron
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.serving import http_request
from watchtower_agent.serving.command import command, document, id_of
from watchtower_agent.serving.request import RequestError, parsed
from watchtower_agent.settings import load_settings
from watchtower_agent.sources.payload import UnreadableError, number_in
from watchtower_agent.sources.siblings import MOST_ROWS, Siblings

CHECKOUT = Path(__file__).resolve().parents[2]
_LEVEL = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A door to the outside.

    Attributes:
        name: For people, and for the folder of its findings.
        take: Takes what came, checks what must hold, and says in a word what became of it: an answer that was not seen
            before makes an input worth changing further.
        seeds: What usually comes.
        words: What is put in, since chance alone does not find it.
    """

    name: str
    take: Callable[[bytes], str]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def _policies(content: bytes) -> str:
    found = load_policies({"a.yaml": content})
    if isinstance(found, PolicySet):
        return f"{len(found.policies)} {sorted(str(each.trigger)[:20] for each in found.policies)[:3]}"
    lines = content.count(b"\n") + content.count(b"\r") + 2
    for problem in found:
        assert str(problem).isprintable(), str(problem)
        assert problem.line is None or 1 <= problem.line <= lines, f"{problem} of {lines} lines"
        assert problem.message, "says what is wrong"
        assert problem.remedy, "says what would be right"
    return _shape(found[0].message)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="wt-fuzz-")


def _settings(content: bytes) -> str:
    file = Path(_folder().name) / "agent.yaml"
    file.write_bytes(content)
    try:
        load_settings(file)
    except SettingsError as error:
        lines = str(error).splitlines()
        assert lines, "says what is wrong"
        assert all(line.isprintable() for line in lines), lines
        return _shape(lines[0].partition(": ")[2])
    return "settings"


def _condition(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    said = ""
    for scope in ConditionScope:
        try:
            condition = parse_condition(text, scope)
        except ConditionProblem as problem:
            _holds(0 <= problem.offset <= len(text), f"{problem.offset} of {len(text)}")
            said += _shape(problem.message)
            continue
        assert parse_condition(condition.describe(), scope).tree == condition.tree, "what it describes means the same"
        said += str(condition.evaluate(Facts({})))
    return said


def _cron(content: bytes) -> str:
    try:
        parse_cron(content.decode("utf-8", "replace"))
    except CronError as problem:
        return _shape(str(problem))
    return "runs"


@cache
def _composer() -> CloudEventComposer:
    return CloudEventComposer(host="h1", install_id=INSTALL_ID, labels=["*"], exec_events=True)


def _event(line: bytes) -> str:
    found = parse_event(line, engine_id="engine-1")
    if not isinstance(found, EngineEvent):
        return type(found).__name__
    assert found == parse_event(line, engine_id="engine-1"), "the same bytes are the same event"
    assert len(found.attributes) <= MAX_ATTRIBUTES
    assert sum(map(len, found.attributes.values())) <= MAX_TOTAL
    message = _composer().event(found, sequence=1, correlation_id="", view=None)
    if message is None:
        return f"{found.kind} not told"
    assert all(_LEVEL.fullmatch(level) for level in message.topic.split("/")), message.topic
    validate_message(message.topic, message.payload)
    return f"{found.kind} {found.action[:12]}"


def _command(payload: bytes) -> str:
    said = ""
    try:
        found = document(payload)
        id_of(found)
        for name in ("pause", "resume", "approve", "reject", "trigger", "reload"):
            try:
                command(name, found)
                said += "+"
            except RequestError as error:
                said += _shape(str(error))
    except RequestError as error:
        _holds(str(error).isprintable(), str(error))
        return _shape(str(error))
    return said


def _request(line: bytes) -> str:
    try:
        return parsed(line)[0]
    except RequestError as error:
        _holds(str(error).isprintable(), str(error))
        return _shape(str(error))


def _http_request(head: bytes) -> str:
    try:
        found = http_request.parsed(head)
    except http_request.BadRequestError as error:
        _holds(400 <= error.status < 500, f"{error.status} is the asker's fault")
        return str(error)
    _holds(found.path.startswith("/") and found.path.isascii() and found.path.isprintable(), found.path)
    return f"{found.head_only} {found.openmetrics}"


def _batch(payload: bytes) -> str:
    found = Siblings("watchtower", "h1").take("h2", payload, Instant(wall=1_790_000_000.0, monotonic=60.0))
    if found is None:
        return "none"
    assert math.isfinite(found.interval)
    assert len(found.replicas) <= MOST_ROWS
    for row in found.replicas:
        assert all(math.isfinite(value) for value in row.means.values()), row
    return f"{len(found.replicas)} {len(found.judgements)} {sum(len(row.means) for row in found.replicas)}"


def _number(payload: bytes) -> str:
    try:
        number = number_in(payload, ("data", "result", 0, "value", 1))
    except UnreadableError as error:
        return _shape(str(error))
    assert math.isfinite(number.value)
    return "a number"


def _stats(payload: bytes) -> str:
    try:
        raw = json.loads(payload)
    except (ValueError, RecursionError):
        return "no JSON"
    found = parse_stats(raw)
    if found is None:
        return "none"
    values = [getattr(found, name) for name in type(found).__slots__]
    assert all(isinstance(value, float | int) for value in values), found
    assert all(value >= 0 or math.isnan(value) for value in values), found
    return "".join("n" if math.isnan(value) else "v" for value in values)


def _numbers_of(value: object) -> Iterator[float]:
    match value:
        case int() | float():
            yield value
        case tuple():
            yield from value


def _kernel_file(data: bytes) -> str:
    said = ""
    one: list[Callable[[bytes], object]] = [
        parsing.integer,
        parsing.limit,
        parsing.cpu_max,
        parsing.cpuset_size,
        parsing.cpu_times,
        parsing.online_cpus,
        parsing.load_averages,
        parsing.io_stat,
        parsing.blkio_bytes,
        parsing.traffic,
        parsing.total_some,
        lambda content: parsing.cfs_quota(content, b"100000\n"),
        lambda content: parsing.cfs_quota(b"50000\n", content),
        lambda content: parsing.value_after(content, b"\ninactive_file "),
        lambda content: parsing.kibibytes_after(content, b"\nMemTotal: "),
        lambda content: parsing.stalled(content, b"some"),
        lambda content: parsing.stalled(content, b"full"),
    ]
    for parse in one:
        found = parse(data)
        assert all(number >= 0 for number in _numbers_of(found)), f"{parse}: {found}"
        said += "-" if found is None else "+"
    try:
        parsing.after(b"\nusage_usec ")(data)
        said += "+"
    except ValueError:
        said += "-"
    return said


def _holds(true: bool, otherwise: str) -> None:
    assert true, otherwise


def _shape(message: str) -> str:
    """A message without what it quotes and counts: of one sort of mistake there are endless many."""
    return re.sub(r'"[^"]*"|\'[^\']*\'|\d+', "", message)[:80]


def _files(*patterns: str) -> tuple[bytes, ...]:
    return tuple(file.read_bytes() for pattern in patterns for file in sorted(CHECKOUT.glob(pattern)) if file.is_file())


def _conditions() -> tuple[bytes, ...]:
    page = (CHECKOUT / "docs" / "policies.md").read_text()
    return tuple(text.encode() for text in re.findall(r"^\s*(?:when|where): ([^\n{]+)$", page, re.MULTILINE))


_JSON = (
    *(b"null", b"true", b"NaN", b"-1", b"1e999", b"[]", b"{}", b'""'),
    *(b"\\u0000", b"\\ud800", b"[" * 200, b"9" * 400),
)
_YAML = (
    *(
        b"&a",
        b"*a",
        b"!!python/object:os.system",
        b"<<: ",
        b"---\n",
        b"? ",
        b"|\n",
        b">\n",
        b"\t",
        b"\r",
        b"{",
        b"- ",
        b"~",
    ),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"%YAML 1.1\n", b"[" * 40, b"policies:\n", b"then:", b"when:", b"select:"),
)
_CONDITION = (
    b"avg(",
    b", 5m)",
    b" and ",
    b" or ",
    b"not ",
    b"(",
    b")",
    b"%",
    b"MiB",
    b"==",
    b" in ",
    b"[",
    b'"',
    b"\\",
)
_EVENT = json.dumps(
    {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "c" * 64, "Attributes": {"name": "web", "image": "web:1", "exitCode": "137", "team": "shop"}},
        "scope": "local",
        "time": 1_790_000_000,
        "timeNano": 1_790_000_000_000_000_123,
    }
).encode()

_STATS = json.dumps(
    {
        "read": "2026-09-21T14:13:20Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 5}, "online_cpus": 2, "throttling_data": {"periods": 3}},
        "memory_stats": {"usage": 9, "limit": 99, "stats": {"inactive_file": 1}},
        "pids_stats": {"current": 2, "limit": 18446744073709551615},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2, "rx_errors": 0}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 7}]},
    }
).encode()

_OPENMETRICS = b"application/openmetrics-text"
_BATCH = json.dumps(
    {
        "schema": 1,
        "host": "h2",
        "time": "2026-09-21T14:13:20Z",
        "interval": 10,
        "node": "n1",
        "sequence": 4,
        "containers": [{"id": "c" * 64, "service": "s1", "means": {"cpu.percent": 5.0}}],
        "services": [{"id": "s1", "version": 3, "left_alone_for": 3.5}],
    }
).encode()

TARGETS = (
    Target(
        name="policies",
        take=_policies,
        seeds=_files("config/policies/*.yaml", "config/demo/policies/*.yaml", "tests/data/policies_*/**/*.yaml"),
        words=_YAML,
    ),
    Target(name="settings", take=_settings, seeds=_files("config/agent.yaml", "config/demo/agent.yaml"), words=_YAML),
    Target(
        name="conditions",
        take=_condition,
        seeds=(*_conditions(), b'labels["a"] matches "x*" and not (cpu.percent > 5% or health != "healthy")'),
        words=(*_CONDITION, *(name.encode() for name in CATALOGUE)),
    ),
    Target(
        name="cron",
        take=_cron,
        seeds=(b"*/5 0-6,22 * jan-mar mon#2", b"@daily", b"0 2 L * *"),
        words=(b"*", b"/", b"-", b","),
    ),
    Target(
        name="events",
        take=_event,
        seeds=(
            _EVENT,
            _EVENT.replace(b'"die"', b'"exec_start: sh -c true"'),
            _EVENT.replace(b'"die"', b'"health_status: unhealthy"'),
            _EVENT.replace(b'"container"', b'"image"').replace(b'"die"', b'"pull"'),
            _EVENT.replace(b'"container"', b'"node"').replace(b'"local"', b'"swarm"').replace(b'"die"', b'"update"'),
        ),
        words=(*_JSON, b'"Type"', b'"Action"', b'"timeNano"', b'"network"', b'"volume"', b'"daemon"', b": ", b"/+#"),
    ),
    Target(
        name="commands",
        take=_command,
        seeds=(
            b'{"id": "1", "approval": "vgyn5h"}',
            b'{"policy": "heal", "target": "web", "for": "5m", "reason": "x"}',
            b"{}",
        ),
        words=_JSON,
    ),
    Target(
        name="requests",
        take=_request,
        seeds=(b'{"version": 1, "command": "status", "arguments": {}}', b'{"version": 2}'),
        words=_JSON,
    ),
    Target(
        name="http",
        take=_http_request,
        seeds=(
            b"GET /metrics HTTP/1.1\r\nHost: h1:9327\r\nAccept: " + _OPENMETRICS + b";version=1.0.0,text/plain\r\n\r\n",
            b"HEAD /healthz?a=b HTTP/1.0\r\n\r\n",
        ),
        words=(b"\r\n", b": ", b"Accept", b";q=", b"version=", _OPENMETRICS, b"POST ", b" HTTP/1.1"),
    ),
    Target(name="batches", take=_batch, seeds=(_BATCH,), words=(*_JSON, b'"means"', b'"parts": 1', b'"part": 1')),
    Target(
        name="payloads",
        take=_number,
        seeds=(b'{"data": {"result": [{"value": [1790000000.5, "12.5"]}]}}', b"12", b'{"depth": 5}'),
        words=(*_JSON, b"+Inf", b"1_000", b"0x10"),
    ),
    Target(name="stats", take=_stats, seeds=(_STATS, b"{}"), words=_JSON),
    Target(
        name="kernel files",
        take=_kernel_file,
        seeds=(
            *_files("tests/data/cgroup/**/*"),
            b"-1\n",
            b"MemTotal:  24 kB\n",
            b"cpu  1 2 3 4 5 6 7 8 9 0\ncpu0 1\n",
            b"0.1 0.2 0.3 1/9 9\n",
        ),
        words=(
            *(b"max", b"-1", b"\n", b"usage_usec ", b"inactive_file ", b"total="),
            *(b"9" * 30, b"_", b"0-3,8", b"nan", b"inf"),
        ),
    ),
)
