"""The policy folder, on a real one: whole or not at all, within two seconds, said once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from watchtower_agent.clock import SystemClock
from watchtower_agent.model.observation import PoliciesRejected
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policy_folder import LARGEST_FOLDER, MOST_FILES, PolicyFolder, check_folder

TWELVE = Path(__file__).resolve().parents[1] / "data" / "policies_twelve_mistakes"


def policy(name: str) -> str:
    return f"version: 1\npolicies: [{{name: {name}, on: {{engine: down}}, then: {{notify: {{}}}}}}]\n"


BROKEN = "version: 1\npolicies: [{name: a}\n"


class Watched:
    """A folder, and what was reported of it, in order."""

    def __init__(self, path: Path) -> None:
        self.reports: asyncio.Queue[PolicySet | PoliciesRejected] = asyncio.Queue()
        self.folder = PolicyFolder(path, SystemClock(), self.reports.put_nowait, self.reports.put_nowait)

    async def next(self) -> PolicySet | PoliciesRejected:
        async with asyncio.timeout(10):
            return await self.reports.get()

    async def names(self) -> list[str]:
        report = await self.next()
        assert isinstance(report, PolicySet), report
        return [each.name for each in report.policies]

    async def rejection(self) -> str:
        report = await self.next()
        assert isinstance(report, PoliciesRejected), report
        return "\n".join(report.problems)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.folder.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_it_is_read_at_start_and_again_within_two_seconds_of_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("one"))
    watched = Watched(tmp_path)
    async with watched.running():
        assert await watched.names() == ["one"]
        (tmp_path / "b.yml").write_text(policy("two"))
        async with asyncio.timeout(2):
            assert await watched.names() == ["one", "two"]
        (tmp_path / "a.yaml").unlink()
        async with asyncio.timeout(2):
            assert await watched.names() == ["two"]
    assert watched.reports.empty()


async def test_a_broken_file_keeps_the_last_good_set_and_is_reported_once(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(policy("one"))
    watched = Watched(tmp_path)
    first = await watched.folder.reload()
    assert await watched.next() is first
    bad.write_text(BROKEN)
    rejected = await watched.folder.reload()
    assert isinstance(rejected, PoliciesRejected)
    assert await watched.next() is rejected
    assert rejected.problems[0].startswith("bad.yaml:")
    # The same content again, even written anew, is no news; asked for, the answer is the same.
    bad.write_text(BROKEN)
    os.utime(bad, (1, 1))
    assert await watched.folder.reload() == rejected
    assert watched.reports.empty()
    # Back to what is in force all along: reported, for the rejection is over.
    bad.unlink()
    assert await watched.folder.reload() is first
    assert await watched.next() is first
    assert await watched.folder.reload() is first
    assert watched.reports.empty()


async def test_another_mistake_is_reported_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("version: 1\npolicies: {}\n")
    watched = Watched(tmp_path)
    await watched.folder.reload()
    assert "this is not a list" in await watched.rejection()
    file.write_text("version: 2\npolicies: []\n")
    await watched.folder.reload()
    assert "the only one is 1" in await watched.rejection()


async def test_a_swap_of_links_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: files link into `..data`, which is replaced as a whole."""
    for revision, name in (("..1", "one"), ("..2", "two")):
        (tmp_path / revision).mkdir()
        (tmp_path / revision / "a.yaml").write_text(policy(name))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    watched = Watched(tmp_path)
    async with watched.running():
        assert await watched.names() == ["one"]
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").replace(tmp_path / "..data")
        assert await watched.names() == ["two"]


async def test_a_replaced_folder_is_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "a.yaml").write_text(policy("one"))
    watched = Watched(folder)
    async with watched.running():
        assert await watched.names() == ["one"]
        folder.rename(tmp_path / "old")
        assert str(folder) in await watched.rejection()
        folder.mkdir()
        (folder / "a.yaml").write_text(policy("two"))
        assert await watched.names() == ["two"]


async def test_an_edit_of_the_same_size_and_time_stamp_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("one"))
    os.utime(file, (1, 1))
    watched = Watched(tmp_path)
    async with watched.running():
        assert await watched.names() == ["one"]
        file.write_text(policy("two"))
        os.utime(file, (1, 1))
        assert await watched.names() == ["two"]


async def test_the_loop_goes_on_while_the_folder_is_read(tmp_path: Path) -> None:
    items = ", ".join(
        f'{{name: p{i}, select: {{name: "a*"}}, when: memory.percent > {i % 99}%, then: {{restart: {{}}}}}}'
        for i in range(300)
    )
    (tmp_path / "a.yaml").write_text(f"version: 1\npolicies: [{items}]")
    watched = Watched(tmp_path)
    turns = 0
    reading = asyncio.create_task(watched.folder.reload())
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await watched.names()) == 300
    assert turns > 10


def test_only_policy_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("one"))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "folder.yaml").mkdir()
    for name in (".a.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", "#a.yaml", "4913", "README.md", "deeper/b.yaml"):
        (tmp_path / name).write_text(BROKEN)
    check = check_folder(tmp_path)
    assert (check.problems, check.policies, check.files) == ((), 1, 1)


def test_an_empty_folder_has_no_policies(tmp_path: Path) -> None:
    check = check_folder(tmp_path)
    assert (check.problems, check.policies, check.files) == ((), 0, 0)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    (problem,) = check_folder(tmp_path / "none").problems
    assert str(problem) == (
        f"{tmp_path / 'none'}: there is no such policy folder, create it, or name another under policies: in agent.yaml"
    )


def test_a_file_alone_is_checked_like_a_folder_of_one(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad.yaml"
    good.write_text(policy("one"))
    bad.write_text(BROKEN)
    assert (check_folder(good).problems, check_folder(good).policies) == ((), 1)
    (problem, *_) = check_folder(bad).problems
    assert (problem.file, problem.line) == (str(bad), 2)
    (problem,) = check_folder(bad / "x").problems
    assert str(problem) == f"{bad / 'x'}: this is not a folder, name the folder that holds the policy files"


@pytest.mark.parametrize(
    ("link", "told"),
    [
        (None, "the file can't be read: it is not a regular file, put a readable file in its place, or remove it"),
        ("nowhere", "there is no such file, or it is a link to none, write it, or remove the link"),
        ("strange.yaml", "the file is a link that leads back to itself, put a file in its place, or remove it"),
    ],
)
def test_what_is_no_file_is_a_problem_and_never_waited_for(tmp_path: Path, link: str | None, told: str) -> None:
    strange = tmp_path / "strange.yaml"
    if link is None:
        os.mkfifo(strange)
    else:
        strange.symlink_to(link)
    (alone,) = check_folder(strange).problems
    assert str(alone) == f"{strange}: {told}"
    (tmp_path / "wrong.yaml").write_text("version: 1\npolicies: {}\n")
    lines = [str(problem) for problem in check_folder(tmp_path).problems]
    assert lines[0] == f"strange.yaml: {told}"
    assert lines[1].startswith("wrong.yaml:2:11: policies: ")
    assert len(lines) == 2


def test_number_and_size_are_bounded(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.yaml").write_text("version: 1\npolicies: []\n")
    (problem,) = check_folder(tmp_path).problems
    assert "has 1001 files, 1000 is the most" in str(problem)
    for number in range(LARGEST_FOLDER // 1_000_000 + 1):
        (tmp_path / f"{number}.yaml").write_text("version: 1\npolicies: []\n#" + "x" * 1_000_000)
    assert any("larger than 16 MiB together" in str(problem) for problem in check_folder(tmp_path).problems)


def test_names_of_files_stay_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31m.yaml").write_text(BROKEN)
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text(BROKEN)
    problems = check_folder(tmp_path).problems
    assert len(problems) == 2
    for problem in problems:
        assert str(problem).isprintable()
        assert str(problem).encode()


def test_twelve_mistakes_are_twelve_lines() -> None:
    check = check_folder(TWELVE)
    assert (len(check.problems), check.policies, check.files) == (12, 0, 3)
