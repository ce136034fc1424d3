import { describe, expect, it } from "@jest/globals";
import { decoderFolder, denseFamilies, goldenLogits, mixtureFamilies } from "../../architectures/llama.fixture.js";
import { openDecoderModel } from "../../formats/open-model.js";
import { cpuEngine } from "../cpu.js";
import { type DecoderSession, ragged } from "../engine.js";
import { logSoftmax } from "../reference/decoder.js";
import { CpuDecoder } from "./session.js";

const blockTokens = 8;
const blocks = Int32Array.of(3, 0, 4, 1, 2);
const all = { temperature: 0, topP: 1, random: 0, alternatives: 64 };

/** The log-probabilities after each token, a token a step behind a first piece of some. */
async function logprobs(session: DecoderSession, ids: readonly number[], first: number): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (let cached = 0; cached < ids.length; ) {
    const count = cached === 0 ? first : 1;
    const { alternatives } = await session.step({
      ...ragged([ids.slice(cached, cached + count)]),
      cached: Int32Array.of(cached),
      blocks: [blocks],
      sampling: [all],
    });
    const row = new Float32Array(64);
    for (const { id, logprob } of alternatives![0]!) row[id] = logprob;
    rows.push(row);
    cached += count;
  }
  return rows;
}

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const centred = (x: ArrayLike<number>): number[] => {
    const values = Array.from(x);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const [x, y] = [centred(a), centred(b)];
  const dot = (p: number[], q: number[]): number => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
};

describe.each([...denseFamilies, ...mixtureFamilies])("the CPU engine on %s", (family) => {
  it.each(["int8", "fp32"] as const)("has the same on one thread and on a team of two in %s", async (precision) => {
    const { ids } = await goldenLogits(family);
    const model = await openDecoderModel(decoderFolder(family));
    const size = { blocks: 5, blockTokens };
    const sessions = [1, 2].map((threads) => new CpuDecoder(model, size, precision, threads, undefined, 0));
    try {
      const [alone, team] = await Promise.all(sessions.map((session) => logprobs(session, ids.slice(0, 24), 21)));
      expect(team).toEqual(alone);
    } finally {
      await Promise.all(sessions.map((session) => session.close()));
    }
  });

  it.each([1, 2])("has the log-probabilities of transformers in fp32, on %i threads", async (workers) => {
    const golden = await goldenLogits(family);
    const session = await cpuEngine({ precision: "fp32", workers }).loadDecoder(
      await openDecoderModel(decoderFolder(family)),
      { blocks: 5, blockTokens },
    );
    try {
      for (const first of workers === 1 ? [1, 13] : [40, 1]) {
        const found = await logprobs(session, golden.ids, first);
        for (const [i, row] of found.entries()) {
          const expected = logSoftmax(golden.logits[i + first - 1]!);
          expect(Math.max(...row.map((value, id) => Math.abs(value - expected[id]!)))).toBeLessThan(1e-4);
        }
      }
    } finally {
      await session.close();
    }
  });

  it("reaches a cosine of 0.999 in int8 where it routes alike", async () => {
    const golden = await goldenLogits(family);
    const session = await cpuEngine({ workers: 1 }).loadDecoder(await openDecoderModel(decoderFolder(family)), {
      blocks: 5,
      blockTokens,
    });
    try {
      const found = await logprobs(session, golden.ids, 1);
      const cosines = found.map((row, t) => cosine(row, golden.logits[t]!));
      // a router on an edge may decide otherwise in int8; the median does not feel it
      const median = cosines.toSorted((a, b) => a - b)[Math.floor(cosines.length / 2)]!;
      expect(median).toBeGreaterThan(0.999);
    } finally {
      await session.close();
    }
  });
});
