import { h, shallowRef } from 'vue';
import { EVENTS } from './events.js';
import './index.js';

const TAG = 'ca-whatsapp-registration';
const emitted = (event) => event.replaceAll('_', '-'); // `@phone-verified`, as Vue writes events

/** The element as a component. A template ref has `start()`, `close()` and `element`. */
export const WhatsAppRegistration = {
  name: 'WhatsAppRegistration',
  props: {
    endpoint: { type: String, required: true },
    iframeOrigin: { type: String, required: true },
    mode: String,
    lang: String,
    autostart: Boolean,
    csrfHeader: String,
    csrfCookie: String,
    csrfToken: String,
    signInUrl: String,
    headers: [Object, Function],
    texts: Object,
  },
  emits: EVENTS.map(emitted),
  setup(props, { emit, expose }) {
    const element = shallowRef();
    const listeners = Object.fromEntries(
      EVENTS.map((name) => ['on:ca-embed:' + name, (event) => emit(emitted(name), event)]),
    );
    expose({ element, start: () => element.value?.start(), close: () => element.value?.close() });
    return () => {
      const { iframeOrigin, csrfHeader, csrfCookie, csrfToken, signInUrl, autostart, ...same } = props;
      return h(TAG, {
        ...same,
        ...listeners,
        ref: element,
        autostart: autostart ? '' : undefined, // any text starts it, even "false"
        'iframe-origin': iframeOrigin,
        'csrf-header': csrfHeader,
        'csrf-cookie': csrfCookie,
        'csrf-token': csrfToken,
        'sign-in-url': signInUrl,
      });
    };
  },
};

/** `app.use(CAEmbedPlugin)` makes `<WhatsAppRegistration>` known in all templates. */
export default {
  install(app) {
    app.component('WhatsAppRegistration', WhatsAppRegistration);
  },
};
