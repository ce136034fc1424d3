import {
  answer as answerType,
  type Citation,
  type FlowDocument,
  type NodeDocument,
  type Sampling,
  TesseraError,
} from "@tessera/core";
import {
  isOptional,
  type JsonSchema,
  type ModelCall,
  referencesOf,
  required,
  splitReference,
} from "@tessera/core/internal";
import { answerText, chatPorts, historyValue, type RunEvent } from "@tessera/graph/internal";
import type { FlowHandle } from "@tessera/tessera";
import { endWith, readUntil } from "./client.js";
import type { Key } from "./keys.js";
import { fieldPath } from "./openai/errors.js";
import { TextLimits } from "./openai/limits.js";
import type { ChatDelta, ChatRequest, ChatTarget, ExtraModels } from "./openai/target.js";
import { answerIn, askedIn, questionOf } from "./questions.js";
import { may } from "./rights.js";
import { type Asked, deliver, startRun } from "./run-starts.js";
import type { Service } from "./server.js";

/** Whether a flow takes a JSON Schema that its answer meets. */
const takesSchema = ({ document: { input } }: FlowHandle): boolean =>
  Object.hasOwn(input, "schema") && (required(input.schema!) as JsonSchema).type === "object";

/**
 * What a chat feeds: the user's question is `query`, everything else is `history` where the flow takes one, and the schema of
 * `response_format` is `schema`.
 */
function inputOf(flow: FlowHandle, { question, schema, thread }: ChatRequest): Record<string, unknown> {
  const { document } = flow;
  if (!question)
    throw new TesseraError("BAD_INPUT", "a flow answers a message of the user", { path: fieldPath("messages") });
  const { query, history } = chatPorts(document);
  const { text, others } = question;
  if (thread !== undefined && others.length > 0)
    throw new TesseraError("BAD_INPUT", "the thread holds what was said before: send the new message alone", {
      path: fieldPath("messages"),
    });
  const takesHistory = history !== undefined && others.length > 0;
  const { input, serve = {} } = document;
  return {
    ...serve.with,
    [query]: text,
    ...(schema && takesSchema(flow) && { schema }),
    ...(takesHistory && { [history]: historyValue(input[history]!, others) }),
  };
}

/** Whether a flow can answer chats: a message feeds it, nothing else must, and one of its outputs is the answer. */
function chats({ document }: FlowHandle): boolean {
  const { input, serve = {} } = document;
  const { query, history, answer } = chatPorts(document);
  const fed = new Set([query, history, ...Object.keys(serve.with ?? {})]);
  return (
    input[query] === "text" &&
    Object.entries(input).every(([port, type]) => fed.has(port) || isOptional(type)) &&
    answer !== undefined
  );
}

/** The citations of a flow's answer, where one of its outputs is one. */
function citationsOf(output: Record<string, unknown> | undefined, port: string): readonly Citation[] {
  for (const value of [output?.[port], ...Object.values(output ?? {})]) {
    const parsed = answerType.safeParse(value);
    if (parsed.success) return parsed.data.citations;
  }
  return [];
}

/** The nodes that feed an output. */
const feeding = ({ output, nodes }: FlowDocument, port: string): string[] =>
  [...new Set(referencesOf(output[port]!).map((reference) => splitReference(reference)[0]))].filter((id) =>
    Object.hasOwn(nodes, id),
  );

/** Whether a node asks a language model, or something inside it does. */
function asksModel({ run, with: config }: NodeDocument): boolean {
  if (typeof run !== "string") return Object.values(run.nodes).some(asksModel);
  return typeof (config as { model?: unknown } | undefined)?.model === "string";
}

const estimateSlack = 1.6; // an estimate is up to so many times the true count

/** What a request asks of a flow: of the models that write its answer, and of the text itself. */
function limitsOf({ document }: FlowHandle, answer: string, request: ChatRequest) {
  const { temperature, topP, seed, stop, given } = request;
  const { maxTokens } = given;
  const nodes = feeding(document, answer);
  const paths = nodes.map((id) => `${document.name}/${id}`);
  const asked = { temperature, topP, seed, maxTokens };
  const sampling: Sampling | undefined = Object.values(asked).some((value) => value !== undefined)
    ? { ...asked, paths }
    : undefined;
  // a model counts its own tokens; what no model wrote is counted here
  const isWritten = nodes.length > 0 && nodes.every((id) => asksModel(document.nodes[id]!));
  const most = maxTokens !== undefined && isWritten ? Math.ceil(maxTokens * estimateSlack) : maxTokens;
  return { sampling, paths, text: new TextLimits({ stop, maxTokens: most }) };
}

/** Adds up what the models of a run wrote, and how the last answer of those ended that write for the client. */
class Heard {
  completion = 0;
  finish: "stop" | "length" | undefined;

  constructor(private readonly paths: readonly string[]) {}

  hear({ type, data }: RunEvent): void {
    if (type !== "model-end") return;
    const { path, completion, finish } = data as unknown as ModelCall & { path: string };
    this.completion += completion;
    if (this.paths.some((node) => path === node || (/^[/#[]/.test(path.slice(node.length)) && path.startsWith(node))))
      this.finish = finish;
  }
}

interface Chatting {
  readonly service: Service;
  readonly key: Key;
  readonly flow: FlowHandle;
}

/** A run under way, and its last event that was told already. */
interface Followed {
  readonly id: string;
  readonly after: number;
}

async function begun(
  { service, key, flow }: Chatting,
  request: ChatRequest,
  how: Pick<Asked, "sampling" | "signal">,
): Promise<Followed> {
  const asked = {
    flow: flow.document.name,
    input: inputOf(flow, request),
    seed: request.seed,
    thread: request.thread,
    ...how,
  };
  return { id: (await startRun(service, key, asked)).id, after: 0 };
}

/** Where the last message of the assistant was the question of a run that waits: that run, which this message answers. */
async function answered({ service, key, flow }: Chatting, { question }: ChatRequest): Promise<Followed | undefined> {
  const { runs } = service;
  const asked = askedIn(question?.others.findLast(({ role }) => role === "assistant")?.content);
  if (!asked || !question) return undefined;
  const { run, path } = asked;
  const known = await runs.get(run);
  if (known && known.flow !== flow.document.name) return undefined;
  let after = 0;
  if (known?.status === "waiting") for await (const { sequence } of runs.events(run)) after = sequence;
  const wait = known?.waits?.find((one) => one.path === path);
  await deliver(service, key, run, { path, value: answerIn(question.text, wait) });
  return { id: run, after };
}

/** The run of a flow as the answer of a model. */
async function* answerOf(
  { service, key, flow, port }: { service: Service; key: Key; flow: FlowHandle; port: string },
  request: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<ChatDelta> {
  const { runs } = service;
  const { sampling, paths, text: limits } = limitsOf(flow, port, request);
  const { id, after } =
    (await answered({ service, key, flow }, request)) ??
    (await begun({ service, key, flow }, request, { sampling, signal }));
  const untie = endWith(signal, runs, id);
  const heard = new Heard(paths);
  let said = "";
  let hasEnded = false;
  try {
    for await (const event of readUntil(signal, runs.events(id, after))) {
      heard.hear(event);
      const { port: to, delta } = event.data as { port?: string; delta?: unknown };
      if (event.type !== "output-delta" || to !== port || typeof delta !== "string") continue;
      said += delta;
      const text = limits.push(delta);
      if (text !== "") yield { text };
    }
    const settled = await runs.settled(id);
    const { status, output, error, spent } = settled;
    hasEnded = true;
    if (error) throw new TesseraError(error.code, error.message, error as { path?: string; hint?: string });
    if (status === "interrupted")
      throw new TesseraError("CLOSED", "the service closed before the run had ended", { path: id });
    const whole = status === "waiting" ? questionOf(settled) : answerText(output?.[port]);
    // the value at the end is the truth: what was not streamed of it follows
    const rest = limits.push(whole.startsWith(said) ? whole.slice(said.length) : "") + limits.end();
    const tokens = spent?.tokens ?? 0;
    const completion = Math.min(heard.completion, tokens);
    const citations = citationsOf(output, port);
    yield {
      text: rest,
      ...(citations.length > 0 && { citations }),
      finish: limits.cut ?? (status === "budget" ? "length" : (heard.finish ?? "stop")),
      usage: { prompt: tokens - completion, completion },
    };
  } finally {
    untie();
    if (!hasEnded) void runs.cancel(id).catch(() => {}); // the reader left early
  }
}

/** Each flow that answers questions, as a model. `keyOf` gives the key behind the id of a caller. */
export function flowModels(service: Service, keyOf: (id: string) => Key | undefined): ExtraModels {
  const { library } = service;
  const visible = (caller: { key: string }, flow: string) => {
    const key = keyOf(caller.key);
    return key !== undefined && may(key, { to: "run", flow });
  };
  const target = (flow: FlowHandle, port: string): ChatTarget => ({
    ownedBy: "tessera-flow",
    revision: flow.hash.slice(0, 12),
    capabilities: new Set([
      "seed",
      ...(chatPorts(flow.document).history === undefined ? [] : (["thread"] as const)),
      ...(takesSchema(flow) ? (["json"] as const) : []),
    ]),
    async *answer(request, caller, signal) {
      const key = keyOf(caller.key);
      if (!key) throw new TesseraError("UNAUTHENTICATED", "the key is no more");
      yield* answerOf({ service, key, flow, port }, request, signal);
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
      return chats(flow) ? target(flow, chatPorts(flow.document).answer!) : undefined;
    },
  };
}
