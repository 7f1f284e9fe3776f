// The custom element. It connects the registration with the page and with what the user sees.
import { panelFor } from './panels.js';
import { listen } from './parts.js';
import { registrationOf } from './registration.js';
import { textsOf } from './texts.js';
import { viewOf } from './view.js';

export const TAG = 'ca-whatsapp-registration';

const OUTCOMES = { connected: 'confirmed', failed: 'failed', cancelled: 'cancelled' }; // by status; else `closed`

/** Defines the element. The class is made in a function, because HTMLElement does not exist on a server. */
export function defineElement() {
  class RegistrationElement extends HTMLElement {
    static observedAttributes = ['endpoint', 'lang'];

    #view = viewOf(this, {
      confirmClosing: () => this.#confirmClosing(),
      onClosed: () => this.#onClosed(),
      onHelp: () => this.#ask('help'),
    });
    #registration = registrationOf(this, {
      box: this.#view.box,
      isModal: () => this.#isModal(),
      onChange: () => this.#onChange(),
    });
    #question; // what the user is asked before it goes on: `asking` or `help`
    #isRunning = false; // on the page
    #listeners; // an AbortController: aborting it removes the listeners on window
    #shown; // the last state that `ca-embed:state` has told
    #texts;

    // --- public ------------------------------------------------------------------------------------------------

    get status() {
      return this.#registration.status();
    }

    get iframe() {
      return this.#registration.iframe();
    }

    get texts() {
      return this.#texts;
    }

    set texts(texts) {
      this.#texts = texts;
      this.#draw();
    }

    start() {
      if (!this.isConnected) return this.#registration.fail({ code: 'configuration', message: 'Insert the element first.' });
      this.#question = undefined;
      this.#registration.start();
    }

    close() {
      if (this.#view.isShown()) this.#view.close();
      else this.#onClosed();
    }

    // --- in and out of the page --------------------------------------------------------------------------------

    connectedCallback() {
      if (Object.hasOwn(this, 'texts')) {
        const { texts } = this; // set before this script was loaded, so it hides the property of the class
        delete this.texts;
        this.texts = texts;
      }
      this.#listeners = new AbortController();
      const { signal } = this.#listeners;
      const checkNow = () => this.#registration.checkNow();
      listen(window, 'online focus pageshow', checkNow, signal);
      listen(document, 'visibilitychange', checkNow, signal);
      listen(visualViewport, 'resize scroll', this.#view.fit, signal);
      // Frameworks insert an element first and set its attributes and properties afterwards.
      queueMicrotask(() => this.#arrive());
    }

    disconnectedCallback() {
      this.#listeners.abort();
      queueMicrotask(() => this.isConnected || this.#depart());
    }

    /** `moveBefore()` keeps everything as it is, also the iframe. Only Firefox closes the modal. */
    connectedMoveCallback() {
      this.#view.reopen();
    }

    attributeChangedCallback(name, before, after) {
      if (name === 'endpoint' && before !== after && this.#isRunning) {
        this.#isRunning = false;
        this.#registration.reset(); // nothing of the old endpoint may be shown
        this.#view.close();
        queueMicrotask(() => this.#arrive());
      }
      this.#draw();
    }

    #arrive() {
      if (!this.isConnected) return;
      if (this.#isRunning) {
        this.#view.reopen();
        return this.#registration.reloaded(); // it was moved in the page
      }
      this.#isRunning = true;
      this.#restore();
    }

    #depart() {
      this.#isRunning = false;
      this.#registration.leave(true);
      this.#question = undefined;
      this.#view.close();
    }

    /** Shows what is true after a reload, in a new tab, or after a return to the page. */
    async #restore() {
      const registration = this.#registration;
      const startsAlone = this.hasAttribute('autostart');
      this.removeAttribute('autostart'); // a copy of the element, as of Turbo's cache, must not start by itself
      this.#draw();
      if (this.status !== 'idle') return;
      try {
        if (registration.recall()) await registration.resume();
        else if (!this.hasAttribute('opened')) await registration.findElsewhere();
      } catch {
        registration.reset(); // without an answer, for instance if no one is signed in, show nothing of the session
      }
      if (registration.id()) this.#draw();
      if (startsAlone && this.status === 'idle') this.start();
    }

    // --- leaving -----------------------------------------------------------------------------------------------

    /** Asks once before the user leaves a registration that is under way. Returns whether the dialog may close. */
    #confirmClosing() {
      if (this.#question === 'asking' || !this.#registration.isUnderWay()) return true;
      return this.#ask('asking');
    }

    #ask(question) {
      this.#question = question;
      if (this.#isModal()) this.#view.openDialog();
      this.#draw();
    }

    #onClosed() {
      const outcome = OUTCOMES[this.status] ?? 'closed';
      this.#question = undefined;
      this.#registration.leave();
      this.#draw();
      this.#registration.emit('closed', { outcome });
    }

    // --- what the user sees ------------------------------------------------------------------------------------

    #onChange() {
      if (!this.#registration.isUnderWay()) this.#question = undefined;
      if (this.status === 'creating' && this.#isModal()) this.#view.openDialog();
      this.#draw();
    }

    #draw(state = this.#question ?? this.#registration.visibleState()) {
      const { detail, id, emit } = this.#registration;
      const texts = textsOf(this);
      const panel = panelFor(state, state === this.status ? detail() : '', texts);
      this.#view.draw(texts, state, panel, this.#actions(state), id());
      if (!this.#isRunning || state === this.#shown) return;
      this.#shown = state;
      emit('state', { state });
    }

    /** What the buttons do, by the names of their texts. A text is the address of a link. */
    #actions(state) {
      const { startOver, checkStatus, reload } = this.#registration;
      const start = () => this.start();
      const stop = () => this.close();
      return {
        start,
        resume: start,
        retry: this.#question ? reload : this.status === 'finishing' ? checkStatus : start,
        over: startOver,
        another: !this.hasAttribute('opened') && startOver,
        keep: () => this.#ask(),
        stop,
        done: this.#view.isShown() && stop,
        tab: this.getAttribute(state !== 'blocked' ? 'sign-in-url' : !this.hasAttribute('hosted') && 'endpoint'),
      };
    }

    #isModal() {
      return this.getAttribute('mode') === 'modal';
    }
  }
  // `headers` is on the prototype. There, frameworks find it and set a property, not an attribute. A field would
  // overwrite what the host set on the element before this script was loaded.
  RegistrationElement.prototype.headers = undefined;
  customElements.define(TAG, RegistrationElement);
}
