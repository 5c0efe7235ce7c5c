// The SDK's own `Chat`, with its own transport, holds conversations with the product. Nothing is adapted: the
// transport gets the API's URL and a model, as in any app.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { textOf } from './judge.mjs';
import { newUser } from './product.mjs';
import { clients } from './sdk.mjs';

for (const client of clients) {
  describe(`a conversation with ${client.version}`, () => {
    const newChat = chatsOfOneUser(client);

    test('a question is answered as the model speaks', async () => {
      const chat = newChat('fake/bench-20-20');
      const statuses = [];
      const seen = [];
      chat['~registerStatusCallback'](() => statuses.push(chat.status));
      chat['~registerMessagesCallback'](() => {
        const said = chat.messages[1] && textOf(chat.messages[1]);
        if (said && said !== seen.at(-1)?.said) seen.push({ said, at: performance.now() });
      });
      await chat.sendMessage({ text: 'count' });

      assert.equal(chat.error, undefined);
      assert.deepEqual(statuses, ['submitted', 'streaming', 'ready']);
      // 20 chunks, 20 ms apart: most are received one by one, and the first long before the last.
      assert.ok(seen.length > 10, `only ${seen.length} steps were seen`);
      const took = seen.at(-1).at - seen[0].at;
      assert.ok(took > 200, `the whole answer came within ${took} ms`);
      for (const [index, { said }] of seen.slice(1).entries()) {
        assert.ok(said.startsWith(seen[index].said), 'text was taken back');
      }
    });

    test('the answer has the id and the metadata that the stream gives it', async () => {
      const chat = newChat('fake/echo');
      await chat.sendMessage({ text: 'hello there world' });

      assert.equal(chat.status, 'ready', String(chat.error));
      const [question, answer] = chat.messages;
      assert.equal(chat.messages.length, 2);
      assert.equal(textOf(question), 'hello there world');
      assert.equal(answer.role, 'assistant');
      assert.equal(textOf(answer), 'hello there world');
      assert.ok(answer.parts.filter((part) => part.type === 'text').every((part) => part.state === 'done'));
      assert.equal(answer.id, firstPart(await chat.user.received[0]).messageId);
      assert.equal(answer.metadata.model, 'fake/echo');
      assert.equal(answer.metadata.usage.completionTokens, 3);
      assert.ok(answer.metadata.usage.promptTokens > 3);
      // The fake's prices: $0.000001 for a token of the prompt, twice that for one of the answer.
      const { promptTokens } = answer.metadata.usage;
      assert.ok(Math.abs(answer.metadata.costUsd - (promptTokens + 6) / 1e6) < 1e-12);
    });

    test('a second question is sent with the whole history, and the model gets the first one too', async () => {
      const chat = newChat('fake/echo');
      await chat.sendMessage({ text: 'the first question' });
      const history = structuredClone(chat.messages);
      await chat.sendMessage({ text: 'and a second' });

      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), [
        'the first question',
        'the first question',
        'and a second',
        'and a second',
      ]);
      assert.equal(chat.user.sent.length, 2);
      assert.equal(chat.user.sent[1].trigger, 'submit-message');
      assert.deepEqual(chat.user.sent[1].messages.slice(0, 2), plain(history));
      assert.deepEqual(chat.messages.slice(0, 2), history);
      assert.equal(new Set(chat.messages.map((message) => message.id)).size, 4);
      // Three words of the question, three of the answer.
      assert.equal(promptTokens(chat, 3) - promptTokens(chat, 1), 6);
    });

    for (const byId of [false, true]) {
      const how = byId ? 'the message id' : 'no argument';
      test(`regenerate() with ${how} replaces the last answer`, async () => {
        const chat = newChat('fake/echo');
        await chat.sendMessage({ text: 'the first question' });
        await chat.sendMessage({ text: 'say it again' });
        const before = structuredClone(chat.messages);
        await chat.regenerate(byId ? { messageId: before[3].id } : undefined);

        assert.equal(chat.status, 'ready', String(chat.error));
        assert.equal(chat.user.sent[2].trigger, 'regenerate-message');
        assert.deepEqual(chat.messages.slice(0, 3), before.slice(0, 3));
        assert.equal(chat.messages.length, 4);
        assert.equal(textOf(chat.messages[3]), 'say it again');
        assert.notEqual(chat.messages[3].id, before[3].id);
        // The replaced answer is not in the model's context.
        assert.equal(promptTokens(chat, 3), before[3].metadata.usage.promptTokens);

        await chat.sendMessage({ text: 'go on' });
        assert.equal(chat.status, 'ready', String(chat.error));
        assert.equal(textOf(chat.messages[5]), 'go on');
        assert.equal(promptTokens(chat, 5) - promptTokens(chat, 3), 5);
      });
    }

    test('regenerate() of an earlier answer goes back to its question', async () => {
      const chat = newChat('fake/echo');
      await chat.sendMessage({ text: 'one' });
      await chat.sendMessage({ text: 'two' });
      const [question, answer] = structuredClone(chat.messages);
      await chat.regenerate({ messageId: answer.id });

      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), ['one', 'one']);
      assert.deepEqual(chat.messages[0], question);
      assert.equal(promptTokens(chat, 1), answer.metadata.usage.promptTokens);
    });

    test('an edited question is answered, and regenerate() answers the edited one', async () => {
      const chat = newChat('fake/echo');
      await chat.sendMessage({ text: 'first as it was' });
      const [original, answer] = structuredClone(chat.messages);
      await chat.sendMessage({ text: 'something later' });
      await chat.sendMessage({ text: 'first as it is', messageId: original.id });

      assert.equal(chat.status, 'ready', String(chat.error));
      assert.equal(chat.user.sent[2].messageId, original.id);
      assert.deepEqual(chat.messages.map(textOf), ['first as it is', 'first as it is']);
      assert.equal(chat.messages[0].id, original.id);
      const edited = structuredClone(chat.messages[1]);
      assert.notEqual(edited.id, answer.id);
      // Neither the old question nor its descendants are in the context.
      assert.equal(edited.metadata.usage.promptTokens, answer.metadata.usage.promptTokens);

      await chat.regenerate();
      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), ['first as it is', 'first as it is']);
      assert.notEqual(chat.messages[1].id, edited.id);

      await chat.sendMessage({ text: 'and once more', messageId: original.id });
      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), ['and once more', 'and once more']);
    });

    test('reasoning comes as a part of its own, before the text', async () => {
      const chat = newChat('fake/reasoning');
      await chat.sendMessage({ text: 'why' });

      assert.equal(chat.status, 'ready', String(chat.error));
      const parts = chat.messages[1].parts.filter((part) => part.type !== 'step-start');
      assert.deepEqual(
        parts.map(({ type, text, state }) => ({ type, text, state })),
        [
          { type: 'reasoning', text: 'The user said something, so I say it again.', state: 'done' },
          { type: 'text', text: 'why', state: 'done' },
        ],
      );
      assert.ok(chat.messages[1].metadata.usage.reasoningTokens > 0);
    });

    test('citations come as sources', async () => {
      const chat = newChat('fake/cited');
      await chat.sendMessage({ text: 'says who' });

      assert.equal(chat.status, 'ready', String(chat.error));
      assert.equal(textOf(chat.messages[1]), 'says who');
      const sources = chat.messages[1].parts.filter((part) => part.type === 'source-url');
      assert.equal(sources.length, 2);
      assert.equal(new Set(sources.map((source) => source.sourceId)).size, 2);
      for (const source of sources) {
        assert.match(source.url, /^https:\/\/example\.com\/./);
        assert.match(source.title, /^The .* source$/);
      }
    });
  });
}

for (const client of clients) {
  describe(`what goes wrong with ${client.version}`, () => {
    const newChat = chatsOfOneUser(client);

    test('a model that fails in the middle leaves an error with a code, and the text so far', async () => {
      const chat = newChat('fake/fail-midstream');
      await chat.sendMessage({ text: 'try' });

      assert.equal(chat.status, 'error');
      assert.equal(JSON.parse(chat.error.message).error.code, 'model_busy');
      assert.match(textOf(chat.messages[1]), /\w/);
      const answer = structuredClone(chat.messages[1]);

      await chat.sendMessage({ text: 'and now' }, { body: { model: 'fake/echo' } });
      assert.equal(chat.status, 'ready', String(chat.error));
      assert.equal(textOf(chat.messages[1]), textOf(answer));
      assert.equal(textOf(chat.messages[3]), 'and now');
    });

    test('regenerate() retries a failed answer', async () => {
      const chat = newChat('fake/fail-midstream');
      await chat.sendMessage({ text: 'try' });
      assert.equal(chat.status, 'error');
      await chat.regenerate({ body: { model: 'fake/echo' } });

      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), ['try', 'try']);
    });

    test('an error before the first byte is the JSON of its body', async () => {
      const chat = newChat('fake/status-429');
      await chat.sendMessage({ text: 'too much' });

      assert.equal(chat.status, 'error');
      assert.equal(JSON.parse(chat.error.message).error.code, 'model_busy');
      assert.equal(chat.messages.length, 1, 'there is no answer');

      await chat.regenerate({ body: { model: 'fake/echo' } });
      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), ['too much', 'too much']);
    });

    // One that only the provider can reject, and one that is no valid id.
    for (const model of ['nobody/knows-me', 'not a model']) {
      test(`the unknown model "${model}" is refused, and a new question to another is answered`, async () => {
        const chat = newChat(model);
        await chat.sendMessage({ text: 'who is there' });
        assert.equal(chat.status, 'error');
        assert.equal(JSON.parse(chat.error.message).error.code, 'model_unknown');
        assert.equal(chat.messages.length, 1, 'there is no answer');

        await chat.sendMessage({ text: 'and there' }, { body: { model: 'fake/echo' } });
        assert.equal(chat.status, 'ready', String(chat.error));
        assert.deepEqual(chat.messages.map(textOf), ['who is there', 'and there', 'and there']);
      });
    }

    // An app's "try again": it cannot know whether the question was stored.
    test('regenerate() asks a question that was refused before it was stored', async () => {
      const chat = newChat('not a model');
      await chat.sendMessage({ text: 'who is there' });
      assert.equal(chat.status, 'error');
      await chat.regenerate({ body: { model: 'fake/echo' } });

      assert.equal(chat.status, 'ready', String(chat.error));
      assert.deepEqual(chat.messages.map(textOf), ['who is there', 'who is there']);
    });
  });
}

/** Makes chats of a new user. Each of them clears `sent` and `received`. */
function chatsOfOneUser({ Chat, DefaultChatTransport }) {
  let user;
  before(async () => {
    user = await newUser();
  });
  return (model) => {
    user.forget();
    const transport = new DefaultChatTransport({ api: '/api/chat', body: { model }, fetch: user.fetch });
    return Object.assign(new Chat({ transport }), { user });
  };
}

const promptTokens = (chat, index) => chat.messages[index].metadata.usage.promptTokens;

/** As it looks after a journey through JSON. */
const plain = (value) => JSON.parse(JSON.stringify(value));

/** The first part of a stream, read without the SDK. */
function firstPart(body) {
  const line = body.split('\n').find((line) => line.startsWith('data: '));
  return JSON.parse(line.slice('data: '.length));
}
