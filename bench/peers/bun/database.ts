// The statements of a turn. Those of a transaction are sent together (Bun pipelines them) and are prepared once per
// connection.

import type { SQL } from "bun";
import { HTTPException } from "hono/http-exception";

export interface Turn {
  user: string;
  chat: string;
  answer: string;
  model: string;
  credits: number;
}

export interface Usage {
  prompt_tokens?: number;
  completion_tokens?: number;
  cost?: number;
}

interface Message {
  role: string;
  content: string;
}

export async function isSessionValid(sql: SQL, session: string, user: string): Promise<boolean> {
  const rows = await sql`
    select from peer_bun.sessions
     where id = ${session} and user_id = ${user} and revoked_at is null and expires_at > now()`;
  return rows.length === 1;
}

/** Stores the question and an open answer, and reserves credits. Returns the context of the prompt. */
export async function begin(sql: SQL, turn: Turn, question: string): Promise<Message[]> {
  const { user, chat, answer, model, credits } = turn;
  return sql.begin(async (tx: SQL) => {
    const [, , recent, summaries, paid] = await Promise.all([
      // As in the product: a question that a crash loses is asked again, an answer is not lost.
      tx`set local synchronous_commit = off`,
      // Locks the chat until the transaction ends.
      tx`insert into peer_bun.chats (user_id, id, title, updated_at)
         values (${user}, ${chat}, ${question.slice(0, 60)}, now())
         on conflict (user_id, id) do update set updated_at = now()`,
      tx`select role, status, content from peer_bun.messages
          where user_id = ${user} and chat_id = ${chat} order by number desc limit 5`,
      tx`select content from peer_bun.summaries
          where user_id = ${user} and chat_id = ${chat} order by id desc limit 1`,
      tx`update peer_bun.credits set balance = balance - ${credits}
          where user_id = ${user} and balance >= ${credits} returning balance`,
      tx`insert into peer_bun.messages (id, user_id, chat_id, role, status, content, model)
         values (${crypto.randomUUID()}, ${user}, ${chat}, 'user', 'complete', ${question}, null),
                (${answer}, ${user}, ${chat}, 'assistant', 'streaming', '', ${model})`,
      tx`insert into peer_bun.turns (answer_id, user_id, chat_id, credits, state)
         values (${answer}, ${user}, ${chat}, ${credits}, 'open')`,
    ]);
    if (recent[0]?.status === "streaming") throw new HTTPException(409);
    if (paid.length === 0) throw new HTTPException(402);
    const context: Message[] = recent.reverse().map(({ role, content }: Message) => ({ role, content }));
    if (summaries.length === 1) context.unshift({ role: "system", content: summaries[0].content });
    return context;
  });
}

/** Stores the answer and settles the turn; one without an answer costs nothing. */
export async function finish(sql: SQL, turn: Turn, status: string, content: string, usage: Usage): Promise<void> {
  const { prompt_tokens = null, completion_tokens = null, cost = null } = usage;
  const isCharged = content !== "";
  await sql.begin((tx: SQL) =>
    Promise.all([
      tx`update peer_bun.messages
            set status = ${status}, content = ${content}, prompt_tokens = ${prompt_tokens},
                completion_tokens = ${completion_tokens}, cost_usd = ${cost}
          where id = ${turn.answer}`,
      tx`update peer_bun.turns
            set state = ${isCharged ? "settled" : "released"}, prompt_tokens = ${prompt_tokens},
                completion_tokens = ${completion_tokens}, cost_usd = ${cost}, ended_at = now()
          where answer_id = ${turn.answer}`,
      ...(isCharged
        ? []
        : [tx`update peer_bun.credits set balance = balance + ${turn.credits} where user_id = ${turn.user}`]),
    ]),
  );
}
