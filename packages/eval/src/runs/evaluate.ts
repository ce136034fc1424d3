import {
  type Answer,
  answer,
  type FlowDocument,
  type FlowEvent,
  type Hit,
  hits,
  type Principal,
  TesseraError,
} from "@tessera/core";
import { didYouMean, messageOf } from "@tessera/core/internal";
import type { Budget, CompiledFlow } from "@tessera/graph";
import type { Question } from "../data-sets/data-set.js";
import { answerMeasures, foundIds, rankingMeasures } from "../measures/measures.js";
import { type QuestionResult, ResultFile } from "./results.js";

interface EvaluationProgress {
  /** Questions with a result, those of an earlier run among them. */
  readonly done: number;
  readonly failed: number;
}

interface AdmittedRun {
  readonly budget?: Budget | undefined;
  release(spent?: { readonly calls: number; readonly tokens: number }): Promise<void>;
}

export interface EvaluationOptions {
  /** Of what results depend on beside the flow: the data set and the resources. A result of another is not reused. */
  readonly revision: string;
  /** Where results are kept as they come; what stands there already is not run again, unless it failed. */
  readonly out?: string | undefined;
  /** How many questions are under way at a time; 1. With more, milliseconds count the waiting for each other too. */
  readonly concurrency?: number | undefined;
  /**
   * The flow's input that takes the question; by default `query`, `question`, or its only text. Other inputs take what
   * the question's metadata holds under their names.
   */
  readonly input?: string | undefined;
  /** Whether an operator retrieves, so that its activations count; by default those whose name begins with "retriever.". */
  readonly retrieves?: ((operator: string) => boolean) | undefined;
  /** Whether an id is one of the corpus; where it is not, a found part counts as its parent. By default all are. */
  readonly corpusHas?: ((id: string) => boolean) | undefined;
  readonly principal?: Principal | undefined;
  /** Sets aside what a run may spend, before it begins; `release` hears what it did spend. What it throws ends all. */
  readonly admit?: ((flow: Pick<CompiledFlow, "bound">) => Promise<AdmittedRun>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((progress: EvaluationProgress) => void) | undefined;
}

/** Makes a flow's input of a question. @throws TesseraError BAD_ARGUMENT where no input can take it */
function inputOf({ name, input }: FlowDocument, wanted: string | undefined): (question: Question) => object {
  const texts = Object.keys(input).filter((port) => input[port] === "text");
  if (wanted !== undefined && !texts.includes(wanted))
    throw new TesseraError("BAD_ARGUMENT", `"${name}" has no text input "${wanted}"`, {
      hint: didYouMean(wanted, texts),
    });
  const chosen = wanted ?? ["query", "question"].find((port) => texts.includes(port));
  const port = chosen ?? (texts.length === 1 ? texts[0] : undefined);
  if (port === undefined)
    throw new TesseraError("BAD_ARGUMENT", `"${name}" has no input for a question`, {
      hint: `name one query or question; its inputs are ${Object.keys(input).join(", ") || "none"}`,
    });
  const others = Object.keys(input).filter((other) => other !== port);
  return ({ question, metadata = {} }) => ({
    [port]: question,
    ...Object.fromEntries(
      others.filter((other) => Object.hasOwn(metadata, other)).map((other) => [other, metadata[other]]),
    ),
  });
}

/**
 * Runs a flow on questions and measures each: the ranking where the flow has an output `hits`, the answer where it has
 * an output `answer`, or else the text of an output `text`, and always retrievals (how often it searched), calls, tokens and
 * milliseconds. A question whose run fails becomes a result with an `error`. With `out`, a kill loses at most the questions under way.
 * @returns the results in the order of the questions.
 * @throws TesseraError BAD_ARGUMENT where the flow cannot be measured, ABORTED, STORE_FAILED, and what the questions throw.
 */
export async function evaluate(
  flow: CompiledFlow,
  questions: Iterable<Question> | AsyncIterable<Question>,
  options: EvaluationOptions,
): Promise<QuestionResult[]> {
  const { revision, concurrency = 1, signal, progress } = options;
  const { retrieves = (operator: string) => operator.startsWith("retriever.") } = options;
  const { name, output } = flow.document;
  const input = inputOf(flow.document, options.input);
  if (!["hits", "answer", "text"].some((port) => port in output))
    throw new TesseraError("BAD_ARGUMENT", `"${name}" has no output to measure`, {
      hint: "name one hits, answer or text",
    });
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new TesseraError("BAD_ARGUMENT", `a concurrency is a whole number above 0, not ${concurrency}`);

  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const measure = async (question: Question): Promise<QuestionResult> => {
    const result = { flow: name, hash: flow.hash, revision, id: question.id, question: question.question };
    const admitted = await options.admit?.(flow);
    const { budget } = admitted ?? {};
    const start = performance.now();
    let spent: Parameters<AdmittedRun["release"]>[0];
    try {
      const stream = flow.stream(input(question) as never, { signal: either, principal: options.principal, budget });
      const [ran, retrievals] = await Promise.all([stream.result, countOf(stream, retrieves)]);
      const milliseconds = performance.now() - start;
      spent = ran.spent;
      return { ...result, ...read(ran.output, question, { retrievals, ...spent }, milliseconds, options.corpusHas) };
    } catch (error) {
      either.throwIfAborted();
      const { code, path } = TesseraError.is(error) ? error : { code: "NODE_FAILED", path: undefined };
      return { ...result, measures: {}, error: { code, message: messageOf(error), path } };
    } finally {
      await admitted?.release(spent);
    }
  };

  const file = options.out === undefined ? undefined : await ResultFile.open(options.out);
  const results: QuestionResult[] = [];
  let [done, failed] = [0, 0];
  const source = (async function* () {
    yield* questions;
  })();
  let next = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      either.throwIfAborted();
      // an async generator queues the calls of `next`, so that places are given in its order
      const place = next++;
      const { value: question, done: ended } = await source.next();
      if (ended) return;
      let result = file?.finished({ hash: flow.hash, revision, id: question.id });
      if (!result) {
        result = await measure(question);
        await file?.append(result);
      }
      results[place] = result;
      if (result.error) failed++;
      progress?.({ done: ++done, failed });
    }
  };
  try {
    const working = Array.from({ length: concurrency }, work);
    // the first failure stops the others, and all have ended before the file is closed
    for (const one of working) one.catch((error) => stop.abort(error));
    await Promise.allSettled(working);
    await Promise.all(working);
  } catch (error) {
    if (!signal?.aborted) throw stop.signal.reason ?? error;
    throw new TesseraError("ABORTED", messageOf(signal.reason), { path: name, cause: signal.reason });
  } finally {
    await source.return(undefined);
    await file?.close();
  }
  return results;
}

/** How many activations of some operators a run shows. */
async function countOf(events: AsyncIterable<FlowEvent>, wanted: (operator: string) => boolean): Promise<number> {
  let count = 0;
  for await (const event of events) if (event.type === "node-start" && wanted(event.operator)) count++;
  return count;
}

/** Measures what a run gave for a question. @throws TesseraError BAD_OUTPUT */
export function read(
  output: Readonly<Record<string, unknown>>,
  question: Question,
  { retrievals, calls, tokens }: { retrievals: number; calls: number; tokens: number },
  milliseconds: number,
  corpusHas: (id: string) => boolean = () => true,
): Pick<QuestionResult, "measures" | "found" | "answer"> {
  const ranking = output.hits === undefined ? undefined : outputOf<Hit[]>(hits, output.hits, "hits");
  const given = output.answer === undefined ? uncited(output.text) : outputOf<Answer>(answer, output.answer, "answer");
  const found = ranking && foundIds(ranking, corpusHas);
  return {
    measures: {
      ...(found && rankingMeasures(found, question)),
      ...(given && answerMeasures(given, question)),
      retrievals,
      calls,
      tokens,
      milliseconds: Number(milliseconds.toFixed(3)),
    },
    ...(found && { found }),
    ...(given && {
      answer: { text: given.text, cited: given.citations.map(({ passage }) => passage), refused: given.refused },
    }),
  };
}

/** What a flow without an output `answer` says: an answer that cites nothing. */
const uncited = (text: unknown): Answer | undefined =>
  typeof text === "string" ? { text, citations: [], refused: text.trim() === "" } : undefined;

function outputOf<T>(schema: typeof hits | typeof answer, value: unknown, port: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as T;
  throw new TesseraError("BAD_OUTPUT", `the output ${port} holds something else`, {
    path: port,
    hint: "an evaluation reads hits and answer as the framework's own port types",
  });
}
