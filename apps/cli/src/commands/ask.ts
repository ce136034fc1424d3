import { type Answer, answer as answerPort, type FlowDocument } from "@tessera/core";
import { type Unread, whereOf } from "@tessera/core/internal";
import type { OpenedCodebase } from "@tessera/tessera";
import { openSource, type SourceOptions } from "../codebase.js";
import { colors } from "../colors.js";
import { configResources, joinResources } from "../config-resources.js";
import { readFlow, schemaInput } from "../documents.js";
import { type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import { questionOf } from "../question.js";
import { type OpenedFlow, openFlow, runOpened } from "../run.js";
import { settingsFor } from "../settings.js";
import { Stopwatch, type Times } from "../stopwatch.js";
import { type Terminal, UsageError } from "../terminal.js";
import { noteUnreadAnswer } from "../unread.js";
import { usesVectors } from "../vectors.js";

export interface AskOptions extends SourceOptions, LanguageModelOptions {
  readonly questionFile?: string;
  readonly source?: string;
  /** "structured" with a schema; else that of the config; else "rag" where there is a model, and "hybrid" where there is none. */
  readonly flow?: string;
  /** A file with the JSON Schema of the answer, which is JSON then. */
  readonly jsonSchema?: string;
  readonly trace?: boolean;
  /** Under --json: with every event of the run. */
  readonly events?: boolean;
}

const placeOf = (citation: Answer["citations"][number]): string => {
  const { path, symbol, passage } = citation;
  if (path === undefined) return passage;
  return `${whereOf(citation)}${symbol === undefined ? "" : `  ${colors.dim(symbol)}`}`;
};

/** The folder that a flow's questions are about: that of the options, of the config, or the working directory. */
export async function openQuestioned(
  terminal: Terminal,
  options: Pick<AskOptions, "source"> & SourceOptions,
  document: FlowDocument,
): Promise<OpenedCodebase> {
  const { config, flows, at } = await settingsFor(terminal);
  const source = options.source ?? (config.source === undefined ? "." : at(config.source));
  const encoder = options.encoder ?? config.encoder;
  return openSource(terminal, source, { ...options, encoder, vectors: usesVectors(document, flows) });
}

/** Prints the sources of an answer, a line each. */
export function showSources(terminal: Terminal, citations: Answer["citations"]): void {
  for (const citation of citations) {
    const copies = (citation.copies ?? []).map(({ path, passage, ...place }) =>
      whereOf({ path: path ?? passage, ...place }),
    );
    const besides = copies.length > 0 ? colors.dim(`  the same in ${copies.join(", ")}`) : "";
    terminal.say(`${colors.cyan(`[${citation.marker}]`)} ${placeOf(citation)}${besides}`);
  }
}

/** Answers a question about a folder, with citations; by a model where there is one. */
export async function ask(terminal: Terminal, words: string | undefined, options: AskOptions): Promise<number> {
  const watch = new Stopwatch();
  const question = await questionOf(words, options.questionFile);
  const { config, flows } = await settingsFor(terminal);
  const model = await openLanguageModel(terminal, options);
  let codebase: OpenedCodebase | undefined;
  let opened: OpenedFlow | undefined;
  try {
    if (options.jsonSchema !== undefined && !model)
      throw new UsageError(
        "--json-schema needs a model that fills it: --model, --endpoint or a config (docs/config.md)",
      );
    const usual = options.jsonSchema === undefined ? (config.flow ?? (model ? "rag" : "hybrid")) : "structured";
    const document = await readFlow(options.flow ?? usual, flows);
    const schema = await schemaInput(document, options.jsonSchema);
    codebase = await openQuestioned(terminal, options, document);
    const resources = joinResources(
      await configResources(terminal, options.engine),
      codebase.resources,
      model ? { model: { model: watch.watched(model) } } : {},
    );
    opened = await openFlow(terminal, document, resources);
    watch.opened();
    terminal.say(`${colors.bold(question)}\n`);
    const streamed = { trace: options.trace, streamed: "text", signal: options.signal, hear: () => watch.shown() };
    const ran = await runOpened(terminal, opened, { query: question, ...schema }, streamed);
    show(terminal, document.name, ran, { ...options, skipped: codebase.report?.skipped ?? [], times: watch.times });
    return 0;
  } finally {
    await opened?.close();
    await codebase?.close();
    await model?.close?.();
  }
}

/** Says what the time until the first word went to. */
function noteTimes(terminal: Terminal, { start, open, search, model, ours, processor }: Times): void {
  const whole = (milliseconds: number): string => `${milliseconds.toFixed(0)} ms`;
  const parts = `start ${whole(start)}, open ${whole(open)}, search ${whole(search)}`;
  terminal.note(
    `first word: ours ${whole(ours)} (${parts}; ${whole(processor)} of the processor), the model's ${whole(model)}`,
  );
}

/** Prints what was answered and not yet written, and the sources; under --json both, and the events where asked for. */
function show(
  terminal: Terminal,
  flow: string,
  { result, events, wrote }: Awaited<ReturnType<typeof runOpened>>,
  options: Pick<AskOptions, "trace" | "events"> & { readonly skipped: readonly Unread[]; readonly times: Times },
): void {
  const parsed = answerPort.safeParse(result.output.answer);
  if (!parsed.success)
    throw new UsageError(`the flow "${flow}" has no output "answer" of type answer; use \`tessera run\``);
  const { text, citations, refused } = parsed.data;
  terminal.result({
    answer: text,
    ...("value" in result.output && { value: result.output.value }),
    refused,
    citations: citations.map(({ passage: _, ...place }) => place),
    flow,
    skipped: options.skipped,
    spent: result.spent,
    times: Object.fromEntries(
      Object.entries(options.times).map(([name, value]) => [name, Math.round(value * 10) / 10]),
    ),
    ...(options.events && { events }),
  });
  if (!wrote) terminal.say(`${options.trace ? "\n" : ""}${text}`);
  if (citations.length > 0) {
    terminal.say();
    showSources(terminal, citations);
  }
  if (options.trace) noteTimes(terminal, options.times);
  if (refused || citations.length === 0) noteUnreadAnswer(terminal, options.skipped);
}
