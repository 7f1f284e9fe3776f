// What the panel says and offers in each state.

// The paths of the icons, drawn with lines in a square of 24.
const CHAT = 'M4 20l1.3-4A8 8 0 1 1 8.5 19zM8.5 10.5h7M8.5 13.5h4';
const CHECK = 'M5 12.5l4.5 4.5L19 7.5';
const ALERT = 'M12 3a9 9 0 1 0 .1 0zM12 7.5v5.5M12 16.5v.1';

// For each state: the icon, the name of its text (see texts.json) and those of its buttons. The first button is the
// main one. Every state in which the user must act has at least one.
export const PANELS = {
  idle: [CHAT, 'intro', 'start'],
  remembered: [CHAT, '', 'resume over'],
  creating_slow: ['', 'slow', 'stop'],
  help: [CHAT, 'later', 'retry keep stop'],
  asking: [CHAT, 'later', 'keep retry stop'],
  finishing: ['', 'later'],
  slow: [ALERT, 'later', 'retry over'],
  connected: [CHECK, '', 'done another'],
  failed: [ALERT, 'error_text', 'over resume'],
  cancelled: [ALERT, 'later', 'resume over'],
  expired: [ALERT, '', 'over'],
  blocked: [ALERT, 'error_text', 'tab retry'],
  not_signed_in: [ALERT, 'later', 'tab retry'],
  error: [ALERT, 'error_text', 'retry'],
};

// Names of states and errors whose title has another name.
const ALIASES = { __proto__: null, bad_response: 'server', storage_unavailable: 'server', timeout: 'slow', loading: 'creating' };

/**
 * The panel of a state: `icon`, `title`, `text`, `buttons` (names) and `kind`, which is `busy`, `bad` or empty.
 * `detail` is the code of an error, or a text that replaces the state's own.
 */
export function panelFor(state, detail, texts) {
  const [icon = '', text, buttons = ''] = PANELS[state] ?? [];
  const isError = state === 'error';
  const named = isError ? detail : state;
  const name = ALIASES[named] ?? named;
  return {
    icon,
    title: texts[name] ?? texts[name.split('_')[0]] ?? texts[isError ? state : 'idle'],
    text: (!isError && detail) || texts[text],
    buttons: buttons.split(' '),
    kind: icon === ALERT ? 'bad' : icon ? '' : 'busy',
  };
}
