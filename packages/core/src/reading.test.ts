import { describe, expect, it } from "@jest/globals";
import { TesseraError } from "./errors.js";
import { readingThreads } from "./reading.js";

/** Threads with a parser of our own that fails on demand. */
const threadsOf = (limitMs: number) =>
  readingThreads<string>(new URL("./reading.fixture.js", import.meta.url), limitMs)("script");

const failures = {
  loop: { unread: "late", detail: expect.stringContaining("ms") },
  throw: { unread: "broken", detail: expect.stringContaining("out of bounds") },
  end: { unread: "broken", detail: expect.any(String) },
  fill: { unread: expect.stringMatching(/late|broken/), detail: expect.any(String) },
  damage: { unread: "broken", detail: "its stack ran out" },
};

describe("threads that read texts", () => {
  it.each(Object.entries(failures))(
    "a parser that fails (%s) costs its own text, and none beside it or after it",
    async (text, unread) => {
      const threads = threadsOf(3000);
      try {
        // more texts than threads, so that some wait for the thread that fails
        const beside = Array.from({ length: 8 }, (_, n) => threads.run(`${n}`, {}));
        const failed = threads.run(text, {});
        const after = Array.from({ length: 8 }, (_, n) => threads.run(`${n}`, {}));
        expect(await failed).toEqual(unread);
        expect(await threads.run("next", {})).toEqual({ value: "script next" });
        for (const [n, reading] of (await Promise.all(beside)).entries())
          expect(reading).toEqual({ value: `script ${n}` });
        for (const [n, reading] of (await Promise.all(after)).entries())
          expect(reading).toEqual({ value: `script ${n}` });
      } finally {
        await threads.close(new TesseraError("CLOSED", "enough"));
      }
    },
  );

  it("one that loops holds up nobody, and ends when it is aborted", async () => {
    const threads = threadsOf(60_000);
    try {
      const aborting = new AbortController();
      let turns = 0;
      const clock = setInterval(() => turns++, 5);
      const looping = threads.run("loop", { signal: aborting.signal });
      const refused = expect(looping).rejects.toThrow("enough");
      expect(await threads.run("other", {})).toEqual({ value: "script other" });
      while (turns < 5) await new Promise((resolve) => setTimeout(resolve, 5));
      clearInterval(clock);
      aborting.abort(new Error("enough"));
      await refused;
      expect(await threads.run("next", {})).toEqual({ value: "script next" });
    } finally {
      await threads.close(new TesseraError("CLOSED", "enough"));
    }
  });
});
