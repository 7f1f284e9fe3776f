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
  // So that frameworks, which look whether there is one, set a property and no attribute.
  Registration.prototype.headers = Registration.prototype.texts = undefined;
  customElements.define(TAG, Registration);
}
