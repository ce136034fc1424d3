import { join } from "node:path";
import { createInterface } from "node:readline";
import {
  type Answer,
  answer as answerPort,
  type Hit,
  hits as hitsPort,
  type Records,
  TesseraError,
} from "@tessera/core";
import { whereOf } from "@tessera/core/internal";
import { diskRecords } from "@tessera/graph";
import type { OpenedCodebase } from "@tessera/tessera";
import { colors } from "../colors.js";
import { configResources, joinResources } from "../config-resources.js";
import { readFlow } from "../documents.js";
import type { EncoderOptions } from "../engine.js";
import { homeOf } from "../index-home.js";
import { type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import { type OpenedFlow, openFlow, runOpened } from "../run.js";
import { settingsFor } from "../settings.js";
import { type Terminal, UsageError } from "../terminal.js";
import { openQuestioned, showSources } from "./ask.js";

export interface ChatOptions extends EncoderOptions, LanguageModelOptions {
  readonly source?: string;
  readonly flow: string;
  /** A conversation that is kept in the folder of this user. */
  readonly thread?: string;
  /** Where the questions come from, a line each. */
  readonly input?: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly signal?: AbortSignal;
}

/** The most characters of a conversation that the next question is read with. */
const longestHistory = 12_000;

const help =
  "/sources  the sources of the last answer\n/why      what was asked, and what was found\n/new      forget the conversation\n/quit     end it (Ctrl-D too); Ctrl-C ends an answer";

/** What was said last, and what the next question follows on: in memory, or in a thread. */
class Conversation {
  #messages: string[] = [];
  last: { readonly answer: Answer; readonly output: Readonly<Record<string, unknown>> } | undefined;

  constructor(
    /** The id of the thread. */
    readonly thread?: string | undefined,
    private readonly records?: Records | undefined,
  ) {}

  /** The messages as the input `history` of a flow: whole ones from the end. Nothing where the thread gives it. */
  get history(): string {
    if (this.thread !== undefined) return "";
    const kept: string[] = [];
    let room = longestHistory;
    for (const message of this.#messages.toReversed()) {
      room -= message.length + 1;
      if (room < 0) break;
      kept.unshift(message);
    }
    return kept.join("\n");
  }

  add(question: string, answer: Answer, output: Readonly<Record<string, unknown>>): void {
    this.last = { answer, output };
    this.#messages.push(`user: ${question}`, `assistant: ${answer.text}`);
  }

  async forget(): Promise<void> {
    this.#messages = [];
    this.last = undefined;
    if (this.thread !== undefined) await this.records?.threads?.remove({ owner: "", id: this.thread });
  }
}

/** What the last answer was made of: the question as it was searched, and the passages with their scores. */
function why(terminal: Terminal, { last }: Conversation): void {
  if (!last) return terminal.say("nothing was asked yet");
  const { query, hits } = last.output;
  if (typeof query === "string") terminal.say(`${colors.dim("asked:")} ${query}`);
  const found = hitsPort.safeParse(hits);
  const rows = (found.success ? found.data : []).map(({ passage, score }: Hit, index) => [
    index + 1,
    score.toFixed(3),
    passage.source ? whereOf(passage.source) : passage.id,
  ]);
  terminal.table(["", "score", "passage"], rows);
}

/** Does what a line with a slash says. @returns whether the conversation goes on */
async function obey(terminal: Terminal, command: string, conversation: Conversation): Promise<boolean> {
  switch (command) {
    case "/quit":
    case "/exit":
      return false;
    case "/sources":
      if (!conversation.last) terminal.say("nothing was asked yet");
      else if (conversation.last.answer.citations.length === 0) terminal.say("the last answer cites nothing");
      else showSources(terminal, conversation.last.answer.citations);
      return true;
    case "/why":
      why(terminal, conversation);
      return true;
    case "/new":
      await conversation.forget();
      return true;
    default:
      terminal.say(help);
      return true;
  }
}

/** Answers one question; what fails is told, and the conversation goes on. */
async function answerOne(
  terminal: Terminal,
  opened: OpenedFlow,
  question: string,
  conversation: Conversation,
  signal: AbortSignal,
): Promise<void> {
  const { history, thread } = conversation;
  const takesHistory = Object.hasOwn(opened.flow.document.input, "history") && history !== "";
  const input = { query: question, ...(takesHistory && { history }) };
  try {
    const { result, wrote } = await runOpened(terminal, opened, input, { streamed: "text", signal, thread });
    const parsed = answerPort.safeParse(result.output.answer);
    if (!parsed.success)
      throw new UsageError(`the flow "${opened.flow.document.name}" has no output "answer" of type answer`);
    if (!wrote) terminal.say(parsed.data.text);
    conversation.add(question, parsed.data, result.output as Record<string, unknown>);
    const { text, refused, citations } = parsed.data;
    terminal.line({ question, answer: text, refused, citations });
    showSources(terminal, citations);
  } catch (error) {
    if (!TesseraError.is(error)) throw error;
    terminal.say();
    if (signal.aborted) terminal.note("the answer was ended");
    else terminal.error(error);
  }
}

/** Reads questions line by line until the input ends, and answers each with what was said before. */
async function converse(
  terminal: Terminal,
  opened: OpenedFlow,
  conversation: Conversation,
  options: ChatOptions,
): Promise<void> {
  const { input = process.stdin, signal } = options;
  const isTerminal = input.isTTY === true;
  const lines = createInterface({ input, output: isTerminal ? process.stdout : undefined, terminal: isTerminal });
  let answering: AbortController | undefined;
  // in a terminal Ctrl-C comes here and not to the process
  lines.on("SIGINT", () => (answering ? answering.abort() : lines.close()));
  signal?.addEventListener("abort", () => lines.close(), { once: true });
  const prompt = (): void => {
    if (!isTerminal) return;
    lines.setPrompt(colors.bold("> "));
    lines.prompt();
  };
  prompt();
  for await (const line of lines) {
    const said = line.trim();
    if (said.startsWith("/")) {
      if (!(await obey(terminal, said, conversation))) break;
    } else if (said !== "") {
      answering = new AbortController();
      const ended = AbortSignal.any([answering.signal, ...(signal ? [signal] : [])]);
      await answerOne(terminal, opened, said, conversation, ended);
      answering = undefined;
    }
    if (signal?.aborted) break;
    terminal.say();
    prompt();
  }
  lines.close();
}

/** Each conversation has a folder of its own, so that several may go on at the same time. @throws UsageError */
function folderOf(thread: string): string {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(thread))
    throw new UsageError(`--thread is a name of letters, digits, - and _, not "${thread}"`);
  return join(homeOf("conversations"), thread);
}

/** Frees a conversation whose process died while it answered, and shows how it ended. */
async function takeOver(terminal: Terminal, { threads }: Records, id: string): Promise<void> {
  const name = { owner: "", id };
  const known = await threads!.get(name);
  if (known?.open) await threads!.close(name, known.open.run);
  const [last] = known ? await threads!.turns(name, { limit: 1 }) : [];
  if (last) terminal.note(`going on after ${known!.turns} questions; the last was: ${last.user}`);
}

/**
 * A conversation about a folder. Each question is answered with the messages before it, its sources follow.
 * @throws UsageError where there is no model
 */
export async function chat(terminal: Terminal, options: ChatOptions): Promise<number> {
  const { flows } = await settingsFor(terminal);
  const document = await readFlow(options.flow, flows);
  const model = await openLanguageModel(terminal, options);
  let codebase: OpenedCodebase | undefined;
  let opened: OpenedFlow | undefined;
  let records: Records | undefined;
  try {
    if (!model)
      throw new UsageError(
        "a conversation needs a model: name one in tessera.config.json (docs/config.md), or give --endpoint and --model",
      );
    codebase = await openQuestioned(terminal, options, document);
    const own = await configResources(terminal, options.engine);
    const { thread } = options;
    records = thread === undefined ? undefined : diskRecords(folderOf(thread));
    opened = await openFlow(terminal, document, joinResources(own, codebase.resources, { model: { model } }), records);
    if (records && thread !== undefined) await takeOver(terminal, records, thread);
    if (options.input?.isTTY) terminal.note("ask about the folder; /help lists what else can be said");
    await converse(terminal, opened, new Conversation(thread, records), options);
    return 0;
  } finally {
    await opened?.close();
    await records?.close?.();
    await codebase?.close();
    await model?.close?.();
  }
}
