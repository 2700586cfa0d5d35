"""Every mistake in `target` and `scale` has its place and says what to write instead."""

from __future__ import annotations

import pytest

from tests.support.policies import lines, problems

TARGET = "target: {swarm_service: shop_web}"
GROUP = "target: {group: {labels: {app: web}}}"
CPU = "metrics: [{metric: cpu.percent, target: 60%}]"
TIME = "{cron: '0 8 * * *', for: 1h, min: 2}"
QUEUE = "metrics: [{mqtt: queue, target_per_replica: 30}]"
SCALE = f"scale: {{min: 1, max: 10, {CPU}}}"
FINE = f"{TARGET}\n    {SCALE}"


def only(body: str) -> str:
    """The one thing that is wrong, without its place."""
    (found,) = lines(body)
    return found.partition(": ")[2]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("{}", "4:13: policies[0].target: this names no service, write {swarm_service: shop_web}, {compose: {project:"),
        (
            "shop_web",
            "4:13: policies[0].target: this is not a mapping, write {swarm_service: shop_web}, {compose: {project",
        ),
        ("{service: web}", '4:14: policies[0].target.service: unknown key "service", did you mean compose?'),
        ("{labels: {a: b}}", '4:14: policies[0].target.labels: unknown key "labels", did you mean group?'),
        (
            "{swarm_service: a, group: {labels: {a: b}}}",
            "4:32: policies[0].target.group: a target is one service, and this names swarm_service and group, make two",
        ),
        (
            '{swarm_service: "shop_*"}',
            '4:29: policies[0].target.swarm_service: "shop_*" is a pattern, and what is scaled',
        ),
        (
            '{swarm_service: ""}',
            '4:29: policies[0].target.swarm_service: "" is no name of a service, write it like web',
        ),
        ("{swarm_service: a/b}", '4:29: policies[0].target.swarm_service: "a/b" is no name of a service'),
        ("{swarm_service: [a]}", "4:29: policies[0].target.swarm_service: this is not a text"),
        (
            "{compose: web}",
            "4:23: policies[0].target.compose: this is not a mapping, write {project: shop, service: web}",
        ),
        (
            "{compose: {service: a}}",
            "4:23: policies[0].target.compose.project: the key project is missing, add project: shop",
        ),
        (
            "{compose: {project: a}}",
            "4:23: policies[0].target.compose.service: the key service is missing, add service: web",
        ),
        ("{compose: {project: a, service: 'b?'}}", '4:45: policies[0].target.compose.service: "b?" is a pattern'),
        ("{group: {}}", "4:21: policies[0].target.group.labels: the key labels is missing, add labels: {app: worker}"),
        (
            "{group: {labels: {}}}",
            "4:30: policies[0].target.group.labels: no label is named, write them like {app: worker}",
        ),
        (
            "{group: {labels: {a: 'b*'}}}",
            '4:34: policies[0].target.group.labels.a: "b*" is a pattern, and the labels of a',
        ),
        ("{group: {labels: {a: [b]}}}", "4:34: policies[0].target.group.labels.a: this is not a text"),
        (
            "{group: {labels: {'*': b}}}",
            '4:31: policies[0].target.group.labels."*": the names of labels are no patterns',
        ),
        (
            f"{{group: {{labels: {{{', '.join(f'l{number}: x' for number in range(21))}}}}}}}",
            "4:30: policies[0].target.group.labels: 21 labels are more than any group needs, 20 is the most",
        ),
    ],
)
def test_a_target(target: str, expected: str) -> None:
    (found,) = lines(f"target: {target}\n    {SCALE}")
    assert found.startswith(f"a.yaml:{expected}"), found


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (f"max: 10, {CPU}", "5:12: policies[0].scale: the key min is missing, add min: 1"),
        (f"min: 1, {CPU}", "5:12: policies[0].scale: the key max is missing, add max: 10"),
        (
            "min: 1, max: 10",
            "5:12: policies[0].scale: the key metrics is missing, add metrics: [{metric: cpu.percent_of_limit",
        ),
        (
            f"min: 4, max: 3, {CPU}",
            "5:26: policies[0].scale.max: max is less than min, write a max that is at least min",
        ),
        (
            f"min: -1, max: 3, {CPU}",
            "5:18: policies[0].scale.min: this is not a number of replicas, write a whole number from 0",
        ),
        (
            f"min: 0, max: 0, {QUEUE}, idle: {{}}",
            "5:26: policies[0].scale.max: this is not a number of replicas, write a whole number from 1",
        ),
        (
            f"min: 1, max: 1001, {CPU}",
            "5:26: policies[0].scale.max: this is not a number of replicas, write a whole number from 1 to 1000",
        ),
        (f"min: 1, max: 2.5, {CPU}", "5:26: policies[0].scale.max: this is not a number of replicas"),
        (f"min: true, max: 2, {CPU}", "5:18: policies[0].scale.min: this is not a number of replicas"),
        (
            f"minReplicas: 1, min: 1, max: 2, {CPU}",
            '5:13: policies[0].scale.minReplicas: unknown key "minReplicas", did you mean min?',
        ),
        (
            f"min: 0, max: 3, {QUEUE}",
            "5:18: policies[0].scale.min: min is 0, and nothing says when the last replica goes, add idle: {below: 5%,",
        ),
        (
            f"min: 0, max: 3, {CPU}, idle: {{}}",
            "5:18: policies[0].scale.min: min is 0, and no metric could tell when to come back: without replicas",
        ),
        (
            "min: 1, max: 3, metrics: []",
            "5:38: policies[0].scale.metrics: no metric is named, write [{metric: cpu.percent_of_limit",
        ),
        (
            "min: 1, max: 3, metrics: cpu.percent",
            "5:38: policies[0].scale.metrics: this is not a list, write [{metric: cpu.percent_of_limit",
        ),
        (
            "min: 1, max: 3, metrics: [cpu.percent]",
            "5:39: policies[0].scale.metrics[0]: this is not a mapping, write {metric: cpu.percent_of_limit, target: 6",
        ),
        (
            f"min: 1, max: 3, metrics: [{', '.join(['{metric: pids, target: 3}'] * 21)}]",
            "5:38: policies[0].scale.metrics: 21 metrics are more than anything is scaled by, 20 is the most",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: []",
            "policies[0].scale.schedule: no time is named, name one, or leave schedule out",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: 8",
            'policies[0].scale.schedule: this is not a list, write [{cron: "0 8 * * mon-fri", for: 10h, min: 4}]',
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * * *', for: 1h}}]",
            "policies[0].scale.schedule[0]: this changes neither min nor max, add min: 4, or max: 20",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * * *', min: 2}}]",
            "policies[0].scale.schedule[0].for: the key for is missing, add for: 3h",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{for: 1h, min: 2}}]",
            "policies[0].scale.schedule[0].cron: the key cron is missing",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * *', for: 1h, min: 2}}]",
            "policies[0].scale.schedule[0].cron: a cron expression has five fields",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * * *', for: 32d, min: 2}}]",
            "policies[0].scale.schedule[0].for: no window is open for so long",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * * *', for: 1h, min: 2, timezone: Berlin}}]",
            "policies[0].scale.schedule[0].timezone: ",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * * *', for: 1h, min: 5, max: 4}}]",
            "policies[0].scale.schedule[0].max: max is less than min",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{{cron: '0 8 * * *', for: 1h, max: 0}}]",
            "policies[0].scale.schedule[0].max: this is not a number of replicas, write a whole number from 1",
        ),
        (
            f"min: 1, max: 3, {QUEUE}, schedule: [{{cron: '0 8 * * *', for: 1h, min: 0}}]",
            "policies[0].scale.schedule[0].min: min is 0, and nothing says when the last replica goes, add idle: {belo",
        ),
        (
            f"min: 1, max: 3, {CPU}, schedule: [{', '.join([TIME] * 101)}]",
            "policies[0].scale.schedule: 101 times are more than anybody keeps in mind, 100 is the most",
        ),
        (
            f"min: 0, max: 3, {QUEUE}, idle: {{for: 899s}}",
            "policies[0].scale.idle.for: nothing is idle after so long or short, write from 15m",
        ),
        (
            f"min: 0, max: 3, {QUEUE}, idle: {{below: 100%}}",
            "policies[0].scale.idle.below: what is below that is not idle, write a share from 0% to 99%",
        ),
        (
            f"min: 0, max: 3, {QUEUE}, idle: {{below: 0.05}}",
            'policies[0].scale.idle.below: "0.05" has no unit, write 5%',
        ),
        (f"min: 0, max: 3, {QUEUE}, idle: {{below: 5}}", 'policies[0].scale.idle.below: "5" has no unit, write 5%'),
        (
            f"min: 0, max: 3, {QUEUE}, idle: {{below: 5MiB}}",
            'policies[0].scale.idle.below: "5MiB" is no share, write it like 25%',
        ),
        (
            f"min: 0, max: 3, {QUEUE}, idle: 15m",
            "policies[0].scale.idle: this is not a mapping, write {below: 5%, for: 15m}",
        ),
        (
            f"min: 1, max: 3, {CPU}, up: {{window: 9s}}",
            "policies[0].scale.up.window: no window is so long or short, write from 10s to 1h",
        ),
        (f"min: 1, max: 3, {CPU}, up: {{window: 61m}}", "policies[0].scale.up.window: no window is so long or short"),
        (
            f"min: 1, max: 3, {CPU}, up: {{jump: 50%}}",
            'policies[0].scale.up.jump: unknown key "jump", choose one of window, tolerance, step, cooldown',
        ),
        (
            f"min: 1, max: 3, {CPU}, up: {{tolerance: 51%}}",
            "policies[0].scale.up.tolerance: so much is not tolerated, write a share from 0% to 50%",
        ),
        (
            f"min: 1, max: 3, {CPU}, up: {{tolerance: 0.12}}",
            'policies[0].scale.up.tolerance: "0.12" has no unit, write 12%',
        ),
        (
            f"min: 1, max: 3, {CPU}, up: {{tolerance: []}}",
            "policies[0].scale.up.tolerance: this is not a share, write it like 25%",
        ),
        (
            f"min: 1, max: 3, {CPU}, up: {{cooldown: 2h}}",
            "policies[0].scale.up.cooldown: nothing waits for so long, write a duration from 0s to 1h",
        ),
        (
            f"min: 1, max: 3, {CPU}, up: {{step: 100%}}",
            "policies[0].scale.up.step: this is not a share and a time, write it like 100% per 30s",
        ),
        (f"min: 1, max: 3, {CPU}, up: {{step: 4}}", "policies[0].scale.up.step: this is not a share and a time"),
        (f"min: 1, max: 3, {CPU}, up: {{step: 4 per 30s}}", 'policies[0].scale.up.step: "4" has no unit, write 4%'),
        (
            f"min: 1, max: 3, {CPU}, up: {{step: 0% per 30s}}",
            'policies[0].scale.up.step: "0%" is no step, write above 0% and up to 1000%',
        ),
        (f"min: 1, max: 3, {CPU}, up: {{step: 100% per 30}}", 'policies[0].scale.up.step: "30" has no unit, write 30s'),
        (
            f"min: 1, max: 3, {CPU}, up: {{step: 100% per 0s}}",
            'policies[0].scale.up.step: "0s" is too long or too short, write a duration from 1s to 1h',
        ),
        (
            f"min: 1, max: 3, {CPU}, down: {{step: 101% per 60s}}",
            'policies[0].scale.down.step: "101%" is no step, write above 0% and up to 100%',
        ),
        (
            f"min: 1, max: 3, {CPU}, down: {{fast: 25% per 150s}}",
            "policies[0].scale.down.fast: this is not a share and a time, write it like 25% after 150s",
        ),
        (
            f"min: 1, max: 3, {CPU}, down: {{fast: 25% after 9m}}",
            "policies[0].scale.down.fast: fast waits for 9m, and the window is 8m long, write a shorter time",
        ),
        (
            f"min: 1, max: 3, {CPU}, down: {{window: 2m, fast: 25% after 3m}}",
            "policies[0].scale.down.fast: fast waits for 3m, and the window is 2m long",
        ),
        (
            f"min: 1, max: 3, {CPU}, down: {{window: 5s}}",
            "policies[0].scale.down.window: no window is so long or short",
        ),
        (
            f"min: 1, max: 3, {CPU}, scale_down: {{window: 5m}}",
            'policies[0].scale.scale_down: unknown key "scale_down", did you mean down?',
        ),
        (
            f"min: 1, max: 3, {CPU}, reserve: 256",
            'policies[0].scale.reserve: "256" has no unit, write 256MiB, or 256B for bytes',
        ),
        (
            f"min: 1, max: 3, {CPU}, shared: yes",
            "policies[0].scale.shared: this is neither true nor false, write true or false",
        ),
    ],
)
def test_a_scale(scale: str, expected: str) -> None:
    (found,) = lines(f"{GROUP}\n    scale: {{{scale}}}")
    place, _, rest = found.partition("policies[0]")
    assert place.startswith("a.yaml:5:")
    assert f"{place}policies[0]{rest}".startswith(
        f"a.yaml:{expected}" if expected[0] == "5" else f"{place}{expected}"
    ), found


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            "{}",
            "5:39: policies[0].scale.metrics[0]: this says of no metric where it comes from, add metric: cpu.percent",
        ),
        (
            "{metric: cpu.prcent, target: 60%}",
            '5:48: policies[0].scale.metrics[0].metric: unknown name "cpu.prcent", did you mean cpu.percent?',
        ),
        (
            "{metric: cpu, target: 60%}",
            '5:48: policies[0].scale.metrics[0].metric: unknown name "cpu", did you mean cpu.',
        ),
        (
            "{metric: zzz, target: 60%}",
            '5:48: policies[0].scale.metrics[0].metric: unknown name "zzz", choose one of cpu.cores, cpu.percent',
        ),
        (
            "{metric: restarts, target: 3}",
            "5:48: policies[0].scale.metrics[0].metric: a service can't be scaled by restarts: more replicas make it n",
        ),
        (
            "{metric: memory.limit, target: 1GiB}",
            "5:48: policies[0].scale.metrics[0].metric: a service can't be scaled by memory.limit",
        ),
        (
            "{metric: uptime, target: 3}",
            "5:48: policies[0].scale.metrics[0].metric: a service can't be scaled by uptime",
        ),
        (
            "{metric: host.cpu.percent, target: 60%}",
            "5:48: policies[0].scale.metrics[0].metric: host.cpu.percent is not about the replicas of a service, use a",
        ),
        ("{metric: cpu.percent}", "5:39: policies[0].scale.metrics[0]: the key target is missing, add target: 60%"),
        ("{metric: memory.usage}", "5:39: policies[0].scale.metrics[0]: the key target is missing, add target: 512MiB"),
        (
            "{metric: cpu.percent, target: 60}",
            "5:69: policies[0].scale.metrics[0].target: cpu.percent has a unit, and 60 has none, write 60%",
        ),
        (
            "{metric: memory.usage, target: 512}",
            "5:70: policies[0].scale.metrics[0].target: memory.usage has a unit, and 512 has none, write 512MiB",
        ),
        (
            "{metric: cpu.percent, target: 60MiB}",
            "5:69: policies[0].scale.metrics[0].target: cpu.percent is a percentage, and its target is none, write it",
        ),
        (
            "{metric: memory.usage, target: 60%}",
            "5:70: policies[0].scale.metrics[0].target: memory.usage is a size, and its target is none, write it like",
        ),
        (
            "{metric: cpu.cores, target: 60%}",
            "5:67: policies[0].scale.metrics[0].target: cpu.cores is a plain number, and its target is none, write it",
        ),
        ("{metric: cpu.cores, target: 60s}", "5:67: policies[0].scale.metrics[0].target: cpu.cores is a plain number"),
        (
            "{metric: memory.percent, target: 101%}",
            "5:72: policies[0].scale.metrics[0].target: memory.percent is never above 100%, write a target below 100%",
        ),
        (
            "{metric: cpu.percent, target: 0%}",
            '5:69: policies[0].scale.metrics[0].target: "0%" is nothing that replicas could share, write a target abov',
        ),
        (
            "{metric: cpu.cores, target: -1}",
            '5:67: policies[0].scale.metrics[0].target: "-1" is nothing that replicas could share',
        ),
        ("{metric: cpu.cores, target: .nan}", '5:67: policies[0].scale.metrics[0].target: "nan" is not a number'),
        (
            "{metric: cpu.cores, target: true}",
            "5:67: policies[0].scale.metrics[0].target: this is not a target, write it like 60%, 512MiB or 1.5",
        ),
        (
            "{metric: cpu.percent, target: 60%, target_per_replica: 3}",
            "5:74: policies[0].scale.metrics[0].target_per_replica: target_per_replica is for mqtt and http, not for m",
        ),
        (
            "{metric: cpu.percent, target: 60%, stale_after: 1m}",
            "5:74: policies[0].scale.metrics[0].stale_after: stale_after is for mqtt and http, not for metric, leave i",
        ),
        (
            "{metric: cpu.percent, mqtt: a, target: 60%}",
            "5:61: policies[0].scale.metrics[0].mqtt: a metric comes from one place, and this has metric and mqtt, mak",
        ),
        (
            "{mqtt: a, target: 60%}",
            "5:49: policies[0].scale.metrics[0].target: target is for metric, not for mqtt, write target_per_replica",
        ),
        (
            "{mqtt: a, target_per_replica: 3, every: 3s}",
            "5:72: policies[0].scale.metrics[0].every: every is for http, not for mqtt, leave it out",
        ),
        (
            "{mqtt: a}",
            "5:39: policies[0].scale.metrics[0]: the key target_per_replica is missing, add target_per_replica: 30",
        ),
        (
            "{topic: a, mqtt: a, target_per_replica: 3}",
            '5:40: policies[0].scale.metrics[0].topic: unknown key "topic", did you mean mqtt?',
        ),
        (
            "{mqtt: a, target_per_replica: 0}",
            '5:69: policies[0].scale.metrics[0].target_per_replica: "0" is nothing that replicas could share',
        ),
        (
            "{mqtt: a, target_per_replica: 10MiB}",
            "5:69: policies[0].scale.metrics[0].target_per_replica: a metric from outside has no unit that the agent k",
        ),
        (
            "{mqtt: '', target_per_replica: 3}",
            "5:46: policies[0].scale.metrics[0].mqtt: the topic is empty, write the topic",
        ),
        (
            "{mqtt: queue/#, target_per_replica: 3}",
            "5:52: policies[0].scale.metrics[0].mqtt: # is a wildcard, and a metric has one topic, write the whole top",
        ),
        ("{mqtt: +/depth, target_per_replica: 3}", "5:46: policies[0].scale.metrics[0].mqtt: + is a wildcard"),
        (
            '{mqtt: "a\\0b", target_per_replica: 3}',
            "5:48: policies[0].scale.metrics[0].mqtt: the topic has a character that no topic has",
        ),
        (
            "{mqtt: $share/g/a, target_per_replica: 3}",
            "5:46: policies[0].scale.metrics[0].mqtt: this is a shared subscription",
        ),
        (
            f"{{mqtt: {'ä' * 32768}, target_per_replica: 3}}",
            "5:46: policies[0].scale.metrics[0].mqtt: this topic is too long, 65535 bytes are the most",
        ),
        ("{mqtt: 5, target_per_replica: 3}", "5:46: policies[0].scale.metrics[0].mqtt: this is not a text"),
        (
            "{http: ftp://a/b, target_per_replica: 3}",
            "5:46: policies[0].scale.metrics[0].http: this is no URL that can be asked, write it like",
        ),
        (
            "{http: localhost:9090, target_per_replica: 3}",
            "5:46: policies[0].scale.metrics[0].http: this is no URL that can be asked",
        ),
        (
            "{http: 'http://u:hunter2@a/b', target_per_replica: 3}",
            "5:54: policies[0].scale.metrics[0].http: user and password in a URL would be seen by whoever reads the po",
        ),
        (
            "{http: 'http://u@a/b', target_per_replica: 3}",
            "5:54: policies[0].scale.metrics[0].http: user and password in a URL",
        ),
        (
            "{http: 'http:///b', target_per_replica: 3}",
            "5:54: policies[0].scale.metrics[0].http: this URL names no host that there can be",
        ),
        (
            "{http: 'http://a:0/b', target_per_replica: 3}",
            "5:54: policies[0].scale.metrics[0].http: this URL names no host",
        ),
        (
            "{http: 'http://a:65536/b', target_per_replica: 3}",
            "5:54: policies[0].scale.metrics[0].http: this URL names no host",
        ),
        (
            "{http: 'http://a b/c', target_per_replica: 3}",
            "5:55: policies[0].scale.metrics[0].http: a URL has no such character, write %20 for it",
        ),
        (
            "{http: 'http://a/ü', target_per_replica: 3}",
            "5:56: policies[0].scale.metrics[0].http: a URL has no such character, write %C3%BC for it",
        ),
        (
            f"{{http: http://a/{'x' * 1992}, target_per_replica: 3}}",
            "5:46: policies[0].scale.metrics[0].http: this URL is too long, use 2000 characters at most",
        ),
        (
            "{http: http://a, target_per_replica: 3, every: 999ms}",
            "5:86: policies[0].scale.metrics[0].every: nobody is asked so often or seldom, write a duration from 1s to",
        ),
        (
            "{http: http://a, target_per_replica: 3, every: 2m}",
            "5:86: policies[0].scale.metrics[0].every: it is asked every 2m, and not known after 1m, write every: 1m o",
        ),
        (
            "{http: http://a, target_per_replica: 3, stale_after: 10s}",
            "5:92: policies[0].scale.metrics[0].stale_after: it is asked every 15s, and not known after 10s, write eve",
        ),
        (
            "{mqtt: a, target_per_replica: 3, stale_after: 4s}",
            "5:85: policies[0].scale.metrics[0].stale_after: no metric stays known for so long or short, write from 5s",
        ),
        (
            "{mqtt: a, target_per_replica: 3, stale_after: 25h}",
            "5:85: policies[0].scale.metrics[0].stale_after: no metric stays known for so long or short",
        ),
        (
            "{mqtt: a, target_per_replica: 3, value: a..b}",
            "5:81: policies[0].scale.metrics[0].value: a step of this is empty, write keys and places of lists",
        ),
        (
            "{mqtt: a, target_per_replica: 3, value: ''}",
            "5:79: policies[0].scale.metrics[0].value: a step of this is empty",
        ),
        (
            "{mqtt: a, target_per_replica: 3, value: [a]}",
            "5:79: policies[0].scale.metrics[0].value: this is no way to a number, write it like data.result.0",
        ),
        (
            "{mqtt: a, target_per_replica: 3, value: a.1234567}",
            '5:81: policies[0].scale.metrics[0].value: "1234567" is no place in any list, count places from 0',
        ),
        (
            f"{{mqtt: a, target_per_replica: 3, value: {'.'.join(['a'] * 33)}}}",
            "5:79: policies[0].scale.metrics[0].value: 33 steps are more than a payload is deep, 32 is the most",
        ),
        (
            "{mqtt: a, target_per_replica: 3, value: }",
            "policies[0].scale.metrics[0].value: there is no value, give it one",
        ),
    ],
)
def test_a_metric(metric: str, expected: str) -> None:
    (found,) = lines(f"{TARGET}\n    scale: {{min: 1, max: 3, metrics: [{metric}]}}")
    assert found.removeprefix("a.yaml:").startswith(expected) if expected[0] == "5" else expected in found, found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{metric: cpu.percent, target: 60%}", "{metric: cpu.percent, target: 70%}"),
        ("{mqtt: a, target_per_replica: 3}", "{mqtt: a, target_per_replica: 4, stale_after: 2m}"),
        ("{mqtt: a, value: 1.x, target_per_replica: 3}", "{mqtt: a, value: 01.x, target_per_replica: 4}"),
        ("{http: http://a/b, target_per_replica: 3}", "{http: http://a/b, target_per_replica: 3, every: 30s}"),
    ],
)
def test_the_same_metric_twice(first: str, second: str) -> None:
    body = f"{TARGET}\n    scale: {{min: 1, max: 3, metrics: [{first}, {{metric: pids, target: 9}}, {second}]}}"
    assert only(body) == "policies[0].scale.metrics[2]: this is the same metric as at metrics[0], keep one of them"


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (
            "when: cpu.percent > 3%",
            "when: when can't stand beside scale, leave it out: a service that is scaled is looked",
        ),
        ("for: 1m", "for: for can't stand beside scale"),
        ("keep_for: 1m", "keep_for: keep_for can't stand beside scale"),
        ("on: {container: oom}", "on: on can't stand beside scale"),
        ("where: event.age > 1s", "where: where can't stand beside scale"),
        (
            "schedule: {cron: '0 2 * * *'}",
            "schedule: schedule can't stand beside scale, leave it out; a schedule under",
        ),
        ("then: {notify: {}}", "then: then can't stand beside scale, leave it out: scale is what is done"),
        ("select: {name: web}", "select: select can't stand beside scale, leave it out: target says which service"),
        ("cooldown: 1h", "cooldown: cooldown can't stand beside scale, leave it out; cooldown under up"),
        ("budget: {max: 3}", "budget: budget can't stand beside scale"),
        ("backoff: {initial: 3s}", "backoff: backoff can't stand beside scale"),
        ("depends: db", "depends: depends can't stand beside scale"),
        ("restart_stopped: true", "restart_stopped: restart_stopped can't stand beside scale"),
        ("restart_stopped: false", "restart_stopped: restart_stopped can't stand beside scale"),
        ("resize: {cpu: {min: 1, max: 2}}", "resize: a policy does one thing, and this has scale and resize"),
        ("approve_within: 1h", "approve_within: approve_within belongs to mode: approve"),
        ("windows: []", "windows: no window is named"),
        ("mode: perhaps", 'mode: "perhaps" is not known here'),
    ],
)
def test_what_can_t_stand_beside_it(beside: str, expected: str) -> None:
    found = lines(f"{FINE}\n    {beside}")
    assert any(f" policies[0].{expected}" in line for line in found), found
    assert all(line.startswith("a.yaml:6:") for line in found) or "resize" in beside, found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (TARGET, ["policies[0].target: target belongs to scale, add scale: {min: 1, max: 10, metrics:"]),
        (
            SCALE,
            ["policies[0].scale: scale needs a service, and there is no target, add target: {swarm_service: shop_web"],
        ),
        (
            f"{TARGET}\n    when: cpu.percent > 3%\n    then: {{restart: {{}}}}",
            ["policies[0].target: target belongs to scale, use select to say which containers, or scale in place of"],
        ),
        (
            f"then: {{scale: {{min: 1, max: 3, {CPU}}}}}\n    when: host.load1 > 3",
            ["policies[0].then.scale: scale does not stand under then, write target and scale in place of a trigger"],
        ),
        (
            f"tarte: {{swarm_service: a}}\n    {SCALE}",
            ['policies[0].tarte: unknown key "tarte", did you mean target?'],
        ),
        (
            f"{TARGET}\n    scle: {{min: 1, max: 3, {CPU}}}",
            ['policies[0].scle: unknown key "scle", did you mean scale?'],
        ),
        (
            f"{GROUP}\n    scale: {{min: 1, max: 3, {CPU}, reserve: 1GiB, shared: true}}".replace(GROUP, TARGET),
            [
                "policies[0].scale.reserve: reserve is about containers that the agent makes, and Swarm makes those of",
                "policies[0].scale.shared: shared is about containers that the agent makes",
            ],
        ),
    ],
)
def test_target_and_scale_belong_together(body: str, expected: list[str]) -> None:
    found = [line.partition(": ")[2] for line in lines(body)]
    assert len(found) == len(expected), found
    for line, begin in zip(found, expected, strict=True):
        assert line.startswith(begin), line


def test_all_of_them_are_told_at_once_each_at_its_place() -> None:
    found = lines(
        """target: {compose: {project: shop}}
    scale:
      min: 5
      max: 4000
      metrics:
        - cpu.percent
        - {metric: cpu.prcent, target: 60%}
        - {mqtt: a/+, value: 1.10, target_per_replica: 3}
        - {metric: memory.usage, target: 60%}
        - {metric: memory.percent, target: 60%}
        - {metric: memory.percent, target: 70%}
      up: {step: 50% for 10s, window: 5s, cooldon: 3s}
      down: {window: 1m, fast: 25% after 2m}
      schedule: [{cron: "0 8 * * *"}, {cron: x y, for: 1h, min: 2}]
      idle: {for: 3m}
    for: 3m"""
    )
    assert [line.split(": ")[1] for line in found] == [
        "policies[0].target.compose.service",
        "policies[0].scale.max",
        "policies[0].scale.metrics[0]",
        "policies[0].scale.metrics[1].metric",
        "policies[0].scale.metrics[2].mqtt",
        "policies[0].scale.metrics[3].target",
        "policies[0].scale.metrics[5]",
        "policies[0].scale.up.step",
        "policies[0].scale.up.window",
        "policies[0].scale.up.cooldon",
        "policies[0].scale.down.fast",
        "policies[0].scale.schedule[0].for",
        "policies[0].scale.schedule[1].cron",
        "policies[0].scale.idle.for",
        "policies[0].for",
    ]


@pytest.mark.parametrize("key", ["target", "scale", "resize"])
@pytest.mark.parametrize("value", ["{}", "[]", "5", "true", "text", "{a: {b: [c]}}", "[{}]", "~", "&a b", "!!int 3"])
def test_whatever_stands_there_is_told_and_nothing_breaks(key: str, value: str) -> None:
    found = [str(each) for each in problems(f"version: 1\npolicies:\n  - name: a\n    {key}: {value}\n")]
    assert found
    assert all(line.startswith("a.yaml:4:") for line in found), found
