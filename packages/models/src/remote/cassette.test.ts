import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { GenerateRequest, LanguageModel } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { collected, scriptedModel } from "@tessera/testkit";
import { openCassette } from "./cassette.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cassette-"));
});
afterAll(() => rm(folder, { recursive: true }));
let count = 0;
const fresh = () => join(folder, "deep", `${++count}.jsonl`);

const ask = (content: string, more: Partial<GenerateRequest> = {}): GenerateRequest => ({
  messages: [{ role: "user", content }],
  maxTokens: 50,
  ...more,
});
const echo = () =>
  scriptedModel(({ messages }) => `you said ${messages[0]!.content}`, { capabilities: ["logprobs", "score"] });
describe("a cassette", () => {
  it("records what a model says, and says the same without it", async () => {
    const path = fresh();
    const model = echo();
    const recording = await openCassette(path, { model });
    const said = await complete(recording, ask("hello", { logprobs: true }));
    expect(said.text).toBe("you said hello");

    const replaying = await openCassette(path);
    expect(await complete(replaying, ask("hello", { logprobs: true }))).toEqual(said);
    expect(await collected(replaying.generate(ask("hello", { logprobs: true })))).toHaveLength(1);
    expect(replaying.revision).toBe(recording.revision);
    expect([...replaying.capabilities]).toEqual(["logprobs", "score"]);
  });

  it("says of a script's answers that they are scripted, and of a model's nothing", async () => {
    const [script, service] = [fresh(), fresh()];
    const { scripted: _, ...model } = echo();
    expect((await openCassette(script, { model: echo() })).scripted).toBe(true);
    await complete(await openCassette(script, { model: echo() }), ask("hello"));
    await complete(await openCassette(service, { model }), ask("hello"));
    expect((await openCassette(script)).scripted).toBe(true);
    expect((await openCassette(service)).scripted).toBeUndefined();
    // what stands in the file counts, whatever records more of it
    expect((await openCassette(script, { model })).scripted).toBe(true);
  });

  it("says of itself which prompts its model was trained on", async () => {
    const path = fresh();
    const model = { ...echo(), prompts: "brief" as const };
    await complete(await openCassette(path, { model }), ask("hello"));
    expect((await openCassette(path)).prompts).toBe("brief");
  });

  it("replays an answer whose request was left out of the file", async () => {
    const path = fresh();
    await complete(await openCassette(path, { model: echo() }), ask("hello"));
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    const short = lines.map((line) => JSON.stringify({ ...JSON.parse(line), request: undefined }));
    await writeFile(path, `${short.join("\n")}\n`);
    expect((await complete(await openCassette(path), ask("hello"))).text).toBe("you said hello");
  });

  it("asks the model once for the same request, also when asked twice at once", async () => {
    const model = echo();
    const cassette = await openCassette(fresh(), { model });
    await Promise.all([complete(cassette, ask("a")), complete(cassette, ask("a")), complete(cassette, ask("b"))]);
    await complete(cassette, ask("a"));
    expect(model.requests).toHaveLength(2);
  });

  it("streams while it records, and tells every setting apart", async () => {
    const model = echo();
    const cassette = await openCassette(fresh(), { model });
    expect((await collected(cassette.generate(ask("a b c")))).length).toBeGreaterThan(3);
    for (const more of [{ seed: 1 }, { seed: 2 }, { temperature: 1 }, { maxTokens: 2 }, { stop: ["x"] }])
      await complete(cassette, ask("a b c", more));
    expect(model.requests).toHaveLength(6);
  });

  it("the order of a request's fields does not matter", async () => {
    const model = echo();
    const cassette = await openCassette(fresh(), { model });
    await complete(cassette, { maxTokens: 5, seed: 1, messages: [{ content: "a", role: "user" }] });
    await complete(cassette, { messages: [{ role: "user", content: "a" }], seed: 1, maxTokens: 5 });
    expect(model.requests).toHaveLength(1);
  });

  it("a missing answer is RECORD_MISSING, and says which", async () => {
    const path = fresh();
    await expect(openCassette(path)).rejects.toMatchObject({ code: "RECORD_MISSING", path });
    await complete(await openCassette(path, { model: echo() }), ask("a"));
    const replaying = await openCassette(path);
    await expect(complete(replaying, ask("never asked"))).rejects.toMatchObject({
      code: "RECORD_MISSING",
      message: expect.stringContaining("never asked"),
    });
  });

  it("goes on where it ended, with another model too", async () => {
    const path = fresh();
    await complete(await openCassette(path, { model: echo() }), ask("a"));
    await complete(await openCassette(path, { model: scriptedModel(["new"]) }), ask("b"));
    const replaying = await openCassette(path);
    expect((await complete(replaying, ask("a"))).text).toBe("you said a");
    expect((await complete(replaying, ask("b"))).text).toBe("new");
  });

  it("keeps nothing of an answer that broke off or was left", async () => {
    const path = fresh();
    const broken: LanguageModel = {
      revision: "1",
      capabilities: new Set(),
      async *generate({ messages }) {
        yield { text: "half" };
        if (messages[0]!.content === "break") throw new Error("broken");
        yield { text: " whole", finish: "stop" };
      },
    };
    const cassette = await openCassette(path, { model: broken });
    await expect(complete(cassette, ask("break"))).rejects.toThrow("broken");
    for await (const _ of cassette.generate(ask("leave"))) break;
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    expect((await complete(cassette, ask("leave"))).text).toBe("half whole");
  });

  it("one who waits for another's answer asks for himself when that one leaves", async () => {
    const model = echo();
    const cassette = await openCassette(fresh(), { model });
    const first = cassette.generate(ask("a"))[Symbol.asyncIterator]();
    await first.next();
    const second = complete(cassette, ask("a"));
    await first.return?.();
    expect((await second).text).toBe("you said a");
    expect(model.requests).toHaveLength(2);
  });

  it("survives a kill in the middle of a line", async () => {
    const path = fresh();
    const recording = await openCassette(path, { model: echo() });
    await complete(recording, ask("a"));
    await complete(recording, ask("b"));
    const whole = await readFile(path, "utf8");
    for (const length of [whole.length - 1, whole.length - 30]) {
      await writeFile(path, whole.slice(0, length));
      const replaying = await openCassette(path);
      expect((await complete(replaying, ask("a"))).text).toBe("you said a");
      await complete(await openCassette(path, { model: echo() }), ask("b"));
      expect(await readFile(path, "utf8")).toBe(whole);
    }
  });

  it("a damaged line is RECORD_CORRUPT, with its place", async () => {
    const path = fresh();
    await complete(await openCassette(path, { model: echo() }), ask("a"));
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace('"answer"', '"anser"'));
    await expect(openCassette(path)).rejects.toMatchObject({ code: "RECORD_CORRUPT", path: `${path}:2` });
    await writeFile(path, "no cassette\n");
    await expect(openCassette(path, { model: echo() })).rejects.toMatchObject({
      code: "RECORD_CORRUPT",
      path: `${path}:1`,
    });
    expect(await readFile(path, "utf8")).toBe("no cassette\n");
  });

  it("records scores as well", async () => {
    const path = fresh();
    const request = { messages: [{ role: "user", content: "q" }], text: "a b" } as const;
    const scored = await (await openCassette(path, { model: echo() })).score!(request);
    expect(scored.tokens).toHaveLength(2);
    expect(await (await openCassette(path)).score!(request)).toEqual(scored);
    await expect((await openCassette(path)).score!({ ...request, text: "c" })).rejects.toMatchObject({
      code: "RECORD_MISSING",
    });
  });
});
