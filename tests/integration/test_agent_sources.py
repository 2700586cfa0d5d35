"""A real agent listens to, and asks, whom the policies in force name, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import in_thread
from tests.support.http_server import body, http_server
from tests.support.patience import patient

POLICY = """
version: 1
policies:
  - name: web
    mode: shadow
    target: {group: {labels: {app: web}}}
    scale:
      min: 1
      max: 5
      metrics:
        - {mqtt: %s, target_per_replica: 10}
        - {http: "%s", value: data.result.0.value.1, target_per_replica: 10, every: 1s}
"""


def heard(broker: PrivateBroker, host: Host, word: str) -> list[str]:
    """Topics of that agent's SUBSCRIBE or UNSUBSCRIBE packets, in order."""
    return re.findall(rf"Received {word} from watchtower-{host.agent.host}\n\d+: \t(\S+)(?: \(QoS 0\))?\n", broker.log)


async def test_other_policies_have_other_sources(
    own_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    with http_server(body("{}")) as first, http_server(body("{}")) as second:
        host = make_host(
            own_engine, module_broker, POLICY % ("queue/orders", first.url("/q?query=up{a='b'}[1m]")), proxied=False
        )
        assert await in_thread(lambda: first.news.wait(patient(10)))
        assert first.targets[0] == "/q?query=up%7Ba='b'%7D%5B1m%5D"
        await host.watch.until(lambda _: heard(module_broker, host, "SUBSCRIBE") == ["queue/orders"])

        host.agent.write_policies(POLICY % ("queue/mails", second.url("/q")))
        assert await in_thread(lambda: second.news.wait(patient(10)))
        await host.watch.until(lambda _: heard(module_broker, host, "UNSUBSCRIBE") == ["queue/orders"])
        await host.watch.until(lambda _: heard(module_broker, host, "SUBSCRIBE") == ["queue/orders", "queue/mails"])
        asked = len(first.asked)
        for _ in range(3):
            second.news.clear()
            assert await in_thread(lambda: second.news.wait(patient(10)))
        assert len(first.asked) == asked
