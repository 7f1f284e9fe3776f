// When to ask the backend for the status again.

const CALM_INTERVAL = 15000; // ms between checks while the user works in the iframe
const SLOW_AFTER = 8; // checks after `completed` without a confirmation: about half a minute

/** `check()` asks the backend. `onSlow()` is called once when the confirmation takes longer than usual. */
export function pollingOf(check, onSlow) {
  let timer;
  let checks = 0; // since `completed`

  const restart = () => (checks = 0);

  const checkLater = () => wait(CALM_INTERVAL);

  /** After `completed` the confirmation is due: the first checks follow quickly, and then more and more slowly. */
  function checkSoon() {
    checks += 1;
    if (checks === SLOW_AFTER) onSlow();
    wait(Math.min(CALM_INTERVAL, 500 * 1.6 ** checks));
  }

  function wait(milliseconds) {
    stop();
    timer = setTimeout(check, milliseconds);
  }

  function stop() {
    clearTimeout(timer);
    timer = undefined;
  }

  return {
    restart,
    checkLater,
    checkSoon,
    stop,
    isWaiting: () => timer !== undefined,
    isSlow: () => checks >= SLOW_AFTER,
  };
}
