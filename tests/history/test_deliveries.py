"""What a deployment has acknowledged is stored at the end and handed over, and losses are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from ca_embed import _registration as rules
from ca_embed._use_cases.registrar import Registrar
from ca_embed._vault.ledger import Ledger
from ca_embed.testing import DeliveryRecorder, DeliveryReport
from tests.history import deployment
from tests.history.deployment import deliver_to, recorded_embed

HOSTS = 3


def _in_threads(folder: Path, *, registrations: int = 40) -> DeliveryReport:
    """Deliver to hosts that are threads of this process."""
    history = folder / "history"
    history.mkdir(parents=True)
    storage = f"sqlite:///{folder}/r.db"
    recorders = [DeliveryRecorder(history / f"host-{number}.jsonl") for number in range(HOSTS)]
    embeds = [recorded_embed(storage, recorder) for recorder in recorders]
    clients = [Client(embed.wsgi) for embed in embeds]

    def post(webhook: tuple[dict[str, str], bytes]) -> tuple[int, str]:
        headers, body = webhook
        client = clients[hash(headers["X-CA-Signature"]) % HOSTS]
        response = client.post("/webhook", data=body, headers=headers)
        return response.status_code, json.loads(response.get_data())["status"]

    try:
        return deliver_to(post, storage, history, registrations=registrations)
    finally:
        for one in (*embeds, *recorders):
            one.close()


def test_what_was_acknowledged_is_stored_and_handed_over(tmp_path: Path) -> None:
    """While others purge and reconcile, nothing acknowledged is lost, and no handler runs twice at once."""
    report = _in_threads(tmp_path)
    assert not report.violations, str(report)
    assert report.acknowledged == report.deliveries == 160


def _purge_without_version(patch: pytest.MonkeyPatch) -> None:
    def delete(self: Ledger, record: Any) -> bool:
        stored = self._storage.load(record.registration_id)
        return stored is not None and self._storage.delete(record.registration_id, stored.version)

    patch.setattr(Ledger, "delete", delete)


def _acknowledge_before_commit(patch: pytest.MonkeyPatch) -> None:
    accept, later = Registrar.accept, iter(range(1_000_000))

    def accept_late(self: Registrar, completion: Any) -> Any:
        if next(later) % 5 == 0:
            self._ledger = _Forgetting(self._ledger)
        return accept(self, completion)

    patch.setattr(Registrar, "accept", accept_late)


class _Forgetting:
    """A ledger that acknowledges one change without storing it."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self._forgets = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def change(self, registration_id: str, decide: Any, **more: Any) -> Any:
        if self._forgets:
            self._forgets = False
            return decide(self._ledger.load(registration_id))[0]
        return self._ledger.change(registration_id, decide, **more)


def _lease_that_ends_during_the_run(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "HANDLER_LEASE", 0.03)
    patch.setattr(deployment, "HANDLER_TIME", 0.08)


def _handlers_are_not_stored_as_due(patch: pytest.MonkeyPatch) -> None:
    complete = rules.complete
    patch.setattr(rules, "complete", lambda *args, **more: complete(*args, **{**more, "handlers": ()}))


MUTANTS = {
    "purge without version": ("accepted twice", 120, _purge_without_version),
    "acknowledged before commit": ("accepted twice", 40, _acknowledge_before_commit),
    "a second handler run within the lease": (
        "ran twice at the same time",
        24,
        _lease_that_ends_during_the_run,
    ),
    "handlers are not stored as due": ("never ran to its end", 12, _handlers_are_not_stored_as_due),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_defect_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loss and each double run is found, and the report says what it was."""
    words, registrations, plant = MUTANTS[name]
    plant(monkeypatch)
    folders = (tmp_path / str(number) for number in range(10))  # chance decides what meets
    assert any(words in str(_in_threads(folder, registrations=registrations)) for folder in folders)
