// The raw streams of answers that are resumed, stopped, or orphaned, validated by the SDK.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';

import { assertStream } from './judge.mjs';
import { killed, newUser, shutDown } from './product.mjs';

/** What `fake/slow` says, and what it has said when it was broken off. */
const COUNTED = Array.from({ length: 200 }, (_, index) => `${index + 1} `).join('');
const BEGINNING = /^1 2 3 (\d+ )*$/;

describe('the SDK takes the stream of an answer', { concurrency: true }, () => {
  let user;
  before(async () => {
    user = await newUser();
  });

  /** Asks, and returns the stream once the answer has begun. */
  const ask = async (chat, model, { number = 1, process = '' } = {}) => {
    const parts = [{ type: 'text', text: 'count' }];
    const message = { id: `${chat}-${number}`, role: 'user', parts };
    const response = await user.fetch(`${process}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: chat, model, message }),
    });
    assert.equal(response.status, 200);
    return response;
  };
  const follow = async (chat, query = '') => {
    const response = await user.fetch(`/api/chat/${chat}/stream${query}`);
    assert.equal(response.status, 200, await (response.ok ? '' : response.text()));
    return response;
  };
  const newChat = () => randomBytes(8).toString('hex');

  test('that is resumed after a disconnection, and without one', async () => {
    const chat = newChat();
    const first = await ask(chat, 'fake/slow');
    const left = await follow(chat);
    await saying(left, '10');
    const [whole, resumed] = await Promise.all([first.text(), (await follow(chat)).text()]);
    assert.equal(withoutComments(resumed), withoutComments(whole));
    await assertStream(resumed, { finish: 'stop', text: COUNTED });
    const again = await (await follow(chat, '?after=0')).text();
    assert.equal(withoutComments(again), withoutComments(whole));
  });

  test('that is requested twice (a duplicate request)', async () => {
    const chat = newChat();
    const responses = await Promise.all([ask(chat, 'fake/slow'), ask(chat, 'fake/slow')]);
    const [first, second] = await Promise.all(responses.map((response) => response.text()));
    assert.equal(withoutComments(second), withoutComments(first));
    await assertStream(second, { finish: 'stop', text: COUNTED });
  });

  test('that is stopped', async () => {
    const chat = newChat();
    const first = await ask(chat, 'fake/slow');
    const resumed = await follow(chat);
    await saying(await follow(chat), '10');
    const stopped = await user.fetch(`/api/chat/${chat}/stop`, { method: 'POST' });
    assert.equal((await stopped.json()).ended, true);
    for (const raw of [await first.text(), await resumed.text()]) {
      await assertStream(raw, { abort: 'fake/slow', text: BEGINNING });
      assert.match(raw, /"message-metadata".*\n\nid: \d+\ndata: \{"type":"abort"\}/);
    }
  });

  test('that failed, and is requested again', async () => {
    const chat = newChat();
    const whole = await (await ask(chat, 'fake/fail-midstream')).text();
    const again = await (await follow(chat, '?after=0')).text();
    assert.equal(withoutComments(again), withoutComments(whole));
    await assertStream(again, { error: 'model_busy', text: /./ });
  });

  const processes = { 'shuts down': shutDown, 'is killed': killed };
  for (const [how, process] of Object.entries(processes)) {
    const skip = !process && 'needs a process to end';
    test(`whose process ${how}`, { skip }, async () => {
      const chat = newChat();
      const first = (await ask(chat, 'fake/slow', { process: process.url })).text();
      first.catch(() => {}); // handled below
      const resumed = await follow(chat);
      await saying(await follow(chat), '10');
      process.end();
      const interrupted = { error: 'answer_interrupted', text: BEGINNING };
      await assertStream(await resumed.text(), interrupted);
      if (process === shutDown) await assertStream(await first, interrupted);
      else await assert.rejects(first);

      const again = await ask(chat, 'fake/slow');
      await assertStream(await again.text(), interrupted);
      const next = await ask(chat, 'fake/slow', { number: 2 });
      await saying(next, '10');
    });
  }
});

/** Reads a stream until it contains `word`, and disconnects. */
async function saying(response, word) {
  let raw = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    raw += chunk;
    if (raw.includes(`"delta":"${word} "`)) return;
  }
  assert.fail(`"${word}" never arrived:\n${raw}`);
}

/** A stream without its heartbeats, whose number varies. */
const withoutComments = (raw) => raw.replaceAll(/^:.*\n\n/gm, '');
