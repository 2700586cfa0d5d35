"""OOM kills in cgroups that a container makes within its own, on v1."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.cgroups import Bench, FakeTree, fake_proc, full_id, v1_tree, v2_tree
from tests.support.numbers import examples
from watchtower_agent.collectors.kills_below import DEEPEST, MOST, KillsBelow
from watchtower_agent.collectors.parsing import after

ID = full_id(1)
PATH = f"docker/{ID}"
CONTROL = "memory.oom_control"


def make(directory: Path, kills: int) -> None:
    directory.mkdir(exist_ok=True, parents=True)
    told(directory, kills)


def told(directory: Path, kills: int) -> None:
    (directory / CONTROL).write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")


def below(directory: Path) -> KillsBelow:
    return KillsBelow(str(directory), CONTROL, after(b"\noom_kill "))


def test_what_is_below_is_added_up_and_the_containers_own_is_not(tmp_path: Path) -> None:
    make(tmp_path, 100)
    counted = below(tmp_path)
    assert counted.count() == 0
    make(tmp_path / "a", 1)
    make(tmp_path / "a" / "b", 2)
    make(tmp_path / "c", 4)
    assert counted.count() == 7


def test_a_cgroup_that_goes_takes_nothing_with_it_and_one_of_the_same_name_counts_anew(tmp_path: Path) -> None:
    counted = below(tmp_path)
    make(tmp_path / "a", 3)
    make(tmp_path / "keeps" / "the inode", 0)
    assert counted.count() == 3
    (tmp_path / "a").rename(tmp_path.parent / f"{tmp_path.name}-gone")  # its inode is not given out again
    assert counted.count() == 3
    make(tmp_path / "a", 1)
    assert counted.count() == 4
    told(tmp_path / "a", 2)
    assert counted.count() == 5


def test_a_container_that_makes_very_many_is_looked_into_so_far_and_never_counted_twice(tmp_path: Path) -> None:
    counted = below(tmp_path)
    for number in range(2 * MOST):
        make(tmp_path / f"{number:04d}", 1)
    found = counted.count()
    assert 0 < found <= MOST
    for number in range(MOST):
        shutil.rmtree(tmp_path / f"{number:04d}")
        if number % 64 == 0:
            assert found <= counted.count() <= 2 * MOST
            found = counted.count()
    assert found <= counted.count() <= 2 * MOST


def test_those_that_are_hidden_by_others_are_neither_lost_nor_counted_twice(tmp_path: Path) -> None:
    counted = below(tmp_path)
    for number in range(MOST):
        make(tmp_path / f"old-{number}", 1)
    assert counted.count() == MOST
    for number in range(MOST):
        make(tmp_path / f"new-{number}", 0)
    assert counted.count() == MOST
    for number in range(MOST):
        shutil.rmtree(tmp_path / f"new-{number}")
    assert counted.count() == MOST


def test_it_is_looked_into_so_deep(tmp_path: Path) -> None:
    directory = tmp_path
    for _ in range(DEEPEST + 3):
        directory /= "d"
        make(directory, 1)
    assert below(tmp_path).count() == DEEPEST


def test_a_link_leads_nowhere_and_what_is_no_count_is_none(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    make(inside / "a", 1)
    make(tmp_path / "outside" / "b", 50)
    (inside / "link").symlink_to(tmp_path / "outside")
    (inside / "nothing").mkdir()
    make(inside / "hostile", 0)
    (inside / "hostile" / CONTROL).write_text("oom_kill\n")
    assert below(inside).count() == 1
    assert below(tmp_path / "never was").count() == 0


@settings(max_examples=examples(30))
@given(
    looks=st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "a/c", "b/d", "b/d/e"]), st.integers(0, 9), max_size=5), max_size=6
    )
)
def test_it_never_falls(tmp_path_factory: pytest.TempPathFactory, looks: list[dict[str, int]]) -> None:
    root = tmp_path_factory.mktemp("cgroup")
    counted, before = below(root), 0
    for there in looks:
        for child in list(root.iterdir()):
            shutil.rmtree(child)
        for path, kills in there.items():
            make(root / path, kills)
        found = counted.count()
        assert found >= before
        before = found


# --- in the reader ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["v1", "v2"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> FakeTree:
    made = v1_tree(tmp_path / "cgroup") if request.param == "v1" else v2_tree(tmp_path / "cgroup")
    made.add(PATH)
    return made


@pytest.fixture
def bench(tree: FakeTree, tmp_path: Path) -> Bench:
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    bench.watch(ID)
    return bench


def test_they_count_on_v1_once_the_kernel_has_killed_anything(bench: Bench, tree: FakeTree, tmp_path: Path) -> None:
    vmstat = tmp_path / "proc" / "vmstat"
    vmstat.write_text("nr_free_pages 12\noom_kill 5\n")
    assert bench.tick()["memory.oom_kills"] == 0
    tree.add(f"{PATH}/small")
    if tree.hierarchies:
        told(tree.file(f"{PATH}/small", CONTROL).parent, 2)
    else:  # the kernel adds them up
        events = "low 0\nhigh 0\nmax 0\noom 2\noom_kill 2\n"
        tree.write(f"{PATH}/small", "memory.events", events)
        tree.write(PATH, "memory.events", events)
    assert bench.tick(10.0)["memory.oom_kills"] == 0, "the kernel says that it has killed none since"
    vmstat.write_text("nr_free_pages 12\noom_kill 7\n")
    assert bench.tick(10.0)["memory.oom_kills"] == 2
    tree.remove(f"{PATH}/small")
    assert bench.tick(10.0)["memory.oom_kills"] == 2
    assert bench.tick(anew=frozenset({ID}))["memory.oom_kills"] == 2


def test_each_container_has_its_own(tmp_path: Path) -> None:
    tree = v1_tree(tmp_path / "cgroup")
    bench = Bench(tree, fake_proc(tmp_path / "proc"))
    ids = [full_id(number) for number in range(1, 4)]
    for each in ids:
        tree.add(f"docker/{each}")
    make(tree.file(f"docker/{ids[1]}", CONTROL).parent / "small", 3)
    bench.watch(*ids)
    assert list(bench.tick().column("memory.oom_kills")) == [0, 3, 0]
    bench.watch(ids[2], ids[1])
    assert list(bench.tick().column("memory.oom_kills")) == [0, 3]
