// What each state says and offers: [look, text, ...buttons]. A look is a class of style.css; a button is [label, what
// it does], the first being the one to press. No state is a dead end. Titles are the texts named like the state.

/** The panel of a state as [look, title, text, ...buttons]. An error's title is the text named like its code, if any. */
export function panelFor(state, t, { session, detail, isOpen, start, startOver, stay, close }) {
  const resume = [t.resume, start];
  const retry = [t.retry, start];
  const over = [t.over, startOver];
  const openPage = () => open(detail, '_blank', 'noopener');
  const [look, ...rest] = {
    idle: session ? ['', t.left, resume, over] : ['', t.intro, [t.start, start]],
    creating: ['busy'],
    loading: ['busy show'],
    in_progress: ['bare show'],
    asking: ['bad show', '', [t.resume, stay], [t.close, close]],
    finishing: detail ? ['busy', t.slow + ' ' + t.support, over] : ['busy'],
    connected: ['good', detail, isOpen && [t.close, close], [t.another, startOver]],
    failed: ['bad', detail || t.support, over],
    cancelled: ['', t.left, resume, over],
    expired: ['', '', over],
    blocked: ['bad', t.support, detail && [t.tab, openPage], retry],
    error: ['bad', t.support, retry],
  }[state];
  return [look, (state === 'error' && t[detail]) || (t[state] ?? t.creating), ...rest];
}
