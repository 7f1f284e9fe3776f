"""Delivers webhooks across real failovers, and counts what was acknowledged and is gone.

python -m tests.failover.failover [DELIVERIES] [CLUSTER ...]
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from werkzeug.test import Client

from ca_embed.testing import DeliveryRecorder, DeliveryReport
from tests.failover.clusters import Cluster, GaleraCluster, PostgreSQLCluster, RedisCluster
from tests.history.deployment import deliver_to, recorded_embed
from tools.reliability import table, write_section

DELIVERIES = 2_000  # acknowledged ones, for each cluster
_HOSTS = 2


class Promise(NamedTuple):
    """A cluster, and what is promised of it."""

    cluster: type[Cluster]
    promised: bool
    words: str


CLUSTERS = {
    "PostgreSQL, synchronous standby": Promise(PostgreSQLCluster, promised=True, words="nothing is lost"),
    "MariaDB Galera": Promise(
        GaleraCluster,
        promised=False,
        words="not promised: a node has what the group received, and all nodes at once may lose it",
    ),
    "Redis Sentinel": Promise(
        RedisCluster, promised=False, words="not promised: a replica gets a write after the acknowledgement"
    ),
}


def deliver_across(cluster: Cluster, folder: Path, *, deliveries: int, failovers: int) -> DeliveryReport:
    """Deliver to two hosts at this cluster, while it fails over so many times."""
    storages = [cluster.open_storage() for _ in range(_HOSTS + 1)]
    recorders = [DeliveryRecorder(folder / f"host-{number}.jsonl") for number in range(_HOSTS)]
    embeds = [recorded_embed(storage, one) for storage, one in zip(storages[1:], recorders, strict=True)]
    clients = [Client(embed.wsgi) for embed in embeds]

    def post(webhook: tuple[dict[str, str], bytes]) -> tuple[int, str]:
        headers, body = webhook
        client = clients[hash(headers["X-CA-Signature"]) % _HOSTS]
        response = client.post("/webhook", data=body, headers=headers)
        return response.status_code, json.loads(response.get_data())["status"]

    try:
        return deliver_to(
            post,
            storages[0],
            folder,
            registrations=-(-deliveries // 4),
            clients=6,
            faults=[cluster.fail_over] * failovers,
        )
    finally:
        for one in (*embeds, *recorders):
            one.close()


def lost(report: DeliveryReport) -> int:
    """Count the registrations whose acknowledged credentials are gone."""
    return sum("although this was acknowledged" in one for one in report.violations)


def main(arguments: Sequence[str]) -> int:
    """Fail over each cluster three times and more, and write the figures into docs/reliability.md."""
    logging.getLogger("ca_embed").addHandler(logging.NullHandler())
    wanted = int(arguments[0]) if arguments else DELIVERIES
    rows: list[Sequence[object]] = []
    broken = acknowledged = gone = 0
    for name in arguments[1:] or CLUSTERS:
        promise = CLUSTERS[name]
        began = time.monotonic()
        with TemporaryDirectory(prefix="ca_embed-failover-") as folder, promise.cluster.running() as cluster:
            report = deliver_across(cluster, Path(folder), deliveries=wanted * 6 // 5, failovers=3)
        others = len(report.violations) - lost(report)
        print(f"{name}: {report}", file=sys.stderr)
        broken += len(report.violations) if promise.promised else 0
        acknowledged += report.acknowledged
        gone += lost(report)
        rows.append(
            [
                name,
                3,
                f"{report.acknowledged:,}",
                f"{report.deliveries - report.acknowledged:,}",
                lost(report),
                others,
                promise.words,
                f"{time.monotonic() - began:.0f} s",
            ]
        )
        head = ["cluster", "failovers", "acknowledged", "refused", "lost", "other", "promise", "time"]
        write_section("failover", table(head, rows))
    print(
        f"failover: {acknowledged:,} deliveries acknowledged across {3 * len(rows)} failovers, {gone} lost, "
        f"{broken} promises broken"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
