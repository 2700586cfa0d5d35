"""Everything that comes from outside this host, in one place: the loop says what is wanted, the inbox gets it."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.model.observation import ReadingObserved, SiblingObserved
from watchtower_agent.model.source import SourcesWanted
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.delivery import Subscriber
from watchtower_agent.sources.inbound import Inbound
from watchtower_agent.sources.questions import Questions
from watchtower_agent.sources.siblings import Siblings


class Sources:
    """What others publish, and what they are asked for.

    Args:
        subscriber: The way from the broker.
        base_topic: The first level or levels of every agent's topics.
        host: This one.
        clock: Stamps what comes.
        sink: Takes what comes; on the event loop.
    """

    def __init__(
        self,
        *,
        subscriber: Subscriber,
        base_topic: str,
        host: str,
        clock: Clock,
        sink: Callable[[ReadingObserved | SiblingObserved], None],
    ) -> None:
        self._subscriber = subscriber
        self._inbound = Inbound(Siblings(base_topic, host), clock, sink)
        self._questions = Questions(clock, sink)
        self._wanted = SourcesWanted()

    def follow(self, wanted: SourcesWanted) -> None:
        """From now on this is wanted, and nothing else. What was wanted before goes on undisturbed."""
        if wanted == self._wanted:
            return
        anew = {each.topic for each in wanted.topics - self._wanted.topics} & self._inbound.filters
        self._wanted = wanted
        self._inbound.follow(wanted.topics, siblings=wanted.siblings)
        filters = self._inbound.filters
        if anew:  # what the broker has kept it tells to who subscribes, not to who looks for another number in it
            self._subscriber.follow(filters - anew, self._inbound)
        self._subscriber.follow(filters, self._inbound)
        self._questions.follow(wanted.urls)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._questions.run()
        finally:
            self._inbound.close()
