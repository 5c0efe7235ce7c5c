// The raw stream of every model of the stand-in, judged by the SDK's parser, schema and state
// machine. A stream must say how it ends: one that just stops looks like success to the client.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';

import { newUser, silenceSeconds } from './product.mjs';
import { readers } from './sdk.mjs';

const QUESTION = 'What is the answer?';
const UNFINISHED = 'This answer will not be';

/** How each model's stream ends, and the text until then. */
const STREAMS = {
  'fake/echo': { finish: 'stop', text: QUESTION },
  'fake/echo:free': { finish: 'stop', text: QUESTION },
  'fake/slow': { finish: 'stop', text: /^1 2 3 .* 199 200 $/ },
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
      assert.deepEqual(framingProblems(raw), []);
      for (const reader of readers) {
        const judged = await judge(reader, raw);
        assert.deepEqual(judged.problems, [], `${reader.version} on\n${raw}`);
        assertEnds(judged, expected, reader.version);
      }
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

/** What is wrong with the events themselves, read without the SDK. */
function framingProblems(raw) {
  const problems = [];
  if (!raw.endsWith('data: [DONE]\n\n')) problems.push('does not end with [DONE]');
  const events = raw.split('\n\n').filter((event) => event.includes('data:'));
  const ids = events.slice(0, -1).map((event) => Number(/^id: (\d+)$/m.exec(event)?.[1]));
  if (ids.some((id, index) => id !== index + 1)) problems.push(`ids are not 1, 2, 3 …: ${ids}`);
  return problems;
}

/** What one version of the SDK makes of a body, and what it finds wrong with it. */
async function judge({ parseJsonEventStream, readUIMessageStream, uiMessageChunkSchema }, raw) {
  const problems = [];
  const parts = [];
  const body = new Blob([raw]).stream();
  for await (const part of parseJsonEventStream({ stream: body, schema: uiMessageChunkSchema })) {
    if (part.success) parts.push(part.value);
    else problems.push(`schema: ${part.error.message}`);
  }

  const [first, last] = [parts[0], parts.at(-1)];
  if (first?.type !== 'start') problems.push(`begins with ${first?.type}`);
  else if (!first.messageId) problems.push('start names no message: a resumed stream would double it');
  if (!['finish', 'error', 'abort'].includes(last?.type)) problems.push(`ends with ${last?.type}`);

  // An `error` part is no fault of the stream: the machine is run up to it, and so must be able to
  // take everything before it.
  const told = parts.filter((part) => part.type !== 'error');
  let message;
  try {
    const stream = ReadableStream.from(told);
    for await (const state of readUIMessageStream({ stream, terminateOnError: true })) message = state;
  } catch (error) {
    problems.push(`state machine: ${error.message}`);
  }
  if (message && message.id !== first?.messageId) problems.push(`the message became ${message.id}`);
  return { problems, last, message };
}

function assertEnds({ last, message }, expected, version) {
  if (expected.error) {
    assert.equal(last.type, 'error', version);
    const { error } = JSON.parse(last.errorText);
    assert.equal(error.code, expected.error, version);
    assert.ok(error.message, version);
  } else {
    assert.equal(last.type, 'finish', version);
    assert.equal(last.finishReason, expected.finish, version);
    assert.ok(message.metadata.usage.promptTokens > 0, version);
    assert.equal(typeof message.metadata.costUsd, 'number', version);
  }
  const text = (message?.parts ?? []).filter((part) => part.type === 'text').map((part) => part.text);
  if (expected.text instanceof RegExp) assert.match(text.join(''), expected.text, version);
  else assert.equal(text.join(''), expected.text, version);
}
