"""The agent's core on an engine that changes limits."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core import Host, ended
from watchtower_agent.model.container import Container, ContainerDetail
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.outcome import Intent, Outcome, Result

MIB = 2**20
POLICY = """
- name: right-size
  select: {name: web}
  resize: {memory: {min: 64MiB, max: 512MiB}, cpu: {min: 0.1, max: 2}, data: 1h}
"""


class SizedHost(Host):
    """The agent's core on an engine that changes limits.

    Attributes:
        refuses: How many changes the engine refuses.
        interval: Seconds between samples: hours of them are as telling when they come less often, and take no minutes.
    """

    def __init__(self, policies: str = POLICY, *, interval: int = 1) -> None:
        self.refuses = 0
        self.interval = interval
        super().__init__(policies, interval=float(interval))
        self.docker.create("web", memory_limit=128 * MIB, cpu_granted=0.5, silent=True)
        self.docker.create("other", memory_limit=128 * MIB, cpu_granted=0.5, silent=True)
        self.relist()
        self.deliver()

    def detail(self, name: str = "web") -> ContainerDetail:
        detail = self.docker.find(name).detail
        assert detail is not None
        return detail

    @property
    def limits(self) -> tuple[float, float | None]:
        """MiB and cores."""
        return self.detail().memory_limit / MIB, self.detail().cpu_granted

    def uses(self, seconds: int, *, memory: float, cores: float) -> None:
        """For so long; whatever is begun is carried out."""
        for _ in range(seconds // self.interval):
            self.tick(memory_working_set=memory * MIB, cpu_cores=cores)
            self.carry_out()

    def attempt(self, intent: Intent) -> Outcome:
        if intent.decision.verb is not Verb.RESIZE:
            return super().attempt(intent)
        begun = self.clock.wall
        stopped = self.pipeline.recheck(intent, self.clock.now())
        if stopped is not None:
            return replace(ended(intent, Result.ABANDONED, begun, begun), reason=stopped.reason, asked=False)
        if self.refuses:
            self.refuses -= 1
            return ended(intent, Result.FAILED, begun, begun)
        self.update(self.docker.containers[intent.decision.target.id], intent)
        return ended(intent, Result.SUCCEEDED, begun, self.clock.wall)

    def update(self, container: Container, intent: Intent) -> None:
        """What the engine does."""
        given, detail = intent.decision.parameters, container.detail
        assert detail is not None
        memory, cpu = given.get("memory"), given.get("cpu")
        changed = replace(
            detail,
            memory_limit=detail.memory_limit if memory is None else int(str(memory)),
            cpu_granted=detail.cpu_granted if cpu is None else float(str(cpu)) or None,
        )
        self.docker.containers[container.id] = replace(container, detail=changed)
        self.docker.tell("update", container.name)

    def update_by_hand(self, name: str = "web", *, memory: int) -> None:
        """Somebody changes its memory limit."""
        container = self.docker.find(name)
        detail = replace(self.detail(name), memory_limit=memory)
        self.docker.containers[container.id] = replace(container, detail=detail)
        self.docker.tell("update", name)
        self.deliver()

    def oom(self, name: str = "web") -> None:
        """A child process is killed: the container lives on."""
        self.docker.tell("oom", name)
        self.deliver()

    @property
    def resized(self) -> list[dict[str, object]]:
        """Parameters of every change that was begun."""
        return [dict(each.decision.parameters) for each in self.intents if each.decision.verb is Verb.RESIZE]
