from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cgroups import FakeTree, full_id, v1_tree, v2_tree
from watchtower_agent.collectors.cgroup_paths import Locator, Place
from watchtower_agent.collectors.cgroup_tree import discover
from watchtower_agent.collectors.files import UnreadableError
from watchtower_agent.model.sample import SampleTarget

ID = full_id(0xABC)
OTHER = full_id(0xDEF)


def find(tree: FakeTree, proc: Path, target: SampleTarget) -> Place | None:
    return Locator(tree=discover(str(tree.root)), proc_root=str(proc)).find(target)


@pytest.mark.parametrize(
    ("path", "parent"),
    [
        (f"docker/{ID}", ""),
        (f"system.slice/docker-{ID}.scope", ""),
        (f"machine.slice/libpod-{ID}.scope", ""),
        (f"user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope", ""),
        (f"user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", ""),
        (f"my/own/{ID}", "/my/own"),
        (f"web.slice/web-front.slice/docker-{ID}.scope", "web-front.slice"),
    ],
)
@pytest.mark.parametrize("make", [v1_tree, v2_tree])
def test_found_by_rule_without_an_inspection_of_the_process(
    tmp_path: Path, make: type[FakeTree], path: str, parent: str
) -> None:
    tree = make(tmp_path / "cgroup")
    tree.add(path)
    place = find(tree, tmp_path, SampleTarget(container_id=ID, cgroup_parent=parent))
    assert place
    assert place.accounting.endswith(path)
    assert place.memory.endswith(path)


def test_v1_hierarchies_are_told_apart(tmp_path: Path) -> None:
    tree = v1_tree(tmp_path / "cgroup")
    tree.add(f"docker/{ID}")
    root = tree.root
    assert find(tree, tmp_path, SampleTarget(container_id=ID)) == Place(
        accounting=f"{root}/cpuacct/docker/{ID}",
        cpu=f"{root}/cpu/docker/{ID}",
        cpuset=f"{root}/cpuset/docker/{ID}",
        memory=f"{root}/memory/docker/{ID}",
        blkio=f"{root}/blkio/docker/{ID}",
        pids=f"{root}/pids/docker/{ID}",
    )


def test_controllers_that_share_a_directory_and_links_to_it(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path / "cgroup", v1=("cpu,cpuacct", "memory"))
    (tree.root / "cpu").symlink_to("cpu,cpuacct")
    (tree.root / "cpuacct").symlink_to("cpu,cpuacct")
    tree.add(f"docker/{ID}")
    place = find(tree, tmp_path, SampleTarget(container_id=ID))
    assert place
    assert Path(place.accounting).samefile(place.cpu)
    assert Path(place.accounting, "cpuacct.usage").exists()
    assert place.cpuset == ""


def test_hybrid_hosts_have_their_limits_in_v1(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    FakeTree(root, v1=("cpu,cpuacct", "memory"), unified="unified", controllers="")
    tree = discover(str(root))
    assert tree.accounting == f"{root}/cpu,cpuacct"
    assert tree.memory == f"{root}/memory"
    assert tree.unified == f"{root}/unified"


@pytest.mark.parametrize(("controllers", "known"), [("cpuset cpu io memory pids", True), ("cpuset cpu io pids", False)])
def test_v2_tells_whether_it_has_a_memory_controller(tmp_path: Path, controllers: str, *, known: bool) -> None:
    root = tmp_path / "cgroup"
    FakeTree(root, unified=".", controllers=controllers)
    assert discover(str(root)).memory == (str(root) if known else "")


def test_no_tree_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"cgroup_root"):
        discover(str(tmp_path / "nothing"))
    with pytest.raises(UnreadableError, match=r"no cgroup hierarchy below"):
        discover(str(tmp_path))


def write_process(proc: Path, pid: int, text: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text(text)


def test_found_by_its_process_where_no_rule_holds(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(f"strange/place/box-{ID}.service/init")
    write_process(tmp_path / "proc", 42, f"0::/strange/place/box-{ID}.service/init\n")
    place = find(tree, tmp_path / "proc", SampleTarget(container_id=ID, pid=42))
    assert place
    assert place.accounting == f"{tree.root}/strange/place/box-{ID}.service"


def test_each_v1_controller_of_a_process_has_its_own_path(tmp_path: Path) -> None:
    tree = v1_tree(tmp_path / "cgroup")
    tree.add(f"here/{ID}")
    tree.add(f"there/{ID}")
    write_process(
        tmp_path / "proc", 42, f"4:memory:/there/{ID}\n3:cpuset:/\n2:cpuacct:/here/{ID}\n1:cpu:/here/{ID}\n0::/\n"
    )
    place = find(tree, tmp_path / "proc", SampleTarget(container_id=ID, pid=42))
    assert place
    assert place.accounting == f"{tree.root}/cpuacct/here/{ID}"
    assert place.memory == f"{tree.root}/memory/there/{ID}"


@pytest.mark.parametrize(
    "text",
    [
        f"0::/docker/{OTHER}\n",  # the pid belongs to another container by now
        f"0::/../outside/{ID}\n",  # outside our namespace
        f"0::/docker/{ID[:12]}\n",
        "0::/\n",
        "junk\n\n::::\n",
        "",
    ],
)
def test_a_process_that_is_not_in_the_containers_cgroup_is_not_believed(tmp_path: Path, text: str) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(f"docker/{OTHER}")
    (tmp_path / "outside" / ID).mkdir(parents=True)
    write_process(tmp_path / "proc", 42, text)
    assert find(tree, tmp_path / "proc", SampleTarget(container_id=ID, pid=42)) is None


@pytest.mark.parametrize(
    "target",
    [
        SampleTarget(container_id="../../outside"),
        SampleTarget(container_id=""),
        SampleTarget(container_id=ID, cgroup_parent="../outside"),
        SampleTarget(container_id=ID, cgroup_parent="a\0b"),
    ],
)
def test_nothing_outside_the_tree_is_reached(tmp_path: Path, target: SampleTarget) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(f"docker/{OTHER}")
    (tmp_path / "outside" / ID).mkdir(parents=True)
    assert find(tree, tmp_path, target) is None


def test_v1_tells_where_the_quota_or_the_memory_is_not_to_be_seen(tmp_path: Path) -> None:
    tree = v1_tree(tmp_path / "cgroup")
    tree.add(f"docker/{ID}")
    shutil.rmtree(tree.root / "memory" / "docker")
    place = find(tree, tmp_path, SampleTarget(container_id=ID))
    assert place
    assert (place.hidden, place.memory) == (("memory",), "")
    shutil.rmtree(tree.root / "cpu" / "docker")
    place = find(tree, tmp_path, SampleTarget(container_id=ID))
    assert place
    assert place.hidden == ("cpu", "memory")


def test_what_a_host_does_not_have_is_not_hidden(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path / "cgroup", v1=("cpuacct",))
    tree.add(f"docker/{ID}")
    place = find(tree, tmp_path, SampleTarget(container_id=ID))
    assert place
    assert place.hidden == ()


@pytest.mark.parametrize(
    ("path", "its"),
    [(f"/docker/{ID}", True), (f"/../../docker/{ID}/init", True), (f"/docker/{OTHER}", False), ("/", False)],
)
def test_whose_process_it_is_does_not_depend_on_the_namespace_that_its_path_is_told_in(
    tmp_path: Path, path: str, *, its: bool
) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    write_process(tmp_path / "proc", 42, f"0::{path}\n")
    locator = Locator(tree=discover(str(tree.root)), proc_root=str(tmp_path / "proc"))
    assert locator.process_is(SampleTarget(container_id=ID, pid=42)) is its


def test_the_process_that_watches_a_podman_container_is_not_taken_for_it(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    container = "f" * 64  # sorted after `conmon`
    tree.add(f"odd.slice/libpod-conmon-{container}.scope")
    tree.add(f"odd.slice/libpod-{container}.scope")
    locator = Locator(tree=discover(str(tree.root)), proc_root=str(tmp_path))
    assert locator.search(frozenset({container}))
    place = locator.find(SampleTarget(container_id=container))
    assert place
    assert place.accounting == f"{tree.root}/odd.slice/libpod-{container}.scope"


def test_one_walk_finds_all_neighbours(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    ids = [full_id(n) for n in range(1, 30)]
    for container_id in ids:
        tree.add(f"private/engine/{container_id}")
    locator = Locator(tree=discover(str(tree.root)), proc_root=str(tmp_path))
    assert not locator.find(SampleTarget(container_id=ids[0]))
    assert locator.search(frozenset(ids[:1]))
    assert all(locator.find(SampleTarget(container_id=container_id)) for container_id in ids)


def test_a_walk_goes_neither_too_deep_nor_out_of_the_tree(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add("/".join(["d"] * 12 + [ID]))
    (tmp_path / "outside" / OTHER).mkdir(parents=True)
    (tree.root / "link").symlink_to(tmp_path / "outside")
    (tree.root / "d" / "loop").symlink_to(tree.root)
    locator = Locator(tree=discover(str(tree.root)), proc_root=str(tmp_path))
    assert not locator.search(frozenset({ID, OTHER}))


def test_one_found_by_rule_spares_the_walk_for_those_that_have_ended(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(f"docker/{ID}")
    locator = Locator(tree=discover(str(tree.root)), proc_root=str(tmp_path))
    assert not locator.knows_the_rule
    assert locator.find(SampleTarget(container_id=ID))
    assert locator.knows_the_rule


def test_braces_in_a_directorys_name_do_no_harm(tmp_path: Path) -> None:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(f"x/{{0.__class__}}-{ID}")
    locator = Locator(tree=discover(str(tree.root)), proc_root=str(tmp_path))
    assert locator.search(frozenset({ID}))
    assert locator.find(SampleTarget(container_id=ID))
