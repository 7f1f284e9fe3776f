"""The texts of the hosted page. Formal address, as in the element."""

from __future__ import annotations

from dataclasses import dataclass

from ca_embed._config import LANGUAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The texts in one language. `{name}` is the name of the host's application.

    title: of the browser's tab, and the heading for a visitor who is not signed in. The element has the same
        text, so the heading above it is another one.
    heading, lead: above the element; `lead_named` if the application has a name.
    signed_out: tells a visitor what to do.
    no_script: shown where JavaScript is switched off.
    """

    title: str
    heading: str
    lead: str
    lead_named: str
    signed_out: str
    back: str
    back_named: str
    no_script: str


WORDS = {
    "de": Words(
        title="WhatsApp verbinden",
        heading="Ihre WhatsApp-Nummer",
        lead="Registrieren Sie die Nummer, um von hier aus Nachrichten zu senden.",
        lead_named="Registrieren Sie die Nummer, um mit {name} Nachrichten zu senden.",
        signed_out="Melden Sie sich zuerst an und öffnen Sie dann diese Seite erneut.",
        back="Zurück",
        back_named="Zurück zu {name}",
        no_script="Diese Seite braucht JavaScript. Schalten Sie es in Ihrem Browser ein.",
    ),
    "en": Words(
        title="Connect WhatsApp",
        heading="Your WhatsApp number",
        lead="Register the number to send messages from here.",
        lead_named="Register the number to send messages with {name}.",
        signed_out="Sign in first, then open this page again.",
        back="Back",
        back_named="Back to {name}",
        no_script="This page needs JavaScript. Turn it on in your browser.",
    ),
    "es": Words(
        title="Conectar WhatsApp",
        heading="Su número de WhatsApp",
        lead="Registre el número para enviar mensajes desde aquí.",
        lead_named="Registre el número para enviar mensajes con {name}.",
        signed_out="Inicie sesión primero y vuelva a abrir esta página.",
        back="Volver",
        back_named="Volver a {name}",
        no_script="Esta página necesita JavaScript. Actívelo en su navegador.",
    ),
    "pt": Words(
        title="Conectar o WhatsApp",
        heading="Seu número do WhatsApp",
        lead="Registre o número para enviar mensagens daqui.",
        lead_named="Registre o número para enviar mensagens com {name}.",
        signed_out="Entre primeiro na sua conta e abra esta página novamente.",
        back="Voltar",
        back_named="Voltar para {name}",
        no_script="Esta página precisa de JavaScript. Ative-o no seu navegador.",
    ),
    "ru": Words(
        title="Подключить WhatsApp",
        heading="Ваш номер WhatsApp",
        lead="Зарегистрируйте номер, чтобы отправлять сообщения отсюда.",
        lead_named="Зарегистрируйте номер, чтобы отправлять сообщения из {name}.",
        signed_out="Сначала войдите в систему, затем снова откройте эту страницу.",
        back="Назад",
        back_named="Вернуться в {name}",
        no_script="Включите JavaScript в браузере, чтобы продолжить.",
    ),
}
assert set(WORDS) == set(LANGUAGES)
