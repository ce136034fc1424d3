// public: verifyModel
// internal: EncoderVerdict, DecoderVerdict
import { existsSync } from "node:fs";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { ModelKind } from "../architectures/architecture.js";
import type { DecoderModel } from "../architectures/decoder.js";
import { type DecoderGoldenCase, readDecoderGolden } from "../architectures/tessera-decoder.js";
import { type GoldenCase, readGolden } from "../architectures/tessera-encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { type DecoderSession, type EncoderSession, type Engine, type EngineInfo, ragged } from "../engines/engine.js";
import { gpuOnDemand } from "../engines/gpu/choose.js";
import { likeliest, logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { openDecoderModel, openEncoderModel } from "../formats/open-model.js";
import { readTokenizer, tokenizerPath } from "../tokenizer/tokenizer.js";
import { findModel, kindOfModel } from "./catalogue.js";

/** How an engine did on a model's golden cases. */
interface Verdict {
  readonly kind: ModelKind;
  readonly engine: EngineInfo;
  readonly passed: boolean;
  /** Why the engine could not run; nothing was compared then. */
  readonly missing?: string;
}

/** How far an encoder's vectors lie from its golden cases. */
export interface EncoderVerdict extends Verdict {
  readonly kind: "encoder";
  /** Over all golden cases, by exit: the largest difference of a component, and the least cosine. */
  readonly exits: readonly { readonly layer: number; readonly difference: number; readonly cosine: number }[];
}

/** How far a decoder's tokens and logits lie from its golden cases. */
export interface DecoderVerdict extends Verdict {
  readonly kind: "decoder";
  /** The largest difference of a natural-log probability, over places whose routing is not on an edge. */
  readonly difference: number;
  /** Places compared, and those left out because a router's margin before or at them is under 1e-5. */
  readonly places: number;
  readonly near: number;
  /** Likeliest next tokens that differ from the golden continuation's first, over the cases. */
  readonly otherTokens: number;
}

type EngineVerdict = EncoderVerdict | DecoderVerdict;

/**
 * Compares engines with a model's golden cases. Of an encoder, the reference must agree to 1e-5 in every component, and
 * others reach a cosine of 0.995, and of 0.99 where a text is marks alone, whose rounding no words average out. Of a decoder, log-probabilities must agree to 1e-4 in fp32 and to 0.05 in other types. An
 * engine that cannot run on this machine, or that does not compute this kind of model, is reported as missing, which is no
 * failure.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function verifyModel(
  name?: string,
  engines: readonly Engine[] = [referenceEngine(), cpuEngine(), cpuEngine({ precision: "fp32" }), gpuOnDemand()],
  folders?: readonly string[],
): Promise<EngineVerdict[]> {
  const folder = await findModel(name, folders);
  const { untried, verdict } = await ((await kindOfModel(folder)) === "encoder" ? encoderCheck : decoderCheck)(folder);
  const verdicts: EngineVerdict[] = [];
  for (const engine of engines)
    try {
      verdicts.push(await verdict(engine));
    } catch (error) {
      if (!TesseraError.is(error) || !(error.code === "DEPENDENCY_MISSING" || error.code === "MISSING_CAPABILITY"))
        throw error;
      verdicts.push({ ...untried, engine: engine.info, passed: true, missing: error.message });
    }
  return verdicts;
}

/** What a verdict says where nothing was compared, and how an engine gets one. */
interface Check {
  readonly untried: Omit<EncoderVerdict, "engine" | "passed"> | Omit<DecoderVerdict, "engine" | "passed">;
  verdict(engine: Engine): Promise<EngineVerdict>;
}

async function encoderCheck(folder: string): Promise<Check> {
  const model = await openEncoderModel(folder);
  const golden = await readGolden(folder, model);
  return {
    untried: { kind: "encoder", exits: [] },
    async verdict(engine) {
      const session = await engine.loadEncoder(model);
      try {
        return await encoderVerdict(session, engine.info, golden);
      } finally {
        await session.close();
      }
    },
  };
}

async function encoderVerdict(
  session: EncoderSession,
  engine: EngineInfo,
  golden: readonly GoldenCase[],
): Promise<EncoderVerdict> {
  const exits = [];
  let passed = true;
  for (const layer of session.exits) {
    const found = await session.encode(ragged(golden.map(({ ids }) => ids)), layer);
    let [difference, cosine] = [0, 1];
    for (const [i, { ids, vectors }] of golden.entries()) {
      const vector = found.subarray(i * session.hidden, (i + 1) * session.hidden);
      const one = compare(vector, vectors[layer]!, session.hidden);
      passed &&= engine.kind === "reference" ? one.difference <= 1e-5 : one.cosine >= (ids.length > 2 ? 0.995 : 0.99);
      difference = larger(difference, one.difference);
      cosine = Math.min(cosine, one.cosine);
    }
    exits.push({ layer, difference, cosine });
  }
  return { kind: "encoder", engine, passed, exits };
}

function compare(
  found: Float32Array,
  expected: readonly number[],
  width: number,
): { difference: number; cosine: number } {
  let [difference, cosine] = [0, 1];
  for (let at = 0; at < found.length; at += width) {
    let dot = 0;
    for (let i = at; i < at + width; i++) {
      difference = Math.max(difference, Math.abs(found[i]! - expected[i]!));
      dot += found[i]! * expected[i]!;
    }
    cosine = Math.min(cosine, dot);
  }
  // a value that is not a number passes no comparison
  return { difference: Number.isNaN(cosine) ? Number.POSITIVE_INFINITY : difference, cosine };
}

async function decoderCheck(folder: string): Promise<Check> {
  const model = await openDecoderModel(folder);
  const golden = existsSync(join(folder, "golden.json"))
    ? await readDecoderGolden(folder, model)
    : [await referenceCase(folder, model)];
  const blockTokens = 16;
  const blocks = Math.ceil(Math.max(...golden.map(({ ids }) => ids.length)) / blockTokens);
  return {
    untried: { kind: "decoder", difference: 0, places: 0, near: 0, otherTokens: 0 },
    async verdict(engine) {
      const session = await engine.loadDecoder(model, { blocks, blockTokens });
      try {
        return await decoderVerdict(session, engine.info, golden);
      } finally {
        await session.close();
      }
    },
  };
}

/** Tokens of a case that the reference computes: it takes a second for each of a model of some hundred million weights. */
const referenceTokens = 12;
const referenceText = "def area(width, height):\n    return width * height\n";

/** What the reference makes of a short text, for models that bring no golden cases. */
async function referenceCase(folder: string, model: DecoderModel): Promise<DecoderGoldenCase> {
  const tokenizer = await readTokenizer(tokenizerPath(folder));
  const ids = [...tokenizer.encode(referenceText, referenceTokens)];
  const { logits, margin } = readSequence(model, ids);
  return {
    name: "reference",
    ids,
    logprobs: ids.slice(1).map((id, t) => logSoftmax(logits[t]!)[id]!),
    argmax: ids.slice(1).map((_, t) => likeliest(logits[t]!)),
    last: [],
    margin,
    greedy: [likeliest(logits.at(-1)!)],
  };
}

/** What engines in fp32 must reach, and what others must: their weights are the same, their activations are rounded. */
const tolerance = (info: EngineInfo): number => (info.kind === "reference" || info.dtype === "fp32" ? 1e-4 : 0.05);
/** A router that decides by less may decide otherwise on another machine. */
const edge = 1e-5;

async function decoderVerdict(
  session: DecoderSession,
  engine: EngineInfo,
  golden: readonly DecoderGoldenCase[],
): Promise<DecoderVerdict> {
  const found = { difference: 0, places: 0, near: 0, otherTokens: 0 };
  for (const { ids, logprobs, margin, greedy } of golden) {
    const result = await session.step({
      ...ragged([ids]),
      cached: Int32Array.of(0),
      blocks: [Int32Array.from({ length: session.blocks }, (_, i) => i)],
      sampling: [{ temperature: 0, topP: 1, random: 0 }],
      scored: [true],
    });
    let certain = true;
    for (const [t, expected] of logprobs.entries()) {
      certain &&= (margin?.[t] ?? 1) >= edge;
      found.places += 1;
      if (!certain) found.near += 1;
      else found.difference = larger(found.difference, Math.abs(result.scores![0]![t]! - expected));
    }
    if (greedy.length > 0 && result.next[0] !== greedy[0]) found.otherTokens += 1;
  }
  const most = tolerance(engine);
  const strict = most < 0.01;
  const passed = found.difference <= most && (!strict || found.otherTokens === 0);
  return { kind: "decoder", ...found, engine, passed };
}

/** A difference that is not a number passes no comparison. */
const larger = (a: number, b: number): number => (Number.isNaN(b) ? Number.POSITIVE_INFINITY : Math.max(a, b));
