"""`top`: what has room on a page, what is cut, what is left out whole, and how many lines the details are given."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.support.control import frame, shown, watcher
from tests.support.facts import NOW
from watchtower_agent.cli.layout import Line, fitted, name, spare, words
from watchtower_agent.cli.top import View
from watchtower_agent.cli.top_head import head
from watchtower_agent.cli.top_panel import most_lines, panel_of, reserved
from watchtower_agent.cli.top_view import containers_table

LONG = "restart-leaking-workers-of-the-shop"
COUNTING = watcher("heal-unhealthy", true=True, closeness=1.0, held_for=60.0, **{"for": 600.0})
NEAR = watcher("too-many-processes", closeness=0.36)
HELD = watcher("heal", true=True, firing=True, guard="cooldown", guard_reason="acted 12.0 s ago", release_at=NOW + 18)


def row(watchers: Sequence[dict[str, object]], watched_by: int, columns: int) -> str:
    containers = [shown("shop-frontend-web-green-canary", watchers=list(watchers), watched_by=watched_by)]
    return containers_table(containers, columns, NOW)[1].plain


@pytest.mark.parametrize("columns", [56, 65, 66, 71, 72, 80, 91, 92, 99, 100, 120, 139, 140, 159, 160, 180, 200, 240])
def test_how_close_it_is_stays_whole(columns: int) -> None:
    one, two = row([NEAR], 1, columns), row([COUNTING, NEAR], 2, columns)
    assert re.search(r" t\S+ 36 %(  \S.* > 90%)?$", one)
    assert re.search(r" h\S+ 1m of 10m(  \S.* > 90%)?  ?\+1$", two)
    assert max(len(one), len(two)) <= columns


@pytest.mark.parametrize(("columns", "text"), [(80, "heal held: cooldown +1"), (92, "heal held: cooldown 18s +1")])
def test_until_when_it_is_held_is_left_out_before_the_rest(columns: int, text: str) -> None:
    containers = [shown("web", watchers=[HELD], watched_by=2)]
    assert containers_table(containers, columns, NOW)[1].plain.endswith(f" {text}")


@pytest.mark.parametrize("guard", ["mode", "paused", "stale", "starting", "cooldown", "backoff", "breaker", "budget"])
@pytest.mark.parametrize("columns", [80, 92, 100, 120])
def test_an_ordinary_terminal_has_the_whole_guard(columns: int, guard: str) -> None:
    held = watcher("heal-unhealthy", true=True, firing=True, guard=guard, guard_reason="", release_at=NOW + 18)
    text = row([held], 5, columns)
    assert re.search(rf" h\S+y held: {guard}(  ?18s)?  ?\+4$", text)
    assert len(text) <= columns


def test_a_name_is_cut_to_a_few_cells_only_where_that_saves_the_rest() -> None:
    line: Line = (name(LONG), words(" 59s of 10m +1"))
    assert fitted(line, 24).plain == "resta…shop 59s of 10m +1"
    assert fitted(line, 20).plain == "res…op 59s of 10m +1"
    assert fitted(line, 18).plain == "re…p 59s of 10m +1"
    assert fitted(line, 17).plain == "rest…hop 59s of …"


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (None, "a-long-policy 9 %  a 1 > 2, b 3 > 4, and 1 more  +1"),
        (51, "a-long-policy 9 %  a 1 > 2, b 3 > 4, and 1 more  +1"),
        (50, "a-long…olicy 9 %  a 1 > 2, b 3 > 4, and 1 more  +1"),
        (45, "a-long-policy 9 %  a 1 > 2, b 3 > 4, …  +1"),
        (33, "a-long-policy 9 %  a 1 > 2, …  +1"),
        (28, "a-lo…icy 9 %  a 1 > 2, …  +1"),
        (27, "a-long-policy 9 %  +1"),
        (21, "a-long-policy 9 %  +1"),
        (12, "a-…y 9 %  +1"),
    ],
)
def test_half_a_comparison_is_never_shown(width: int | None, text: str) -> None:
    line: Line = (name("a-long-policy"), words(" 9 %"), spare("  a 1 > 2,"), spare(" b 3 > 4,"), spare(" and 1 more"))
    assert fitted((*line, words("  +1")), width).plain == text


@pytest.mark.parametrize("columns", [*range(30, 130), 200])
def test_the_head_has_whole_comparisons_or_none(columns: int) -> None:
    line = head(frame([]), columns)[3].plain
    assert re.search(r"( host: disk 80 %(  memory\.percent 60\.0 % > 90%)?|held|…)$", line)
    if columns >= 80:
        assert " host: disk 80 %" in line
        assert "…" not in line


def test_a_policy_of_the_host_gives_way_to_what_is_wrong() -> None:
    policies = {"in_force": 3, "firing": 1, "problems": 2}
    lines = [head(frame([], policies=policies), columns)[3].plain for columns in (80, 100)]
    assert lines[0] == "policies  3 in force  1 firing  the folder has mistakes, see status"
    assert lines[1].endswith("see status   host: disk 80 %")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"broker_connected": None}, ""),
        ({"broker_connected": True, "store_error": "", "failures": {}}, ""),
        ({"broker_connected": False}, "  ✗ broker away: see status"),
        ({"store_error": "disk full"}, "  ✗ store takes nothing: see status"),
        (
            {"broker_connected": False, "failures": {"memory": "denied"}},
            "  ✗ broker away, a collector fails: see status",
        ),
    ],
)
def test_the_head_tells_what_fails(changes: dict[str, object], told: str) -> None:
    whole = frame([])
    agent = whole["agent"]
    assert isinstance(agent, dict)
    line = head(whole | {"agent": agent | changes}, 120)[0].plain
    assert line == f"h1  14:13:20  enforce  agent 0.1.0 up 1 h 6 min{told}"


@pytest.mark.parametrize(
    ("responding", "text"),
    [
        (True, "engine  ✓ 26.1.5  ping 1 ms"),
        (None, "engine  ✓ 26.1.5  ping"),
        (False, "engine  ✗ 26.1.5  does not answer"),
    ],
)
def test_the_head_tells_of_an_engine_that_hangs(responding: bool | None, text: str) -> None:
    whole = frame([])
    engine = whole["engine"]
    assert isinstance(engine, dict)
    assert head(whole | {"engine": engine | {"engine.responding": responding}}, 80)[2].plain.startswith(text)


def watched(count: int) -> dict[str, object]:
    return shown(f"c{count}", watchers=[NEAR] * count, watched_by=count)


@pytest.mark.parametrize(
    ("counts", "least", "lines"),
    [
        ([], 0, 0),
        ([0], 0, 1),
        ([0, 2, 1], 0, 3),
        ([0, 2, 1], 4, 4),
        # What stands too far down for its own details is shown by walking on.
        ([1] * 9 + [5], 0, 2),
        ([1] * 7 + [5], 0, 3),
        ([1] * 5 + [5], 0, 5),
        ([5], 0, 5),
    ],
)
def test_the_details_have_what_the_page_needs(counts: Sequence[int], least: int, lines: int) -> None:
    containers = [watched(count) for count in counts]
    assert reserved(containers, frame([]), 200, room=10, least=least, most=5) == lines


@pytest.mark.parametrize(("height", "lines"), [(15, 0), (16, 5), (24, 8), (50, 16), (100, 16)])
def test_the_details_never_have_most_of_the_terminal(height: int, lines: int) -> None:
    assert most_lines(height) == lines


def test_details_that_have_no_room_say_so() -> None:
    shown = [line.plain for line in panel_of(watched(5), frame([]), 200, most=4)]
    assert len(shown) == 4
    assert shown[-1] == "  …"
    assert panel_of(watched(5), frame([]), 200, most=0) == []


def test_long_conditions_take_as_many_lines_as_they_need() -> None:
    compared = {"name": "avg(cpu.percent_of_limit, 5m)", "value": 60.0, "sign": ">", "threshold": "90%", "true": True}
    container = shown("web", watchers=[watcher("leak", comparisons=[compared] * 3, comparisons_left_out=2)])
    shown_lines = [line.plain for line in panel_of(container, frame([]), 100, most=9)]
    assert shown_lines[1:] == [
        "  leak → restart  66 % of threshold (for: 2m)",
        "      avg(cpu.percent_of_limit, 5m) 60.0 % > 90%, avg(cpu.percent_of_limit, 5m) 60.0 % > 90%,",
        "      avg(cpu.percent_of_limit, 5m) 60.0 % > 90%, and 2 more",
    ]


PAST = {
    "name": "memory.percent",
    "value": 61.3,
    "sign": ">",
    "threshold": "max(memory.percent, 10s)",
    "limit": 62.5,
    "true": False,
}


@pytest.mark.parametrize(
    ("columns", "most", "lines"),
    [
        (
            150,
            1,
            [
                "  up → restart  66 % of threshold (for: 2m)  memory.percent 61.3 % > max(memory.percent, 10s) 62.5 %",
            ],
        ),
        (
            80,
            2,
            [
                "  up → restart  66 % of threshold (for: 2m)",
                "      memory.percent 61.3 % > max(memory.percent, 10s) 62.5 %,",
                "      memory.percent 60.0 % > 90%",
            ],
        ),
        (
            60,
            2,
            [
                "  up → restart  66 % of threshold (for: 2m)",
                "      memory.percent 61.3 % > max(memory.percent, 10s),",
                "      memory.percent 60.0 % > 90%",
            ],
        ),
    ],
)
def test_a_threshold_that_is_measured_is_shown_with_its_value_where_there_is_room(
    columns: int, most: int, lines: list[str]
) -> None:
    plain = watcher("x")["comparisons"]
    assert isinstance(plain, list)
    container = shown("web", watchers=[watcher("up", comparisons=[PAST, *plain][:most])], watched_by=1)
    assert [line.plain for line in panel_of(container, frame([]), columns, most=9)][1:] == lines


def test_a_threshold_that_is_not_known_says_so() -> None:
    container = shown("web", watchers=[watcher("rises", comparisons=[PAST | {"limit": None}])], watched_by=1)
    assert panel_of(container, frame([]), 150, most=9)[1].plain.endswith("> max(memory.percent, 10s) not known")


@pytest.mark.parametrize("columns", range(140, 260, 6))
def test_a_row_has_the_comparison_before_its_thresholds_value(columns: int) -> None:
    text = row([watcher("rises", comparisons=[PAST])], 1, columns)
    assert re.search(r" 66 %(  (…|memory\.percent 61\.3 % > max\(memory\.percent, 10s\)( …| 62\.5 %)))?$", text)
    assert len(text) <= columns


def page(containers: Sequence[dict[str, object]], **changes: object) -> dict[str, object]:
    return frame(containers, total=len(containers), offset=0, sort="policy", **changes)


def test_the_list_has_the_lines_that_the_details_do_not_need() -> None:
    view = View(room=18).fitted(page([watched(1) for _ in range(18)]), 200, 24)
    assert (view.rows, view.panel) == (16, 2)


def test_the_list_does_not_jump_when_a_guard_comes_and_goes() -> None:
    calm = page([shown("web", watchers=[watcher("heal")]), shown("db")])
    held = page([shown("web", watchers=[HELD]), shown("db")])
    view = View(room=18).fitted(calm, 80, 24)
    assert view.panel == 2
    view = view.fitted(held, 80, 24)
    assert view.panel == 3
    assert view.fitted(calm, 80, 24).panel == 3
    for key, panel in (
        ("down", 3),
        ("k", 3),
        ("c", 2),
        ("-", 2),
        ("home", 2),
        ("G", 2),
        ("page down", 2),
        ("page up", 2),
    ):
        assert view.pressed(key, 2).fitted(calm, 80, 24).panel == panel, key


def test_the_choice_stays_in_sight_when_the_details_grow() -> None:
    containers = [watched(1) for _ in range(18)]
    view = View(room=18).fitted(page(containers), 200, 24).at(15, 18)
    assert (view.cursor, view.offset) == (15, 0)
    view = view.fitted(page([watched(5), *containers[1:]]), 200, 24)
    assert (view.panel, view.cursor, view.offset) == (6, 15, 4)
