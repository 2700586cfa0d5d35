"""Calls to the engine, as actions and the loop make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from watchtower_agent.model.container import Container
from watchtower_agent.model.disk_usage import DiskUsage


class Engine(Protocol):
    """Calls to the engine. Each raises TemporaryError (down, slow, busy), AbsentError or PermanentError.

    RemovedError, an AbsentError: somebody removed the container while the call was carried out.
    """

    async def inspect(self, container_id: str) -> Container:
        """One container with its detail."""
        ...

    async def restart(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop and start it. The call may take as long as the stop timeout and 30 s more.

        Args:
            container_id: Full id.
            stop_timeout: Seconds between the stop signal and KILL; None for the container's own.
        """
        ...

    async def start(self, container_id: str) -> None:
        """Start it; no error when it runs already."""
        ...

    async def stop(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop it; no error when it is stopped already."""
        ...

    async def kill(self, container_id: str, *, signal: str | None) -> None:
        """Send it a signal, KILL by default."""
        ...

    async def pause(self, container_id: str) -> None:
        """Freeze its processes."""
        ...

    async def unpause(self, container_id: str) -> None:
        """Let its processes go on."""
        ...

    async def scale_service(self, service_id: str, *, replicas: int, version: int) -> None:
        """Change how many replicas a service of the Swarm is meant to have, and nothing else of it.

        Args:
            service_id: The service's.
            replicas: How many.
            version: Index of the version that was looked at.

        Raises:
            ConflictError: The service is at another version by now; nothing was done.
        """
        ...

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
        """Make another container like that one and start it. None is left when that fails.

        Args:
            container_id: Full id of the original; of a clone: its original is named on the label.
            policy: The policy that wants it, for its label.
            decision: Id of the decision, for its label.
            shared: It may share the original's writable volumes.
            memory: Bytes of its memory limit, 0 for none; None: as the original.
            cpu: Cores of its CPU limit, 0 for none; None: as the original.

        Returns:
            The clone's full id.

        Raises:
            PermanentError: Something stands against it, which the text names.
        """
        ...

    async def remove_clone(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop and remove a container that `clone` made, its anonymous volumes with it.

        Args:
            container_id: Full id.
            stop_timeout: Seconds between the stop signal and KILL; None for the container's own.

        Raises:
            PermanentError: It carries no label of a clone: it was left as it is.
        """
        ...

    async def resize(
        self, container_id: str, *, memory: int | None, cpu: float | None
    ) -> Mapping[str, float | int | None]:
        """Change a container's limits while it runs, and look whether the engine has them.

        Args:
            container_id: Full id.
            memory: Bytes; None leaves it. 0 takes the limit away as far as that can be: all that the host has.
            cpu: Cores; None leaves it. 0 takes the limit away, as for memory.

        Returns:
            What was before: `memory` (0 without a limit), `memory_swap`, `cpu` (None without a limit).

        Raises:
            PermanentError: The engine refused, or has something else than it was told.
        """
        ...

    async def disk_usage(self) -> DiskUsage:
        """All that the engine keeps on its disk. Dear: it may take minutes, and is never asked twice at once.

        Who asks while another waits gets the same answer.
        """
        ...

    async def disk_contents(self) -> DiskUsage:
        """The same without sizes, the build cache, and when containers ended: cheap."""
        ...

    async def remove_image(self, image_id: str, *, tags: frozenset[str]) -> None:
        """Delete an image and its tags, and no image below it.

        Args:
            image_id: `sha256:…`.
            tags: Those that it had when it was looked at.

        Raises:
            KeptError: A container in any state, a service or another image needs it, or it has other tags by now.
        """
        ...

    async def tag_again(self, image_id: str, *, tags: frozenset[str]) -> None:
        """Give an image tags, those that no image has.

        Args:
            image_id: `sha256:…`.
            tags: With repository: `web:1`.
        """
        ...

    async def remove_container(self, container_id: str, *, finished_at: float | None) -> None:
        """Delete a container that does not run, and none of its volumes.

        Args:
            container_id: Full id.
            finished_at: When it had ended when it was looked at, seconds since the epoch; None: it never ran.

        Raises:
            KeptError: It runs, or ran since.
        """
        ...

    async def remove_network(self, network_id: str) -> None:
        """Delete a network of this host.

        Args:
            network_id: Full id.

        Raises:
            KeptError: A container refers to it, running or not, or it is the engine's own or the Swarm's.
        """
        ...

    async def remove_volume(self, name: str, *, created_at: float) -> None:
        """Delete a volume of this host, and what is in it.

        Args:
            name: Its name.
            created_at: When that volume was made, seconds since the epoch: another may bear its name by now.

        Raises:
            KeptError: A container in any state or a service mounts it, or it is another one.
        """
        ...

    async def remove_cache(self, record_id: str, *, unused_since: float) -> int:
        """Delete a record of the build cache.

        Args:
            record_id: Its id.
            unused_since: When it was looked at, seconds since the epoch: `DiskUsage.at`.

        Returns:
            Bytes that the engine says it freed.

        Raises:
            KeptError: Another record builds upon it, a build uses it or used it since then, or it is gone.
        """
        ...
