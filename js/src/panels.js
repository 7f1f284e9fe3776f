// What each state says and offers besides its title: "text;buttons", by the names of texts. The first button is the one
// to press. No state is a dead end. The title is the text named like the state, and of an error, like its code.
const PANELS = {
  idle: 'intro;start',
  remembered: ';resume over',
  asking: ';resume close',
  slow: 'support;over',
  connected: ';close another',
  failed: 'support;over',
  cancelled: ';resume over',
  expired: ';over',
  blocked: 'support;tab retry',
  error: 'support;retry',
};

/**
 * [title, text, buttons as [label, what it does]]. `detail` is an error's code, else a text to show instead of the
 * state's own. A button whose action is missing now is left out.
 */
export function panelFor(state, detail, texts, actions) {
  const [line, names = ''] = (PANELS[state] ?? '').split(';');
  const code = state === 'error' && detail;
  const title = texts[code] ?? texts[state] ?? texts.idle;
  const buttons = names.split(' ').filter((name) => actions[name]);
  return [title, (!code && detail) || texts[line], buttons.map((name) => [texts[name], actions[name]])];
}
