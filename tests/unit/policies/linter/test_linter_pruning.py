"""What the linter says of policies that prune, and of which it says nothing."""

from __future__ import annotations

import pytest

from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.linter.surroundings import UNTOLD, Surroundings, surroundings
from watchtower_agent.policies.policy import PolicySet

NIGHTLY = "schedule: {cron: '30 3 * * *'}"
VOLUMES = "volumes: {only: cache-*}"
FORBIDDEN = surroundings(source="auto", engine_url="", interval=1.0, prune_volumes=False)
ALLOWED = surroundings(source="auto", engine_url="", interval=1.0, prune_volumes=True)
ELSEWHERE = surroundings(source="auto", engine_url="tcp://h:2375", interval=1.0, prune_volumes=True)


def said(*policies: str, where: Surroundings = UNTOLD) -> list[str]:
    """The warnings about policies, whose third line the first one is."""
    lines = [f"  - {{name: p{index}, {body}}}" for index, body in enumerate(policies)]
    loaded = load_policies({"a.yaml": "\n".join(["version: 1", "policies:", *lines]).encode()}, where)
    assert isinstance(loaded, PolicySet), "\n".join(map(str, loaded))
    assert all(warning.warning for warning in loaded.warnings)
    return [str(warning) for warning in loaded.warnings]


def marked(when: str, until: str, kinds: str = "images: {}") -> list[str]:
    return said(f"when: '{when}', prune: {{until: '{until}', {kinds}}}")


# --- marks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("host.disk.percent > 85%", "host.disk.percent < 75%"),
        ("host.disk.percent > 85%", "host.disk.percent < 84%"),
        ("host.disk.percent >= 86%", "host.disk.percent <= 85%"),
        ("host.disk.free < 5GiB", "host.disk.free > 10GiB"),
        (
            "host.disk.percent > 85% or host.disk.inodes_percent > 85%",
            "host.disk.percent < 75% and host.disk.inodes_percent < 75%",
        ),
        ("host.disk.percent > 85% and host.load1 < 1", "host.disk.percent < 75%"),
        ("host.load1 < 1 or host.disk.percent > 85%", "host.disk.percent < 75%"),
        # of what is not about how full the disk is now nothing is claimed
        ("avg(host.disk.percent, 5m) > 85%", "host.disk.percent < 90%"),
        ("delta(host.disk.free, 1h) < -10GiB", "host.disk.free > 50GiB"),
        ("engine.images > 300", "host.disk.percent < 75%"),
    ],
)
def test_marks_with_a_gap(when: str, until: str) -> None:
    assert marked(when, until) == []


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("host.disk.percent > 85%", "host.disk.percent < 90%"),
        ("host.disk.percent >= 85%", "host.disk.percent <= 85%"),
        ("host.disk.percent > 85%", "host.disk.inodes_percent < 75%"),
        ("host.disk.percent > 85% or host.disk.inodes_percent > 85%", "host.disk.percent < 75%"),
        ("host.disk.percent > 85%", "host.disk.percent < 75% or host.disk.free > 50GiB"),
        ("host.disk.free < 10GiB", "host.disk.free > 5GiB"),
    ],
)
def test_a_pass_that_is_over_when_it_begins(when: str, until: str) -> None:
    (warning,) = marked(when, until)
    assert "warning: policies[0].prune.until: this can be true while when is true as well" in warning
    line = f"  - {{name: p0, when: '{when}', prune: {{until: "
    assert warning.startswith(f"a.yaml:3:{len(line) + 1}: "), warning


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("host.disk.percent > 85%", "host.disk.percent < 85%"),
        ("host.disk.percent > 85%", "host.disk.percent <= 85%"),
        ("host.disk.percent > 85%", "host.disk.percent < 84.5%"),
        ("host.disk.free < 10GiB", "host.disk.free >= 10GiB"),
    ],
)
def test_marks_without_a_gap(when: str, until: str) -> None:
    (warning,) = marked(when, until)
    assert "policies[0].prune.until: a pass ends where when begins, so that it begins again and again" in warning


def test_networks_take_no_space() -> None:
    (warning,) = marked("host.disk.percent > 85%", "host.disk.percent < 75%", "networks: {}")
    assert "policies[0].prune.until: networks take no space, so this is not reached by deleting them" in warning
    assert marked("host.disk.percent > 85%", "host.disk.percent < 75%", "networks: {}, containers: {}") == []
    assert said(f"{NIGHTLY}, prune: {{networks: {{}}}}") == []


def test_a_disk_that_is_elsewhere() -> None:
    warnings = said(f"{NIGHTLY}, prune: {{until: host.disk.percent < 75%, images: {{}}}}", where=ELSEWHERE)
    (warning,) = warnings
    assert "policies[0].prune.until: host.disk.percent is never known with these settings" in warning
    assert warning.startswith(f"a.yaml:3:{len('  - {name: p0, ' + NIGHTLY + ', prune: {until: ') + 1}: ")


# --- volumes ----------------------------------------------------------------------------------------------------------


def test_volumes_need_the_settings_leave() -> None:
    policy = f"{NIGHTLY}, prune: {{{VOLUMES}}}"
    (warning,) = said(policy, where=FORBIDDEN)
    column = f"  - {{name: p0, {policy}".index("volumes") + 1
    assert warning.startswith(
        f"a.yaml:3:{column}: warning: policies[0].prune.volumes: with these settings no volume is"
    )
    assert "set allow.prune_volumes to true in agent.yaml" in warning
    assert said(policy, where=ALLOWED) == []
    assert said(policy, where=UNTOLD) == []
    assert said(f"{NIGHTLY}, prune: {{images: {{}}}}", where=FORBIDDEN) == []


@pytest.mark.parametrize("when", ["engine.images > 300", "host.load1 < 1"])
def test_no_condition_deletes_volumes(when: str) -> None:
    (warning,) = said(f"when: {when}, prune: {{images: {{}}, {VOLUMES}}}", where=ALLOWED)
    assert "policies[0].prune.volumes: volumes are never deleted because a condition holds" in warning


# --- two policies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [NIGHTLY, "when: engine.images > 300, for: 1m"])
def test_two_that_begin_together(trigger: str) -> None:
    one, other = f"{trigger}, prune: {{build_cache: {{}}}}", f"{trigger}, prune: {{networks: {{}}}}"
    (warning,) = said(one, other)
    assert "a.yaml:4:" in warning
    assert "policies[1].prune: policy p0 (a.yaml:3:5) prunes at the same time" in warning
    assert said(f"{one}, mode: shadow", other) == []
    assert said(f"{one}, mode: off", other) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NIGHTLY, "schedule: {cron: '31 3 * * *'}"),
        (NIGHTLY, "schedule: {cron: '30 3 * * *', timezone: Europe/Berlin}"),
        ("when: engine.images > 300", "when: engine.images > 400"),
        ("when: engine.images > 300", "when: engine.images > 300, for: 1m"),
        (NIGHTLY, "when: engine.images > 300"),
    ],
)
def test_two_stages(one: str, other: str) -> None:
    assert said(f"{one}, prune: {{build_cache: {{}}}}", f"{other}, prune: {{images: {{}}}}") == []


@pytest.mark.parametrize(
    ("keeps", "other", "missing"),
    [
        ("keep: [base/*]", "", ["base/*"]),
        ("keep: [base/*, debian]", "keep: base/*", ["debian"]),
        ("keep: [base/*]", "keep: [base/x]", ["base/*"]),
        ("keep: [base/*]", "keep: base/*", []),
        ("keep: [base/x]", "keep: base/*", []),
        ("keep: [base/*]", "dangling: true", []),
        ("unused_for: 48h", "", []),
    ],
)
def test_what_one_keeps_the_other_deletes(keeps: str, other: str, missing: list[str]) -> None:
    when = "when: engine.images > 300"
    warnings = said(f"{NIGHTLY}, prune: {{images: {{{keeps}}}}}", f"{when}, prune: {{images: {{{other}}}}}")
    about = [each for each in warnings if "policies[1].prune.images: policy p0 (a.yaml:3:5) keeps images of" in each]
    assert [text for text in missing if f"the name {text}, and this may delete them" in "".join(about)] == missing
    assert len(about) == bool(missing)


def test_it_counts_wherever_it_is_written() -> None:
    (warning,) = said(
        f"{NIGHTLY}, prune: {{images: {{}}}}", "when: engine.images > 300, prune: {images: {keep: base/*}}"
    )
    assert "policies[0].prune.images: policy p1 (a.yaml:4:5) keeps images of the name base/*" in warning


def test_the_examples_of_the_design() -> None:
    pressure = (
        "when: host.disk.percent > 85%, for: 1m, prune: {until: host.disk.percent < 75%, build_cache: {}, "
        "images: {unused_for: 24h, keep_newest: 2, keep: ['base/*']}, containers: {finished_for: 7d}, networks: {}}"
    )
    nightly = f"{NIGHTLY}, prune: {{images: {{dangling: true}}, build_cache: {{unused_for: 72h}}}}"
    assert said(pressure, nightly, where=FORBIDDEN) == []
