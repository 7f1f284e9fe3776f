"""HTTP responses in the guide's shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from werkzeug import Response


def json_response(content: Mapping[str, object], *, status: int = 200) -> Response:
    """Return a JSON object as a response that no cache keeps."""
    response = Response(json.dumps(content), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def error_response(status: int, message: str) -> Response:
    """Return a response in the guide's common error shape."""
    return json_response({"status": "error", "message": message}, status=status)
