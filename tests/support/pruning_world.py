"""An engine that people, builds and the agent use, and that knows itself what was used when: the oracle of pruning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.support.pruning import Host, sha
from watchtower_agent.model.disk_usage import DiskUsage, Image, KeptContainer, Network, Volume
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Cause, Circumstances
from watchtower_agent.policies.pruning.confirmation import objection
from watchtower_agent.policies.pruning.item import Item
from watchtower_agent.policies.pruning.plan import Plan
from watchtower_agent.policies.pruning.rules import (
    DAY,
    ContainerRules,
    ImageRules,
    NetworkRules,
    Rules,
    VolumeRules,
)

RULES = Rules(
    images=ImageRules(keep_newest=1, keep=("base",)),
    containers=ContainerRules(),
    networks=NetworkRules(),
    volumes=VolumeRules(only=("scratch-*",)),
)
REPOSITORIES = ("web", "api", "base")
PROJECT = "com.docker.compose.project"
PROJECTS = ("", "", "shop", "blog")
PROTECT = "watchtower-agent.protect"
Op = tuple[str, int, int]


@dataclass
class Made:
    """An image, as the engine has it."""

    id: str
    created_at: float
    used: float
    parent: str = ""
    digests: set[str] = field(default_factory=set)
    projects: set[str] = field(default_factory=set)


@dataclass
class Running:
    """A container, as the engine has it."""

    name: str
    image: str
    reference: str
    project: str
    network: str
    volume: str
    status: str = "running"
    finished_at: float | None = None
    ended: float = 0.0


class World:
    """All of it. What happens in silence the agent is not told of, but that something may have happened.

    Attributes:
        deleted: What the agent has deleted, over all.
    """

    def __init__(self, ops: list[Op], host: Host | None = None) -> None:
        self.host = host or Host()
        self.images: dict[str, Made] = {}
        self.tags: dict[str, str] = {}
        self.containers: dict[str, Running] = {}
        self.networks = {f"net-{n}": 0.0 for n in range(2)}
        self.volumes = {f"{name}-{n}": 0.0 for name in ("data", "scratch") for n in range(2)}
        self.services: list[str] = []
        self.meant: dict[str, set[str]] = {}  # what each Compose project that is here calls its images
        self.deleted: list[Item] = []
        self.silent = False
        self.made = 0
        self.forward = 0.0
        self._ops: Iterator[Op] = iter(ops)
        self.look()

    def live(self) -> None:
        """Do everything there is to be done."""
        while self.step():
            pass

    def step(self) -> bool:
        """Do the next thing."""
        op = next(self._ops, None)
        if op is None:
            return False
        name, one, other = op
        getattr(self, f"_{name}")(one, other)
        return True

    @property
    def present(self) -> float:
        """Seconds since the begin."""
        return self.host.passed

    def disk(self) -> DiskUsage:
        """What a listing shows now."""
        return DiskUsage(
            at=self.host.now.wall,
            images=tuple(
                Image(
                    id=each.id,
                    parent=each.parent,
                    tags=tuple(self.tags_of(each.id)),
                    digests=tuple(sorted(each.digests)),
                    created_at=each.created_at,
                    size=10,
                    shared=0,
                )
                for each in self.images.values()
            ),
            containers=tuple(
                KeptContainer(
                    id=each.name,
                    name=each.name,
                    image_id=each.image,
                    status=each.status,
                    finished_at=each.finished_at,
                    networks=(each.network,),
                    volumes=(each.volume,),
                    labels={PROJECT: each.project} if each.project else {},
                )
                for each in self.containers.values()
            ),
            networks=tuple(
                Network(id=name, name=name, labels={PROJECT: project, PROTECT: "true"} if project else {})
                for name, project in ((each, _project(each)) for each in self.networks)
            ),
            volumes=tuple(Volume(name=name) for name in self.volumes),
            service_images=frozenset(self.services[-2:]),
        )

    def look(self) -> DiskUsage:
        """Have the agent list it, now."""
        self.host.wait(0.001)
        self.host.disk = self.disk()
        return self.host.list()

    def tags_of(self, image: str) -> list[str]:
        """Its names."""
        return [tag for tag, each in self.tags.items() if each == image]

    def age(self, image: str) -> float:
        """Seconds since it, or what is built upon it, was really used."""
        below = [each.id for each in self.images.values() if each.parent == image]
        return min((self.present - self.images[image].used, *map(self.age, below)))

    # What people do.

    def _pull(self, one: int, other: int) -> None:
        reference = self._name(one)
        self._have(sha(f"pulled-{other % 4}"), created_at=other % 4)
        self.images[sha(f"pulled-{other % 4}")].digests.add(
            f"{reference.partition(':')[0]}@{sha(f'pulled-{other % 4}')}"
        )
        self.tags[reference] = sha(f"pulled-{other % 4}")
        self._event(EventKind.IMAGE, "pull", reference, {"name": reference.partition(":")[0]})

    def _build(self, one: int, other: int) -> None:
        self.made += 1
        made = self._have(sha(f"built-{self.made}"), created_at=self.made)
        if self.images and other % 3:
            parents = [each for each in self.images if each != made.id]
            made.parent = parents[other % len(parents)] if parents else ""
        self._give(self._name(one), made.id)

    def _load(self, one: int, _: int) -> None:
        self.made += 1
        made = self._have(sha(f"loaded-{self.made}"), created_at=self.made)
        self.tags[self._name(one)] = made.id
        self._event(EventKind.IMAGE, "load", made.id, {"name": made.id})

    def _tag(self, one: int, other: int) -> None:
        if self.images:
            image = list(self.images)[other % len(self.images)]
            self._use(image)
            self._give(self._name(one), image)

    def _untag(self, one: int, _: int) -> None:
        image = self.tags.pop(self._name(one), "")
        if image:
            self._use(image)
            self._event(EventKind.IMAGE, "untag", image, {"name": image})

    def _run_once(self, one: int, other: int) -> None:
        for container in self._start(one, other):
            for action in ("die", "destroy"):
                self._event(EventKind.CONTAINER, action, container.name, self._told(container))
            self._unmount(container)

    def _run(self, one: int, other: int) -> None:
        for container in self._start(one, other):
            self.containers[container.name] = container

    def _stop(self, one: int, _: int) -> None:
        for container in self._some(one):
            container.status, container.finished_at, container.ended = "exited", self.host.now.wall, self.present
            self._use(container.image)
            self._event(EventKind.CONTAINER, "die", container.name, self._told(container))
            self._unmount(container)

    def _remove(self, one: int, _: int) -> None:
        for container in self._some(one):
            self._removed(container)

    def _down(self, one: int, other: int) -> None:
        """A Compose project goes down, seldom with all that is left of it: then it is not here any more."""
        project = ("shop", "blog")[one % 2]
        for container in [each for each in self.containers.values() if each.project == project]:
            self._removed(container)
        network = f"{project}_default"
        if network in self.networks and other % 4 == 0:
            del self.networks[network]
            self._event(EventKind.NETWORK, "destroy", network, {})
        self._let_go()

    def _others(self, _: int, __: int) -> None:
        """Somebody prunes what has no name."""
        for image in [each for each in self.images if not self.tags_of(each)]:
            held = {each.image for each in self.containers.values()} | {each.parent for each in self.images.values()}
            if image not in held:
                del self.images[image]
                self._event(EventKind.IMAGE, "delete", image, {"name": image})

    def _serve(self, one: int, other: int) -> None:
        reference = self._name(one)
        if other % 2 and reference in self.tags and self.images[self.tags[reference]].digests:
            reference = f"{reference}@{self.tags[reference]}"
        self.services.append(reference)

    # What happens to the agent.

    def _wait(self, one: int, _: int) -> None:
        self.host.wait((1.0, 3600.0, DAY, 8 * DAY)[one % 4])

    def _list(self, _: int, __: int) -> None:
        self.look()

    def _late(self, _: int, __: int) -> None:
        """A listing that is answered after something else has happened."""
        self.host.wait(1.0)
        listed, asked = self.disk(), self.host.now
        self.host.wait(1.0)
        self.step()
        wall = asked.wall + self.host.now.wall - self.host.now.monotonic - (asked.wall - asked.monotonic)
        self.host.usage.listed(replace(listed, at=wall), self.host.now)

    def _restart(self, one: int, _: int) -> None:  # noqa: ARG002 - what stands on this world may need it
        self.host.restart()
        self.look()

    def _miss(self, _: int, __: int) -> None:
        before, self.silent = self.silent, True
        self.step()
        self.silent = before
        self.host.usage.missed(self.host.now)
        self.look()

    def _forget(self, _: int, other: int) -> None:
        """Policies that prune are taken away, and put back after something else has happened."""
        before, self.silent = self.silent, True
        self.host.sleep()
        if other % 2:
            self.host.restart()
        self.step()
        self.silent = before
        self._only_names()
        self.look()

    def _clock(self, one: int, _: int) -> None:
        step = (10 * DAY, -DAY)[one % 2]
        self.host.step += step
        self.forward += max(step, 0.0)

    def _prune(self, _: int, other: int) -> None:
        """A pass, with other things happening between its deletions."""
        if self.silent:
            return
        circumstances = Circumstances(cause=Cause.SCHEDULE, engine_up=30 * DAY, stepped=self.forward)
        self.look()
        self.host.wait(0.001)
        made = self.host.plan(RULES, circumstances)
        self._all_told(made)
        for number, item in enumerate(made.items):
            if number < 4 and other >> number & 1:
                self.step()
            self.look()
            found = objection(item, made, self.host.usage, self.host.disk, circumstances, self.host.now)
            if found is None:
                self._check(item)
                self._delete(item)

    # What must hold.

    def _all_told(self, made: Plan) -> None:
        every = [(item.kind, item.id) for item in made.items] + [(kept.kind, kept.id) for kept in made.kept]
        told = set(every)
        assert len(told) == len(every)
        assert told >= {(Kind.IMAGE, each) for each in self.images}
        assert told >= {(Kind.VOLUME, each) for each in self.volumes}
        assert told >= {(Kind.NETWORK, each) for each in self.networks}
        assert told >= {(Kind.CONTAINER, each) for each in self.containers}

    def _check(self, item: Item) -> None:
        users = self.containers.values()
        match item.kind:
            case Kind.IMAGE:
                self._check_image(item.id)
            case Kind.CONTAINER:
                container = self.containers[item.name]
                assert container.status == "exited"
                assert not container.project
                assert self.present - container.ended >= 7 * DAY
            case Kind.NETWORK:
                assert item.id not in {each.network for each in users}
                assert self.present - self.networks[item.id] >= DAY
            case _:
                assert item.id.startswith("scratch-")
                assert item.id not in {each.volume for each in users}
                assert self.present - self.volumes[item.id] >= 7 * DAY

    def _check_image(self, image: str) -> None:
        made, tags = self.images[image], self.tags_of(image)
        assert image not in {each.image for each in self.containers.values()}, "a container refers to it"
        for reference in self.services[-2:]:
            name, _, digest = reference.partition("@")
            assert name not in tags, "a service names it"
            assert digest != image, "a service names it by its digest"
        assert not any(each.parent == image for each in self.images.values()), "another is built upon it"
        repositories = {each.partition(":")[0] for each in tags} | {each.partition("@")[0] for each in made.digests}
        assert "base" not in repositories, "a pattern keeps it"
        assert self.age(image) >= DAY, "it was used"
        assert made.digests or not tags, "nobody can give it back"
        for name in repositories:
            others = {each for tag, each in self.tags.items() if tag.partition(":")[0] == name}
            others |= {each.id for each in self.images.values() if any(d.startswith(f"{name}@") for d in each.digests)}
            # Of those made at the same time any may be taken for the newest.
            newer = [each for each in others - {image} if self.images[each].created_at >= made.created_at]
            assert newer, "it is the newest"
        here = self._here()
        assert not made.projects & here, "a project had it that is here"
        assert not {name for each in here for name in self.meant.get(each, ())} & {*tags}, "a project means it by now"

    def _delete(self, item: Item) -> None:
        self.deleted.append(item)
        match item.kind:
            case Kind.IMAGE:
                for tag in self.tags_of(item.id):
                    del self.tags[tag]
                    self._event(EventKind.IMAGE, "untag", item.id, {"name": item.id})
                del self.images[item.id]
                self._event(EventKind.IMAGE, "delete", item.id, {"name": item.id})
            case Kind.CONTAINER:
                container = self.containers.pop(item.name)
                self._use(container.image)
                self.networks[container.network] = self.volumes[container.volume] = self.present
                self._event(EventKind.CONTAINER, "destroy", item.id, self._told(container))
            case Kind.NETWORK:
                del self.networks[item.id]
                self._event(EventKind.NETWORK, "destroy", item.id, {})
            case _:
                del self.volumes[item.id]
                self._event(EventKind.VOLUME, "destroy", item.id, {})

    # How it does it.

    def _name(self, one: int) -> str:
        return f"{REPOSITORIES[one % 3]}:{one // 3 % 3}"

    def _have(self, image: str, *, created_at: float) -> Made:
        made = self.images.setdefault(image, Made(id=image, created_at=created_at, used=self.present))
        made.used = self.present
        return made

    def _use(self, image: str) -> None:
        self.images[image].used = self.present

    def _give(self, name: str, image: str) -> None:
        self.tags[name] = image
        self._event(EventKind.IMAGE, "tag", image, {"name": name})

    def _start(self, one: int, other: int) -> Iterator[Running]:
        name = self._name(one)
        if name not in self.tags:
            return
        self.made += 1
        image, number, project = self.tags[name], other % 2, PROJECTS[other // 4 % 4]
        self.volumes.setdefault(f"scratch-{number}", 0.0)
        self.networks.setdefault(f"net-{number}", 0.0)
        container = Running(
            name=f"c{self.made}",
            image=image,
            reference=(name, f"docker.io/library/{name}", image, image[7:])[other % 4],
            project=project,
            network=f"{project}_default" if project else f"net-{number}",
            volume=(f"data-{number}", f"scratch-{number}")[other // 2 % 2],
        )
        self._use(image)
        self.volumes[container.volume] = self.networks[container.network] = self.present
        if project and not self.silent:
            self.images[image].projects.add(project)
            if other % 4 < 2:  # else it is called by its id
                self.meant.setdefault(project, set()).add(name)
        self._event(EventKind.VOLUME, "mount", container.volume, {})
        self._event(EventKind.NETWORK, "connect", container.network, {})
        for action in ("create", "start"):
            self._event(EventKind.CONTAINER, action, container.name, self._told(container))
        yield container

    def _removed(self, container: Running) -> None:
        del self.containers[container.name]
        self._use(container.image)
        self.networks[container.network] = self.volumes[container.volume] = self.present
        self._event(EventKind.CONTAINER, "destroy", container.name, self._told(container))
        self._unmount(container)

    def _here(self) -> set[str]:
        """Compose projects of which there is anything."""
        here = {each.project for each in self.containers.values()} | {_project(each) for each in self.networks}
        return here - {""}

    def _let_go(self) -> None:
        here = self._here()
        self.meant = {project: names for project, names in self.meant.items() if project in here}

    def _only_names(self) -> None:
        """Who had which very image is not asked of an agent that has not looked for a while."""
        for made in self.images.values():
            made.projects.clear()

    def _unmount(self, container: Running) -> None:
        self.volumes[container.volume] = self.networks[container.network] = self.present
        self._event(EventKind.VOLUME, "unmount", container.volume, {})
        self._event(EventKind.NETWORK, "disconnect", container.network, {})

    def _told(self, container: Running) -> dict[str, str]:
        labels = {PROJECT: container.project} if container.project else {}
        return {"image": container.reference, "name": container.name, **labels}

    def _some(self, one: int) -> list[Running]:
        every = list(self.containers.values())
        return [every[one % len(every)]] if every else []

    def _event(self, kind: EventKind, action: str, actor: str, attributes: dict[str, str]) -> None:
        if not self.silent:
            self.host.event(kind, action, actor, attributes)


def _project(network: str) -> str:
    """The Compose project whose network it is; empty: none's."""
    return network.removesuffix("_default") if network.endswith("_default") else ""
