import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterAll, beforeAll, expect } from "@jest/globals";
import { needs, needsForAll } from "@tessera/testkit";
import type { Page } from "playwright-core";
import { chromiumPath, type Studio, startStudio } from "./service.fixture.js";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

interface AxeFinding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** What axe finds in a view, as it stands. */
async function findings(page: Page): Promise<string[]> {
  // by the debugger, which the policy of the page does not hold
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: readFileSync(axe, "utf8") });
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: AxeFinding[] }> } };
    return (await axe.run()).violations;
  });
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}

needsForAll(existsSync(chromiumPath), "chromium is not installed")("the studio in a browser", () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await startStudio();
  });
  afterAll(() => studio.close());
  const test = needs(true, "");

  test("asks a question of the folder without a model, cites, and opens the source at its lines", async () => {
    const { page, faults, context } = await studio.open();
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Ask town");
    await page.getByLabel("Question").fill("When does the ferry leave?");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Sources" }).waitFor();
    expect(await page.locator(".asked").textContent()).toBe("When does the ferry leave?");
    expect(await page.locator(".answer").textContent()).toMatch(/leaves at nine/);
    expect(await page.locator(".why").textContent()).toMatch(/No language model was asked/);
    await page.getByRole("button", { name: /^\d+: open ferry\.md:1–/ }).click();
    await page.getByRole("dialog").getByText("In winter it leaves at ten.").waitFor();
    expect(await page.locator(".cm-meant").count()).toBeGreaterThan(2);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(faults).toEqual([]);
    await context.close();
  });

  test("shows every step of a run: drawing, waterfall, hits by operator, prompt and answer", async () => {
    const { page, faults, context } = await studio.open();
    await page.getByRole("link", { name: "Flows", exact: true }).first().click();
    await page.getByRole("link", { name: /^rag/ }).click();
    await page.getByRole("tab", { name: "Run" }).click();
    await page.getByLabel("query").fill("When does the ferry leave?");
    await page.getByRole("button", { name: "Run" }).click();
    await page.locator(".answer", { hasText: "Scripted answer: the ferry leaves at nine" }).waitFor();
    await page.getByRole("tab", { name: "Every step" }).click();
    const steps = page.getByRole("listbox", { name: "Steps" });
    await steps.getByRole("option", { name: /^answer/ }).click();
    await page.getByRole("tab", { name: "Prompt and answer" }).click();
    await page.getByText("The model said").waitFor();
    expect(await page.locator(".message", { hasText: "When does the ferry leave?" }).count()).toBeGreaterThan(0);
    // from the drawing to the list
    await page.locator(".react-flow__node", { hasText: "fuser.weighted" }).click();
    await page.getByRole("heading", { name: "rag/fuse" }).waitFor();
    expect(await steps.getByRole("option", { selected: true }).textContent()).toMatch(/^fuse/);
    await page
      .getByText(/store\.bm25 #1/)
      .first()
      .waitFor();
    // and by keys
    await steps.focus();
    await page.keyboard.press("ArrowUp");
    await page.getByRole("heading", { name: "rag/fuse" }).waitFor({ state: "detached" });
    expect(faults.filter((fault) => !fault.includes("404"))).toEqual([]);
    await context.close();
  });

  test("shows texts that would do harm as HTML as the texts that they are", async () => {
    const { page, context } = await studio.open();
    await page.getByLabel("by the flow").selectOption("rag");
    await page.getByLabel("Question").fill("What did the lighthouse keeper write? <b>bold</b>");
    await page.keyboard.press("Enter");
    await page.locator(".answer", { hasText: '<img src=x onerror="globalThis.harmed=1">' }).waitFor();
    await page.locator(".passage", { hasText: "<script>globalThis.harmed=1</script>" }).first().waitFor();
    await page.getByText("<b>bold</b>").first().waitFor();
    expect(await page.evaluate(() => (globalThis as { harmed?: number }).harmed)).toBeUndefined();
    expect(await page.locator("img:not(.brand img)").count()).toBe(0);
    await context.close();
  });

  test("has no finding of axe in any view, light and dark, wide and narrow", async () => {
    const found: Record<string, string[]> = {};
    for (const [colorScheme, width] of [
      ["light", 1280],
      ["dark", 360],
    ] as const) {
      const { page, context } = await studio.open({ colorScheme, viewport: { width, height: 800 } });
      await page.getByLabel("Question").fill("When does the ferry leave?");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Sources" }).waitFor();
      const run = new URL(page.url()).hash;
      for (const view of ["#/", "#/flows", "#/flows/iterative", run, `${run}?view=steps`]) {
        await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
        await page.getByRole("heading", { level: 1 }).waitFor();
        if (/flows\/|steps/.test(view)) await page.locator(".react-flow__node").first().waitFor();
        const faults = await findings(page);
        const wide = Number(await page.evaluate("document.documentElement.scrollWidth"));
        if (wide > width) faults.push(`it is ${wide} pixels wide`);
        if (faults.length > 0) found[`${view.replace(run, "run")} ${colorScheme} ${width}`] = faults;
      }
      await context.close();
    }
    expect(found).toEqual({});
  });
});
