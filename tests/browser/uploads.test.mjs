// A page uploads a file to the storage's origin and shows it, under the deployed policy of pages.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch } from './browser.mjs';

const { APP_URL: appUrl, SESSION: session } = process.env;

/** A PNG image of 64 × 48 pixels. */
const IMAGE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAAAwCAIAAAAuKetIAAAAQ0lEQVR42u3PQQkAAAgEsItjJtMZ1Qp+hcEKLNXzWgQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQErhYuIZjEKKB4cwAAAABJRU5ErkJggg==',
  'base64',
);

describe('uploads in a browser', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  /** The page at this URL, in a browser that is logged in there. Nothing is intercepted: that would answer preflights. */
  async function openPage(url) {
    const context = await browser.newContext();
    const { origin } = new URL(url);
    await context.addCookies([
      { name: '__Host-session', value: session, url: origin.replace('http:', 'https:'), secure: true, httpOnly: true, sameSite: 'Lax' },
    ]);
    const page = await context.newPage();
    await page.goto(url);
    return page;
  }

  async function choose(page, file) {
    await page.setInputFiles('input', file);
    await page.waitForFunction(() => document.querySelector('p').textContent);
    return page.textContent('p');
  }

  const file = { name: 'ship.png', mimeType: 'image/png', buffer: IMAGE };

  test('a chosen file is hashed, sent across origins, completed and shown', async () => {
    const page = await openPage(`${appUrl}/page`);
    assert.equal(await choose(page, file), '64 × 48');
    assert.equal(await page.evaluate(() => window.violation), undefined);
  });

  test('without the storage in the policy of pages the browser would not send it', async () => {
    const page = await openPage(`${appUrl}/without-storage`);
    assert.match(await choose(page, file), /TypeError: Failed to fetch/);
    assert.match(await page.evaluate(() => window.violation), /^connect-src http:/);
  });

  test('a page of another origin cannot send a file, even with a good URL', async () => {
    const page = await openPage(`${appUrl}/page`);
    const put = await page.evaluate(async () => {
      const sha256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'; // of "test"
      const body = JSON.stringify({ filename: 'a.txt', contentType: 'text/plain', size: 4, sha256 });
      const headers = { 'content-type': 'application/json' };
      return (await fetch('/api/uploads', { method: 'POST', headers, body })).json();
    });
    const foreign = await openPage(`${appUrl.replace('localhost', '127.0.0.1')}/page`);
    const send = ({ url, headers }) =>
      fetch(url, { method: 'PUT', headers, body: 'test' }).then((response) => response.status, String);
    assert.match(await foreign.evaluate(send, put), /TypeError: Failed to fetch/);
    assert.equal(await foreign.evaluate(() => window.violation), undefined, 'the storage refuses it, not the policy');
    // The file has not arrived: the app's own page can still send it, once.
    assert.equal(await page.evaluate(send, put), 200);
    assert.equal(await page.evaluate(send, put), 412);
  });
});
