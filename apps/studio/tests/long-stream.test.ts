import { existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect } from "@jest/globals";
import { type FlowDocument, operator, text } from "@tessera/core";
import { countOf, needs, needsForAll } from "@tessera/testkit";
import type { CDPSession } from "playwright-core";
import { z } from "zod";
import { callOf, chromiumPath, type Studio, startStudio } from "./service.fixture.js";

const tokens = countOf({ usual: 100_000, long: 1_000_000 });
const megabytes = 1 << 20;
const report = (line: string): void => void process.stderr.write(`${line}\n`);

/** Resolved when the page was looked at; a run waits for it after a tenth of its tokens, and before it ends. */
const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;

const flood = operator({
  name: "test.flood",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Says very much." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup:
    () =>
    async (_, { emit }) => {
      const said: string[] = [];
      for (let token = 0; token < tokens; token++) {
        const word = ` word${token % 1000}`;
        said.push(word);
        emit("text", word);
        if (token % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (token === tokens / 10) await gates[0].promise;
      }
      await gates[1].promise;
      return { text: said.join("") };
    },
});

const much: FlowDocument = {
  version: 1,
  name: "much",
  input: { query: "text" },
  nodes: { say: { run: "test.flood", in: { query: "input.query" } } },
  output: { text: "say.text" },
};

async function heapOf(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.collectGarbage");
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}

needsForAll(existsSync(chromiumPath), "chromium is not installed")("the page", () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await startStudio({ much }, { operators: [flood] });
  });
  afterAll(() => studio.close());
  const test = needs(true, "");

  test("is there soon, with little script", async () => {
    const scripts: Promise<Buffer>[] = [];
    let session: CDPSession | undefined;
    const { page, context } = await studio.open({}, async (opening) => {
      session = await opening.context().newCDPSession(opening);
      await session.send("Performance.enable");
      opening.on("response", (response) => {
        if (/\.js$/.test(response.url())) scripts.push(response.body());
      });
    });
    await page.getByLabel("Question").waitFor();
    const bytes = (await Promise.all(scripts)).reduce((sum, body) => sum + gzipSync(body).length, 0);
    const { metrics } = await session!.send("Performance.getMetrics");
    const busy = metrics.find(({ name }) => name === "TaskDuration")!.value * 1000;
    const shown = Number(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"));
    report(
      `first view: ${(bytes / 1000).toFixed(0)} kB of script (gzip); first paint after ${shown.toFixed(0)} ms of the clock, the page's thread busy for ${busy.toFixed(0)} ms`,
    );
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(350_000);
    expect(busy).toBeGreaterThan(0);
    // of its thread, so that a machine that does much else says the same
    expect(busy).toBeLessThan(1000);
    await context.close();
  });

  test("does not grow with the text that streams through it", async () => {
    const opened = await studio.open();
    const { page, context } = opened;
    const session = await context.newCDPSession(page);
    const call = await callOf(studio, opened);
    const headers = { authorization: `Bearer ${await opened.key()}`, "content-type": "application/json" };
    const { id } = (await (
      await fetch(`${studio.served.url}/flows/much/runs`, {
        method: "POST",
        headers: { ...headers, prefer: "respond-async" },
        body: JSON.stringify({ input: { query: "say much" } }),
      })
    ).json()) as { id: string };
    await page.evaluate(`location.hash = "#/runs/${id}"`);
    const answer = page.locator(".answer");
    const last = (count: number) => new RegExp(`word${(count - 1) % 1000}$`);
    await answer.filter({ hasText: last(tokens / 10 + 1) }).waitFor({ timeout: 300_000 });
    const early = await heapOf(session);
    gates[0].resolve();
    await answer.filter({ hasText: last(tokens) }).waitFor({ timeout: 600_000 });
    const late = await heapOf(session);
    const shown = (await answer.textContent())!.length;
    gates[1].resolve();
    await page.getByRole("button", { name: "Show" }).waitFor({ timeout: 300_000 });
    const ended = await heapOf(session);
    report(
      `heap of the page: ${(early / megabytes).toFixed(1)} MB after ${tokens / 10} tokens, ${(late / megabytes).toFixed(1)} MB after ${tokens}, ${(ended / megabytes).toFixed(1)} MB with the whole text`,
    );
    expect(shown).toBeLessThan(50_000);
    // nine times as many tokens, and no more than garbage of the moment
    expect(late - early).toBeLessThan(4 * megabytes);
    // at the end the text is there once or twice, and the page shows its beginning
    expect(ended - late).toBeLessThan(4 * megabytes + 6 * tokens * 8);
    expect((await call("GET", `/runs/${id}`)).status).toBe("done");
    await context.close();
  });
});
