// What the panel says and offers in each state.

// The values are names of texts (see texts/en.json). The first button is the main one.
// Every state in which the user must act has at least one button.
const PANELS = {
  idle: { text: 'intro', buttons: ['start'] },
  remembered: { buttons: ['resume', 'over'] },
  asking: { buttons: ['resume', 'close'] },
  slow: { text: 'support', buttons: ['over'] },
  connected: { buttons: ['close', 'another'] },
  failed: { text: 'support', buttons: ['over'] },
  cancelled: { buttons: ['resume', 'over'] },
  expired: { buttons: ['over'] },
  blocked: { text: 'support', buttons: ['tab', 'retry'] },
  error: { text: 'support', buttons: ['retry'] },
};

/**
 * The panel of a state: `title`, `text` and `buttons`, each with `label` and `action`.
 *
 * `detail` is the code of an error. In the other states it is a text that replaces the state's own.
 * `actions` maps names of buttons to functions. A button without an action is left out.
 */
export function panelFor(state, detail, texts, actions) {
  const { text, buttons = [] } = PANELS[state] ?? {};
  const [code, message] = state === 'error' ? [detail] : [undefined, detail];
  return {
    title: texts[code] ?? texts[state] ?? texts.idle,
    text: message || texts[text],
    buttons: buttons.filter((name) => actions[name]).map((name) => ({ label: texts[name], action: actions[name] })),
  };
}
