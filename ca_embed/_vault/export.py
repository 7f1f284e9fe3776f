"""What is stored of one user, for a request to hand out personal data. No secret is in it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ca_embed._registration import State, event_order, shown, shown_event
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import RecordUnreadable


def export(ledger: Ledger, user_id: str) -> dict[str, Any]:
    """Return all that is stored of a user as values that JSON knows. Times are ISO 8601 in UTC.

    Records that cannot be opened are named under "unreadable". Raises StorageUnavailable.
    """
    registrations, unreadable = list[dict[str, Any]](), list[str]()
    for record in ledger.records(user_id):
        try:
            state = ledger.as_of_now(record)
        except RecordUnreadable as error:
            unreadable.append(error.registration_id)
            continue
        events = ledger.events(record.registration_id)
        shown_events = [shown_event(one) for one in sorted(events, key=event_order)]
        registrations.append({**_exported(state), "events": _plain([asdict(one) for one in shown_events])})
    return {
        "user_id": user_id,
        "exported_at": _iso(datetime.fromtimestamp(ledger.now(), UTC)),
        "registrations": registrations,
        "sessions_opened_at": [
            _iso(datetime.fromtimestamp(one, UTC)) for one in ledger.session_limit(None).times(user_id)
        ],
        "unreadable": unreadable,
    }


def _exported(state: State) -> dict[str, Any]:
    """Return a registration with its application id, and without its secret."""
    values = asdict(shown(state))
    if state.credentials is not None:
        values["app_id"] = state.credentials.app_id
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Return a value with its times as text, also those inside."""
    match value:
        case datetime():
            return _iso(value)
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value


def _iso(moment: datetime) -> str:
    return moment.isoformat()
