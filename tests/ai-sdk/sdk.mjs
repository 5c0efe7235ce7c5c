// The versions of the SDK that are tested, each with what it calls the same.

import * as ai7 from 'ai';
import * as ai6 from 'ai-6';
import * as strict from 'ai-6-strict';
import { Chat as Chat7 } from '@ai-sdk/react';
import { Chat as Chat6 } from '@ai-sdk/react-6';

/** Clients: the hook's `Chat` and the transport that fits it. */
export const clients = [
  { version: 'ai 7', Chat: Chat7, DefaultChatTransport: ai7.DefaultChatTransport },
  { version: 'ai 6', Chat: Chat6, DefaultChatTransport: ai6.DefaultChatTransport },
];

/** Readers of a raw stream. Releases up to 6.0.50 refuse keys that they do not know. */
export const readers = [
  { version: 'ai 7', ...ai7 },
  { version: 'ai 6', ...ai6 },
  { version: 'ai 6.0.50, strict', ...strict },
];
