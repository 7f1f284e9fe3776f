"""Answers in the guide's shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from werkzeug import Response


def json_answer(content: Mapping[str, object], *, status: int = 200) -> Response:
    """Answer with a JSON object that nobody stores."""
    response = Response(json.dumps(content), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def error(status: int, message: str) -> Response:
    """Answer with the guide's common error shape."""
    return json_answer({"status": "error", "message": message}, status=status)
