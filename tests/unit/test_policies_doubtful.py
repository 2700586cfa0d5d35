"""What the agent says of policies that it takes and that can't work."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from tests.support.core import Host, policy_set
from watchtower_agent.clock import SystemClock
from watchtower_agent.loop.journal import log_fact
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import PoliciesRejected
from watchtower_agent.policies.linter.surroundings import surroundings
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policy_folder import PolicyFolder

DOUBTFUL = """
- {name: again, select: {name: "*"}, when: restarts > 3, then: {restart: {}}}
- {name: never, when: host.load1 > 2 and host.load1 < 1, then: {notify: {}}}
"""


def test_doubts_are_told_when_the_policies_are_loaded_and_again_when_they_are_loaded_anew() -> None:
    agent = Host()
    agent.see(policy_set(DOUBTFUL))
    notice = agent.of(Notice)[-1]
    assert notice.severity is Severity.WARNING
    assert notice.reason.startswith(
        "2 policies are in force; 2 warnings. The first: test.yaml:3:44: warning: policies[0]"
    )
    assert notice.data["warning_count"] == 2

    agent.see(policy_set("- {name: fine, on: {engine: down}, then: {notify: {}}}"))
    notice = agent.of(Notice)[-1]
    assert (notice.severity, notice.reason) == (Severity.INFO, "1 policy is in force")
    assert "warnings" not in notice.data


def test_each_doubt_is_a_line_of_the_log() -> None:
    agent = Host()
    with capture_logs() as lines:
        agent.see(policy_set(DOUBTFUL))
        log_fact(agent.of(Notice)[-1])
    told = [(line["log_level"], line["what"]) for line in lines if line["event"] == "policy_warning"]
    assert [(level, what.partition(": warning: ")[0]) for level, what in told] == [
        ("warning", "test.yaml:3:44"),
        ("warning", "test.yaml:4:23"),
    ]


async def test_the_folder_is_read_for_where_the_agent_runs(tmp_path: Path) -> None:
    loaded: list[PolicySet] = []
    rejected: list[PoliciesRejected] = []
    text = 'version: 1\npolicies: [{name: a, select: {name: "*"}, when: pressure.io > 50%, then: {notify: {}}}]\n'
    (tmp_path / "a.yaml").write_text(text)
    where = surroundings(source="stats-api", engine_url="", interval=1.0)
    await PolicyFolder(tmp_path, SystemClock(), loaded.append, rejected.append, where).reload()
    (warning,) = loaded[0].warnings
    assert warning.message.startswith("pressure.io is never known")
    assert rejected == []
