// The custom element: a thin door to the flow. Made in a function, so that importing on a server touches nothing.
import { flowOf } from './flow.js';

export const TAG = 'ca-whatsapp-registration';

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
      return this.#flow.frame();
    }
  }
  customElements.define(TAG, Registration);
}
