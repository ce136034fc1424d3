import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect } from "@jest/globals";
import type { FlowDocument } from "@tessera/core";
import { needs, needsForAll } from "@tessera/testkit";
import type { CDPSession, Page } from "playwright-core";
import { chromiumPath, type Studio, startStudio } from "./service.fixture.js";

const nodes = 500;
const elements = 25_000;
/** The longest task of the main thread, in processor time: of an interaction, and of a view that opens. */
const mostMs = { interaction: 150, opening: 600 };

/** A flow of 500 nodes in ten rows, each of which reads the one before. */
const large: FlowDocument = {
  version: 1,
  name: "large",
  input: { query: "text" },
  nodes: Object.fromEntries(
    Array.from({ length: nodes }, (_, index) => [
      `n${index}`,
      {
        run: "text.template",
        with: { template: "{query}" },
        in: { query: index < 10 ? "input.query" : `n${index - 10}.text` },
      },
    ]),
  ),
  output: Object.fromEntries(Array.from({ length: 10 }, (_, row) => [`o${row}`, `n${nodes - 10 + row}.text`])),
};

/** A step for each of 25,000 elements: two events each. */
const many: FlowDocument = {
  version: 1,
  name: "many",
  input: { list: { list: "text" } },
  nodes: {
    each: {
      run: "text.template",
      with: { template: "{query}" },
      in: { query: "input.list" },
      each: { over: "query", max: elements },
    },
  },
  output: { texts: "each.text" },
};

/** The processor time of the page's main thread while something is done, in milliseconds: all of it, and its longest task. */
async function spent(session: CDPSession, work: () => Promise<unknown>): Promise<{ all: number; longest: number }> {
  const tasks: number[] = [];
  const collect = ({ value }: { value: unknown[] }) => {
    for (const { name, tdur = 0 } of value as { name: string; tdur?: number }[])
      if (name === "RunTask" || name === "ThreadControllerImpl::RunTask") tasks.push(tdur / 1000);
  };
  session.on("Tracing.dataCollected", collect);
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: ["devtools.timeline", "disabled-by-default-devtools.timeline"] },
  });
  await work();
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.end");
  await complete;
  session.off("Tracing.dataCollected", collect);
  return { all: tasks.reduce((sum, one) => sum + one, 0), longest: Math.max(0, ...tasks) };
}

const settled = (page: Page) =>
  page.evaluate(
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))",
  );

needsForAll(existsSync(chromiumPath), "chromium is not installed")("the studio with much to show", () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await startStudio({ large, many });
  });
  afterAll(() => studio.close());
  const test = needs(true, "");

  test("stays quick with a flow of 500 nodes and a run of 50,000 events", async () => {
    const { page, context, key } = await studio.open();
    const session = await context.newCDPSession(page);
    const headers = { authorization: `Bearer ${await key()}`, "content-type": "application/json" };
    const run = async (flow: string, input: object): Promise<string> => {
      const body = JSON.stringify({ input });
      const answer = await fetch(`${studio.served.url}/flows/${flow}/runs`, { method: "POST", headers, body });
      return answer.headers.get("x-run-id")!;
    };
    const figures: Record<string, { all: number; longest: number }> = {};
    const show = async (name: string, hash: string, ready: string) => {
      figures[name] = await spent(session, async () => {
        await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
        await page.locator(ready).first().waitFor();
        await settled(page);
      });
    };
    const act = async (name: string, work: () => Promise<unknown>) => {
      figures[name] = await spent(session, async () => {
        await work();
        await settled(page);
      });
    };
    await show("open 500 nodes", "#/flows/large", ".react-flow__node");
    await act("zoom", () => page.locator(".react-flow__controls-zoomin").click());
    await act("hover", () => page.locator(".react-flow__node").nth(3).hover());
    const id = await run("many", { list: Array.from({ length: elements }, (_, index) => `element ${index}`) });
    await show("open 50,000 events", `#/runs/${id}?view=steps`, ".wrow");
    await page
      .locator(`[role=option][aria-setsize="${elements + 2}"]`)
      .first()
      .waitFor();
    await settled(page);
    await act("choose a step", () => page.locator(".wrow").nth(5).click());
    await act("next step", () => page.keyboard.press("ArrowDown"));
    await act("scroll", () => page.mouse.wheel(0, 40_000));
    const tasks = Object.fromEntries(Object.entries(figures).map(([name, { longest }]) => [name, longest]));
    if (process.env.TESSERA_LONG) console.error(JSON.stringify(figures));
    expect(
      Object.entries(tasks).filter(
        ([name, longest]) => longest > (name.startsWith("open") ? mostMs.opening : mostMs.interaction),
      ),
    ).toEqual([]);
    await context.close();
  });
});
