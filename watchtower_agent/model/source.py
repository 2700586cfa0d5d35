"""Where metrics from outside this host come from, as the policies in force want them."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass

JsonPath = tuple[str | int, ...]
"""Where in a JSON document a value is: names of members and places of lists. Empty: the document is the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSource:
    """A metric that somebody publishes over MQTT.

    Attributes:
        name: Of the metric, as its rule has it (`MqttMetricRule.name`).
        topic: Where, exact: no wildcards.
        value: Where in the payload the number is.
    """

    name: str
    topic: str
    value: JsonPath = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSource:
    """A metric that is asked for over HTTP.

    Attributes:
        name: Of the metric, as its rule has it (`HttpMetricRule.name`).
        url: What is asked. Its query may be secret.
        value: Where in the answer the number is.
        every: Seconds between two questions.
    """

    name: str
    url: str
    value: JsonPath = ()
    every: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesWanted:
    """All that is wanted of others, at one time.

    Attributes:
        topics: No two of one name.
        urls: No two of one name.
        siblings: The batches of metrics of the other hosts' agents.
    """

    topics: frozenset[TopicSource] = frozenset()
    urls: frozenset[UrlSource] = frozenset()
    siblings: bool = False
