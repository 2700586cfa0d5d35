"""The last use of one image, or of an unknown one of a repository. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.project_names import with_projects


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The last use of an image, or of an unknown one of a repository.

    Attributes:
        at: Seconds on the monotonic clock.
        projects: Compose projects that had containers of it.
    """

    at: float
    projects: tuple[str, ...] = ()

    def with_use(self, at: float, projects: Iterable[str] = ()) -> Use:
        """The same after one more."""
        known = with_projects(self.projects, projects)
        return self if at <= self.at and known == self.projects else Use(at=max(at, self.at), projects=known)
