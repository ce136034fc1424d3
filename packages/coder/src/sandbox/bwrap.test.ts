import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import { bwrap } from "./bwrap.js";

/** The processes whose command holds a text, as sandboxes of a program do. */
const running = (text: string): string[] =>
  readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false; // it ended meanwhile
    }
  });

describe("bubblewrap that is killed in its first moments", () => {
  const driver = bwrap({ workers: 4 });

  it("leaves no program asleep, whenever it is killed", async () => {
    const missing = await driver.missing();
    if (missing) {
      process.stderr.write(`\nNOT TESTED: what a killed bubblewrap leaves: ${missing}\n`);
      return;
    }
    const marker = `marker-${randomUUID()}`;
    // asleep it costs no processor time, so that no limit but the kill ends it
    const source = `/* ${marker} */ setInterval(() => undefined, 1e6);`;
    const limits = { wallMs: 60_000, memoryMb: 128, outputBytes: 1000 };
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const stop = new AbortController();
        const run = driver.run({ language: "javascript", source }, limits, stop.signal);
        const ended = expect(run).rejects.toMatchObject({ code: "ABORTED" });
        // from before it is started to after the program runs
        await sleep(n * 2);
        stop.abort();
        await ended;
      }),
    );
    // a killed process is gone a moment later
    for (let wait = 0; wait < 100 && running(marker).length > 0; wait++) await sleep(50);
    expect(running(marker)).toEqual([]);
  }, 30_000);
});
