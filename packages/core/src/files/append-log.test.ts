import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { AppendLog, type AppendLogOptions } from "./append-log.js";
import { LossyFiles } from "./lossy-files.fixture.js";

const folder = "log";

async function opened(files: LossyFiles, options: Partial<AppendLogOptions> = {}) {
  const entries: string[] = [];
  const log = await AppendLog.open({
    folder,
    segmentBytes: 300,
    files,
    onEntry: (payload) => entries.push(payload.toString()),
    ...options,
  });
  return { log, entries };
}

const texts = (from: number, count: number): Buffer[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(`entry ${from + index}`));

/** A log of three segments that was closed. */
async function closedLog(): Promise<{ contents: Map<string, Buffer>; entries: string[] }> {
  const files = LossyFiles.empty();
  const { log } = await opened(files);
  for (let from = 0; from < 24; from += 3) await log.append(texts(from, 3));
  await log.close();
  expect(log.segments).toHaveLength(3);
  return { contents: files.contents(), entries: texts(0, 24).map(String) };
}

/** What became of opening changed files: the path of the file that is said to be damaged, or the entries. */
async function outcome(contents: Map<string, Buffer>): Promise<string | string[]> {
  try {
    const { log, entries } = await opened(LossyFiles.of(Object.fromEntries(contents)));
    await log.close();
    return entries;
  } catch (error) {
    expect(error).toMatchObject({ code: "RECORD_CORRUPT" });
    return (error as { path: string }).path;
  }
}

describe("a log that was closed", () => {
  it("is refused with the file's name after a cut at any offset of any file, at ends of entries too", async () => {
    const { contents, entries } = await closedLog();
    expect(await outcome(contents)).toEqual(entries);
    for (const [path, whole] of contents)
      for (let length = 0; length < whole.length; length++)
        expect(await outcome(new Map(contents).set(path, whole.subarray(0, length)))).toBe(path);
  });

  it("is refused with the file's name after a flip of any bit", async () => {
    const { contents } = await closedLog();
    for (const [path, whole] of contents)
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const changed = Buffer.from(whole);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        expect([bit, await outcome(new Map(contents).set(path, changed))]).toEqual([bit, path]);
      }
  });

  it("is refused where a file is missing, or has another one's name", async () => {
    const { contents } = await closedLog();
    const [first, second, third] = [...contents.keys()] as [string, string, string];
    for (const path of [first, second, third]) {
      const less = new Map(contents);
      less.delete(path);
      expect(await outcome(less)).toBe(path);
    }
    const exchanged = new Map(contents).set(second, contents.get(third)!).set(third, contents.get(second)!);
    expect(await outcome(exchanged)).toBe(third);
  });
});

describe("the end of a log that was never confirmed", () => {
  it("is dropped, whatever stands there, and the log goes on from there", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), async (rest) => {
        const { contents, entries } = await closedLog();
        const last = [...contents.keys()].at(-1)!;
        const files = LossyFiles.of({
          ...Object.fromEntries(contents),
          [last]: Buffer.concat([contents.get(last)!, rest]),
        });
        const { log, entries: found } = await opened(files);
        // zeros are what a log itself leaves behind its last entry while it is open
        expect([found, log.dropped]).toEqual([entries, 1 + rest.findLastIndex((byte) => byte !== 0)]);
        await log.append(texts(24, 2));
        await log.close();
        expect(await outcome(files.contents())).toEqual([...entries, ...texts(24, 2).map(String)]);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a log that is open", () => {
  it("has zeros behind its last entry, which are no loss, and none once it is closed", async () => {
    const files = LossyFiles.empty();
    const { log } = await opened(files, { segmentBytes: 1 << 20 });
    const lengths: number[] = [];
    for (let from = 0; from < 40; from++) {
      await log.append(texts(from, 1));
      lengths.push([...files.contents().values()][0]!.length);
    }
    // most appends change bytes and no length
    expect(new Set(lengths).size).toBe(1);
    expect(lengths[0]).toBeGreaterThan(log.bytes);
    const { log: other, entries } = await opened(files.killed(), { segmentBytes: 1 << 20 });
    expect([entries, other.dropped]).toEqual([texts(0, 40).map(String), 0]);
    await log.close();
    expect([...files.contents().values()][0]).toHaveLength(log.bytes);
  });
});

describe("a crash of the machine", () => {
  it("at any call loses nothing confirmed, keeps groups whole and the order; by every call and torn blocks", async () => {
    for (let crashAt = 1, ended = false; !ended; crashAt++) {
      const files = LossyFiles.empty();
      files.crashAt = crashAt;
      const groups: string[][] = Array.from({ length: 9 }, (_, group) =>
        texts(group * 10, 1 + (group % 3)).map(String),
      );
      let confirmed = 0;
      try {
        const { log } = await opened(files);
        for (let first = 0; first < groups.length; first += 3) {
          const results = await Promise.allSettled(
            groups.slice(first, first + 3).map((group) => log.append(group.map((text) => Buffer.from(text)))),
          );
          confirmed += results.filter(({ status }) => status === "fulfilled").length;
        }
        await log.close();
        ended = true;
      } catch {
        // crashed while it was opened or closed
      }
      const random = fc.sample(fc.boolean(), { numRuns: 4000, seed: crashAt });
      for (const pick of [() => false, () => true, () => random.pop() ?? false]) {
        const { log, entries } = await opened(files.crashed(pick));
        const whole = groups.findIndex((_, count) => groups.slice(0, count).flat().length === entries.length);
        const count = whole === -1 ? groups.length : whole;
        expect(entries).toEqual(groups.slice(0, count).flat());
        expect(count).toBeGreaterThanOrEqual(confirmed);
        await log.close();
      }
    }
  });

  it("finds each append on the disk at the moment it was confirmed", async () => {
    const files = LossyFiles.empty();
    const { log } = await opened(files, { segmentBytes: 2000 });
    await Promise.all(
      texts(0, 60).map(async (text, index) => {
        await new Promise((resolve) => setTimeout(resolve, index % 7));
        await log.append([text]);
        const { entries } = await opened(files.crashed());
        expect(entries).toContain(String(text));
      }),
    );
    await log.close();
  });
});

describe("group commit", () => {
  it("writes and syncs once for all that waits, and confirms after the sync has returned", async () => {
    const files = LossyFiles.empty();
    const { log } = await opened(files, { segmentBytes: 1 << 20 });
    files.calls.length = 0;
    const confirmed = () => files.calls.push("confirmed");
    await Promise.all([
      ...texts(0, 100).map((text) => log.append([text]).then(confirmed)),
      ...texts(100, 100).map((text) => log.append([text]).then(confirmed)),
    ]);
    expect(files.calls).toEqual(["write", "sync", "synced", "mark", ...Array(200).fill("confirmed")]);
    files.calls.length = 0;
    const first = log.append(texts(0, 1)).then(confirmed);
    await new Promise((resolve) => setImmediate(resolve)); // the first is being written
    const others = texts(1, 50).map((text) => log.append([text]).then(confirmed));
    await Promise.all([first, ...others]);
    expect(files.calls.filter((call) => call !== "confirmed")).toEqual([
      "write",
      "sync",
      "synced",
      "mark",
      "write",
      "sync",
      "synced",
      "mark",
    ]);
    const [own, theirs] = [files.calls.indexOf("synced"), files.calls.lastIndexOf("synced")];
    expect(files.calls.indexOf("confirmed")).toBeGreaterThan(own);
    expect(files.calls.slice(theirs).filter((call) => call === "confirmed")).toHaveLength(50);
    await log.close();
  });
});

describe("a write that fails", () => {
  it("refuses what waits, leaves nothing of it, and the log goes on", async () => {
    const files = LossyFiles.empty();
    const { log } = await opened(files);
    await log.append(texts(0, 1));
    files.fail = (call) => call === "write";
    const results = await Promise.allSettled(texts(1, 3).map((text) => log.append([text])));
    for (const result of results)
      expect(result).toMatchObject({ status: "rejected", reason: { code: "STORE_FAILED" } });
    expect(log.failures).toBe(1);
    files.fail = () => false;
    await log.append(texts(4, 1));
    await log.close();
    expect(await outcome(files.contents())).toEqual(["entry 0", "entry 4"]);
  });

  it("at its sync ends the log until it is opened again", async () => {
    const files = LossyFiles.empty();
    const { log } = await opened(files);
    await log.append(texts(0, 1));
    files.fail = (call) => call === "sync";
    await expect(log.append(texts(1, 1))).rejects.toMatchObject({ code: "STORE_FAILED" });
    files.fail = () => false;
    await expect(log.append(texts(2, 1))).rejects.toMatchObject({ code: "STORE_FAILED" });
    await log.close();
    expect(await outcome(files.killed().contents())).toEqual(["entry 0"]);
  });

  it("is refused before it begins where the caller says so, or too much waits", async () => {
    const files = LossyFiles.empty();
    let lost = false;
    const { log } = await opened(files, {
      waitingBytes: 90,
      beforeWrite: () => {
        if (lost) throw new Error("not ours");
      },
    });
    const results = await Promise.allSettled([texts(0, 2), texts(2, 2), texts(4, 1)].map((group) => log.append(group)));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(results[1]).toMatchObject({ reason: { code: "OVERLOADED" } });
    lost = true;
    await expect(log.append(texts(5, 1))).rejects.toMatchObject({ cause: { message: "not ours" } });
    lost = false;
    await log.append(texts(6, 1));
    await log.close();
    await expect(log.append(texts(7, 1))).rejects.toMatchObject({ code: "CLOSED" });
    expect(await outcome(files.contents())).toEqual([...texts(0, 2), ...texts(4, 1), ...texts(6, 1)].map(String));
  });
});

describe("an entry that is read", () => {
  it("is what was written, or RECORD_CORRUPT with the file's name", async () => {
    const files = LossyFiles.empty();
    const { log } = await opened(files);
    const [place] = await log.append(texts(7, 1));
    expect(String(await log.read(place!))).toBe("entry 7");
    const [path] = [...files.contents().keys()];
    files.contents().get(path!)![place!.offset + 20]! ^= 4;
    await expect(log.read(place!)).rejects.toMatchObject({ code: "RECORD_CORRUPT", path });
    await log.close();
  });
});

describe("a process that is killed", () => {
  it("loses nothing that it said was confirmed", async () => {
    const disk = mkdtempSync(join(tmpdir(), "tessera-log-"));
    const script = new URL("./log.fixture.ts", import.meta.url).pathname;
    const sources = new URL("../../../../apps/setup/sources.mjs", import.meta.url).href;
    for (let kill = 1; kill <= 4; kill++) {
      const child = spawn(process.execPath, ["--import", sources, script, disk], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let said = "";
      const enough = 30 * kill;
      await new Promise<void>((resolve) => {
        child.stdout.on("data", (data) => {
          said += data;
          if (said.split("\n").length > enough) child.kill("SIGKILL");
        });
        child.once("close", () => resolve());
      });
      const entries: string[] = [];
      const log = await AppendLog.open({ folder: disk, onEntry: (payload) => entries.push(payload.toString()) });
      const numbers = said.split("\n").slice(0, -1);
      expect(numbers.length).toBeGreaterThanOrEqual(enough);
      for (const number of numbers) expect(entries).toContain(`entry ${number}`);
      expect(entries).toEqual(texts(1, entries.length).map(String));
      await log.close();
    }
    rmSync(disk, { recursive: true });
  });
});
