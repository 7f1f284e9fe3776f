// Imports the package where there is no document, and renders both components there.
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { createSSRApp, h } from 'vue';
import { renderToString as renderVue } from 'vue/server-renderer';
import { CAEmbed, open } from 'ca-embed';
import { WhatsAppRegistration as ReactComponent } from 'ca-embed/react';
import plugin, { WhatsAppRegistration as VueComponent } from 'ca-embed/vue';
import 'ca-embed/svelte';

const given = { endpoint: '/chatarchitect', iframeOrigin: 'https://registration.example', autostart: true };
const more = { ...given, csrfHeader: 'X-CSRFToken', texts: { idle: 'Hello' }, headers: () => ({}) };

CAEmbed.texts.de = { idle: 'Nummer verbinden' };
console.log(typeof document, await open(given).catch((error) => error.message));
console.log(renderToString(createElement(ReactComponent, { ...more, className: 'card', onConfirmed() {}, onPhoneVerified() {} })));
console.log(renderToString(createElement(ReactComponent, { ...given, autostart: false })));
console.log(await renderVue(createSSRApp({ render: () => h(VueComponent, { ...more, class: 'card', onConfirmed() {} }) })));
const app = createSSRApp({ template: '<WhatsAppRegistration endpoint="/x" iframe-origin="https://registration.example" />' });
console.log(await renderVue(app.use(plugin)));
