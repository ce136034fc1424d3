import { describe, expect, it } from "@jest/globals";
import type { TesseraError } from "@tessera/core";
import { dot } from "@tessera/core/internal";
import fc from "fast-check";
import { HashEncoder } from "./hash.js";
import { joinEncoders } from "./joined-encoder.js";

describe("joined encoders", () => {
  const narrow = new HashEncoder({ width: 16 });
  const wide = new HashEncoder({ width: 64 });

  it("score as the shares of their parts say, for any texts", async () => {
    const text = fc
      .array(fc.constantFrom("read", "a", "file", "writeAll", "lines", "of"))
      .map((words) => ["everything", ...words]);
    await fc.assert(
      fc.asyncProperty(text, text, fc.double({ min: 0.01, max: 0.99, noNaN: true }), async (left, right, share) => {
        const joined = joinEncoders([
          { encoder: narrow, share },
          { encoder: wide, share: 1 - share, embedding: { width: 60 } },
        ]);
        const texts = [left.join(" "), right.join(" ")];
        const how = { kind: "code" } as const;
        const [a, b] = await joined.encode(texts, how);
        const [x, y] = await narrow.encode(texts, how);
        const [p, q] = await wide.encode(texts, { ...how, width: 60 });
        expect(a).toHaveLength(76);
        expect(dot(a!, a!)).toBeCloseTo(1, 5);
        expect(dot(a!, b!)).toBeCloseTo(share * dot(x!, y!) + (1 - share) * dot(p!, q!), 5);
      }),
      { numRuns: 50 },
    );
  });

  it("are a space of their own, which changes with a part, its embedding and its share", () => {
    const spaceOf = (share: number, width: number): string =>
      joinEncoders([
        { encoder: narrow, share },
        { encoder: wide, share: 1 - share, embedding: { width } },
      ]).space({});
    const fitted = new HashEncoder({ width: 64 });
    fitted.fit(["one text"]);
    const other = joinEncoders([
      { encoder: narrow, share: 0.5 },
      { encoder: fitted, share: 0.5, embedding: { width: 32 } },
    ]).space({});
    expect(new Set([spaceOf(0.5, 32), spaceOf(0.25, 32), spaceOf(0.5, 16), other]).size).toBe(4);
    expect(spaceOf(0.5, 32)).toBe(spaceOf(0.5, 32));
  });

  it("refuse shares that do not sum to 1, exits and widths", async () => {
    const refused = (run: () => unknown) =>
      expect(Promise.resolve().then(run)).rejects.toMatchObject({
        code: "BAD_ARGUMENT",
      } satisfies Partial<TesseraError>);
    await refused(() => joinEncoders([]));
    await refused(() => joinEncoders([{ encoder: narrow, share: 0.9 }]));
    await refused(() =>
      joinEncoders([
        { encoder: narrow, share: 0 },
        { encoder: wide, share: 1 },
      ]),
    );
    const joined = joinEncoders([{ encoder: narrow, share: 1 }]);
    await refused(() => joined.space({ exit: 2 }));
    await refused(() => joined.encode(["a"], { kind: "text", width: 8 }));
  });
});
