// The stream of OpenRouter's chat completions.

import type { Usage } from "./database";

export interface Chunk {
  choices: { delta: { content?: string } }[];
  usage?: Usage;
}

/** Parses server-sent events; comments and the final `[DONE]` are skipped. */
export class Events {
  #decoder = new TextDecoder();
  #unread = "";

  /** The events that `bytes` complete. */
  read(bytes: Uint8Array): Chunk[] {
    const text = this.#unread + this.#decoder.decode(bytes, { stream: true });
    const chunks: Chunk[] = [];
    let from = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", from)) {
      if (text.startsWith("data: {", from)) chunks.push(JSON.parse(text.slice(from + 6, end)));
      from = end + 1;
    }
    this.#unread = text.slice(from);
    return chunks;
  }
}
