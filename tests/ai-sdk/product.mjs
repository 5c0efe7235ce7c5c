// The running product in these tests: its URL, and users who log in with a code.
//
// `cargo test -p local --test ai_sdk` runs them on a product of its own. By hand, beside `make dev`: `npm ci`,
// then `npm test`; the rate limit of codes per machine allows three runs an hour.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

/** `APP_URL`: the product's URL; its APP_ORIGIN has to be the same. */
export const appUrl = (process.env.APP_URL ?? 'http://localhost:3000').replace(/\/$/, '');

/** `MODEL_SILENCE_SECONDS`: the same value as the product's. */
export const silenceSeconds = Number(process.env.MODEL_SILENCE_SECONDS ?? 60);

/** Another process of the product that ends during a turn, if there is one: its URL, and the port of the switch
 * that ends it. */
const endingProcess = (variable) => {
  const [url, port] = process.env[variable]?.split(' ') ?? [];
  return url && { url, end: () => connect(Number(port)).on('error', () => {}).unref() };
};
export const shutDown = endingProcess('ENDS_BY_SHUTDOWN');
export const killed = endingProcess('ENDS_KILLED');

/** A new user, logged in. Turns are limited per user and login mails per machine: one for each file
 * and version of the SDK is enough. */
export async function newUser() {
  const email = `ai-sdk-${randomBytes(8).toString('hex')}@example.com`;
  const asked = await post('/api/auth/otp', { email });
  assert.equal(asked.status, 202, `asking for a code: ${await asked.text()}`);

  const code = await mailedCode(email);
  const verified = await post('/api/auth/verify', { email, code });
  assert.equal(verified.status, 200, `logging in: ${await verified.text()}`);
  const cookie = verified.headers.get('set-cookie')?.split(';')[0];
  assert.match(cookie ?? '', /^__Host-session=./);
  return new User(cookie);
}

/** Polls, because the mail may be sent after the response. */
async function mailedCode(email) {
  for (let attempt = 0; attempt < 50; attempt++) {
    const inbox = await fetch(`${appUrl}/local/inbox`, { headers: { accept: 'application/json' } });
    const mail = (await inbox.json()).find((mail) => mail.to === email);
    if (mail) return mail.code;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no code for ${email} arrived within 5 s`);
}

function post(path, body) {
  return fetch(appUrl + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: appUrl },
    body: JSON.stringify(body),
  });
}

/** Adds a browser's own headers to requests, and records requests and responses. */
class User {
  #cookie;
  /** The bodies of all requests, parsed. */
  sent = [];
  /** The bodies of all responses, each the promise of a text. */
  received = [];

  constructor(cookie) {
    this.#cookie = cookie;
  }

  forget() {
    this.sent = [];
    this.received = [];
  }

  fetch = async (url, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set('cookie', this.#cookie);
    headers.set('origin', appUrl);
    if (init.body) this.sent.push(JSON.parse(init.body));
    const response = await fetch(new URL(url, appUrl), { ...init, headers });
    const body = response.clone().text();
    // The copy breaks off with the original when the reader stops; that is no error.
    body.catch(() => {});
    this.received.push(body);
    return response;
  };
}
