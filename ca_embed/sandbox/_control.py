"""The log page at `/sandbox`: what happened, the knobs, and buttons for each session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ca_embed.sandbox import _assets as assets
from ca_embed.sandbox import _inputs as inputs
from ca_embed.sandbox._delivery import Deliverer, Overrides
from ca_embed.sandbox._inputs import Refusal
from ca_embed.sandbox._knobs import Knobs
from ca_embed.sandbox._registrations import Registrations, StepRefused
from ca_embed.sandbox._responses import json_response

if TYPE_CHECKING:
    from werkzeug import Request, Response

    from ca_embed.sandbox._guard import Guard
    from ca_embed.sandbox._journal import Journal

# What may happen to a number later. The guide says nothing of such events, so their names are made up.
MADE_UP_EVENTS = ("suspended", "disconnected", "reconnected")
FAILURE = "The Fail button of the sandbox's log page ended this signup."


class Control:
    """Serves the log page, and carries out its buttons."""

    def __init__(
        self,
        registrations: Registrations,
        deliverer: Deliverer,
        *,
        knobs: Knobs,
        journal: Journal,
        guard: Guard,
    ) -> None:
        self._registrations = registrations
        self._deliverer = deliverer
        self._knobs = knobs
        self._journal = journal
        self._guard = guard
        self._actions: dict[str, Callable[[str], object]] = {
            "complete": self._complete,
            "expire": registrations.expire,
            "fail": lambda registration_id: registrations.fail(registration_id, FAILURE),
            "cancel": registrations.cancel,
            "redeliver": self._redeliver,
            **{name: partial(self._send_event, name) for name in MADE_UP_EVENTS},
        }

    def rules(self) -> tuple[tuple[str, Callable[..., Response]], ...]:
        """Return each path of the log page with its endpoint."""
        return (
            ("/sandbox", self._page),
            ("/sandbox/state", self._state),
            ("/sandbox/knobs", self._set_knobs),
            ("/sandbox/knobs/reset", self._reset_knobs),
            ("/sandbox/sessions/<registration_id>/<action>", self._act),
        )

    def _page(self, request: Request) -> Response:
        self._check(request, "GET")
        return assets.page("log.html", frame_ancestors="'none'")

    def _state(self, request: Request) -> Response:
        self._check(request, "GET")
        after = request.args.get("after", 0, type=int)
        return json_response(
            {
                "knobs": asdict(self._knobs),
                "default_knobs": asdict(Knobs()),
                "sessions": [_plain(asdict(one)) for one in self._registrations.sessions.all()],
                "journal": [_plain(asdict(one)) for one in self._journal.entries(after=after)],
            }
        )

    def _set_knobs(self, request: Request) -> Response:
        self._check(request, "POST")
        try:
            self._knobs.update(inputs.json_object(request))
        except (AttributeError, ValueError) as wrong:
            raise Refusal(400, str(wrong)) from None
        return json_response(asdict(self._knobs))

    def _reset_knobs(self, request: Request) -> Response:
        self._check(request, "POST")
        self._knobs.reset()
        return json_response(asdict(self._knobs))

    def _act(self, request: Request, registration_id: str, action: str) -> Response:
        self._check(request, "POST")
        act = self._actions.get(action)
        if act is None:
            raise Refusal(404, "Not found")
        try:
            act(registration_id)
        except StepRefused as refused:
            raise Refusal(409, str(refused)) from None
        return json_response(_plain(asdict(self._registrations.sessions.get(registration_id))))

    def _complete(self, registration_id: str) -> None:
        self._registrations.complete(registration_id)
        self._deliverer.deliver_by_knob(registration_id)

    def _redeliver(self, registration_id: str) -> None:
        if self._registrations.sessions.get(registration_id).status != "completed":
            raise StepRefused("the registration is not completed; complete it first")
        self._deliverer.deliver_once(registration_id, Overrides())

    def _send_event(self, name: str, registration_id: str) -> None:
        if self._registrations.sessions.get(registration_id).status != "completed":
            raise StepRefused("the registration is not completed; complete it first")
        self._deliverer.deliver_event(registration_id, f"made_up.number.{name}")

    def _check(self, request: Request, method: str) -> None:
        self._guard.check(request)
        if request.method != method:
            raise Refusal(400, "Invalid action")


def _plain(values: dict[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }
