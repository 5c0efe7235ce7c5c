// The SDK's own hook, in a page that is reloaded, opened twice, stopped, or disconnected.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { textOf } from './judge.mjs';
import { Page } from './page.mjs';
import { newUser } from './product.mjs';
import { clients } from './sdk.mjs';

/** Takes five seconds to say that, so that nothing here depends on a moment. */
const SLOW = { body: { model: 'fake/slow' } };
const COUNTED = Array.from({ length: 200 }, (_, index) => `${index + 1} `).join('');
const QUICK = { body: { model: 'fake/echo' } };

/** One for each version of the SDK. */
const users = {};

for (const client of clients) {
  describe(`useChat({ resume: true }) of ${client.version}`, { concurrency: true }, () => {
    const { open, openAndAsk, stop } = pagesOf(client);

    test('a new chat has nothing to resume, and is asked its first question', async () => {
      const page = open();
      await page.settled();
      assert.deepEqual(page.requests, [`GET /api/chat/${page.id}/stream 204`]);
      assert.equal(page.chat.status, 'ready', String(page.chat.error));
      assert.deepEqual(page.shown, []);

      await page.chat.sendMessage({ text: 'hello there' }, QUICK);
      await page.until(() => page.shown.length === 2 && page.chat.status === 'ready');
      assert.equal(page.lastText, 'hello there');
    });

    test('a chat where no answer is running is shown as it was loaded', async () => {
      const before = open();
      await before.settled();
      await before.chat.sendMessage({ text: 'hello there' }, QUICK);
      await before.until(() => before.shown.length === 2 && before.chat.status === 'ready');
      const messages = structuredClone(before.chat.messages);
      before.close();

      const page = open({ chat: before.id, messages });
      await page.settled();
      assert.deepEqual(page.requests, [`GET /api/chat/${page.id}/stream 204`]);
      assert.equal(page.chat.status, 'ready', String(page.chat.error));
      assert.deepEqual(page.chat.messages, messages);
    });

    const LOADED = {
      'the question': (messages) => messages.slice(0, 1),
      'the question and part of the answer': (messages) => messages,
    };
    for (const [what, loaded] of Object.entries(LOADED)) {
      test(`a page that is reloaded with ${what} shows the answer once, and whole`, async () => {
        const before = await openAndAsk();
        const [question, partial] = structuredClone(before.chat.messages);
        before.close();

        const page = open({ chat: before.id, messages: loaded([question, partial]) });
        await page.until(() => page.lastText.length > textOf(partial).length);
        assert.ok(page.lastText.length < COUNTED.length, 'it came back too late');
        assert.equal(page.chat.status, 'streaming');
        await page.settled();
        assert.equal(page.chat.status, 'ready', String(page.chat.error));
        assert.deepEqual(page.shown, [
          { id: question.id, text: 'count' },
          { id: partial.id, text: COUNTED },
        ]);
        assert.equal(page.chat.messages[1].metadata.usage.completionTokens, 200);
        assert.deepEqual(page.requests, [`GET /api/chat/${page.id}/stream 200`]);
      });
    }

    test('an answer that ended meanwhile is there for a page that asks for all of it', async () => {
      const before = open();
      await before.settled();
      await before.chat.sendMessage({ text: 'hello there' }, QUICK);
      await before.until(() => before.shown.length === 2 && before.chat.status === 'ready');
      const messages = structuredClone(before.chat.messages);
      before.close();

      const prepareReconnectToStreamRequest = ({ api, id }) => ({ api: `${api}/${id}/stream?after=0` });
      const transport = { prepareReconnectToStreamRequest };
      const page = open({ chat: before.id, messages: messages.slice(0, 1), transport });
      await page.until(() => page.shown.length === 2 && page.chat.status === 'ready');
      assert.deepEqual(page.chat.messages, messages);

      const other = open({ transport });
      await other.settled();
      assert.equal(other.chat.status, 'ready', 'a new chat is no error either');
    });

    test('every tab shows the same', async () => {
      const first = await openAndAsk();
      const messages = structuredClone(first.chat.messages.slice(0, 1));
      const others = [open({ chat: first.id, messages }), open({ chat: first.id, messages })];
      for (const page of others) {
        await page.until(() => page.chat.status === 'streaming' && page.shown.length === 2);
      }
      for (const page of [first, ...others]) {
        await page.settled();
        assert.equal(page.chat.status, 'ready', String(page.chat.error));
        assert.deepEqual(page.chat.messages, first.chat.messages);
        assert.deepEqual(page.shown, first.shown);
      }
      assert.equal(first.lastText, COUNTED);
    });

    test('stop() disconnects only this page, and the stop route stops the answer for every client', async () => {
      const page = await openAndAsk();
      const messages = structuredClone(page.chat.messages.slice(0, 1));
      await page.chat.stop();
      await page.until(() => page.chat.status === 'ready');
      const left = page.lastText.length;
      const other = open({ chat: page.id, messages });
      await other.until(() => other.chat.status === 'streaming' && other.lastText.length > left);

      const stopped = await stop(page.id);
      assert.equal(stopped.status, 200);
      assert.deepEqual(await stopped.json(), { messageId: page.shown[1].id, ended: true });
      await other.settled();
      assert.equal(other.chat.status, 'ready', String(other.chat.error));
      assert.deepEqual(other.shown.map(({ id }) => id), page.shown.map(({ id }) => id));
      const said = other.lastText;
      assert.ok(COUNTED.startsWith(said) && left < said.length && said.length < COUNTED.length, said);

      const reloaded = open({ chat: page.id, messages: structuredClone(other.chat.messages) });
      await reloaded.settled();
      assert.deepEqual(reloaded.requests, [`GET /api/chat/${page.id}/stream 204`]);
      assert.equal(reloaded.lastText, said);
      assert.equal((await stop(page.id)).status, 204);
      await reloaded.chat.sendMessage({ text: 'and now' }, QUICK);
      await reloaded.until(() => reloaded.chat.status === 'ready' && reloaded.shown.length === 4);
      assert.deepEqual(reloaded.shown.map(({ text }) => text), ['count', said, 'and now', 'and now']);
    });

    test('stop() alone does not end the answer, which blocks the next question', async () => {
      const page = await openAndAsk();
      await page.chat.stop();
      await page.until(() => page.chat.status === 'ready');
      await page.chat.sendMessage({ text: 'and now' }, QUICK);
      await page.until(() => page.chat.status === 'error');
      const { error } = JSON.parse(page.chat.error.message);
      assert.equal(error.code, 'turn_running');
      assert.equal((await stop(page.id)).status, 200);
      await page.chat.regenerate(QUICK);
      await page.until(() => page.chat.status === 'ready');
      assert.equal(page.lastText, 'and now');
    });

    test('"try again" after a lost connection joins the answer that is being written', async () => {
      const page = await openAndAsk();
      const shown = page.shown;
      page.cutNetwork();
      await page.until(() => page.chat.status === 'error');
      page.chat.regenerate(SLOW);
      await page.until(() => page.chat.status === 'streaming');
      await page.settled();
      assert.equal(page.chat.status, 'ready', String(page.chat.error));
      assert.deepEqual(page.shown, [shown[0], { id: shown[1].id, text: COUNTED }]);
    });

    for (const ownChat of waysOf(client)) {
      test(`a page with ${named(ownChat)} goes on after its connection broke`, async () => {
        const page = await openAndAsk({ ownChat });
        const shown = page.shown;
        page.cutNetwork();
        await page.until(() => page.chat.status === 'error');
        assert.ok(page.lastText.length < COUNTED.length);
        page.chat.resumeStream();
        await page.until(() => page.chat.status === 'streaming');
        await page.settled();
        assert.equal(page.chat.status, 'ready', String(page.chat.error));
        assert.deepEqual(page.shown, [shown[0], { id: shown[1].id, text: COUNTED }]);
      });
    }
  });
}

// One after another, and after all others: these pages share a document, and so its events.
for (const client of clients) {
  describe(`a tab of ${client.version} that is looked at again after its connection broke`, () => {
    const { openAndAsk } = pagesOf(client);

    for (const ownChat of waysOf(client)) {
      test(`goes on by itself with ${named(ownChat)}`, async () => {
        const page = await openAndAsk({ ownChat });
        const shown = page.shown;
        page.cutNetwork();
        await page.until(() => page.chat.status === 'error');
        document.dispatchEvent(new window.Event('visibilitychange'));
        await page.until(() => page.chat.status === 'streaming');
        await page.settled();
        assert.equal(page.chat.status, 'ready', String(page.chat.error));
        assert.deepEqual(page.shown, [shown[0], { id: shown[1].id, text: COUNTED }]);
      });
    }
  });
}

/** Whether the app makes the `Chat`, or the hook. After a connection broke, the hook of ai 6 keeps the beginning
 * of the answer and appends all of it, unless it is given a `Chat`. */
function waysOf(client) {
  return client.version === 'ai 6' ? [true] : [true, false];
}

function named(ownChat) {
  return ownChat ? 'a Chat of its own' : 'the chat of the hook';
}

/** Opens pages, all of the same user, until the tests are over. */
function pagesOf(client) {
  let user;
  const pages = [];
  before(async () => {
    user = await (users[client.version] ??= newUser());
  });
  after(() => pages.forEach((page) => page.close()));

  const open = ({ chat = randomBytes(8).toString('hex'), ...options } = {}) => {
    const page = Object.assign(new Page(client, user, { chat, ...options }), { id: chat });
    pages.push(page);
    return page;
  };
  /** A page in the middle of an answer. */
  const openAndAsk = async (options) => {
    const page = open(options);
    await page.settled();
    page.chat.sendMessage({ text: 'count' }, SLOW);
    await page.until(() => page.chat.messages.length === 2 && /^1 2 3 .* 20 /.test(page.lastText));
    return page;
  };
  const stop = (chat) => user.fetch(`/api/chat/${chat}/stop`, { method: 'POST' });
  return { open, openAndAsk, stop };
}
