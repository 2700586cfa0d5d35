"""`resize` as it is written becomes a strategy, or is refused with what to write instead."""

from __future__ import annotations

import pytest

from tests.support.policies import lines, policy
from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.policy import Then
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.strategies.resize import CpuRule, MemoryRule, ResizeStrategy

MEMORY = "memory: {min: 128MiB, max: 2GiB}"
FINE = f"select: {{name: web}}\n    resize: {{{MEMORY}}}"


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (f"{{{MEMORY}}}", ResizeStrategy(memory=MemoryRule(least=2**27, most=2**31))),
        ("{cpu: {min: 0.1, max: 2}}", ResizeStrategy(cpu=CpuRule(least=0.1, most=2.0))),
        (
            "{memory: {min: 6MiB, max: 6MiB}, cpu: {min: 0.01, max: '1.5'}, data: 48h}",
            ResizeStrategy(
                memory=MemoryRule(least=6 * 2**20, most=6 * 2**20), cpu=CpuRule(least=0.01, most=1.5), data=172800.0
            ),
        ),
        ("{cpu: {min: 1, max: 1}, data: 1h}", ResizeStrategy(cpu=CpuRule(least=1.0, most=1.0), data=3600.0)),
    ],
)
def test_bounds_of_limits(written: str, made: ResizeStrategy) -> None:
    policy_made = policy(f"select: {{name: web}}\n    resize: {written}")
    assert policy_made.trigger == made
    assert policy_made.then == Then(verb=Verb.RESIZE)
    assert policy_made.selector == Selector(names=Patterns(("web",)))


def test_what_it_goes_by_is_what_it_sets() -> None:
    assert ResizeStrategy(cpu=CpuRule(least=1, most=2)).names == {"cpu.cores"}
    assert ResizeStrategy(memory=MemoryRule(least=1, most=2)).names == {"memory.working_set", "memory.oom_kills"}


@pytest.mark.parametrize("mode", list(Mode))
def test_modes_windows_and_approvals_are_as_for_any_action(mode: Mode) -> None:
    made = policy(
        f"{FINE}\n    mode: {mode}\n    windows: [{{cron: '0 2 * * *', for: 3h}}]"
        + ("" if mode is Mode.ENFORCE else "\n    approve_within: 10m")
    )
    assert (made.mode, len(made.windows), isinstance(made.trigger, ResizeStrategy)) == (mode, 1, True)


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("{}", "5:13: policies[0].resize: neither memory nor cpu is named, write {memory: {min: 128MiB, max: 2GiB}}"),
        ("web", "5:13: policies[0].resize: this is not a mapping, write {memory: {min: 128MiB, max: 2GiB}}, {cpu:"),
        ("{mem: {min: 1GiB, max: 2GiB}}", '5:14: policies[0].resize.mem: unknown key "mem", did you mean memory?'),
        ("{memory: 2GiB}", "5:22: policies[0].resize.memory: this is not a mapping, write {min: 128MiB, max: 2GiB}"),
        ("{memory: {max: 2GiB}}", "5:22: policies[0].resize.memory: the key min is missing, add min: 128MiB"),
        ("{cpu: {min: 1}}", "5:19: policies[0].resize.cpu: the key max is missing, add max: 2"),
        ("{memory: {min: 2GiB, max: 1GiB}}", "5:39: policies[0].resize.memory.max: max is less than min, write a max"),
        ("{cpu: {min: 2, max: 1.5}}", "5:33: policies[0].resize.cpu.max: max is less than min"),
        (
            "{memory: {min: 5MiB, max: 1GiB}}",
            "5:28: policies[0].resize.memory.min: the engine takes no limit of memory",
        ),
        ("{memory: {min: 512, max: 1GiB}}", '5:28: policies[0].resize.memory.min: "512" has no unit, write 512MiB'),
        ("{memory: {min: 10%, max: 1GiB}}", '5:28: policies[0].resize.memory.min: "10%" is no size, write it like'),
        ("{memory: {min: -1GiB, max: 1GiB}}", '5:28: policies[0].resize.memory.min: "-1GiB" is no size'),
        (
            "{memory: {min: 1Gi, max: 2GiB}}",
            '5:28: policies[0].resize.memory.min: unknown unit "Gi", did you mean 1GiB?',
        ),
        ("{memory: {min: [1], max: 2GiB}}", "5:28: policies[0].resize.memory.min: this is not a size, write it like"),
        (
            "{cpu: {min: 0.009, max: 2}}",
            '5:25: policies[0].resize.cpu.min: "0.009" is no number of cores, write one from',
        ),
        ("{cpu: {min: 0, max: 2}}", '5:25: policies[0].resize.cpu.min: "0" is no number of cores'),
        ("{cpu: {min: 50%, max: 2}}", '5:25: policies[0].resize.cpu.min: "50%" is no number of cores, write 0.5: 1 is'),
        ("{cpu: {min: 1s, max: 2}}", '5:25: policies[0].resize.cpu.min: "1s" is no number of cores'),
        ("{cpu: {min: true, max: 2}}", "5:25: policies[0].resize.cpu.min: this is not a number of cores"),
        ("{cpu: {min: 1, max: .inf}}", '5:33: policies[0].resize.cpu.max: "inf" is not a number'),
        (
            "{cpu: {min: 1, max: 2}, data: 59m}",
            "5:43: policies[0].resize.data: no limit is lowered by so much or little",
        ),
        ("{cpu: {min: 1, max: 2}, data: 24}", '5:43: policies[0].resize.data: "24" has no unit, write 24s'),
    ],
)
def test_a_mistake_in_it_has_its_place_and_a_remedy(resize: str, expected: str) -> None:
    (found,) = lines(f"select: {{name: web}}\n    resize: {resize}")
    assert found.startswith(f"a.yaml:{expected}"), found


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ("when: cpu.percent > 3%", "when: when can't stand beside resize, leave it out: what is resized is looked at"),
        ("for: 1m", "for: for can't stand beside resize"),
        ("keep_for: 1m", "keep_for: keep_for can't stand beside resize"),
        ("on: {container: oom}", "on: on can't stand beside resize"),
        ("where: event.age > 1s", "where: where can't stand beside resize"),
        (
            "schedule: {cron: '0 2 * * *'}",
            "schedule: schedule can't stand beside resize, leave it out; windows say when",
        ),
        ("then: {restart: {}}", "then: then can't stand beside resize, leave it out: resize is what is done"),
        ("cooldown: 1h", "cooldown: cooldown can't stand beside resize, leave it out: limits go up every 10m"),
        ("budget: {max: 3}", "budget: budget can't stand beside resize"),
        ("backoff: {initial: 3s}", "backoff: backoff can't stand beside resize"),
        ("depends: db", "depends: depends can't stand beside resize"),
        ("restart_stopped: false", "restart_stopped: restart_stopped can't stand beside resize"),
        ("approve_within: 1h", "approve_within: approve_within belongs to mode: approve"),
        ("windows: []", "windows: no window is named"),
    ],
)
def test_what_can_t_stand_beside_it(beside: str, expected: str) -> None:
    (found,) = lines(f"{FINE}\n    {beside}")
    assert f" policies[0].{expected}" in found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            f"resize: {{{MEMORY}}}",
            'resize needs containers, and none are selected, add select: {name: "*"} to mean every',
        ),
        (
            f"{FINE}\n    target: {{swarm_service: a}}",
            "a policy does one thing, and this has target and resize, make two policies of it",
        ),
        ("then: {resize: {}}\n    select: {name: a}", "resize does not stand under then, write select and resize in"),
        (f"select: {{}}\n    resize: {{{MEMORY}}}", 'this selects by nothing, write {name: "*"}'),
    ],
)
def test_it_is_about_containers_that_are_selected_and_about_nothing_else(body: str, expected: str) -> None:
    assert any(expected in line for line in lines(body)), lines(body)
