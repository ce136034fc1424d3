import { appendFile, mkdir, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { type Delta, type GenerateRequest, type LanguageModel, TesseraError } from "@tessera/core";
import { canonicalJson, complete, messageOf, sha256 } from "@tessera/core/internal";
import { z } from "zod";
import { linesOf, parseLine } from "../../data-sets/jsonl.js";

const hint =
  "a recording has its model in the first line and an answer in each other one; `tessera eval answers` writes it";

const head = z.strictObject({
  recording: z.literal(1),
  /** Who answered, for people. */
  model: z.string(),
  /** Of the model, which says whether a further answer is by the same one. */
  revision: z.string(),
  scripted: z.boolean().optional(),
});

const saidLine = z.strictObject({
  /** The name of the questions, and the id of one of them. */
  set: z.string(),
  id: z.string(),
  /** The ids of the passages that it was asked with, best first. */
  passages: z.array(z.string()),
  /** Of the request as it was sent: the first 16 digits of its SHA-256. */
  request: z.string(),
  /** What the model said, before anything read it. */
  text: z.string(),
  finish: z.enum(["stop", "length"]).optional(),
  usage: z.strictObject({ prompt: z.number(), completion: z.number() }).optional(),
});

/** What a model said to a question. */
export type Said = z.infer<typeof saidLine>;
export type Head = z.infer<typeof head>;

const keyOf = (set: string, id: string): string => JSON.stringify([set, id]);

/**
 * The answers of one model to questions, as it gave them, in a file of JSON lines. Prompts are not kept, so that a few hundred
 * answers are small, and passages only by their ids. A last line that a kill cut short is passed over.
 */
export class Recording {
  private readonly said = new Map<string, Said>();
  private bytes = 0;
  head: Head | undefined;

  private constructor(readonly path: string) {}

  /** @throws TesseraError BAD_SOURCE with file and line; where there is no file, unless it `mayBegin` */
  static async open(path: string, mayBegin: boolean): Promise<Recording> {
    const recording = new Recording(path);
    let number = 0;
    try {
      for await (const { text, whole } of linesOf(path, hint)) {
        number++;
        if (!whole) break;
        recording.bytes += Buffer.byteLength(text) + 1;
        const at = `${path}:${number}`;
        if (recording.head) recording.keep(parseLine(text, saidLine, at, hint));
        else recording.head = parseLine(text, head, at, hint);
      }
    } catch (error) {
      const isMissing = TesseraError.is(error) && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
      if (!(mayBegin && isMissing)) throw error;
    }
    return recording;
  }

  private keep(one: Said): void {
    this.said.set(keyOf(one.set, one.id), one);
  }

  find(set: string, id: string): Said | undefined {
    return this.said.get(keyOf(set, id));
  }

  /** Adds an answer; done when it stands in the file. @throws TesseraError STORE_FAILED */
  async add(one: Said, by: Head): Promise<void> {
    const lines = this.head ? [one] : [by, one];
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    try {
      if (!this.head) await mkdir(dirname(this.path), { recursive: true });
      else await truncate(this.path, this.bytes);
      await appendFile(this.path, text);
    } catch (cause) {
      throw new TesseraError("STORE_FAILED", `the answer cannot be kept: ${messageOf(cause)}`, {
        path: this.path,
        cause,
      });
    }
    this.head ??= by;
    this.bytes += Buffer.byteLength(text);
    this.keep(one);
  }
}

/** What stands in the place of the model: it says for the question under way what was recorded, or asks the model and keeps that. */
export class Speaker {
  private asked: { readonly set: string; readonly id: string; readonly passages: readonly string[] } | undefined;
  /** Answers that were recorded to the very request that is sent now, and those to another one. */
  readonly requests = { same: 0, other: 0 };

  /** @param by who answers what is not recorded */
  constructor(
    private readonly recording: Recording,
    private readonly by?: { readonly model: LanguageModel; readonly head: Head },
  ) {}

  /** Says which question the next request is about. */
  about(set: string, id: string, passages: readonly string[]): void {
    this.asked = { set, id, passages };
  }

  /** As a resource for flows. What it is asked is cut as for a model that does not count, with the model and without it. */
  get resource(): LanguageModel {
    const { head } = this.recording;
    return {
      revision: head?.revision ?? this.by!.model.revision,
      capabilities: new Set(),
      generate: (request, signal) => this.say(request, signal),
    };
  }

  private async *say(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<Delta> {
    const { set, id, passages } = this.asked!;
    const hash = sha256(canonicalJson(request)).slice(0, 16);
    let said = this.recording.find(set, id);
    if (said) this.requests[said.request === hash ? "same" : "other"]++;
    else {
      if (!this.by)
        throw new TesseraError("RECORD_MISSING", `no answer to the question "${id}" is recorded`, {
          path: this.recording.path,
          hint: "name the model with --model, which is asked then",
        });
      const { text, finish, usage } = await complete(this.by.model, request, signal);
      said = { set, id, passages: [...passages], request: hash, text, finish, usage };
      await this.recording.add(said, this.by.head);
    }
    yield { text: said.text, ...(said.finish && { finish: said.finish }), ...(said.usage && { usage: said.usage }) };
  }
}
