// The custom element. It passes everything on to the flow.
import { flowOf } from './flow.js';

export const TAG = 'ca-whatsapp-registration';

/** Defines the element. The class is made in a function, because HTMLElement does not exist on a server. */
export function defineElement() {
  class Registration extends HTMLElement {
    static observedAttributes = ['lang'];
    #flow = flowOf(this);

    connectedCallback() {
      this.#flow.connect();
    }

    disconnectedCallback() {
      this.#flow.disconnect();
    }

    attributeChangedCallback() {
      this.#flow.draw();
    }

    start() {
      this.#flow.start();
    }

    close() {
      this.#flow.close();
    }

    get status() {
      return this.#flow.status();
    }

    get iframe() {
      return this.#flow.iframe();
    }
  }
  // Frameworks set a property only if the element has it already; otherwise they set an attribute. They belong on the
  // prototype: fields would overwrite what the host has set on the element before this script was loaded.
  Registration.prototype.headers = undefined;
  Registration.prototype.texts = undefined;
  customElements.define(TAG, Registration);
}
