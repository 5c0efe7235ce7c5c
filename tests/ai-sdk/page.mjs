// A page of an app, as in a browser: the hook, rendered by React, over a network that can be cut.

import { setTimeout as sleep } from 'node:timers/promises';

import { Window } from 'happy-dom';

import { textOf } from './judge.mjs';
import { appUrl } from './product.mjs';

// React needs the browser's globals when it is imported.
const window = new Window({ url: appUrl });
const { document, navigator } = window;
for (const [name, value] of Object.entries({ window, document, navigator })) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
const { createElement: element } = await import('react');
const { createRoot } = await import('react-dom/client');

/** A page of a chat. `shown` is read from its DOM; `chat` is the hook's latest result. */
export class Page {
  /** The requests so far: `POST /api/chat 200`. */
  requests = [];
  /** The hook's latest result. */
  chat;
  #user;
  #root;
  #container;
  #network = new AbortController();

  /**
   * Opens a page of `chat`, which resumes as every page of an app does.
   *
   * `messages` are those that the app has loaded before. `transport` has further options of the transport. With
   * `ownChat`, the page creates the `Chat` and passes it to the hook.
   */
  constructor(client, user, { chat: id, messages = [], transport = {}, ownChat = false }) {
    this.#user = user;
    const { useChat, Chat, DefaultChatTransport } = client;
    const options = {
      id,
      messages,
      transport: new DefaultChatTransport({ api: '/api/chat', fetch: this.#fetch, ...transport }),
    };
    const given = ownChat ? { chat: new Chat(options) } : options;
    const App = () => {
      this.chat = useChat({ ...given, resume: true });
      return this.chat.messages.map((message) =>
        element('article', { key: message.id, id: message.id }, textOf(message)),
      );
    };
    this.#container = document.body.appendChild(document.createElement('main'));
    this.#root = createRoot(this.#container);
    this.#root.render(element(App));
  }

  /** The visible messages: their ids and texts. */
  get shown() {
    return Array.from(this.#container.children, ({ id, textContent: text }) => ({ id, text }));
  }

  /** The text of the last visible message. */
  get lastText() {
    return this.shown.at(-1)?.text ?? '';
  }

  /** Waits until the page is rendered and `condition` holds. */
  async until(condition) {
    for (const began = Date.now(); !(this.chat && condition(this)); await sleep(5)) {
      if (Date.now() - began > 20_000) {
        const { status, error } = this.chat ?? {};
        const state = JSON.stringify({ status, error: error?.message, shown: this.shown });
        throw new Error(`not within 20 s: ${condition}; ${this.requests.join(', ')}; ${state}`);
      }
    }
  }

  /** Waits until the request to resume is answered and the hook is idle. */
  async settled() {
    await this.until(({ requests, chat }) => requests.length > 0 && ['ready', 'error'].includes(chat.status));
  }

  /** Breaks all connections of the page, as a tunnel does. */
  cutNetwork() {
    this.#network.abort();
    this.#network = new AbortController();
  }

  /** Closes the page without notice to the hook, as a reload does. */
  close() {
    this.cutNetwork();
    this.#root.unmount();
    this.#container.remove();
  }

  #fetch = async (url, init) => {
    const network = this.#network.signal;
    const signals = [network, init.signal].filter(Boolean);
    const response = await this.#user.fetch(url, { ...init, signal: AbortSignal.any(signals) });
    this.requests.push(`${init.method} ${url} ${response.status}`);
    if (!response.body) return response;
    return new Response(ReadableStream.from(withBrowserErrors(response.body, network)), response);
  };
}

/** Throws a browser's error for a broken connection: it differs from Node's, and the SDK checks for it. */
async function* withBrowserErrors(body, network) {
  try {
    yield* body;
  } catch (error) {
    throw network.aborted ? new TypeError('network error') : error;
  }
}
