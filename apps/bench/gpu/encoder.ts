import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { messageOf } from "@tessera/core/internal";
import { type EncoderModel, type GpuEngine, launchWith, ragged, referenceVectors } from "@tessera/models/internal";
import { encoderOf } from "./models.js";
import type { Provided } from "./provider.js";
import { median, type Report } from "./report.js";
import type { OwnFigures } from "./torch.js";

/** Texts of about 128 tokens, 16,384 tokens together. */
export const textsOf = (tiny: boolean): number[][] =>
  Array.from({ length: tiny ? 4 : 128 }, (_, i) =>
    Array.from({ length: tiny ? 3 + i : 96 + ((i * 37) % 65) }, (_, t) => (i * 131 + t * 17) % (tiny ? 256 : 16384)),
  );

/** E3 and E5: the encoder at every token and at an early exit. */
export async function encoder(report: Report, engine: GpuEngine, own: OwnFigures): Promise<void> {
  const model = encoderOf(report.tiny);
  const rounds = report.tiny ? 1 : 7;
  const texts = textsOf(report.tiny);
  const session = await engine.loadEncoder(model);
  try {
    const batch = ragged(texts);
    report.figure("E3", "cosine with the reference", await agreement(model, session, texts), "", { least: 0.9995 });
    const full = await median(rounds, () => session.encode(batch, 12));
    own.encoder = texts.length / full;
    report.figure("E3", `encoder, ${batch.ids.length} tokens`, own.encoder, "texts/s", { least: 12000 });
    const early = await median(rounds, () => session.encode(batch, 4));
    report.figure("E5", "exit 4 against exit 12", full / early, "times", { least: 2.5 });
    const margin = await median(rounds, () => session.encodeByMargin(batch, { margin: 0, layers: [4, 8, 12] }));
    report.figure("E5", "compaction when nothing leaves, of the run", margin / full - 1, "share", { most: 0.05 });
  } finally {
    await session.close();
  }
}

async function agreement(
  model: EncoderModel,
  session: { encode(batch: ReturnType<typeof ragged>, exit: number): Promise<Float32Array> },
  texts: readonly number[][],
): Promise<number> {
  const sample = texts[0]!.slice(0, 24);
  const vector = await session.encode(ragged([sample]), 12);
  return referenceVectors(model, Int32Array.from(sample))
    .get(12)!
    .reduce((sum, value, i) => sum + value * vector[i]!, 0);
}

/** E3b: ONNX Runtime's WebGPU provider on the same encoder and the same texts, all of 128 tokens, in fp32 and in fp16. */
export async function provider(report: Report, engine: GpuEngine, driver: string | undefined): Promise<void> {
  const model = encoderOf(report.tiny);
  const [count, length] = report.tiny ? [4, 8] : [128, 128];
  const texts = Array.from({ length: count }, (_, i) =>
    Array.from({ length }, (_, t) => (i * 131 + t * 17) % model.embedding.rows),
  );
  const session = await engine.loadEncoder(model);
  const batch = ragged(texts);
  const ours = count / (await median(report.tiny ? 1 : 7, () => session.encode(batch, 12)));
  const vectors = await session.encode(batch, 12);
  await session.close();
  report.figure("E3b", `own kernels, ${engine.info.dtype}, ${count} × ${length} tokens`, ours, "texts/s");
  for (const precision of ["fp32", "fp16"] as const) {
    let found: Provided;
    try {
      found = await provided(report.tiny, precision, driver, texts);
    } catch (error) {
      report.missing("E3b", `ONNX Runtime's WebGPU provider, ${precision}`, messageOf(error));
      continue;
    }
    const cosine = found.first.reduce((sum, value, i) => sum + value * vectors[i]!, 0);
    report.figure("E3b", `cosine between the two, ${precision}`, cosine, "", { least: 0.999 });
    report.figure("E3b", `ONNX Runtime's WebGPU provider, ${precision}`, count / found.seconds, "texts/s");
    const times = (ours * found.seconds) / count;
    const fair = precision === engine.info.dtype;
    report.figure("E3b", `own kernels against its ${precision}`, times, "times", fair ? { least: 1.5 } : {});
  }
}

/** The provider has a Dawn of its own, and aborts as Dawn does: it gets a process. */
async function provided(
  tiny: boolean,
  precision: string,
  driver: string | undefined,
  texts: readonly number[][],
): Promise<Provided> {
  const source = import.meta.url.endsWith(".ts") ? "./provider.ts" : "./provider.js";
  const child = fork(fileURLToPath(new URL(source, import.meta.url)), {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    ...launchWith(driver),
  });
  let said = "";
  child.stderr!.on("data", (text: Buffer) => {
    said = `${said}${text}`.slice(-2000);
  });
  const limit = setTimeout(() => child.kill("SIGKILL"), 120_000);
  const reply = Promise.race([
    once(child, "message").then(([message]) => message as Provided | { error: string }),
    once(child, "exit").then(([code, signal]) => ({ error: `it ended by ${signal ?? code}: ${said.trim()}` })),
  ]);
  child.send({ tiny, precision, texts });
  const found = await reply;
  clearTimeout(limit);
  child.kill("SIGKILL");
  if ("error" in found) throw new Error(found.error);
  return found;
}
