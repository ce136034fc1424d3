// public: openCassette
import { appendFile, mkdir, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { type Delta, type LanguageModel, type Message, TesseraError } from "@tessera/core";
import { canonicalJson, messageOf, sha256 } from "@tessera/core/internal";
import { z } from "zod";

interface CassetteOptions {
  /** The model that is asked for what is not recorded; without it, the cassette only replays. */
  readonly model?: LanguageModel;
}

const header = z.object({
  cassette: z.literal(1),
  revision: z.string(),
  scripted: z.literal(true).optional(),
  context: z.int().positive().optional(),
  prompts: z.literal("brief").optional(),
  capabilities: z.array(z.enum(["logprobs", "prefix", "json", "seed", "score"])),
});
const token = z.object({
  text: z.string(),
  logprob: z.number(),
  alternatives: z.array(z.object({ text: z.string(), logprob: z.number() })).optional(),
});
const usage = z.object({ prompt: z.number(), completion: z.number() });
const record = z.object({
  key: z.string(),
  /** For who reads the file: what is replayed goes by the key. */
  request: z.unknown().optional(),
  answer: z.object({
    text: z.string(),
    tokens: z.array(token).optional(),
    thoughts: z.string().optional(),
    finish: z.enum(["stop", "length"]).optional(),
    usage: usage.optional(),
  }),
});
/** A whole answer as one delta. */
type Answer = Delta;

type Head = z.infer<typeof header>;

/** The file of a cassette: what stands in it, and how it grows. */
class Tape {
  readonly answers = new Map<string, Answer>();
  head: Head | undefined;
  private writing: Promise<void> = Promise.resolve();
  /** How many bytes of the file are whole lines. */
  private readonly whole: number;
  private cut: boolean;

  private constructor(
    private readonly path: string,
    text: string,
  ) {
    const lines = text.slice(0, text.lastIndexOf("\n") + 1); // a last line that a kill cut short is left out
    this.whole = Buffer.byteLength(lines);
    for (const [index, line] of lines.split("\n").entries()) {
      if (line.trim() === "") continue;
      try {
        this.read(JSON.parse(line));
      } catch (cause) {
        throw new TesseraError("RECORD_CORRUPT", `line ${index + 1} of the cassette is damaged: ${messageOf(cause)}`, {
          path: `${path}:${index + 1}`,
          hint: this.head ? "delete the line; its answer can be recorded again" : "is it a cassette?",
          cause,
        });
      }
    }
    this.cut = this.whole < Buffer.byteLength(text);
  }

  static async open(path: string): Promise<Tape> {
    try {
      return new Tape(path, await readFile(path, "utf8"));
    } catch (cause) {
      if (TesseraError.is(cause)) throw cause;
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return new Tape(path, "");
      throw new TesseraError("RECORD_CORRUPT", `the cassette cannot be read: ${messageOf(cause)}`, { path, cause });
    }
  }

  private read(line: unknown): void {
    if (!this.head) {
      this.head = header.parse(line);
      return;
    }
    const { key, answer } = record.parse(line);
    if (!this.answers.has(key)) this.answers.set(key, answer);
  }

  /** Adds an answer; done when it stands in the file. */
  add(key: string, request: object, answer: Answer, head: Head): Promise<void> {
    const lines: object[] = this.head ? [] : [head];
    this.head = head;
    this.answers.set(key, answer);
    const text = [...lines, { key, request, answer }].map((line) => `${JSON.stringify(line)}\n`).join("");
    return this.afterwards(async () => {
      if (this.cut) await truncate(this.path, this.whole);
      this.cut = false;
      await mkdir(dirname(this.path), { recursive: true });
      await appendFile(this.path, text);
    });
  }

  private afterwards(work: () => Promise<void>): Promise<void> {
    const written = this.writing.then(work).catch((cause) => {
      throw new TesseraError("STORE_FAILED", `the cassette cannot be written: ${messageOf(cause)}`, {
        path: this.path,
        cause,
      });
    });
    this.writing = written.catch(() => {});
    return written;
  }
}

/**
 * A language model whose answers are kept in a file of JSON lines: what was asked once is answered from there, without
 * a model. The same request, its messages and every setting, always gives the answer that was recorded first; ask with
 * another `seed` for another one. Only whole answers are recorded. A replayed answer is one delta.
 * What a scripted model said stays `scripted`. It does not count tokens, so that prompts are cut to their budget alike with the model and without it.
 * @throws TesseraError RECORD_CORRUPT; RECORD_MISSING where there is neither a file nor a model, and from the model
 * where an answer is not recorded and there is no model to ask.
 */
export async function openCassette(path: string, { model }: CassetteOptions = {}): Promise<LanguageModel> {
  const tape = await Tape.open(path);
  if (!tape.head && !model)
    throw new TesseraError("RECORD_MISSING", "there is no cassette to replay", {
      path,
      hint: "give it a model to record",
    });
  const head: Head = tape.head ?? {
    cassette: 1,
    revision: model!.revision,
    ...(model!.scripted && { scripted: true }),
    ...(model!.context !== undefined && { context: model!.context }),
    ...(model!.prompts && { prompts: model!.prompts }),
    capabilities: [...model!.capabilities],
  };
  const { revision, scripted, context, prompts, capabilities } = head;
  const asking = new Map<string, Promise<void>>();

  const missing = (request: { messages: readonly Message[] }): TesseraError =>
    new TesseraError(
      "RECORD_MISSING",
      `the cassette has no answer to "…${request.messages.at(-1)?.content.trim().slice(-80) ?? ""}"`,
      { path, hint: "record it: give the cassette a model" },
    );

  return {
    revision,
    ...(scripted && { scripted }),
    ...(context !== undefined && { context }),
    ...(prompts && { prompts }),
    capabilities: new Set(capabilities),
    async *generate(request, signal): AsyncIterable<Delta> {
      signal?.throwIfAborted();
      const key = sha256(canonicalJson(request));
      while (asking.has(key)) await asking.get(key); // somebody else asks the same just now
      signal?.throwIfAborted();
      const recorded = tape.answers.get(key);
      if (recorded) {
        yield recorded;
        return;
      }
      if (!model) throw missing(request);
      let settle = () => {};
      asking.set(key, new Promise((resolve) => (settle = resolve)));
      try {
        let answer: Answer = { text: "" };
        const held: Delta[] = []; // the end is given once the answer is kept: what is finished can be replayed
        for await (const delta of model.generate(request, signal)) {
          answer = joined(answer, delta);
          if (held.length > 0 || delta.finish || delta.usage) held.push(delta);
          else yield delta;
        }
        await tape.add(key, request, answer, head);
        yield* held;
      } finally {
        asking.delete(key);
        settle();
      }
    },
    ...(capabilities.includes("score") && {
      async score(request: { messages: readonly Message[]; text: string }, signal?: AbortSignal) {
        const key = sha256(canonicalJson({ score: request }));
        let answer = tape.answers.get(key);
        if (!answer) {
          if (!model?.score) throw missing(request);
          answer = { text: request.text, ...(await model.score(request, signal)) };
          await tape.add(key, { score: request }, answer, head);
        }
        return { tokens: [...(answer.tokens ?? [])], usage: answer.usage ?? { prompt: 0, completion: 0 } };
      },
    }),
    ...(model?.close && { close: () => model.close!() }),
  };
}

const joined = (answer: Answer, { text, tokens, thoughts, finish, usage }: Delta): Answer => ({
  text: answer.text + text,
  ...((answer.tokens || tokens) && { tokens: [...(answer.tokens ?? []), ...(tokens ?? [])] }),
  ...((answer.thoughts || thoughts) && { thoughts: (answer.thoughts ?? "") + (thoughts ?? "") }),
  ...((finish ?? answer.finish) && { finish: finish ?? answer.finish }),
  ...((usage ?? answer.usage) && { usage: (usage ?? answer.usage)! }),
});
