// Requests of the pages to the sandbox's server. Every response is the registration's newest state.

export const registrationId = new URLSearchParams(location.search).get("s") ?? "";

/** Returns the state: {status, events, lang, ...}, or null for an unknown session. */
export async function readState() {
  const response = await fetch(address(), { cache: "no-store" });
  if (response.status === 404) return null;
  return contentOf(response);
}

/** Sends a step with the entered values. Throws an Error with `status` 409 if it is refused. */
export async function takeStep(step, entered = {}) {
  const response = await fetch(`${address()}/${step}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(entered),
  });
  return contentOf(response);
}

async function contentOf(response) {
  const content = await response.json();
  if (!response.ok) throw Object.assign(new Error(content.message), { status: response.status });
  return content;
}

function address() {
  return `/registration/${encodeURIComponent(registrationId)}`;
}
