"""What `--app` names: the host's own Embed, or an application of a web framework that holds it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ca_embed._cli.output import WrongUsage
from ca_embed.errors import EmbedError

if TYPE_CHECKING:
    from ca_embed.embed import Embed

HOW = "MODULE:NAME, like crm.whatsapp:embed, crm.web:app, or crm.web:create_app()"

_DJANGO = "DJANGO_SETTINGS_MODULE"

# What leads from an application to the endpoints in it. Frameworks and middlewares use these names.
_WAYS = (
    "app", "_app", "application", "wsgi_app", "asgi_app", "mounts", "_dispatch", "_endpoints", "_embed",
    "registry", "view_functions", "url_patterns", "routes", "router", "wildcard_router", "rules",
    "target_kwargs", "_sinks", "apps", "root", "views", "endpoint", "handler", "route_handler", "fn",
    "original_router", "_resources", "_routes", "ca_embed", "callback", "__wrapped__", "__func__",
)  # fmt: skip
_DEEPEST = 12  # steps from the application, through its middlewares, to an endpoint
_MOST = 20_000  # objects to look at

# What makes the Embed findable in an application, by its framework.
_CALLS = {
    "aiohttp": "app.add_routes(ca_embed.adapters.aiohttp.routes(embed))",
    "blacksheep": "ca_embed.adapters.blacksheep.mount(app, embed)",
    "bottle": "ca_embed.adapters.bottle.mount(app, embed)",
    "cherrypy": "cherrypy.tree.mount(ca_embed.adapters.cherrypy.Endpoints(embed), ...)",
    "django": 'path("chatarchitect/", include("ca_embed.adapters.django.urls"))',
    "falcon": "ca_embed.adapters.falcon.mount(app, embed)",
    "fastapi": "app.include_router(ca_embed.adapters.fastapi.router(embed))",
    "flask": "app.register_blueprint(ca_embed.adapters.flask.blueprint(embed))",
    "litestar": "Litestar([..., ca_embed.adapters.litestar.router(embed)])",
    "pyramid": "config.include(ca_embed.adapters.pyramid.endpoints(embed))",
    "quart": "app.register_blueprint(ca_embed.adapters.quart.blueprint(embed))",
    "sanic": "app.blueprint(ca_embed.adapters.sanic.blueprint(embed))",
    "starlette": "Starlette(routes=[..., *ca_embed.adapters.starlette.routes(embed)])",
    "tornado": "Application([..., *ca_embed.adapters.tornado.rules(embed)])",
}


def load_app(path: str) -> Embed:
    """Import the host's Embed from the working directory, as its server does. Raises WrongUsage."""
    module_name, colon, expression = path.partition(":")
    if not module_name or not colon or not expression:
        raise WrongUsage(f"--app is {HOW}")
    steps = _steps(path, expression)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for our data alone
        _set_up_django()
        found: object = _of_host(f"python -m {module_name}", module_name, lambda: import_module(module_name))
        for name, arguments in steps:
            found = _step(path, module_name, found, name, arguments)
        return _the_embed(path, found)


_Arguments = tuple[list[Any], dict[str, Any]] | None  # of a call; None: no call


def _steps(path: str, expression: str) -> list[tuple[str, _Arguments]]:
    """Read NAME.NAME(...).NAME: return the names, and the arguments of those that are called."""
    wrong = WrongUsage(f"--app {path}: after the colon give a name or a call with plain values; {HOW}")
    try:
        node = ast.parse(expression, mode="eval").body
        steps: list[tuple[str, _Arguments]] = []
        while True:
            arguments: _Arguments = None
            if isinstance(node, ast.Call):
                named = {str(one.arg): ast.literal_eval(one.value) for one in node.keywords if one.arg}
                arguments, node = ([ast.literal_eval(one) for one in node.args], named), node.func
            if isinstance(node, ast.Name):
                return [(node.id, arguments), *steps]
            if not isinstance(node, ast.Attribute):
                raise wrong
            steps.insert(0, (node.attr, arguments))
            node = node.value
    except (SyntaxError, ValueError):
        raise wrong from None


def _step(path: str, module_name: str, found: object, name: str, arguments: _Arguments) -> object:
    try:
        found = getattr(found, name)
    except AttributeError:
        where = module_name if inspect.ismodule(found) else f"a {type(found).__name__}"
        raise WrongUsage(f"--app {path}: {where} has no {name!r}; check the spelling") from None
    if arguments is None:
        return found
    if not callable(found):
        raise WrongUsage(f"--app {path}: {name} cannot be called; leave out its parentheses")
    call: Callable[..., Any] = found
    return _of_host(
        f"python -c 'import {module_name}; ...' and call {name}() there",
        f"{name}()",
        lambda: _awaited(call(*arguments[0], **arguments[1])),
    )


def _awaited(made: Any) -> object:
    """Return what a factory made. Await it if the factory is asynchronous, as some of aiohttp are."""

    async def wait() -> Any:
        return await made

    return asyncio.run(wait()) if inspect.isawaitable(made) else made


def _of_host(see_why: str, place: str, run: Callable[[], object]) -> object:
    """Run the host's code. Its errors become a sentence."""
    try:
        return run()
    except (EmbedError, WrongUsage):
        raise
    except ModuleNotFoundError as error:
        message = f"--app: there is no module {error.name!r} here; run this where it can be imported"
        raise WrongUsage(message) from None
    except Exception as error:  # noqa: BLE001 (the host's code may raise anything)
        # Its message may quote a secret of the host's settings.
        kind = type(error).__name__
        hint = f"see why with: {see_why}"
        if "django" in sys.modules and not os.environ.get(_DJANGO):
            hint = f"set {_DJANGO} to the settings of your project, as manage.py does"
        raise WrongUsage(f"--app: {kind} in {place}; {hint}") from None


def _set_up_django() -> None:
    """Set Django up if its settings are named: an import of models needs it. Others have no settings."""
    if settings := os.environ.get(_DJANGO):
        _of_host(f"python -m {settings}", f"{_DJANGO}={settings}", _django_setup)


def _django_setup() -> None:
    with contextlib.suppress(ModuleNotFoundError):
        import_module("django")
    if "django" in sys.modules:
        sys.modules["django"].setup()


def _the_embed(path: str, found: object) -> Embed:
    """Return the Embed that was named, or the only one in the application that was named."""
    embeds: Any = _of_host(f"python -m {path.partition(':')[0]}", path, lambda: _embeds_in(found))
    match embeds:
        case [embed]:
            return cast("Embed", embed)
        case []:
            raise WrongUsage(f"--app {path}: no Embed in this {type(found).__name__}; {_advice(path, found)}")
        case _:
            raise WrongUsage(f"--app {path}: several Embeds are in it; name one, like crm.whatsapp:embed")


def _advice(path: str, found: object) -> str:
    if inspect.isroutine(found):
        return f"if it makes your application, call it: {path}()"
    frameworks = {one.__module__.partition(".")[0] for one in type(found).__mro__}
    call = next((_CALLS[one] for one in _CALLS if one in frameworks), None)
    mount = f"mount it with {call}" if call else "mount embed.wsgi, embed.asgi or an adapter in it"
    return f"{mount}, or name the Embed itself, like crm.whatsapp:embed"


def _embeds_in(found: object) -> list[Embed]:
    """Return each Embed that can be reached from the object, without what can be reached from that."""
    from ca_embed.embed import Embed

    embeds: list[Embed] = []
    level, seen = [found], {id(found)}
    kept = [found]  # an id is of one object only while that lives
    for _ in range(_DEEPEST):
        below: list[object] = []
        for one in level:
            if isinstance(one, Embed):
                embeds.append(one)
                continue
            for child in _children(one):
                if id(child) not in seen and len(seen) < _MOST:
                    seen.add(id(child))
                    kept.append(child)
                    below.append(child)
        level = below
    return list({id(one._core): one for one in embeds}.values())


def _children(one: object) -> Iterator[object]:
    """Yield what may lead from the object to an endpoint: its parts, and what a view function encloses."""
    if isinstance(one, Mapping):  # a router may be one too
        yield from one.values()
    if isinstance(one, list | tuple | set | frozenset):
        yield from one
    elif isinstance(one, str | bytes | int | float | None):
        return
    else:
        for cell in getattr(one, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # an empty cell
                yield cell.cell_contents
        for name in _WAYS:
            with contextlib.suppress(Exception):  # the host's attributes may be computed
                yield getattr(one, name)
        if type(one).__module__.startswith("django.core.handlers"):
            yield import_module("django.urls").get_resolver()
