"""The page of one registration for the staff: its facts, its timeline, its handlers and events."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from ca_embed._events import Event
from ca_embed._host.user_ids import is_user_id
from ca_embed._registration import HandlerStatus, State, shown
from ca_embed.assets._html import Html
from ca_embed.assets._staff_html import Desk, facts, form, moment, page


def registration_page(
    desk: Desk, state: State, events: list[Event], others: list[str], *, notice: str = ""
) -> Html:
    """Return the page of a registration. others: the ids of the user's other registrations.

    No credentials are on it, no `partner_state`, and no payload of an event.
    """
    registration = shown(state)
    about = facts(
        [
            ("Status", escape(registration.status)),
            ("User", escape(registration.user_id or "")),
            ("Phone", f"+{escape(registration.phone.lstrip('+'))}" if registration.phone else ""),
            ("Furthest step of its page", escape(registration.furthest_step or "")),
            ("Integration", escape(registration.integration or "")),
            ("Language", escape(registration.lang or "")),
            ("Origin of its page", escape(registration.parent_origin or "")),
            ("Credentials", "stored" if state.completed else "none"),
            ("Times accepted", str(state.generation) if state.generation else ""),
            ("Answers after the expiry", str(state.inconclusive) if state.inconclusive else ""),
        ]
    )
    body = (
        f"{about}<section>\n<h2>Actions</h2>\n{_actions(desk, state, events)}</section>\n"
        f"<section>\n<h2>Timeline</h2>\n{_timeline(state, events)}</section>\n"
        f"<section>\n<h2>Handlers</h2>\n"
        f"{_handlers(desk, registration.registration_id, registration.handlers)}</section>\n"
        f"<section>\n<h2>Events</h2>\n{_events(desk, registration.registration_id, events)}</section>\n"
        f"{_others(desk, others)}"
    )
    return page(desk.root, f"Registration {registration.registration_id}", body, notice=notice)


def _actions(desk: Desk, state: State, events: list[Event]) -> str:
    registration_id, user_id = state.registration.registration_id, state.registration.user_id
    here = escape(desk.path_of(registration_id))
    parked = any(run.state == "parked" for event in events for run in event.handlers)
    buttons = []
    if state.completed or parked:
        buttons.append(form(desk, "replay", registration_id, "Run all again"))
    if not state.disconnected:
        buttons.append(form(desk, "retry-webhook", registration_id, "Retry the webhook"))
        buttons.append(f'<a class="button" href="{here}?ask=disconnect">Disconnect</a>\n')
    if is_user_id(user_id):
        buttons.append(form(desk, "export", registration_id, "Export the user"))
        buttons.append(f'<a class="button" href="{here}?ask=forget">Forget the user</a>\n')
    return f'<div class="actions">\n{"".join(buttons)}</div>\n'


def _timeline(state: State, events: list[Event]) -> str:
    """Return what happened and what comes, in the order of time."""
    registration = state.registration
    accepted = "the webhook was signed" if state.signed_at is not None else "found by a question"
    expired = registration.status == "expired"
    known: list[tuple[datetime | float | None, str]] = [
        (registration.created_at, "Session created"),
        (state.active_at, "Its page last asked, or the status last changed"),
        (state.asked_at, "ChatArchitect last asked about it"),
        (registration.completed_at, "Completed"),
        (state.signed_at, f"Credentials accepted: {accepted}"),
        (registration.expires_at, "Session expired" if expired else "Session ends, if it is not completed"),
        (state.look_at if state.is_open else None, "Next question to ChatArchitect, at the earliest"),
        *((event.received_at, f"Event {event.name} received") for event in events),
        *((run.next_at, f"Handler {run.name} is due") for run in shown(state).handlers),
    ]
    if state.completed:
        known = [(at, text) for at, text in known if not text.startswith("Session ends")]
        if state.signed_at is None:
            known.append((registration.completed_at, f"Credentials accepted: {accepted}"))
    timed = sorted(((_instant(at), text) for at, text in known if at is not None), key=lambda one: one[0])
    rows = "".join(f"<li>{moment(at)} <span>{escape(text)}</span></li>\n" for at, text in timed)
    return f'<ol class="list">\n{rows}</ol>\n'


def _instant(at: datetime | float) -> datetime:
    """Return a time in whole seconds, as it is shown. What happened in the same second stays in order."""
    return (at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)).replace(microsecond=0)


def _handlers(
    desk: Desk, registration_id: str, handlers: tuple[HandlerStatus, ...], *, of_event: str = ""
) -> str:
    if not handlers:
        return "<p>No handler.</p>\n"
    rows = []
    for run in handlers:
        told = facts(
            [
                ("State", f'<span class="status {escape(run.state)}">{escape(run.state)}</span>'),
                ("Attempts", str(run.attempts)),
                ("Next run", moment(run.next_at)),
                ("Last error", f"<code>{escape(run.last_error)}</code>" if run.last_error else ""),
            ]
        )
        about = f"{run.name} of {of_event}" if of_event else run.name
        again = form(desk, "replay", registration_id, "Run again", handler=run.name, about=about)
        rows.append(f"<li><strong>{escape(run.name)}</strong>\n{told}{again}</li>\n")
    return f'<ul class="cards">\n{"".join(rows)}</ul>\n'


def _events(desk: Desk, registration_id: str, events: list[Event]) -> str:
    if not events:
        return "<p>No event.</p>\n"
    return "".join(
        f"<h3>{escape(event.name)}</h3>\n<p>Received {moment(event.received_at)}</p>\n"
        f"{_handlers(desk, registration_id, event.handlers, of_event=event.name)}"
        for event in events
    )


def _others(desk: Desk, others: list[str]) -> str:
    if not others:
        return ""
    rows = "".join(f'<li><a href="{escape(desk.path_of(one))}">{escape(one)}</a></li>\n' for one in others)
    return (
        f'<section>\n<h2>Other registrations of this user</h2>\n<ul class="list">\n{rows}</ul>\n</section>\n'
    )
