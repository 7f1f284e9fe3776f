// When to ask the backend for the status again.

const CALM_INTERVAL = 15000; // ms between checks while the user works in the iframe

/** `check()` asks the backend. */
export function pollingOf(check) {
  let timer;
  let checks = 0; // since `completed`

  const checkLater = () => wait(CALM_INTERVAL, (checks = 0));

  /** After `completed` the confirmation is due: the first checks follow quickly, and then more and more slowly. */
  const checkSoon = () => wait(Math.min(CALM_INTERVAL, 500 * 1.6 ** ++checks));

  function wait(milliseconds) {
    stop();
    timer = setTimeout(check, milliseconds);
  }

  function stop() {
    clearTimeout(timer);
  }

  return { checkLater, checkSoon, stop };
}
