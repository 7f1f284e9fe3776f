"""The public interface as its users' type checkers see it. It is checked by mypy and pyright, not run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_type

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from ca_embed import Credentials, Embed, PartnerClient, Reconciliation, Registration, Session
from ca_embed.asgi import Middleware as AsgiMiddleware
from ca_embed.storage import AsyncStorage, FilesystemStorage, MemoryStorage, SQLiteStorage, Storage
from ca_embed.wsgi import Middleware as WsgiMiddleware

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from asgiref.typing import ASGI3Application
    from fastapi import FastAPI
    from flask import Flask
    from starlette.applications import Starlette


def storages(files: FilesystemStorage, memory: MemoryStorage, sqlite: SQLiteStorage) -> list[Storage]:
    """Each storage that comes along keeps the protocol."""
    return [files, memory, sqlite]


def build(storage: Storage | AsyncStorage) -> Embed:
    """Everything that the constructor takes."""
    return Embed(
        base_url="https://registration.example",
        partner_token=["a-fake-partner-token", "another-fake-token"],
        public_url="https://crm.example/chatarchitect",
        storage=storage,
        encryption_keys=["a-fake-encryption-key"],
        identify=lambda request: request.user_id,
        staff=lambda request: request.is_staff,
        parent_origins=["https://crm.example"],
        integration="My CRM",
        lang="en",
        replay_window=300,
        session_limit=(10, 600),
        handlers="reconcile",
    )


async def identify(request: object) -> str | None:
    """Whoever identifies may be asynchronous."""
    return None


assert_type(Embed.from_env(identify=identify, lang="de"), Embed)


def mount(embed: Embed, wsgi: WSGIApplication, asgi: ASGI3Application) -> None:
    """The doors are applications, and the middlewares wrap applications and are some."""
    wsgi_apps: list[WSGIApplication] = [embed.wsgi, WsgiMiddleware(wsgi, embed, "/chatarchitect")]
    asgi_apps: list[ASGI3Application] = [embed.asgi, AsgiMiddleware(asgi, embed, "/chatarchitect")]
    del wsgi_apps, asgi_apps


def mount_in_frameworks(embed: Embed, flask: Flask, starlette: Starlette, fastapi: FastAPI) -> None:
    """Frameworks, whose own types for applications differ, take the doors, and the middlewares them."""
    DispatcherMiddleware(flask, {"/chatarchitect": embed.wsgi})
    WsgiMiddleware(flask, embed)
    WsgiMiddleware(flask.wsgi_app, embed)
    starlette.mount("/chatarchitect", embed.asgi)
    fastapi.mount("/chatarchitect", embed.asgi)
    AsgiMiddleware(starlette, embed)
    AsgiMiddleware(fastapi, embed)


def handle(embed: Embed) -> None:
    """A decorated handler stays what it was, synchronous or not, named or not."""

    @embed.on_completed
    def connect(registration: Registration, credentials: Credentials) -> int:
        return len(credentials.app_id)

    @embed.on_completed(name="crm.connect")
    async def aconnect(registration: Registration, credentials: Credentials) -> None: ...

    def typed(registration: Registration, credentials: Credentials) -> None:
        assert_type(connect(registration, credentials), int)

    del aconnect, typed


def use(embed: Embed) -> None:
    """The calls that block."""
    assert_type(embed.create_session("user_456", partner_state="opaque", lang="pt-BR"), Session)
    assert_type(embed.registration("abc123"), Registration | None)
    assert_type(embed.registrations(user_id="user_456", status="completed"), list[Registration])
    assert_type(embed.credentials("abc123"), Credentials | None)
    assert_type(embed.reconcile(), Reconciliation)
    assert_type(embed.retry_webhook("abc123").attempts, int)
    assert_type(embed.rotate_keys(dry_run=True).resealed, int)
    assert_type(embed.key_usage(), dict[str, int])
    assert_type(embed.forget("user_456"), int)
    assert_type(embed.purge_expired(timedelta(days=30)), int)
    assert_type(embed.snippet(mode="modal", nonce="r4nd0m").__html__(), str)
    assert_type(embed.close(), None)


async def ause(embed: Embed) -> None:
    """The same calls, awaitable."""
    assert_type(await embed.acreate_session("user_456"), Session)
    assert_type(await embed.aregistration("abc123"), Registration | None)
    assert_type(await embed.aregistrations(), list[Registration])
    assert_type(await embed.acredentials("abc123"), Credentials | None)
    assert_type(await embed.areconcile(), Reconciliation)
    assert_type((await embed.aretry_webhook("abc123")).status, str)
    assert_type((await embed.arotate_keys(dry_run=True)).resealed, int)
    assert_type(await embed.akey_usage(), dict[str, int])
    assert_type(await embed.aforget("user_456"), int)
    assert_type(await embed.apurge_expired(timedelta(days=30)), int)
    await embed.aclose()


def call_the_partner_api(client: PartnerClient) -> None:
    """The Partner API alone."""
    assert_type(client.result("abc123").status, str)
    assert_type(client.retry_webhook("abc123").last_error, str)


assert_type(PartnerClient("https://registration.example", "a-fake-partner-token"), PartnerClient)
