// The registration page. The server holds the state; this script shows it, and sends the person's steps.

import { readState, registrationId, takeStep } from "./backend.js";
import { connectParent, sendEvents } from "./parent.js";
import { translate, translator } from "./texts.js";

const VIEW_OF_STATUS = {
  started: "phone",
  phone_code_sent: "code",
  phone_verified: "form",
  form_completed: "connect",
  fb_started: "connect",
  completed: "done",
  expired: "expired",
};
const STEPS = ["phone", "form", "connect", "done"];
const STEP_OF_VIEW = { phone: "phone", code: "phone", form: "form", connect: "connect", done: "done" };

const byId = (id) => document.getElementById(id);

let state = null;
let view = null; // the name of the shown section
let text = translator(navigator.language);
let complaint = null; // an error of this page, shown until the next step: {text, bad}
let changesPhone = false; // the person went back from the code to the number
let signup = null; // {popup, begun: the promise of the step "connect", watch: the timer}
let stepping = false; // a step is being sent
let shows = 0; // counts show(); a response to a request from before the last one is outdated

// ------------------------------------------------------------------------------------ showing

function show(newest) {
  const first = state === null;
  const previous = view;
  state = newest;
  shows += 1;
  if (previous !== viewOf(state)) complaint = null;
  const [last] = state.events.slice(-1);
  if (signup && last && last.event !== "facebook_started") endSignup();
  render();
  if (first) connectParent(state, document.querySelector("main"));
  else if (previous !== view) focusView();
  sendEvents(state);
}

function viewOf({ status }) {
  return changesPhone && status === "phone_code_sent" ? "phone" : VIEW_OF_STATUS[status];
}

function render() {
  showView(viewOf(state));
  showNotice(complaint ?? failureNotice());
  const phone = state.phone ? `+${state.phone}` : "";
  byId("sent-to").textContent = phone;
  byId("done-phone").textContent = phone;
  byId("sent-code").textContent = state.code ?? "";
  byId("connect-whatsapp").disabled = signup !== null;
  byId("waiting").hidden = signup === null;
}

function showView(name) {
  view = name;
  for (const section of document.querySelectorAll("section")) {
    section.hidden = section.dataset.view !== view;
  }
  const current = STEPS.indexOf(STEP_OF_VIEW[view]);
  byId("steps").hidden = current < 0;
  for (const item of byId("steps").children) {
    const position = STEPS.indexOf(item.dataset.step);
    item.classList.toggle("reached", position <= current);
    if (position === current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function showNotice(notice) {
  byId("notice").hidden = !notice;
  if (!notice || byId("notice").textContent === notice.text) return;
  byId("notice").textContent = notice.text;
  byId("notice").classList.toggle("bad", notice.bad);
}

/** Returns the notice about a failed or cancelled signup, if it was the last event. */
function failureNotice() {
  const [last] = state.events.slice(-1);
  if (last?.event === "failed") return { text: `${text("failed")} ${last.message} ${text("again")}`, bad: true };
  if (last?.event === "cancelled") return { text: `${text("cancelled")} ${text("again")}`, bad: false };
  return null;
}

function focusView() {
  const section = document.querySelector("section:not([hidden])");
  (section.querySelector("input") ?? section.querySelector("h1")).focus();
}

function complain(name) {
  complaint = { text: text(name), bad: true };
  render();
}

// ------------------------------------------------------------------------------------- steps

async function step(name, entered, refusal) {
  if (stepping) return;
  stepping = true;
  complaint = null;
  try {
    const newest = await takeStep(name, entered);
    changesPhone = false;
    show(newest);
  } catch (problem) {
    complain(problem.status === 409 ? refusal : "unreachable");
  } finally {
    stepping = false;
  }
}

function onSubmit(form, name, field, refusal) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    step(name, { [field]: byId(field).value }, refusal);
  });
}

onSubmit("phone-form", "phone", "phone", "bad_phone");
onSubmit("code-form", "code", "code", "bad_code");
onSubmit("business-form", "form", "business", "bad_business");

byId("change-phone").addEventListener("click", () => {
  changesPhone = true;
  complaint = null;
  render();
  focusView();
});

// ------------------------------------------------------------------------------ Meta's signup

byId("connect-whatsapp").addEventListener("click", () => {
  const address = `/meta?s=${encodeURIComponent(registrationId)}`;
  const popup = window.open(address, `meta-${registrationId}`, "popup,width=480,height=640");
  if (!popup) return complain("popup_blocked");
  signup = { popup, begun: step("connect", {}, "unreachable"), watch: setInterval(watchPopup, 300) };
  render();
});

window.addEventListener("message", async (event) => {
  if (event.origin !== location.origin || !signup || event.source !== signup.popup) return;
  if (event.data?.type !== "sandbox.meta") return;
  if (["finish", "cancel", "fail"].includes(event.data.outcome)) await end(event.data.outcome);
});

/** Closing the window cancels the signup. Its message may still be on its way, so wait a moment. */
function watchPopup() {
  if (!signup.popup.closed) return;
  clearInterval(signup.watch);
  const closed = signup;
  setTimeout(() => signup === closed && end("cancel"), 300);
}

async function end(outcome) {
  const { begun } = signup;
  endSignup();
  await begun;
  await step(outcome, {}, "unreachable");
}

function endSignup() {
  clearInterval(signup.watch);
  signup.popup.close();
  signup = null;
}

// ------------------------------------------------------------------------------------- start

/** Shows changes of the session that Python or the log page made. */
async function follow() {
  const before = shows;
  try {
    const newest = await readState();
    const isNews = newest && JSON.stringify(newest) !== JSON.stringify(state);
    if (isNews && before === shows && !stepping) show(newest);
  } catch {
    // The sandbox may be stopped. The next step will show that.
  }
}

async function start() {
  const found = await readState().catch(() => null);
  if (found) text = translator(found.lang);
  translate(text);
  if (!found) return showView("unknown");
  show(found);
  setInterval(follow, 1000);
}

start();
