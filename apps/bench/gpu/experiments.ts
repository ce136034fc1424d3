// Experiments E0 to E9 of docs/models/gpu.md, one JSON line a figure:
//   node --conditions=@tessera/source --import=./apps/setup/sources.mjs apps/bench/gpu/experiments.ts
//   … --tiny --driver ICD.json    tiny shapes on a driver in software: shows that everything runs, measures nothing
//   … --soak 8                    eight minutes of mixed load instead
//   … --precision fp32
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { messageOf } from "@tessera/core";
import {
  type GeneratorSession,
  type GpuEngine,
  gpuEngine,
  ragged,
  referenceVectors,
  type Sampling,
  selfTest,
} from "@tessera/models";
import { encoderOf, generatorOf } from "./models.js";

const { values: options } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    driver: { type: "string" },
    soak: { type: "string" },
    precision: { type: "string", default: "fp16" },
  },
});
const { tiny, driver } = options;
const precision = options.precision === "fp32" ? "fp32" : "fp16";
const open = (): Promise<GpuEngine> => gpuEngine({ driver, precision, memory: tiny ? 2 ** 30 : 16 * 2 ** 30 });
let failed = false;

/** One line; `least` or `most` is the pass line, which says nothing about tiny shapes. */
function figure(
  experiment: string,
  name: string,
  value: number | string | boolean,
  unit: string,
  pass: { least?: number; most?: number } = {},
): void {
  const met =
    typeof value === "number" && !tiny && (pass.least !== undefined || pass.most !== undefined)
      ? {
          passed: value >= (pass.least ?? Number.NEGATIVE_INFINITY) && value <= (pass.most ?? Number.POSITIVE_INFINITY),
        }
      : {};
  console.log(JSON.stringify({ experiment, name, value, unit, ...pass, ...met, ...(tiny && { tiny }) }));
}

/** An experiment that fails is a line too, and the next one runs. */
async function experiment(name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    failed = true;
    console.log(JSON.stringify({ experiment: name, error: messageOf(error) }));
  }
}

const missing = (experiment: string, name: string, reason: string): void =>
  console.log(JSON.stringify({ experiment, name, missing: reason }));

/** Median seconds of `work` over `rounds`, after one that is not counted. */
async function median(rounds: number, work: () => Promise<unknown>): Promise<number> {
  await work();
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)]!;
}

const rounds = tiny ? 1 : 7;
/** Texts of about 128 tokens, 16,384 tokens together. */
const texts = Array.from({ length: tiny ? 4 : 128 }, (_, i) =>
  Array.from({ length: tiny ? 3 + i : 96 + ((i * 37) % 65) }, (_, t) => (i * 131 + t * 17) % (tiny ? 256 : 16384)),
);

async function decode(session: GeneratorSession, sequences: number, context: number, steps: number): Promise<number> {
  const perSequence = session.blocks / sequences;
  const blocks = Array.from({ length: sequences }, (_, i) =>
    Int32Array.from({ length: perSequence }, (_, b) => i * perSequence + b),
  );
  const greedy: Sampling = { temperature: 0, topP: 1, random: 0 };
  const step = (ids: number[][], cached: number, draw: boolean) =>
    session.step({
      ...ragged(ids),
      cached: new Int32Array(sequences).fill(cached),
      blocks,
      sampling: blocks.map(() => (draw ? greedy : undefined)),
    });
  const piece = Math.max(1, Math.floor((tiny ? 64 : 4096) / sequences));
  for (let at = 0; at < context; at += piece)
    await step(
      blocks.map((_, i) => Array.from({ length: Math.min(piece, context - at) }, (_, t) => (i * 31 + at + t) % 200)),
      at,
      false,
    );
  let at = context;
  const seconds = await median(steps, () =>
    step(
      blocks.map((_, i) => [i % 200]),
      at++,
      true,
    ),
  );
  return seconds;
}

if (options.soak !== undefined) await experiment("E6", () => soak(Number(options.soak)));
else {
  let engine: GpuEngine | undefined;
  await experiment("E0", async () => {
    const start = performance.now();
    engine = await open();
    figure("E0", "device", engine.info.device, engine.info.dtype);
    figure("E0", "features", engine.features.join(" "), "");
    await engine.measure({ kind: "dispatches", count: 1 });
    figure("E0", "first dispatch", (performance.now() - start) / 1000, "s", { most: 3 });
    const failure = await selfTest(engine);
    figure("E0", "self-test", failure ?? "passed", "");
    if (failure !== undefined) throw new Error(`the self-test fails: ${failure}`);
    let clean = 0;
    const cycles = tiny ? 2 : 200;
    for (let i = 0; i < cycles; i++) if ((await (await open()).close()) === 0) clean += 1;
    figure("E0", "clean starts and stops", clean, `of ${cycles}`, { least: cycles });
  });
  if (engine !== undefined) {
    await run(engine);
    figure("E6", "exit code", (await engine.close()) ?? -1, "", { most: 0 });
  }
}
process.exit(failed ? 1 : 0);

async function run(engine: GpuEngine): Promise<void> {
  await experiment("E1", async () => {
    const rows = tiny ? 64 : 16384;
    for (const [inputs, outputs, least] of [
      [384, 1152, 80],
      [384, 1536, 80],
      [1536, 384, 80],
      [768, 3072, 120],
    ] as const) {
      const repeats = tiny ? 1 : 50;
      const [k, n] = tiny ? [inputs / 16, outputs / 16] : [inputs, outputs];
      const seconds = await engine.measure({ kind: "product", rows, inputs: k, outputs: n, repeats });
      figure("E1", `product ${rows} × ${k} × ${n}`, (2 * rows * k * n * repeats) / seconds / 1e12, "TFLOP/s", {
        least,
      });
    }
  });
  await experiment("E2", async () => {
    const seconds = await median(rounds, () => engine.measure({ kind: "dispatches", count: 120 }));
    const alone = await engine.measure({ kind: "dispatches", count: 120 });
    figure("E2", "120 dependent dispatches", Math.min(alone, seconds) * 1000, "ms", { most: 0.8 });
  });
  await experiment("E3", async () => {
    const model = encoderOf(tiny);
    const session = await engine.loadEncoder(model);
    const batch = ragged(texts);
    const sample = texts[0]!.slice(0, 24);
    const vector = await session.encode(ragged([sample]), 12);
    const cosine = referenceVectors(model, Int32Array.from(sample))
      .get(12)!
      .reduce((sum, value, i) => sum + value * vector[i]!, 0);
    figure("E3", "cosine with the reference", cosine, "", { least: 0.9995 });
    const full = await median(rounds, () => session.encode(batch, 12));
    figure("E3", `encoder, ${batch.ids.length} tokens`, texts.length / full, "texts/s", { least: 12000 });
    const early = await median(rounds, () => session.encode(batch, 4));
    figure("E5", "exit 4 against exit 12", full / early, "times", { least: 2.5 });
    const margin = await median(rounds, () => session.encodeByMargin(batch, { margin: 0, layers: [4, 8, 12] }));
    figure("E5", "compaction when nothing leaves, of the run", margin / full - 1, "share", { most: 0.05 });
    await session.close();
    missing("E3b", "ONNX Runtime's WebGPU provider", "not part of this script yet");
  });
  await experiment("E4", async () => {
    const model = generatorOf(tiny);
    for (const [sequences, context] of tiny
      ? [
          [2, 16],
          [1, 16],
        ]
      : [
          [128, 512],
          [1, 512],
        ]) {
      const blockTokens = 16;
      const session = await engine.loadGenerator(model, {
        blocks: sequences! * Math.ceil((context! + 32) / blockTokens),
        blockTokens,
      });
      const seconds = await decode(session, sequences!, context!, tiny ? 2 : 20);
      if (sequences === 1) figure("E4", "decode, one sequence", seconds * 1000, "ms a token", { most: 2 });
      else
        figure("E4", `decode, ${sequences} sequences at ${context}`, sequences! / seconds, "tokens/s", {
          least: 40000,
        });
      await session.close();
    }
  });
  await experiment("E7", async () => {
    const python = process.env.TESSERA_PYTHON ?? "python3";
    try {
      const script = fileURLToPath(new URL("./torch_rivals.py", import.meta.url));
      const { stdout } = await promisify(execFile)(python, [script, ...(tiny ? ["--tiny"] : [])], { timeout: 400_000 });
      process.stdout.write(stdout);
    } catch (error) {
      missing("E7", "torch", messageOf(error).split("\n").slice(0, 2).join(" "));
    }
  });
  missing("E8", "CUDA by FFI", "the reserve route is not built; E3 and E4 beside E7 decide about it");
  missing("E9", "tokenising beside the GPU", "not part of this script yet");
}

/** Mixed load: encoders at every exit and by margin, and a generator; the GPU's memory must not grow. */
async function soak(minutes: number): Promise<void> {
  const engine = await open();
  const encoder = await engine.loadEncoder(encoderOf(tiny));
  const generator = await engine.loadGenerator(generatorOf(tiny), { blocks: tiny ? 8 : 1024, blockTokens: 16 });
  const started = engine.process;
  const once = async (): Promise<void> => {
    for (const exit of encoder.exits) await encoder.encode(ragged(texts), exit);
    await encoder.encodeByMargin(ragged(texts), { margin: 0.3, layers: encoder.exits });
    await decode(generator, tiny ? 2 : 16, 32, 2);
  };
  await once();
  const before = await engine.memory();
  const end = performance.now() + minutes * 60_000;
  let turns = 0;
  do {
    await once();
    turns += 1;
  } while (performance.now() < end);
  figure("E6", "growth of the GPU's memory", (await engine.memory()) / before - 1, "share", { most: 0.02 });
  figure("E6", "device losses", engine.process === started ? 0 : 1, `in ${turns} turns`, { most: 0 });
  figure("E6", "exit code", (await engine.close()) ?? -1, "", { most: 0 });
}
