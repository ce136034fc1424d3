import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { modelService } from "../model-service.fixture.js";
import { Terminal } from "../terminal.js";
import { chat } from "./chat.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-chat-"));
const home = process.env.TESSERA_HOME;
const service = modelService(({ body }) => {
  const [{ content: system }, { content: user }] = body.messages as [{ content: string }, { content: string }];
  if (system.includes("last question of a conversation")) return "How long is a retry's first wait?";
  return user.includes("first wait") ? "A tenth of a second [1]." : "It waits twice as long each time [1].";
});
let endpoint: string;
beforeAll(async () => {
  process.env.TESSERA_HOME = join(folder, "state");
  mkdirSync(join(folder, "src"));
  writeFileSync(
    join(folder, "src/retry.js"),
    "/** Retries are backed off: each wait is twice the one before. */\nexport const wait = (n) => 100 * 2 ** n;\n",
  );
  endpoint = await service.start();
});
beforeEach(() => {
  service.asked.length = 0;
});
afterAll(() => {
  service.stop();
  rmSync(folder, { recursive: true, force: true });
  if (home === undefined) delete process.env.TESSERA_HOME;
  else process.env.TESSERA_HOME = home;
});

/** A conversation of these lines. */
async function converse(
  lines: readonly string[],
  { json = false, model = true, thread }: { json?: boolean; model?: boolean; thread?: string } = {},
) {
  let out = "";
  const into = new Writable({
    write(chunk: Buffer, _, done) {
      out += chunk.toString();
      done();
    },
  });
  const terminal = new Terminal({ json, stack: false, config: false }, into, into);
  const code = await chat(terminal, {
    flow: "chat",
    source: join(folder, "src"),
    encoder: "hash",
    ...(model && { endpoint, model: "tiny" }),
    ...(thread !== undefined && { thread }),
    input: Readable.from(lines.map((line) => `${line}\n`)),
  });
  return { code, out };
}

describe("chat", () => {
  it("goes on with a thread the next time, and forgets it when told to", async () => {
    await converse(["how are retries backed off?"], { thread: "retries" });
    expect(service.asked).toHaveLength(1);
    const { out } = await converse(["and the first one?", "/new"], { thread: "retries" });
    expect(out).toContain("going on after 1 questions; the last was: how are retries backed off?");
    // the second question was made whole by what was said the day before
    expect(JSON.stringify(service.asked[1])).toContain("how are retries backed off?");
    expect(service.asked).toHaveLength(3);
    const { out: anew } = await converse(["and the first one?"], { thread: "retries" });
    expect(anew).not.toContain("going on");
    expect(service.asked).toHaveLength(4);
  });

  it("makes a follow-up question whole by what was said, and answers with sources", async () => {
    const { code, out } = await converse(["how are retries backed off?", "and the first one?", "/why", "/sources"]);
    expect(code).toBe(0);
    expect(out).toMatch(/It waits twice as long each time \[1\]\.\n\[1\] retry\.js:1-2/);
    expect(out).toMatch(/A tenth of a second \[1\]\.\n\[1\] retry\.js:1-2/);
    expect(out).toContain("asked: How long is a retry's first wait?");
    // one call for the first question, two for the second
    expect(service.asked).toHaveLength(3);
    const whole = service.asked[1]!.body.messages[1]!.content;
    for (const said of ["how are retries backed off?", "It waits twice as long", "and the first one?"])
      expect(whole).toContain(said);
  });

  it("forgets where it is told to, ends at /quit, and knows nothing of a question that was not asked", async () => {
    const { out } = await converse([
      "/sources",
      "how are retries backed off?",
      "/new",
      "again?",
      "/quit",
      "never asked",
    ]);
    expect(out).toContain("nothing was asked yet");
    expect(service.asked).toHaveLength(2);
  });

  it("goes on after an answer that failed", async () => {
    const failing = modelService(() => "");
    const down = endpoint;
    endpoint = await failing.start();
    failing.stop();
    const { code, out } = await converse(["how are retries backed off?", "/help"]).finally(() => {
      endpoint = down;
    });
    expect(code).toBe(0);
    expect(out).toContain("MODEL_FAILED");
    expect(out).toContain("/quit");
  });

  it("prints a line of JSON an answer, and needs a model", async () => {
    const { out } = await converse(["how are retries backed off?"], { json: true });
    expect(JSON.parse(out)).toMatchObject({
      question: "how are retries backed off?",
      answer: "It waits twice as long each time [1].",
      citations: [{ marker: 1, path: "retry.js" }],
    });
    await expect(converse(["a question"], { model: false })).rejects.toThrow("tessera.config.json");
  });
});
