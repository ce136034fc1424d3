import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { modelService } from "./model-service.fixture.js";
import { ended, root, serving, start } from "./program.fixture.js";

const work = mkdtempSync(join(tmpdir(), "tessera-services-"));
const source = (name: string, sentence: string) =>
  writeFileSync(join(work, "service", `${name}.js`), `/** ${sentence} */\nexport const ${name} = 1;\n`);
beforeAll(() => {
  mkdirSync(join(work, "service"));
  source("retry", "Retries are backed off: every wait is twice the one before.");
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Starts a service of docs/examples, asks it, and stops it. */
async function servingExample(name: string, ask: (get: typeof fetch) => Promise<void>): Promise<void> {
  const { code, err, signal } = await serving(join(root, "docs/examples", name), { cwd: work }, ask);
  expect({ ended: code === 0 || signal === "SIGTERM", err }).toEqual({ ended: true, err: "" });
}

async function answers(get: typeof fetch): Promise<void> {
  const answered = await get("/ask?q=where+are+retries+backed+off");
  expect(answered.status).toBe(200);
  expect(await answered.json()).toMatchObject({ citations: [{ path: "retry.js" }] });
  const refused = await get("/ask");
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ code: "BAD_INPUT", path: "ask.query" });
}

it("model.mjs streams the answer of a model behind an endpoint, and names its sources", async () => {
  const service = modelService(() => "Each wait is twice the one before [1].");
  const given = ["how are retries backed off?", "service", await service.start(), "tiny"];
  const { code, out, err } = await ended(start(join(root, "docs/examples/model.mjs"), given, { cwd: work }));
  service.stop();
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^Each wait is twice the one before \[1\]\.\n\[1\] retry\.js:1-2\n$/);
  expect(service.asked[0]!.body.model).toBe("tiny");
});

describe("the services of docs/examples", () => {
  it("fastify.mjs answers, streams, takes in what changed, and stops", async () => {
    await servingExample("fastify.mjs", async (get) => {
      await answers(get);
      const events = await (await get("/events?q=retries")).text();
      expect([...events.matchAll(/^event: (.*)$/gm)].map(([, type]) => type)).toEqual(
        expect.arrayContaining(["flow-start", "node-start", "node-end", "flow-end"]),
      );
      const question = "/ask?q=who+warms+the+cache";
      expect(JSON.stringify(await (await get(question)).json())).not.toContain("warm.js");
      source("warm", "The cache is warmed by the nightly job.");
      const reloaded = await get("/reload", { method: "POST" });
      expect(await reloaded.json()).toMatchObject({ added: expect.any(Number) });
      expect(JSON.stringify(await (await get(question)).json())).toContain("warm.js");
    });
  });

  it("nest.ts answers and stops, and its types hold", async () => {
    await servingExample("nest.ts", answers);
    // rejects with the findings
    await promisify(execFile)(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), "-p", "docs/examples"],
      {
        cwd: root,
      },
    );
  });
});
