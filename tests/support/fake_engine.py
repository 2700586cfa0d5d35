"""The engine's verbs of scaling and resizing in memory, for what stands on the `Engine` port.

`tests/contract/test_engine_scaling.py` asks the same of it and of a real engine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.support.fake_disk import FakeDisk
from watchtower_agent.errors import AbsentError, ConflictError, PermanentError
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.service import CLONE_OF, CLONED_BY, CLONED_FOR, SwarmService

NUMBER = "com.docker.compose.container-number"
HOST_MEMORY, HOST_CORES = 16 * 2**30, 4.0


class FakeEngine(FakeDisk):
    """Containers and services as values; what is on the disk stands beside them, see FakeDisk.

    Attributes:
        containers: By id. A test puts in what there is.
        services: By id.
        calls: What was asked for, but for inspections, in order.
        on_inspect: What becomes of a container each time it is looked at.
        health: What clones with a health check are when they have started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.containers: dict[str, Container] = {}
        self.services: dict[str, SwarmService] = {}
        self.on_inspect: Callable[[Container], Container] = lambda container: container
        self._made = 0

    def put(self, container: Container) -> str:
        """There is this container."""
        self.containers[container.id] = container
        return container.id

    async def inspect(self, container_id: str) -> Container:
        self._raise("inspect")
        seen = self.on_inspect(self._known(container_id))
        self.containers[container_id] = seen
        return seen

    async def restart(self, container_id: str, *, stop_timeout: float | None) -> None:
        self._note("restart", container_id, stop_timeout)
        self._become(container_id, ContainerStatus.RUNNING)

    async def start(self, container_id: str) -> None:
        self._note("start", container_id)
        self._become(container_id, ContainerStatus.RUNNING)

    async def stop(self, container_id: str, *, stop_timeout: float | None) -> None:
        self._note("stop", container_id, stop_timeout)
        self._become(container_id, ContainerStatus.EXITED)

    async def kill(self, container_id: str, *, signal: str | None) -> None:
        self._note("kill", container_id, signal)
        self._become(container_id, ContainerStatus.EXITED)

    async def pause(self, container_id: str) -> None:
        self._note("pause", container_id)
        self._become(container_id, ContainerStatus.PAUSED)

    async def unpause(self, container_id: str) -> None:
        self._note("unpause", container_id)
        self._become(container_id, ContainerStatus.RUNNING)

    async def scale_service(self, service_id: str, *, replicas: int, version: int) -> None:
        self._note("scale_service", service_id, replicas, version)
        service = self.services.get(service_id)
        if service is None:
            raise AbsentError(f"no such service: {service_id}")
        if service.version != version:
            raise ConflictError(f"service {service.name} is at version {service.version}, not {version}")
        if service.replicas != replicas:
            self.services[service_id] = replace(service, replicas=replicas, version=version + 1)

    async def clone(
        self,
        container_id: str,
        *,
        policy: str,
        decision: str,
        shared: bool,
        memory: int | None = None,
        cpu: float | None = None,
    ) -> str:
        self._note(
            "clone", container_id, policy, decision, shared, *(each for each in (memory, cpu) if each is not None)
        )
        original = self._known(container_id)
        facts = self._detail(original).cloning
        against = [*facts.blockers, *(facts.volumes if not shared else ())]
        if against:
            raise PermanentError(f"{original.name} can't be cloned: {'; '.join(against)}")
        self._made += 1
        compose = original.compose_service
        group = re.sub(r"-clone-\d+$", "", original.name) if CLONE_OF in original.labels else original.name
        prefix = f"{original.compose_project}-{compose}-" if compose else f"{group}-clone-"
        number = self._free_number(original, prefix)
        name = f"{prefix}{number}"
        labels = {
            **original.labels,
            **({NUMBER: str(number)} if compose else {}),
            CLONE_OF: original.labels.get(CLONE_OF, original.id),
            CLONED_BY: decision,
            CLONED_FOR: policy,
        }
        health = Health.STARTING if original.health is not Health.NONE else Health.NONE
        identity = hashlib.sha256(f"{name} {self._made}".encode()).hexdigest()
        return self.put(
            replace(original, id=identity, name=name, labels=labels, status=ContainerStatus.RUNNING, health=health)
        )

    async def remove_clone(self, container_id: str, *, stop_timeout: float | None) -> None:
        self._note("remove_clone", container_id, stop_timeout)
        if CLONE_OF not in self._known(container_id).labels:
            raise PermanentError(f"container {container_id[:12]} carries no label {CLONE_OF}")
        del self.containers[container_id]

    async def resize(
        self, container_id: str, *, memory: int | None, cpu: float | None
    ) -> Mapping[str, float | int | None]:
        self._note("resize", container_id, memory, cpu)
        container = self._known(container_id)
        before = self._detail(container)
        changed = before
        if memory is not None:
            changed = replace(changed, memory_limit=memory or HOST_MEMORY)
        if cpu is not None:
            changed = replace(changed, cpu_granted=cpu or HOST_CORES, cpu_limit=cpu or HOST_CORES)
        self.containers[container_id] = replace(container, detail=changed)
        return {"memory": before.memory_limit, "memory_swap": 2 * before.memory_limit, "cpu": before.cpu_granted}

    def _free_number(self, original: Container, prefix: str) -> int:
        taken = {each.name.removeprefix(prefix) for each in self.containers.values()}
        if service := original.compose_service:
            same = [each for each in self.containers.values() if each.compose_service == service]
            taken |= {each.labels.get(NUMBER, "") for each in same if each.compose_project == original.compose_project}
        return next(number for number in range(1, len(taken) + 2) if str(number) not in taken)

    def _become(self, container_id: str, status: ContainerStatus) -> None:
        self.containers[container_id] = replace(self._known(container_id), status=status)

    def _known(self, container_id: str) -> Container:
        if (container := self.containers.get(container_id)) is None:
            raise AbsentError(f"no such container: {container_id[:12]}")
        return container

    @staticmethod
    def _detail(container: Container) -> ContainerDetail:
        return container.detail or ContainerDetail()
