'use client';
import { createElement } from 'react';
import { EVENTS } from './events.js';
import './index.js';

// `onPhoneVerified` listens to `ca-embed:phone_verified`.
const LISTENERS = new Map(EVENTS.map((name) => [listenerOf(name), 'onca-embed:' + name]));
const ATTRIBUTES = new Map(
  ['iframe-origin', 'csrf-header', 'csrf-cookie', 'csrf-token', 'sign-in-url'].map((name) => [camelCased(name), name]),
);

/** The element with props in React's style. All other props, like `ref` and `className`, go to the element as they are. */
export function WhatsAppRegistration(props) {
  const renamed = {};
  for (const [name, value] of Object.entries(props)) {
    renamed[LISTENERS.get(name) ?? ATTRIBUTES.get(name) ?? name] = value;
  }
  return createElement('ca-whatsapp-registration', renamed);
}

function listenerOf(event) {
  const name = camelCased(event);
  return 'on' + name[0].toUpperCase() + name.slice(1);
}

function camelCased(name) {
  return name.replace(/[-_]./g, (pair) => pair[1].toUpperCase());
}
