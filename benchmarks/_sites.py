"""The sites that the servers of `benchmarks.servers` run: ours and one by hand, in the same process."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from benchmarks._deliveries import BASE_URL, KEY, PUBLIC_URL, TOKENS
from benchmarks._handwritten import Handwritten
from ca_embed import Embed


def _contenders() -> tuple[Embed, Handwritten]:
    folder = Path(os.environ["CA_EMBED_BENCHMARK_FOLDER"])
    logging.getLogger("ca_embed").setLevel(logging.CRITICAL)
    embed = Embed(
        base_url=BASE_URL,
        partner_token=TOKENS[:1],
        public_url=PUBLIC_URL,
        storage=f"sqlite:///{folder}/ca_embed.db",
        encryption_keys=[KEY],
        identify=lambda _request: "user_456",
    )
    return embed, Handwritten(folder / "by_hand.db", TOKENS[0], KEY)


def flask() -> object:
    """Return a Flask application with our blueprint and a view by hand."""
    import flask

    from ca_embed.adapters.flask import blueprint

    embed, by_hand = _contenders()
    app = flask.Flask(__name__)
    app.register_blueprint(blueprint(embed))

    @app.post("/by-hand/webhook")
    def webhook() -> flask.typing.ResponseReturnValue:
        request = flask.request
        status, word = by_hand.accept(
            request.get_data(), request.headers["X-CA-Timestamp"], request.headers["X-CA-Signature"]
        )
        return {"status": word}, status

    return app


def starlette() -> object:
    """Return a Starlette application with our mount and an endpoint by hand, which uses the thread pool."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from ca_embed.adapters.starlette import routes

    embed, by_hand = _contenders()

    async def webhook(request: Request) -> JSONResponse:
        body = await request.body()
        status, word = await run_in_threadpool(
            by_hand.accept, body, request.headers["x-ca-timestamp"], request.headers["x-ca-signature"]
        )
        return JSONResponse({"status": word}, status)

    return Starlette(routes=[*routes(embed), Route("/by-hand/webhook", webhook, methods=["POST"])])
