"""A real Prometheus scrapes a real agent: the values are the engine's, and every query of the dashboard has data."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tests.support.agent import CHECKOUT, CRASHES_ON_USR1, Host
from tests.support.broker import PrivateBroker, free_port
from tests.support.engine import PrivateEngine
from tests.support.prometheus import PrivatePrometheus, asked, prometheus_of, until_status
from watchtower_agent.model.exposition import MetricKind
from watchtower_agent.serving.metric_table import OF_CONTAINERS

_REVIVE = """
version: 1
policies:
  - name: revive
    select: {name: web}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
  - name: busy
    select: {name: burns}
    when: cpu.percent > 1%
    then: {notify: {severity: info}}
"""
_BURNS = ("sh", "-c", "while :; do :; done")


def _queries() -> dict[str, str]:
    """Title of a panel and letter of a query, or name of a choice -> the query, with what Grafana would put in."""
    dashboard = json.loads((CHECKOUT / "config" / "grafana" / "watchtower-agent.json").read_text())
    queries = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }
    for choice in dashboard["templating"]["list"]:
        if choice["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", choice["query"]["query"]).groups()  # type: ignore[union-attr] # another form is an error here
            having = f'{label}!=""}}'  # one without that label is no choice
            queries[choice["name"]] = series.replace("}", f",{having}") if "{" in series else f"{series}{{{having}"
    return {
        where: query.replace("$instance", ".*").replace("$name", ".*").replace("$__rate_interval", "5s")
        for where, query in queries.items()
    }


def _of_keda() -> list[str]:
    """The queries that the page about KEDA shows; each gives one number."""
    page = (CHECKOUT / "docs" / "kubernetes.md").read_text().replace('name="proxy"', 'name="web"')
    found = re.findall(r"^        query: (.+)$|^\| `(.+?)` \|", page, re.MULTILINE)
    assert len(found) == 5
    return [query.replace("[2m]", "[10s]") for pair in found for query in pair if query]


async def test_prometheus_is_told_what_the_engine_knows_and_every_query_of_the_dashboard_has_data(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    port = free_port()
    http = {"listen": f"127.0.0.1:{port}", "labels": ["com.example.team"]}
    host = make_host(engine, module_broker, _REVIVE, settings={"http": http}, proxied=False)
    web = engine.run("web", *CRASHES_ON_USR1, labels={"com.example.team": "shop", "secret": "s3cret"}, network="bridge")
    burns = engine.run("burns", *_BURNS, options=("--cpus=0.2", "--memory=64m"))
    with prometheus_of(tmp_path, port) as prometheus:
        await prometheus.until('container_cpu_usage_seconds_total{name="web"} > 0')
        engine.docker("kill", "--signal=USR1", web)
        await host.watch.until_told("action", "succeeded", "web")

        await prometheus.until('watchtower_actions_total{action="restart",result="succeeded"} == 1')
        await prometheus.until('watchtower_decisions_total{policy="revive",verdict="passed"} == 1')
        await prometheus.until('watchtower_container_restarts_total{name="web"} == 1')
        await _is_the_engines(engine, prometheus, burns)
        for where, query in _queries().items():
            assert await prometheus.until(query, seconds=60), where
        for query in _of_keda():
            assert len(await prometheus.until(query)) == 1, query
        assert await prometheus.until("instance_name:container_cpu_usage_seconds:rate2m > 0")
        resets = {
            metric.series: await asyncio.to_thread(prometheus.values, f"max(resets({metric.series}[5m]))")
            for metric in OF_CONTAINERS
            if metric.kind is MetricKind.COUNTER
        }
        assert resets["container_cpu_usage_seconds_total"] == [0.0], "it goes on over the container's restart"
        assert all(value in ([], [0.0]) for value in resets.values()), resets
    _is_well_formed(port)


async def _is_the_engines(engine: PrivateEngine, prometheus: PrivatePrometheus, container_id: str) -> None:
    """What Prometheus has of a container lies between what the engine says before and after, or is the same."""

    def stats() -> tuple[float, int]:
        answer = engine.api("GET", f"/containers/{container_id}/stats", stream="false", **{"one-shot": "true"})  # type: ignore[arg-type] # a name that Python has no word for
        return answer["cpu_stats"]["cpu_usage"]["total_usage"] * 1e-9, answer["memory_stats"]["limit"]

    which = f'{{id="/docker/{container_id}"}}'
    before, limit = await asyncio.to_thread(stats)
    (told,) = await prometheus.until(f"container_cpu_usage_seconds_total{which} > {before}")
    after, _ = await asyncio.to_thread(stats)
    assert before < told <= after
    assert prometheus.values(f"container_spec_memory_limit_bytes{which}") == [float(limit)]
    assert prometheus.values(f"watchtower_container_memory_limit_bytes{which}") == [float(limit)]
    state = engine.api("GET", f"/containers/{container_id}/json")["State"]
    started = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", state["StartedAt"])).timestamp()
    (told,) = prometheus.values(f"container_start_time_seconds{which}")
    assert abs(told - started) < 0.001
    (pids,) = await prometheus.until(f"container_threads{which}")
    assert pids == len(engine.api("GET", f"/containers/{container_id}/top")["Processes"])


def _is_well_formed(port: int) -> None:
    """Both formats, by the library's own parsers: the same names and numbers of labels; labels only those asked for."""
    status, plain, headers = asked(port, "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "s3cret" not in plain
    assert 'container_label_com_example_team="shop"' in plain
    status, text, headers = asked(
        port, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert (status, headers["content-type"]) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    families = {family.name: family for family in text_string_to_metric_families(plain)}
    others = {family.name: family for family in openmetrics_families(text)}  # type: ignore[no-untyped-call] # not typed in the library
    assert families.keys() == others.keys()
    for name, family in families.items():
        assert [(each.name, each.labels) for each in family.samples] == [
            (each.name, each.labels) for each in others[name].samples
        ]


async def test_readiness_follows_the_engine_and_the_broker(
    own_engine: PrivateEngine, broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    port = free_port()
    settings = {"http": {"listen": f"127.0.0.1:{port}"}}
    host = make_host(own_engine, broker, _REVIVE, settings=settings, proxied=False)
    assert await until_status(port, "/readyz", 200) == "ready\n"

    own_engine.freeze()
    assert "the engine" in await until_status(port, "/readyz", 503)
    assert asked(port, "/healthz")[:2] == (200, "alive\n"), "a new start of the agent would mend nothing"
    own_engine.thaw()
    await until_status(port, "/readyz", 200)

    broker.kill()
    assert "the broker is not connected" in await until_status(port, "/readyz", 503)
    broker.start()
    await until_status(port, "/readyz", 200)

    own_engine.stop()
    assert "the engine is not connected" in await until_status(port, "/readyz", 503)
    assert host.agent.running
    own_engine.start()
    await until_status(port, "/readyz", 200)
