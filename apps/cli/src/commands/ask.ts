import { type Answer, answer as answerPort, type FlowDocument } from "@tessera/core";
import { type Unread, whereOf } from "@tessera/core/internal";
import type { OpenedCodebase } from "@tessera/tessera";
import { openSource, type SourceOptions } from "../codebase.js";
import { colors } from "../colors.js";
import { configResources, joinResources } from "../config-resources.js";
import { readFlow } from "../documents.js";
import { type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import { questionOf } from "../question.js";
import { runFlow } from "../run.js";
import { settingsFor } from "../settings.js";
import { type Terminal, UsageError } from "../terminal.js";
import { noteUnreadAnswer } from "../unread.js";
import { usesVectors } from "../vectors.js";

export interface AskOptions extends SourceOptions, LanguageModelOptions {
  readonly questionFile?: string;
  readonly source?: string;
  /** By default that of the config; else "rag" where there is a model, and "hybrid" where there is none. */
  readonly flow?: string;
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
  const question = await questionOf(words, options.questionFile);
  const { config, flows } = await settingsFor(terminal);
  const model = await openLanguageModel(terminal, options);
  let opened: OpenedCodebase | undefined;
  try {
    const document = await readFlow(options.flow ?? config.flow ?? (model ? "rag" : "hybrid"), flows);
    opened = await openQuestioned(terminal, options, document);
    const resources = joinResources(
      await configResources(terminal, options.engine),
      opened.resources,
      model ? { model: { model } } : {},
    );
    terminal.say(`${colors.bold(question)}\n`);
    const streamed = { trace: options.trace, streamed: "text", signal: options.signal };
    const ran = await runFlow(terminal, document, { query: question }, resources, streamed);
    show(terminal, document.name, ran, { ...options, skipped: opened.report?.skipped ?? [] });
    return 0;
  } finally {
    await opened?.close();
    await model?.close?.();
  }
}

/** Prints what was answered and not yet written, and the sources; under --json both, and the events where asked for. */
function show(
  terminal: Terminal,
  flow: string,
  { result, events, wrote }: Awaited<ReturnType<typeof runFlow>>,
  options: Pick<AskOptions, "trace" | "events"> & { readonly skipped: readonly Unread[] },
): void {
  const parsed = answerPort.safeParse(result.output.answer);
  if (!parsed.success)
    throw new UsageError(`the flow "${flow}" has no output "answer" of type answer; use \`tessera run\``);
  const { text, citations, refused } = parsed.data;
  terminal.result({
    answer: text,
    refused,
    citations: citations.map(({ passage: _, ...place }) => place),
    flow,
    skipped: options.skipped,
    spent: result.spent,
    ...(options.events && { events }),
  });
  if (!wrote) terminal.say(`${options.trace ? "\n" : ""}${text}`);
  if (citations.length > 0) {
    terminal.say();
    showSources(terminal, citations);
  }
  if (refused || citations.length === 0) noteUnreadAnswer(terminal, options.skipped);
}
