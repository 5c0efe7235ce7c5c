// The tested versions of the SDK, each under common names.

import * as ai7 from 'ai';
import * as ai6 from 'ai-6';
import * as strict from 'ai-6-strict';
import * as react7 from '@ai-sdk/react';
import * as react6 from '@ai-sdk/react-6';

/** Clients: the hook, its `Chat`, and the transport that fits them. */
export const clients = [client('ai 7', ai7, react7), client('ai 6', ai6, react6)];

function client(version, { DefaultChatTransport }, { Chat, useChat }) {
  return { version, Chat, useChat, DefaultChatTransport };
}

/** Readers of a raw stream. Releases up to 6.0.50 refuse keys that they do not know. */
export const readers = [
  { version: 'ai 7', ...ai7 },
  { version: 'ai 6', ...ai6 },
  { version: 'ai 6.0.50, strict', ...strict },
];
