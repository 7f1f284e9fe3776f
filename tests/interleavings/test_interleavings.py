"""Every order of the storage calls of two workers keeps every promise."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from ca_embed._vault.ledger import Ledger
from tests.interleavings.situations import OF_THREE, SITUATIONS

SHORT = [
    "accept x accept", "accept x newer", "accept x store", "accept x purge", "accept x forget",
    "hand-over x newer", "hand-over x replay", "rotate x accept", "replay x newer", "replay x replay",
]  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_every_order_of_two_workers(name: str) -> None:
    """No order of their calls breaks a promise; `make interleavings` tries the longer ones too."""
    assert SITUATIONS[name].explore().orders > 1


def test_the_situations_are_different() -> None:
    """Each name says who meets, and no situation is there twice."""
    described = [(one.workers, one.first, one.handlers) for one in (*SITUATIONS.values(), *OF_THREE.values())]
    assert len(set(described)) == len(described)


def test_a_purge_without_a_version_is_found() -> None:
    """A purge that deletes what has changed under it breaks a promise in some order, which is shown."""

    def delete(self: Ledger, record: object) -> bool:
        latest = self._storage.load(record.registration_id)
        return latest is not None and self._storage.delete(latest.registration_id, latest.version)

    with patch.object(Ledger, "delete", delete), pytest.raises(AssertionError, match="in this order"):
        SITUATIONS["accept x purge"].explore()


def test_a_lost_update_is_found() -> None:
    """A webhook that is acknowledged though another's save won breaks a promise in some order."""

    def change(self: Ledger, registration_id: str, decide: object, **_: object) -> object:
        record = self._storage.load(registration_id)
        result, following = decide(None if record is None else self.opened(record))
        if following is not None:
            self._storage.save(self._seal(following, record.version + 1 if record else 1))
        return result

    with patch.object(Ledger, "change", change), pytest.raises(AssertionError, match="in this order"):
        SITUATIONS["accept x newer"].explore()
