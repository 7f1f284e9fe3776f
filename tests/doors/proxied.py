"""Applications that a proxy stands before. Their public_url has a prefix of two segments."""

from __future__ import annotations

from werkzeug.middleware.proxy_fix import ProxyFix

from ca_embed import asgi, wsgi
from tests.doors.served import embed, host_asgi, host_wsgi

wsgi_alone = embed.wsgi
wsgi_default = wsgi.Middleware(host_wsgi, embed)
wsgi_told = ProxyFix(wsgi_default, x_prefix=1)
wsgi_rest = wsgi.Middleware(host_wsgi, embed, "/chatarchitect")

asgi_alone = embed.asgi
asgi_default = asgi.Middleware(host_asgi, embed)
asgi_rest = asgi.Middleware(host_asgi, embed, "/chatarchitect")
