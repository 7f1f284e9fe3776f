"""The components of the npm package, for React and for Vue, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.tools import ROOT, node

NPM = ROOT / "npm"
REACT = """
import { createElement as h } from 'react';
import { createRoot } from 'react-dom/client';
import { WhatsAppRegistration } from './built/react.js';

const root = createRoot(document.querySelector('#app'));
const ref = (one) => (window.shown = one);
window.show = (props) => root.render(h(WhatsAppRegistration, { ...props, ref }));
"""
VUE = """
import { createApp, h, shallowRef } from 'vue';
import { WhatsAppRegistration } from './built/vue.js';

const given = shallowRef();
window.show = (props) => (given.value = props);
const ref = (one) => (window.shown = one?.element);
const render = () => given.value && h(WhatsAppRegistration, { ...given.value, ref });
createApp({ render }).mount('#app');
"""
GIVEN = """
window.heard = [];
const texts = { idle: 'Hello' };
show({
  endpoint: '/nowhere',
  iframeOrigin: 'https://registration.example',
  csrfHeader: 'X-CSRFToken',
  autostart: false,
  texts,
  onConfirmed: ({ detail }) => heard.push('confirmed ' + detail.registration_id),
  onPhoneVerified: () => heard.push('phone_verified'),
});"""
SAID = """
const detail = { registration_id: 'reg1' };
for (const name of ['confirmed', 'phone_verified'])
  shown.dispatchEvent(new CustomEvent('ca-embed:' + name, { bubbles: true, detail }));
return {
  heard,
  attributes: [...shown.attributes].map(({ name, value }) => `${name}=${value}`).sort(),
  texts: shown.texts,
  status: shown.status,
};"""


@pytest.fixture(scope="module", params=[REACT, VUE], ids=["react", "vue"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a small application in it."""
    folder = tmp_path_factory.mktemp("components")
    (folder / "main.js").write_text(request.param)
    built = node("node", str(NPM / "build.mjs"), str(folder / "built"), modules=NPM / "node_modules")
    assert built.returncode == 0, built.stderr
    (folder / "node_modules").symlink_to(NPM / "node_modules")
    bundle = ["main.js", "--bundle", "--outfile=out.js", "--define:process.env.NODE_ENV='production'"]
    esbuild = str(NPM / "node_modules/esbuild/bin/esbuild")
    bundled = node(esbuild, *bundle, "--log-level=error", modules=NPM / "node_modules", folder=folder)
    assert bundled.returncode == 0, bundled.stderr
    (folder / "index.html").write_text("<!doctype html><div id=app></div><script src=out.js></script>")
    return folder / "index.html"


def test_attributes_properties_and_events(program: Path, browser: WebDriver) -> None:
    """Props become attributes and properties, and events reach their listeners once."""
    browser.get(program.as_uri())
    browser.execute_script(GIVEN)
    WebDriverWait(browser, 20).until(lambda one: one.execute_script("return !!window.shown?.isConnected"))
    said = browser.execute_script(SAID)
    assert said["heard"] == ["confirmed reg1", "phone_verified"]
    wanted = ["csrf-header=X-CSRFToken", "endpoint=/nowhere", "iframe-origin=https://registration.example"]
    assert said["attributes"] == wanted
    assert (said["texts"], said["status"]) == ({"idle": "Hello"}, "idle")
