// The raw stream of every model of the fake, validated by the SDK's parser, schema and state machine. A stream
// must end explicitly: one that just stops looks like success to the client.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';

import { assertStream } from './judge.mjs';
import { newUser, silenceSeconds } from './product.mjs';

const QUESTION = 'What is the answer?';
const UNFINISHED = 'This answer will not be';

/** How each model's stream ends, and the text until then. */
const STREAMS = {
  'fake/echo': { finish: 'stop', text: QUESTION },
  'fake/echo:free': { finish: 'stop', text: QUESTION },
  'fake/slow': { finish: 'stop', text: /^1 2 3 .* 199 200 $/ },
  'fake/unstoppable': { finish: 'stop', text: /^1 2 3 .* 199 200 $/ },
  'fake/blind': { finish: 'stop', text: QUESTION },
  'fake/reasoning': { finish: 'stop', text: QUESTION },
  'fake/cited': { finish: 'stop', text: QUESTION },
  'fake/usage-with-choices': { finish: 'stop', text: QUESTION },
  'fake/crlf': { finish: 'stop', text: QUESTION },
  'fake/burst': { finish: 'stop', text: QUESTION },
  'fake/utf8': { finish: 'stop', text: 'Grüße — 世界 🚀 καλημέρα 👩‍🚀 ñandú' },
  'fake/bytes': { finish: 'stop', text: QUESTION },
  'fake/length': { finish: 'length', text: QUESTION },
  'fake/filtered': { finish: 'content-filter', text: UNFINISHED },
  'fake/empty': { finish: 'stop', text: '' },
  'fake/fail-first': { error: 'model_failed', text: '' },
  'fake/fail-midstream': { error: 'model_busy', text: UNFINISHED },
  'fake/fail-midstream-string': { error: 'model_failed', text: UNFINISHED },
  'fake/cut': { error: 'model_failed', text: UNFINISHED },
  'fake/silent': { error: 'model_timed_out', text: '', silent: true },
  'fake/comments': { error: 'model_timed_out', text: '', silent: true },
  'fake/bench-200-10': { finish: 'stop', text: /./ },
};

/** Those that answer with a status, which is no stream. */
const STATUSES = /^fake\/(hang|status-\d+)$/;

describe('the stream of', { concurrency: true }, () => {
  let user;
  before(async () => {
    user = await newUser();
  });

  test('every model is judged here', async () => {
    const response = await user.fetch('/api/models');
    const offered = (await response.json()).items.map((model) => model.id);
    const fakes = offered.filter((id) => id.startsWith('fake/') && !STATUSES.test(id));
    assert.deepEqual(fakes.sort(), Object.keys(STREAMS).sort());
  });

  for (const [model, expected] of Object.entries(STREAMS)) {
    const skip = expected.silent && silenceSeconds > 10 && `takes MODEL_SILENCE_SECONDS, ${silenceSeconds}`;
    test(model, { skip }, async () => {
      const { response, raw } = await ask(user, model);
      assert.equal(response.status, 200, raw);
      assert.match(response.headers.get('content-type'), /^text\/event-stream/);
      assert.equal(response.headers.get('x-vercel-ai-ui-message-stream'), 'v1');
      await assertStream(raw, expected);
    });
  }
});

async function ask(user, model) {
  const response = await user.fetch('/api/chat', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      id: randomBytes(8).toString('hex'),
      model,
      message: { role: 'user', parts: [{ type: 'text', text: QUESTION }] },
    }),
  });
  return { response, raw: await response.text() };
}
