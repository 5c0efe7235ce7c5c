// The code of docs/clients.md uploads a file, and the SDK's own `sendMessage({ files })` asks about it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { textOf } from './judge.mjs';
import { newUser } from './product.mjs';
import { clients } from './sdk.mjs';

/** A PNG image of 64 × 48 pixels. */
const IMAGE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAAAwCAIAAAAuKetIAAAAQ0lEQVR42u3PQQkAAAgEsItjJtMZ1Qp+hcEKLNXzWgQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQErhYuIZjEKKB4cwAAAABJRU5ErkJggg==',
  'base64',
);

/** The documented `upload`, which a page calls with paths of its own origin. */
async function documentedUpload() {
  const page = await readFile(new URL('../../docs/clients.md', import.meta.url), 'utf8');
  const [, code] = page.match(/```js\n(export async function upload[^]*?)```/);
  return (await import(`data:text/javascript,${encodeURIComponent(code)}`)).upload;
}

/** `fetch` as in a page of the app: paths are the app's, with its cookie. */
function fetchAsInAPage(user) {
  const everywhere = globalThis.fetch;
  globalThis.fetch = (url, init) =>
    String(url).startsWith('/') ? user.fetch(url, init) : everywhere(url, init);
  return () => (globalThis.fetch = everywhere);
}

for (const client of clients) {
  describe(`files with ${client.version}`, () => {
    let user;
    let upload;
    let restore;
    before(async () => {
      user = await newUser();
      upload = await documentedUpload();
      restore = fetchAsInAPage(user);
    });
    after(() => restore());

    const newChat = () => {
      const transport = new client.DefaultChatTransport({ api: '/api/chat', fetch: user.fetch });
      return new client.Chat({ transport });
    };

    test('an image is uploaded, asked about, and received by the model', async () => {
      const file = await upload(new File([IMAGE], 'ship.png', { type: 'image/png' }));
      assert.match(file.url, /^\/api\/uploads\/[0-9a-f-]{36}$/);
      assert.equal(file.filename, 'ship.png');

      const chat = newChat();
      await chat.sendMessage({ text: 'What is this?', files: [file] });
      assert.equal(chat.status, 'ready', String(chat.error));
      assert.match(textOf(chat.messages[1]), /^What is this\? \[image\/(png|jpeg), \d+ bytes\]$/);

      const thumb = await user.fetch(`${file.url}/file?as=thumb`);
      assert.equal(thumb.status, 200);
      assert.match(thumb.headers.get('content-type'), /^image\//);
    });

    test('source code without a type is text', async () => {
      const file = await upload(new File(['fn main() {}\n'], 'main.rs'));
      const chat = newChat();
      await chat.sendMessage({ text: 'What does it do?', files: [file] });
      assert.equal(
        textOf(chat.messages[1]),
        'What does it do?\n\nThe file "main.rs":\n```\nfn main() {}\n```',
      );
    });

    test('a refused file says why', async () => {
      const html = new File(['<!doctype html>'], 'page.png', { type: 'image/png' });
      await assert.rejects(upload(html), { code: 'file_not_as_declared' });
      const heic = new File(['x'], 'IMG_1.HEIC', { type: 'image/heic' });
      await assert.rejects(upload(heic), { code: 'type_not_allowed', message: /Most Compatible/ });
    });

    test('a file that was not uploaded is refused', async () => {
      const chat = newChat();
      const url = `data:image/png;base64,${IMAGE.toString('base64')}`;
      await chat.sendMessage({ text: 'What is this?', files: [{ type: 'file', mediaType: 'image/png', url }] });
      assert.equal(chat.status, 'error');
      assert.match(chat.error.message, /invalid_message/);
    });
  });
}
