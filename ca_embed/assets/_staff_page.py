"""The pages for the staff, at `GET <mount>/staff`: the start, what a search found, and the questions."""

from __future__ import annotations

from html import escape

from ca_embed._registration import State, shown
from ca_embed._vault.overview import HOURS, Found, Lately, Waiting
from ca_embed.assets._html import Html
from ca_embed.assets._staff_html import Desk, form, hidden, moment, page

DONE = {
    "replayed": "The handlers are due again. The next pass of reconcile() runs them.",
    "webhook_retried": "ChatArchitect was asked to deliver the webhook again.",
    "disconnected": "The registration is disconnected. Its credentials are erased.",
    "forgotten": "All registrations of this user are erased.",
}
"""What the page says after a change, by the name of the change."""

QUESTIONS = ("disconnect", "forget")
"""The changes that are asked about first."""


def start_page(desk: Desk, waiting: Waiting, lately: Lately, *, notice: str = "") -> Html:
    """Return the start page: the search, what waits, and the last hours."""
    body = (
        f"{_search(desk)}"
        f"{_waiting(desk, waiting)}"
        f"<section>\n<h2>The last {HOURS} hours</h2>\n{_plot(lately)}</section>\n"
        f"<section>\n<h2>Latest registrations</h2>\n{_states(desk, lately.latest)}</section>\n"
    )
    return page(desk.root, "Operator's page", body, notice=notice)


def found_page(desk: Desk, wanted: str, found: Found) -> Html:
    """Return what a search found."""
    limit = "" if found.complete else _told_limit(found.read)
    body = (
        f"{_search(desk, wanted)}<section>\n<h2>Found</h2>\n{limit}{_states(desk, found.states)}</section>\n"
    )
    return page(desk.root, "Search", body)


def question_page(desk: Desk, state: State, asked: str, *, count: int) -> Html:
    """Return the question before a change that cannot be undone. count: the registrations of the user."""
    registration = state.registration
    registration_id = registration.registration_id
    if asked == "forget":
        heading, label = "Forget this user?", "Forget the user"
        text = (
            f"All registrations of the user {registration.user_id} are erased, with their credentials: "
            f"{count}. Nothing brings them back. ChatArchitect, Meta and your backups keep their data."
        )
    else:
        heading, label = "Disconnect this registration?", "Disconnect"
        text = (
            f"The credentials of the registration {registration_id} are erased. Nothing brings them back. "
            "The user may register the number anew. ChatArchitect is told nothing."
        )
    body = (
        f"<p>{escape(text)}</p>\n<div class=actions>\n"
        f"{form(desk, asked, registration_id, label, kind='danger')}"
        f'<a class="button" href="{escape(desk.path_of(registration_id))}">Cancel</a>\n</div>\n'
    )
    return page(desk.root, heading, body)


def problem_page(root: str, heading: str, text: str) -> Html:
    """Say what went wrong, and what to do."""
    body = f'<p><a href="{escape(root)}">To the start</a></p>\n'
    return page(root, heading, body, notice=text, mark="problem")


# --- the parts ------------------------------------------------------------------------------------


def _search(desk: Desk, wanted: str = "") -> str:
    """Return the search. It is sent as a POST, so that no phone number gets into the log of a server."""
    return (
        f'<form class="search" role="search" method="post" action="{escape(desk.root)}">\n'
        f"{hidden(desk, 'find', '')}"
        '<label for="wanted">Registration id, user id or phone number</label>\n'
        f'<input id="wanted" name="wanted" value="{escape(wanted)}" required maxlength="255" '
        'autocomplete="off" spellcheck="false">\n<button>Find</button>\n</form>\n'
    )


def _waiting(desk: Desk, waiting: Waiting) -> str:
    parts = [
        (
            "Overdue",
            waiting.overdue,
            "Due for over 15 minutes. Let cron run ca-embed reconcile every minute.",
        ),
        ("Parked", waiting.parked, "These handlers failed for a day. Fix them, then run them again."),
        ("Failing", waiting.failing, "These handlers failed, and are tried again."),
    ]
    html = "".join(
        f"<section>\n<h2>{name}</h2>\n<p>{text}</p>\n{_states(desk, states)}</section>\n"
        for name, states, text in parts
        if states
    )
    return html or "<p class=calm>Nothing is overdue, parked or failing.</p>\n"


def _states(desk: Desk, states: list[State]) -> str:
    if not states:
        return "<p>No registration.</p>\n"
    rows = "".join(f"<li>{_row(desk, state)}</li>\n" for state in states)
    return f'<ul class="list">\n{rows}</ul>\n'


def _row(desk: Desk, state: State) -> str:
    """Return a registration, or an event of one, in a line."""
    registration = shown(state)
    registration_id = registration.registration_id if state.event is None else state.event.registration_id
    errors = [f"{run.name}: {run.last_error}" for run in registration.handlers if run.last_error]
    what = registration.status if state.event is None else f"event {state.event.name}"
    parts = [
        f'<span class="status">{escape(what)}</span>',
        f"user {escape(registration.user_id)}" if registration.user_id else "",
        f"+{escape(registration.phone.lstrip('+'))}" if registration.phone else "",
        moment(registration.created_at),
        *(escape(error) for error in errors),
    ]
    link = (
        f'<a href="{escape(desk.path_of(registration_id))}">{escape(registration_id)}</a>'
        if registration_id
        else "no registration"
    )
    return " ".join([link, *(f"<span>{part}</span>" for part in parts if part)])


# --- the plot -------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _BAR = 20, 80, 8  # of an hour, of the highest bar, of a bar


def _plot(lately: Lately) -> str:
    """Return the counts of the last hours as bars: two for each hour."""
    begun, completed = sum(lately.begun), sum(lately.completed)
    most = max([1, *lately.begun, *lately.completed])
    bars = "".join(
        _bar("begun", hour * _WIDTH + 1, lately.begun[hour], most)
        + _bar("completed", hour * _WIDTH + 1 + _BAR, lately.completed[hour], most)
        for hour in range(HOURS)
    )
    told = f"{begun} begun, {completed} completed; at most {most} in an hour"
    width, height = HOURS * _WIDTH, _HEIGHT + 1
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{told}">\n{bars}'
        f'<path class="ground" d="M0 {_HEIGHT + 0.5}H{width}"/></svg>\n'
        f'<p class="legend"><span class="begun">begun: {begun}</span> '
        f'<span class="completed">completed: {completed}</span> The latest hour is on the right.</p>\n'
        f"{'' if lately.complete else _told_limit(lately.read)}"
    )


def _bar(kind: str, left: int, count: int, most: int) -> str:
    height = round(_HEIGHT * count / most)
    if not height:
        return ""
    return f'<rect class="{kind}" x="{left}" y="{_HEIGHT - height}" width="{_BAR}" height="{height}"/>\n'


def _told_limit(read: int) -> str:
    return f"<p>Only {read} registrations were read, by their ids. There are more.</p>\n"
