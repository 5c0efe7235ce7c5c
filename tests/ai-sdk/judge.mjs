// Validates a raw stream with the SDK's own parser, schema and state machine.

import assert from 'node:assert/strict';

import { readers } from './sdk.mjs';

/**
 * Asserts that every version of the SDK reads `raw` to its end without errors, with the result `expected`:
 * the `text`, and the end of the stream: `finish` with the reason, `error` with the code, or `abort`.
 */
export async function assertStream(raw, expected) {
  assert.deepEqual(framingProblems(raw), [], raw);
  for (const reader of readers) {
    const judged = await judge(reader, raw);
    assert.deepEqual(judged.problems, [], `${reader.version} on\n${raw}`);
    assertEnds(judged, expected, reader.version);
  }
}

/** The errors in the events' framing, found without the SDK. */
function framingProblems(raw) {
  const problems = [];
  if (!raw.endsWith('data: [DONE]\n\n')) problems.push('does not end with [DONE]');
  const events = raw.split('\n\n').filter((event) => event.includes('data:'));
  // [DONE] has no id, nor has an error that does not come from the turn itself.
  const numbered = events.filter((event) => !/^data: (\[DONE\]|\{"type":"error")/.test(event));
  const ids = numbered.map((event) => Number(/^id: (\d+)$/m.exec(event)?.[1]));
  if (ids.some((id, index) => id !== index + 1)) problems.push(`ids are not 1, 2, 3 …: ${ids}`);
  return problems;
}

/** Reads a body with one version of the SDK; returns the result and the problems. */
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

  // An `error` part is valid: the state machine runs up to it, and so must accept everything before it.
  const withoutErrors = parts.filter((part) => part.type !== 'error');
  let message;
  try {
    const stream = ReadableStream.from(withoutErrors);
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
  } else if (expected.abort) {
    assert.deepEqual(last, { type: 'abort' }, version);
    assert.equal(message.metadata.model, expected.abort, version);
  } else {
    assert.equal(last.type, 'finish', version);
    assert.equal(last.finishReason, expected.finish, version);
    assert.ok(message.metadata.usage.promptTokens > 0, version);
    assert.equal(typeof message.metadata.costUsd, 'number', version);
  }
  const text = message ? textOf(message) : '';
  if (expected.text instanceof RegExp) assert.match(text, expected.text, version);
  else assert.equal(text, expected.text, version);
}

/** A message's text. */
export function textOf(message) {
  const texts = message.parts.filter((part) => part.type === 'text');
  return texts.map((part) => part.text).join('');
}
