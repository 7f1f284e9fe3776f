// What the pages ask of the sandbox's server. Every answer is the registration's newest state.

export const registrationId = new URLSearchParams(location.search).get("s") ?? "";

/** Reads the state: {status, events, lang, ...}; null if there is no such session. */
export async function readState() {
  const answer = await fetch(address(), { cache: "no-store" });
  if (answer.status === 404) return null;
  return settled(answer);
}

/** Takes a step with what was entered; throws an Error with `status` 409 if it is refused. */
export async function takeStep(step, entered = {}) {
  const answer = await fetch(`${address()}/${step}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(entered),
  });
  return settled(answer);
}

async function settled(answer) {
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.message), { status: answer.status });
  return content;
}

function address() {
  return `/registration/${encodeURIComponent(registrationId)}`;
}
