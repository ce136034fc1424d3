import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { flow, type Hit } from "@tessera/core";
import { endpointEncoder } from "@tessera/models";
import { dense } from "@tessera/retriever";
import { stubService } from "@tessera/testkit";
import { openCodebase, updateCodebase } from "./codebase.js";
import { createTessera } from "./create.js";
import { KeptVectors } from "./kept-vectors.js";

const home = mkdtempSync(join(tmpdir(), "tessera-paid-"));
const root = join(home, "source");
mkdirSync(root);
const files = 20;
const words = ["apple", "river", "stone", "cloud", "train"];
for (let file = 0; file < files; file++) {
  const parts = Array.from(
    { length: 12 },
    (_, part) => `## Part ${part}\n\n${`${words[(file + part) % 5]} ${file}-${part} stands here. `.repeat(12)}\n`,
  );
  writeFileSync(join(root, `page-${file}.md`), `# Page ${file}\n\n${parts.join("\n")}`);
}
writeFileSync(join(root, ".env"), "OPENAI_API_KEY=of-the-secret-file\n");

/** The texts of each request that was answered, and of the one that was not. */
let answered: string[][] = [];
let left: string[][] = [];
let answer: (texts: string[], send: () => void, response: ServerResponse) => void;
const vectorOf = (text: string) => words.map((word) => text.split(word).length - 1 + 0.01);
const service = stubService((_, response, text) => {
  const { input } = JSON.parse(text) as { input: string[] };
  const data = input.map((text, index) => ({ index, embedding: vectorOf(text) }));
  left.push(input);
  answer(
    input,
    () => {
      left = left.filter((texts) => texts !== input);
      answered.push(input);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ data }));
    },
    response,
  );
});
let baseUrl: string;
beforeAll(() => {
  baseUrl = `${service.origin}/v1`;
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  answered = [];
  left = [];
  answer = (_, send) => send();
});

const fixture = fileURLToPath(new URL("paid-index.fixture.ts", import.meta.url));
const sources = fileURLToPath(new URL("../../../apps/setup/sources.mjs", import.meta.url));
const start = (folder: string) =>
  spawn(process.execPath, ["--conditions=@tessera/source", `--import=${sources}`, fixture, baseUrl, root, folder], {
    env: { ...process.env, NODE_OPTIONS: "" },
    stdio: ["ignore", "pipe", "inherit"],
  });
const ended = (child: ReturnType<typeof start>) => new Promise((resolve) => child.on("close", (code) => resolve(code)));

const encoder = (model = "paid-one", more = {}) => endpointEncoder({ baseUrl, model, paid: true, retries: 0, ...more });

describe("an index over an encoder whose calls cost money", () => {
  const folder = join(home, "index");

  it("repeats no call that was answered after a kill in the middle, and indexes no secret", async () => {
    let child: ReturnType<typeof start>;
    // the third request is never answered: the process dies while it waits
    answer = (_, send) => (answered.length < 2 ? send() : void child.kill("SIGKILL"));
    child = start(folder);
    await ended(child);
    expect(answered).toHaveLength(2);
    const [first, unanswered] = [answered.flat(), left.flat()];
    answered = [];
    answer = (_, send) => send();
    expect(await ended(start(folder))).toBe(0);
    const second = answered.flat();
    expect(second.filter((text) => first.includes(text))).toEqual([]);
    expect(unanswered.filter((text) => !second.includes(text))).toEqual([]);
    expect(new Set([...first, ...second]).size).toBe(first.length + second.length);
    expect([...first, ...second].join("\n")).not.toContain("of-the-secret-file");
    expect(readdirSync(folder).filter((name) => name.endsWith(".kept"))).toEqual([]);

    answered = [];
    expect(await ended(start(folder))).toBe(0);
    expect(answered).toEqual([]);
  });

  it("goes on where a failing service had stopped it, and asks of a changed file what is new in it", async () => {
    const other = join(home, "failing");
    answer = (_, send, response) => (answered.length < 1 ? send() : void response.writeHead(402).end("no credit"));
    await expect(updateCodebase({ root, folder: other, encoder: encoder() })).rejects.toMatchObject({
      code: "MODEL_FAILED",
    });
    const first = answered.flat();
    answer = (_, send) => send();
    await (await updateCodebase({ root, folder: other, encoder: encoder() })).close();
    expect(
      answered
        .slice(1)
        .flat()
        .filter((text) => first.includes(text)),
    ).toEqual([]);
    answered = [];
    writeFileSync(join(root, "page-0.md"), "# Page 0\n\nA new river.\n");
    await (await updateCodebase({ root, folder: other, encoder: encoder() })).close();
    expect(answered.flat()).toHaveLength(1);
    expect(answered.flat()[0]).toContain("A new river.");
  });

  it("is searched by the same encoder, also where it is opened as it is", async () => {
    const { resources, close, vectors } = await openCodebase(folder, encoder());
    expect(vectors.kind).not.toBe("none");
    const near = flow("near", { query: "text" }, (f, { query }) => ({
      hits: f.node("dense", dense({ store: "dense", encoder: "encoder", top: 3 }), { query }).hits,
    }));
    const tessera = createTessera({ flows: { near }, resources });
    const { output } = await tessera.run("near", { query: "cloud" });
    for (const { passage } of output.hits as Hit[]) expect(passage.text).toContain("cloud");
    await tessera.close();
    await close();
  });

  it.each<[string, () => Parameters<typeof updateCodebase>[0]["encoder"]]>([
    ["another model there", () => encoder("paid-two")],
    ["hash features", () => "hash"],
    ["no vectors at all", () => "none"],
  ])("refuses %s by name, and keeps what it has", async (_, other) => {
    const update = updateCodebase({ root, folder, encoder: other() });
    await expect(update).rejects.toMatchObject({ code: "CONFLICT", message: expect.stringContaining("paid-one") });
    expect(answered).toEqual([]);
    await (await openCodebase(folder, encoder())).close();
  });

  it("refuses to take the place of vectors of another encoder, unless it is told to", async () => {
    const local = join(home, "local");
    await (await updateCodebase({ root, folder: local, encoder: "hash" })).close();
    await expect(updateCodebase({ root, folder: local, encoder: encoder() })).rejects.toMatchObject({
      code: "CONFLICT",
      message: expect.stringContaining("paid-one"),
    });
    expect(answered).toEqual([]);
    await (await updateCodebase({ root, folder: local, encoder: encoder(), rebuild: true })).close();
    expect(answered.length).toBeGreaterThan(0);
    // one that costs nothing takes its place as encoders of this machine do
    const free = join(home, "free");
    await (await updateCodebase({ root, folder: free, encoder: encoder("a", { paid: false }) })).close();
    await (await updateCodebase({ root, folder: free, encoder: "hash" })).close();
  });

  it("an empty folder has an index, which takes passages later", async () => {
    const empty = join(home, "empty");
    mkdirSync(empty);
    const settings = { root: empty, folder: join(home, "of-empty"), encoder: encoder() };
    await (await updateCodebase(settings)).close();
    writeFileSync(join(empty, "a.md"), "# A river\n");
    const { resources, close } = await updateCodebase(settings);
    expect(Object.keys(resources.store!)).toContain("dense");
    await close();
  });
});

it("kept vectors that end in the middle of a row are read up to it", async () => {
  const path = join(home, "rows.kept");
  const calls: number[] = [];
  const counting = {
    revision: "1",
    space: () => "s",
    encode: async (texts: readonly string[]) => {
      calls.push(texts.length);
      return texts.map((text) => Float32Array.of(text.length, 1));
    },
  };
  for (const cut of [0, 1, 30, 44]) {
    rmSync(path, { force: true });
    calls.length = 0;
    let kept = await KeptVectors.open(path);
    await kept.over(counting, 2).encode(["a", "bb", "ccc"], { kind: "text" });
    await kept.close();
    expect(existsSync(path)).toBe(true);
    const { readFileSync } = await import("node:fs");
    writeFileSync(path, readFileSync(path).subarray(0, 3 * 44 - cut));
    kept = await KeptVectors.open(path);
    const vectors = await kept.over(counting, 2).encode(["a", "bb", "ccc", "a"], { kind: "text" });
    await kept.close();
    expect(vectors.map(([first]) => first)).toEqual([1, 2, 3, 1]);
    expect(calls).toEqual(cut === 0 ? [2, 1] : [2, 1, 1]);
  }
});
