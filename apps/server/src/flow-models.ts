import { type FlowDocument, isOptional, type Message, required, TesseraError } from "@tessera/core";
import type { CompiledFlow } from "@tessera/graph";
import { endWith } from "./client.js";
import type { Key } from "./keys.js";
import type { ChatTarget, ExtraModels } from "./openai/target.js";
import { startRun } from "./run-routes.js";
import type { Service } from "./server.js";

/** What a chat feeds: the last message is `query`, those before it are `history` where the flow takes one. */
function inputOf(
  { document: { input, serve = {} } }: CompiledFlow,
  messages: readonly Message[],
): Record<string, unknown> {
  const last = messages.at(-1);
  if (last?.role !== "user")
    throw new TesseraError("BAD_INPUT", "a flow answers a message of the user", { path: "messages" });
  const { query = "query", history = "history" } = serve;
  const before = messages.slice(0, -1);
  const takesHistory = Object.hasOwn(input, history) && before.length > 0;
  return {
    ...serve.with,
    [query]: last.content,
    ...(takesHistory && {
      [history]:
        required(input[history]!) === "text"
          ? before.map(({ role, content }) => `${role}: ${content}`).join("\n")
          : before,
    }),
  };
}

const answerPort = ({ output, serve = {} }: FlowDocument): string | undefined =>
  serve.text ?? ["text", "answer"].find((port) => Object.hasOwn(output, port));

/** Whether a flow can answer chats: a message feeds it, nothing else must, and one of its outputs is the answer. */
function chats({ document }: CompiledFlow): boolean {
  const { input, serve = {} } = document;
  const { query = "query", history = "history" } = serve;
  const fed = new Set([query, history, ...Object.keys(serve.with ?? {})]);
  return (
    input[query] === "text" &&
    Object.entries(input).every(([port, type]) => fed.has(port) || isOptional(type)) &&
    answerPort(document) !== undefined
  );
}

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : ((value as { text?: string } | null | undefined)?.text ?? "");

/** Each flow that answers questions, as a model. `keyOf` gives the key behind the id of a caller. */
export function flowModels(service: Service, keyOf: (id: string) => Key | undefined): ExtraModels {
  const { library, runs } = service;
  const visible = (caller: { key: string }, name: string) => keyOf(caller.key)?.flows?.includes(name) ?? true;
  const target = (flow: CompiledFlow, answer: string): ChatTarget => ({
    ownedBy: "tessera-flow",
    revision: flow.hash.slice(0, 12),
    capabilities: new Set(),
    async *answer({ messages, seed }, caller, signal) {
      const key = keyOf(caller.key);
      if (!key) throw new TesseraError("UNAUTHENTICATED", "the key is no more");
      const asked = { flow: flow.document.name, input: inputOf(flow, messages), seed, signal };
      const { id } = await startRun(service, key, asked);
      const untie = endWith(signal, runs, id);
      let said = "";
      try {
        for await (const { type, data } of runs.events(id)) {
          const { port, delta } = data as { port?: string; delta?: unknown };
          if (type !== "output-delta" || port !== answer || typeof delta !== "string") continue;
          said += delta;
          yield { text: delta };
        }
        const { output, error, spent } = await runs.settled(id);
        if (error) throw new TesseraError(error.code, error.message, error as { path?: string; hint?: string });
        const whole = textOf(output?.[answer]);
        // the value at the end is the truth: what was not streamed of it follows
        yield {
          text: whole.startsWith(said) ? whole.slice(said.length) : "",
          finish: "stop",
          usage: { prompt: 0, completion: spent?.tokens ?? 0 },
        };
      } finally {
        untie();
        void runs.cancel(id).catch(() => {}); // where the reader left early
      }
    },
  });
  return {
    async list(caller) {
      const flows = await Promise.all(
        library.names.filter((name) => visible(caller, name)).map((n) => library.flow(n)),
      );
      return flows.filter(chats).map(({ document: { name } }) => ({ name, ownedBy: "tessera-flow" }));
    },
    async open(name, caller) {
      if (!library.names.includes(name) || !visible(caller, name)) return undefined;
      const flow = await library.flow(name);
      return chats(flow) ? target(flow, answerPort(flow.document)!) : undefined;
    },
  };
}
