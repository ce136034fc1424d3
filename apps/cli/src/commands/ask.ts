import { type Answer, answer as answerPort } from "@tessera/core";
import { whereOf } from "@tessera/core/internal";
import { openSource } from "../codebase.js";
import { colors } from "../colors.js";
import { readFlow } from "../documents.js";
import type { EncoderOptions } from "../engine.js";
import { runFlow } from "../run.js";
import { type Terminal, UsageError } from "../terminal.js";

export interface AskOptions extends EncoderOptions {
  readonly source: string;
  readonly flow: string;
  readonly trace?: boolean;
  readonly signal?: AbortSignal;
}

const placeOf = (citation: Answer["citations"][number]): string => {
  const { path, symbol, passage } = citation;
  if (path === undefined) return passage;
  return `${whereOf(citation)}${symbol === undefined ? "" : `  ${colors.dim(symbol)}`}`;
};

/** Answers a question about a folder, with citations. */
export async function ask(terminal: Terminal, question: string, options: AskOptions): Promise<number> {
  if (question.trim() === "") throw new UsageError("the question is empty");
  const document = await readFlow(options.flow);
  const opened = await openSource(terminal, options.source, options);
  terminal.say(`${colors.bold(question)}\n`);
  const { result, events, wrote } = await runFlow(terminal, document, { query: question }, opened.resources, {
    trace: options.trace,
    streamed: "text",
    signal: options.signal,
  }).finally(() => opened.close());
  const parsed = answerPort.safeParse(result.output.answer);
  if (!parsed.success)
    throw new UsageError(`the flow "${document.name}" has no output "answer" of type answer; use \`tessera run\``);
  const { text, citations, refused } = parsed.data;
  terminal.result({
    answer: text,
    refused,
    citations: citations.map(({ path, lines, place, symbol, marker }) => ({ marker, path, lines, place, symbol })),
    events,
  });
  if (!wrote) terminal.say(`${options.trace ? "\n" : ""}${text}`);
  if (citations.length > 0) {
    terminal.say();
    for (const citation of citations) terminal.say(`${colors.cyan(`[${citation.marker}]`)} ${placeOf(citation)}`);
  }
  return 0;
}
