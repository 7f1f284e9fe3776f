// The custom element. It connects the registration with the page and with what the user sees.
import { endpointOf } from './backend.js';
import { panelFor } from './panels.js';
import { registrationOf } from './registration.js';
import { textsOf } from './texts.js';
import { viewOf } from './view.js';

export const TAG = 'ca-whatsapp-registration';

const OUTCOMES = { connected: 'confirmed', failed: 'failed', cancelled: 'cancelled' }; // by status; else `closed`

/** Defines the element. The class is made in a function, because HTMLElement does not exist on a server. */
export function defineElement() {
  class RegistrationElement extends HTMLElement {
    static observedAttributes = ['lang'];

    #view = viewOf(this, { confirmClosing: () => this.#confirmClosing(), onClosed: () => this.#onClosed() });
    #registration = registrationOf(this, {
      box: this.#view.box,
      isModal: () => this.#isModal(),
      onChange: () => this.#onChange(),
    });
    #isAsking = false; // whether the dialog asks if the user really wants to leave
    #wasInterrupted = false; // removed from the page while under way
    #listeners; // an AbortController: aborting it removes the listeners on window

    // --- public ------------------------------------------------------------------------------------------------

    get status() {
      return this.#registration.status();
    }

    get iframe() {
      return this.#registration.iframe();
    }

    start() {
      this.#isAsking = false;
      if (this.#registration.isUnderWay()) this.#draw();
      else this.#registration.start();
    }

    close() {
      if (this.#view.dialog.open) this.#view.dialog.close();
      else this.#onClosed();
    }

    // --- in and out of the page --------------------------------------------------------------------------------

    connectedCallback() {
      this.#listeners = new AbortController();
      const { signal } = this.#listeners;
      const checkNow = () => this.#registration.checkNow();
      window.addEventListener('online', checkNow, { signal });
      window.addEventListener('pageshow', checkNow, { signal }); // back from the back/forward cache
      // Frameworks insert an element first and set its attributes and properties afterwards.
      queueMicrotask(() => signal.aborted || this.#restore());
    }

    disconnectedCallback() {
      this.#listeners.abort();
      this.#wasInterrupted = this.#registration.interrupt();
      this.#view.dialog.close();
    }

    attributeChangedCallback() {
      this.#draw();
    }

    /** Continues after a move within the page, a reload or a return to it. */
    async #restore() {
      if (this.status !== 'idle') return this.#draw();
      const session = this.#registration.recall();
      if (this.#wasInterrupted || this.hasAttribute('autostart')) return this.start();
      if (session) this.#draw('creating'); // looks busy while the backend is asked
      try {
        await this.#registration.resume();
        this.#draw();
      } catch {
        this.#draw('idle'); // without an answer, for instance if no one is signed in, show nothing of the session
      }
    }

    // --- leaving -----------------------------------------------------------------------------------------------

    /** Asks once before the user leaves a registration that is under way. Returns whether the dialog may close. */
    #confirmClosing() {
      this.#isAsking = !this.#isAsking && this.#registration.isUnderWay();
      this.#draw();
      return !this.#isAsking;
    }

    #onClosed() {
      const outcome = OUTCOMES[this.status] ?? 'closed';
      this.#isAsking = false;
      this.#registration.leave();
      this.#draw();
      this.#registration.emit('closed', { outcome });
    }

    // --- what the user sees ------------------------------------------------------------------------------------

    #onChange() {
      this.#isAsking = this.#isAsking && this.#registration.isUnderWay();
      this.#draw();
      if (this.status === 'creating' && this.#isModal()) this.#view.openDialog();
    }

    #draw(state = this.#isAsking ? 'asking' : this.#registration.visibleState()) {
      const texts = textsOf(this);
      this.#view.draw(texts, state, panelFor(state, this.#registration.detail(), texts, this.#actions()));
    }

    /** What the buttons do, by the names of their texts. */
    #actions() {
      const start = () => this.start();
      const startOver = () => this.#registration.startOver();
      const openTab = () => window.open(endpointOf(this) + '/', '_blank', 'noopener');
      return {
        start,
        resume: start,
        retry: start,
        over: startOver,
        another: startOver,
        tab: !this.hasAttribute('hosted') && openTab, // `hosted`: the new tab would show this same page again
        close: this.#view.dialog.open && (() => this.close()),
      };
    }

    #isModal() {
      return this.getAttribute('mode') === 'modal';
    }
  }
  // `headers` and `texts` are on the prototype. There, frameworks find them and set properties, not attributes. Fields
  // would overwrite what the host set on the element before this script was loaded.
  RegistrationElement.prototype.headers = undefined;
  RegistrationElement.prototype.texts = undefined;
  customElements.define(TAG, RegistrationElement);
}
