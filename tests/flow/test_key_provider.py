"""Encryption keys that a function of the host provides, as from a key management service."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from webtest import TestApp

from ca_embed import Embed
from ca_embed._host import key_provider
from ca_embed.errors import ConfigurationError, KeysUnavailable
from ca_embed.storage import MemoryStorage
from tests.flow.kit import KEY, OLD_KEY, SECRET, TOKEN, build, delivery, payload, signed

SOME_ID = "abc123def456ghi789jkl0"


class KeyService:
    """A stand-in for a key management service: counts its calls, and fails while it is told to."""

    def __init__(self, keys: object = KEY) -> None:
        self.keys = keys
        self.calls = 0
        self.error: Exception | None = None

    def __call__(self) -> Any:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.keys


def webhook(embed: Embed) -> tuple[int, dict[str, Any]]:
    """Deliver a signed webhook, and return the status and the body of the response."""
    headers, body = delivery()
    response = TestApp(embed.wsgi).post("/webhook", body, headers=headers, expect_errors=True)
    return response.status_int, response.json


def test_asked_once_at_the_first_use() -> None:
    """The function is called when a record is first sealed, and once only, however many need the keys."""
    service = KeyService([KEY, OLD_KEY])
    with closing(build(encryption_keys=service)) as embed:
        assert service.calls == 0
        with ThreadPoolExecutor(16) as threads:
            responses = list(threads.map(lambda _: webhook(embed)[0], range(16)))
        assert responses == [200] * 16
        assert service.calls == 1
        credentials = embed.credentials(SOME_ID)
        assert credentials is not None
        assert credentials.app_secret == SECRET


def test_the_same_keys_given_directly_open_what_was_sealed() -> None:
    """A provided key is the same key as one in the settings."""
    storage = MemoryStorage()
    with closing(build(storage=storage, encryption_keys=KeyService(KEY))) as embed:
        assert webhook(embed)[0] == 200
    with closing(build(storage=storage, encryption_keys=KEY)) as embed:
        assert embed.credentials(SOME_ID) is not None


def test_an_asynchronous_function() -> None:
    """The function may be asynchronous, under both doors."""

    async def provide() -> str:
        await asyncio.sleep(0)
        return KEY

    with closing(build(encryption_keys=provide)) as embed:
        assert webhook(embed)[0] == 200
        assert asyncio.run(embed.acredentials(SOME_ID)) is not None


def test_a_service_that_is_down(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook gets 503, so that it counts as not delivered. on_error gets the exception itself.

    Once the service is back, the next use asks again. The exception's message may quote a secret: no log
    line has it.
    """
    monkeypatch.setattr(key_provider, "_REST", 0.0)
    service, reported = KeyService(), list[tuple[BaseException, str]]()
    service.error = RuntimeError("denied for fake-secret-of-the-service")
    with closing(build(encryption_keys=service)) as embed, caplog.at_level(logging.DEBUG, "ca_embed"):
        embed.on_error(lambda error, where: reported.append((error, where)))
        status, answer = webhook(embed)
        assert (status, answer["code"]) == (503, "storage_unavailable")
        with pytest.raises(KeysUnavailable, match=r"RuntimeError at .*test_key_provider\.py"):
            embed.key_usage()
        assert reported[0] == (service.error, "encryption_keys")
        assert "fake-secret-of-the-service" not in caplog.text
        service.error = None
        assert webhook(embed)[0] == 200


def test_a_service_that_is_down_gets_few_calls() -> None:
    """Within a second of a failure nothing is asked anew: a service that is down is not flooded."""
    service = KeyService()
    service.error = RuntimeError("down")
    with closing(build(encryption_keys=service)) as embed:
        assert {webhook(embed)[0] for _ in range(5)} == {503}
        assert service.calls < 5


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (None, "missing"),
        ([], "missing"),
        ("short", r"encryption_keys\[0\] is shorter than 16"),
        ([KEY, KEY], r"encryption_keys\[1\] is repeated"),
        ([KEY, TOKEN], r"encryption_keys\[1\] is a partner token"),
        (b"0123456789abcdef", "must be text"),
        (7, "must be text"),
    ],
)
def test_unusable_keys(keys: object, problem: str) -> None:
    """What the function returns is checked like a setting. The error names the place, never the value."""
    with closing(build(encryption_keys=KeyService(keys))) as embed:
        with pytest.raises(KeysUnavailable, match=problem) as refusal:
            embed.key_usage()
        assert KEY not in str(refusal.value)
        assert webhook(embed)[0] == 503


def test_a_service_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No response waits for ever. When the service answers at last, its keys count."""
    monkeypatch.setattr(key_provider, "_PATIENCE", 0.1)
    answer = threading.Event()

    def provide() -> str:
        answer.wait(30)
        return KEY

    with closing(build(encryption_keys=provide)) as embed:
        assert webhook(embed)[0] == 503
        with pytest.raises(KeysUnavailable, match="time limit"):
            embed.key_usage()
        monkeypatch.setattr(key_provider, "_PATIENCE", 30.0)
        answer.set()
        assert webhook(embed)[0] == 200


def test_in_a_child_process() -> None:
    """A process that was forked while its parent waited for the keys asks for itself."""
    asked, answer, parent = threading.Event(), threading.Event(), os.getpid()

    def provide() -> str:
        asked.set()
        if os.getpid() == parent:
            answer.wait(30)
        return KEY

    with closing(build(encryption_keys=provide)) as embed:
        waiting = threading.Thread(target=webhook, args=(embed,))
        waiting.start()
        assert asked.wait(30)
        child = _forked(lambda: embed._core.ledger.key_ids != ())
        answer.set()
        waiting.join(30)
    assert child == 0


def _forked(check: Callable[[], bool]) -> int:
    """Return 0 if the check is true in a forked process."""
    child = os.fork()
    if child == 0:
        passed = False
        try:
            passed = check()
        finally:
            os._exit(not passed)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_settings_name_all_problems_without_the_function() -> None:
    """Embed() does not call the function. Other settings are checked at once."""
    service = KeyService()
    with pytest.raises(ConfigurationError) as refusal:
        build(encryption_keys=service, partner_token="short")
    assert len(refusal.value.problems) == 1
    assert service.calls == 0


def test_a_refused_webhook_needs_no_keys() -> None:
    """A forged webhook is refused before the keys are asked for."""
    service = KeyService()
    with closing(build(encryption_keys=service)) as embed:
        headers, body = signed(payload(), token="fake-token-of-somewhere-else")
        TestApp(embed.wsgi).post("/webhook", body, headers=headers, status=401)
        assert service.calls == 0


def test_a_real_client_of_a_key_service() -> None:
    """The documented program works: boto3 decrypts the keys with a key of AWS KMS, as moto plays it."""
    import boto3
    import moto
    from boto3.session import Config

    with moto.mock_aws():
        kms = boto3.client(
            "kms",
            "eu-central-1",
            aws_access_key_id="fake",
            aws_secret_access_key="fake-fake-fake",
            config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}),
        )
        master = kms.create_key()["KeyMetadata"]["KeyId"]
        wrapped = kms.encrypt(KeyId=master, Plaintext=KEY.encode())["CiphertextBlob"]
        asked: list[bytes] = []

        def unwrap() -> str:
            asked.append(wrapped)
            plain: bytes = kms.decrypt(CiphertextBlob=wrapped, KeyId=master)["Plaintext"]
            return plain.decode()

        def unwrap_another() -> str:
            plain: bytes = kms.decrypt(CiphertextBlob=b"of another service")["Plaintext"]
            return plain.decode()

        with closing(build(encryption_keys=unwrap)) as embed:
            assert webhook(embed)[0] == 200
            assert embed.credentials(SOME_ID) is not None
            assert len(asked) == 1
        with closing(build(encryption_keys=unwrap_another)) as embed:
            assert webhook(embed)[0] == 503
