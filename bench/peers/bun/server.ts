// A chat turn as a monolith on Bun and Hono would serve it: the work of a turn of the product, without what the
// product adds for Lambda (live log, inbox, resumable streams) and without row-level security.

import { RedisClient, SQL } from "bun";
import { Hono } from "hono";
import { getCookie } from "hono/cookie";
import { HTTPException } from "hono/http-exception";
import { verify } from "hono/jwt";
import { begin, finish, isSessionValid, type Usage } from "./database";
import { Events } from "./upstream";

const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

const TURNS_PER_MINUTE = 60;
const CREDITS_PER_TURN = 1;

// Counts a turn and starts its window: one command, so that no counter is left without an expiry.
const COUNT_TURN = `
  local turns = redis.call('incr', KEYS[1])
  if turns == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end
  return turns`;

const origin = env("APP_ORIGIN");
// SESSION_KEYS is `id:secret`.
const sessionKey = await crypto.subtle.importKey(
  "raw",
  new TextEncoder().encode(env("SESSION_KEYS").split(":")[1]),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["verify"],
);
const sql = new SQL(env("DATABASE_URL"), { max: Number(env("DATABASE_POOL_SIZE")) });
const cache = new RedisClient(env("CACHE_URL"));
const countTurn: string = await cache.send("SCRIPT", ["LOAD", COUNT_TURN]);
const url = `${env("OPENROUTER_BASE_URL")}/chat/completions`;
const authorization = `Bearer ${env("OPENROUTER_API_KEY")}`;

interface ChatBody {
  id: string;
  message: { parts: { text: string }[] };
  model: string;
}

async function isWithinRateLimit(user: string): Promise<boolean> {
  const turns = await cache.send("EVALSHA", [countTurn, "1", `peer:{${user}}:turns`, "60000"]);
  return Number(turns) <= TURNS_PER_MINUTE;
}

const encoder = new TextEncoder();
const frame = (event: object): Uint8Array => encoder.encode(`data: ${JSON.stringify(event)}\n\n`);
const DONE = encoder.encode("data: [DONE]\n\n");

const app = new Hono();

app.post("/api/chat", async (c) => {
  const token = getCookie(c, "session", "host");
  if (token === undefined) throw new HTTPException(401);
  const [session, body] = await Promise.all([
    verify(token, sessionKey, { alg: "HS256", iss: origin }).catch(() => {
      throw new HTTPException(401);
    }),
    c.req.json<ChatBody>(),
  ]);
  const user = session.sub as string;
  const [isAllowed, isValid] = await Promise.all([
    isWithinRateLimit(user),
    isSessionValid(sql, session.jti as string, user),
  ]);
  if (!isValid) throw new HTTPException(401);
  if (!isAllowed) throw new HTTPException(429);

  const question = body.message.parts.map((part) => part.text).join("");
  const turn = { user, chat: body.id, answer: crypto.randomUUID(), model: body.model, credits: CREDITS_PER_TURN };
  const context = await begin(sql, turn, question);
  const messages = [...context, { role: "user", content: question }];
  const upstream = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", authorization },
    body: JSON.stringify({ model: body.model, messages, stream: true, usage: { include: true } }),
  });
  if (!upstream.ok || upstream.body === null) {
    await finish(sql, turn, "failed", "", {});
    throw new HTTPException(502);
  }

  const source = upstream.body;
  const stream = new ReadableStream({
    async start(out) {
      let isOpen = true;
      // The turn goes on if the client is gone.
      const send = (bytes: Uint8Array) => {
        if (!isOpen) return;
        try {
          out.enqueue(bytes);
        } catch {
          isOpen = false;
        }
      };
      send(frame({ type: "start", messageId: turn.answer }));
      let answer = "";
      let usage: Usage = {};
      let status = "complete";
      try {
        const events = new Events();
        for await (const bytes of source) {
          for (const chunk of events.read(bytes)) {
            if (chunk.usage) usage = chunk.usage;
            const delta = chunk.choices[0]?.delta.content;
            if (!delta) continue;
            if (answer === "") send(frame({ type: "text-start", id: "0" }));
            answer += delta;
            send(frame({ type: "text-delta", id: "0", delta }));
          }
        }
        if (answer !== "") send(frame({ type: "text-end", id: "0" }));
      } catch {
        status = "interrupted";
      }
      try {
        await finish(sql, turn, status, answer, usage);
        send(frame(status === "complete" ? { type: "finish" } : { type: "error", errorText: "interrupted" }));
      } catch {
        send(frame({ type: "error", errorText: "not saved" }));
      }
      send(DONE);
      if (isOpen) out.close();
    },
  });
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-vercel-ai-ui-message-stream": "v1",
    },
  });
});

Bun.serve({ hostname: "127.0.0.1", port: Number(env("PORT")), fetch: app.fetch, idleTimeout: 0 });

// Ends with the bench, which holds the other end of this pipe.
process.stdin.on("end", () => process.exit(0)).resume();
