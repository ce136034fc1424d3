import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { drawToken } from "../../decoding/draw.js";
import { kernels } from "./kernels.js";
import { nextToken } from "./next-token.js";
import { sharedMemory } from "./wasm.js";

const memory = sharedMemory(65536);
const compiled = kernels(memory);
const length = 64;
const logits = new Float32Array(memory.buffer, 64, length);
const powers = new Float32Array(memory.buffer, 1024, length);

describe("the next token without sorting the vocabulary", () => {
  it("is that of the sorting twin, with its log-probability and the likeliest others", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 60 }),
        fc.constantFrom(0, 0.1, 0.7, 1, 3),
        fc.double({ min: 0.02, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.option(fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), { nil: undefined }),
        (values, temperature, topP, random, mask) => {
          const allowed = mask && new Uint32Array(2);
          if (allowed) for (let id = 0; id < values.length; id++) if (mask[id]) allowed[id >> 5]! |= 1 << (id & 31);
          fc.pre(allowed === undefined || allowed.some((word) => word !== 0));
          const sampling = { temperature, topP, random, allowed, alternatives: 5 };
          const twin = (change: number) =>
            drawToken(Float32Array.from(values), {
              ...sampling,
              random: Math.min(0.9999, Math.max(0, random + change)),
            });
          logits.fill(Number.NEGATIVE_INFINITY).set(values);
          const found = nextToken(compiled, { logits, powers }, sampling);
          // sums in fp32 may move the border of two tokens by a hair
          const twins = [0, -1e-5, 1e-5].map((change) => twin(change).drawn.id);
          expect(twins).toContain(found.drawn.id);
          if (found.drawn.id === twins[0]) expect(found.drawn.logprob).toBeCloseTo(twin(0).drawn.logprob, 4);
          expect(found.alternatives.map(({ id }) => id)).toEqual(twin(0).alternatives.map(({ id }) => id));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
