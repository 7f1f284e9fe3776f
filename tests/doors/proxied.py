"""Applications that a proxy stands before. Their public_url has a prefix of two segments."""

from __future__ import annotations

from fastapi import FastAPI
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ca_embed import asgi, wsgi
from ca_embed.adapters.fastapi import router
from ca_embed.adapters.flask import blueprint
from tests.doors.served import embed, host_asgi, host_wsgi

wsgi_alone = embed.wsgi
wsgi_default = wsgi.Middleware(host_wsgi, embed)
wsgi_told = ProxyFix(wsgi_default, x_prefix=1)
wsgi_rest = wsgi.Middleware(host_wsgi, embed, "/chatarchitect")

asgi_alone = embed.asgi
asgi_default = asgi.Middleware(host_asgi, embed)
asgi_rest = asgi.Middleware(host_asgi, embed, "/chatarchitect")

wsgi_flask = Flask(__name__)
wsgi_flask.register_blueprint(blueprint(embed), url_prefix="/chatarchitect")
wsgi_flask_default = Flask(__name__)
wsgi_flask_default.register_blueprint(blueprint(embed))

asgi_fastapi = FastAPI()
asgi_fastapi.include_router(router(embed, prefix="/chatarchitect"))
asgi_fastapi_default = FastAPI()
asgi_fastapi_default.include_router(router(embed))
