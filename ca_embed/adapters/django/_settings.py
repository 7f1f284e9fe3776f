"""The Embed that the settings describe: built at its first use, and built anew when a test changes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from os import environ
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import settings
from django.core import mail
from django.core.signals import setting_changed
from django.utils.functional import empty
from django.utils.module_loading import import_string

from ca_embed._frames import clears_locals
from ca_embed._urls import TEST_HOSTS
from ca_embed.errors import ConfigurationError

if TYPE_CHECKING:
    from ca_embed.embed import Embed

    class _SimpleLazyObject:  # Django has no type information
        _wrapped: Any

        def __init__(self, build: Callable[[], object]) -> None: ...
        def _setup(self) -> None: ...

else:
    from django.utils.functional import SimpleLazyObject as _SimpleLazyObject

_APP = "ca_embed.adapters.django"
_TEST_CLIENT = "testserver"  # the host that Django's test client calls

_stand_ins: dict[str, SettingsEmbed] = {}  # by the name of the setting


def embed_of(setting: str) -> Embed:
    """Return the Embed of a setting, which is built at its first use. The same setting gives the same one."""
    if setting not in _stand_ins:
        _stand_ins[setting] = SettingsEmbed(setting)
    return cast("Embed", _stand_ins[setting])


def all_embeds() -> dict[str, Embed]:
    """Return each Embed that was asked for, by the name of its setting."""
    return {setting: embed_of(setting) for setting in _stand_ins}


class SettingsEmbed(_SimpleLazyObject):
    """Stands for the Embed of the settings, which is built at its first use.

    Handlers that are registered before wait for it. So a module with handlers can be imported without a
    token or a key, as `manage.py collectstatic` does in a build.
    """

    def __init__(self, setting: str) -> None:
        """Build nothing yet. setting: the name of the Django setting with the arguments."""
        registrations: list[Callable[[Embed], object]] = []
        self.__dict__["_registrations"] = registrations
        self.__dict__["_lock"] = RLock()
        super().__init__(lambda: _build(setting, registrations))

    def _setup(self) -> None:
        """Build it once, also if several threads have the first requests."""
        with self.__dict__["_lock"]:
            if self._wrapped is empty:
                super()._setup()

    def on_completed(self, *given: Any, **options: Any) -> Any:
        """Register a completion handler, see `Embed.on_completed`."""
        return self._register("on_completed", given, options)

    def on_event(self, *given: Any, **options: Any) -> Any:
        """Register an event handler, see `Embed.on_event`."""
        return lambda function: self._keep(
            function, lambda embed: embed.on_event(*given, **options)(function)
        )

    def on_error(self, *given: Any, **options: Any) -> Any:
        """Register a function for errors, see `Embed.on_error`."""
        return self._register("on_error", given, options)

    def _register(self, name: str, given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Register the function at once if the Embed is built, and with each one that is built later."""
        if not (given and callable(given[0])):  # as in @embed.on_completed(name="connect")
            return lambda function: self._keep(
                function, lambda embed: getattr(embed, name)(*given, **options)(function)
            )
        return self._keep(given[0], lambda embed: getattr(embed, name)(*given, **options))

    def _keep(self, function: Any, register: Callable[[Embed], object]) -> Any:
        if self._wrapped is not empty:
            register(self._wrapped)
        self.__dict__["_registrations"].append(register)
        return function

    def _forget(self) -> None:
        """Close the Embed, if there is one. The next use builds another from the settings."""
        if self._wrapped is not empty:
            self._wrapped.close()
            self._wrapped = empty


@clears_locals
def _build(setting: str, registrations: list[Callable[[Embed], object]]) -> Embed:
    """Return the Embed that the setting describes. Raises ConfigurationError."""
    from ca_embed.adapters.django._connections import fresh_connections
    from ca_embed.embed import Embed

    problems: list[str] = []
    arguments = _arguments(setting, inspect.signature(Embed).parameters, problems)
    _accept_test_client()
    try:
        built = Embed.from_env(**arguments)
    except ConfigurationError as error:
        raise ConfigurationError([*problems, *error.problems]) from None
    if problems:
        raise ConfigurationError(problems)
    built._core.handlers.context = fresh_connections
    for register in registrations:
        register(built)
    return built


def _arguments(setting: str, known: Any, problems: list[str]) -> dict[str, Any]:
    """Return the arguments of Embed that the setting has. Add what is wrong with it to the problems."""
    given = getattr(settings, setting, {} if setting == "CA_EMBED" else None)
    if not isinstance(given, dict):
        problems.append(f"{setting} must be a dict with the arguments of Embed, in capitals")
        given = {}
    arguments: dict[str, Any] = {}
    for key, value in given.items():
        if str(key).lower() in known:
            arguments[str(key).lower()] = value
        else:
            problems.append(f"{setting} has an unknown key {key!r}; {_nearest(str(key), known)}")
    identify = arguments.pop("identify", _signed_in_user)
    try:
        arguments["identify"] = import_string(identify) if isinstance(identify, str) else identify
    except ImportError:
        problems.append("IDENTIFY cannot be imported; give the dotted path of a function, or the function")
    if isinstance(arguments.get("staff"), str):
        try:
            arguments["staff"] = import_string(arguments["staff"])
        except ImportError:
            problems.append("STAFF cannot be imported; give the dotted path of a function, or the function")
    if not arguments.get("storage", environ.get("CA_EMBED_STORAGE")):
        arguments["storage"] = _django_storage(problems)
    return arguments


def _nearest(key: str, known: Any) -> str:
    names = [name.upper() for name in known]
    near = get_close_matches(key.upper(), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(names)}"


def _django_storage(problems: list[str]) -> Any:
    """Return the storage in the host's own database. Without the app and its table there is none."""
    if not apps.ready:
        problems.append(
            "Django is not set up yet, so its database cannot be used: call django.setup() first, "
            "and use `embed` in functions, not at import"
        )
    elif not apps.is_installed(_APP):
        problems.append(f'add "{_APP}" to INSTALLED_APPS, or set STORAGE')
    else:
        from ca_embed.adapters.django._storage import DjangoStorage

        return DjangoStorage()
    return "memory:" if problems else None  # not used: the problem is raised


def _accept_test_client() -> None:
    """Accept http://testserver as `public_url` under a test runner, and nowhere else.

    A test runner calls Django's `setup_test_environment()`, which allows this host and makes the outbox.
    """
    if hasattr(mail, "outbox") and _TEST_CLIENT in settings.ALLOWED_HOSTS:
        TEST_HOSTS.add(_TEST_CLIENT)
    else:
        TEST_HOSTS.discard(_TEST_CLIENT)


def _signed_in_user(request: Any) -> Any:
    """Return the primary key of `request.user`, or None. This is the default of `IDENTIFY`."""
    return request.user.pk if request.user.is_authenticated else None


def _changed(*, setting: str, **_: Any) -> None:
    """Forget the Embed when a test overrides the settings, and again when it restores them."""
    if setting in _stand_ins:
        _stand_ins[setting]._forget()
        TEST_HOSTS.discard(_TEST_CLIENT)


setting_changed.connect(_changed)
