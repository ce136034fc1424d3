import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect } from "@jest/globals";
import { needs } from "@tessera/testkit";
import type { Page } from "playwright-core";
import { approval, callOf, describeStudio } from "./service.fixture.js";

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

describeStudio("the studio in a browser", { approval }, (own) => {
  const test = needs(true, "");

  test("asks a question of the folder without a model, cites, and opens the source at its lines", async () => {
    const { page, faults, context } = await own.studio.open();
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
    const { page, faults, context } = await own.studio.open();
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
    const { page, context } = await own.studio.open();
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

  test("compares two runs, and a run with one setting changed, step by step and word by word", async () => {
    const { page, faults, context } = await own.studio.open();
    await page.getByLabel("Question").fill("Where does the ferry lie?");
    await page.keyboard.press("Enter");
    await page.getByRole("tab", { name: "Every step" }).click();
    const steps = page.getByRole("listbox", { name: "Steps" });
    await steps.getByRole("option", { name: /^sparse/ }).click();
    await page.getByRole("tab", { name: "Change and run" }).click();
    await page.getByLabel("top").fill("1");
    await page.getByRole("button", { name: "Run with the change" }).click();
    await page.getByRole("heading", { name: "Two runs" }).waitFor();
    // only what follows was run
    await page.getByRole("row", { name: /^\/sparse another output/ }).waitFor();
    await page.getByRole("row", { name: /^\/dense same .* from the record$/ }).waitFor();
    await page.getByRole("row", { name: /^\/fuse another input/ }).waitFor();
    await page.getByText(/^\d of the \d+ steps of the second were taken from the record\.$/).waitFor();
    await page.getByRole("button", { name: "/sparse" }).click();
    await page.locator(".difference del", { hasText: "store.bm25" }).first().waitFor();
    // the flow with the change can be kept
    await page.getByRole("link", { name: "Edit and save the flow as it was in this run" }).last().click();
    await page.getByRole("heading", { name: "hybrid-copy" }).waitFor();
    await page.getByText("no findings").waitFor();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as hybrid-copy.flow.json, hybrid-copy.flow.ts in town.").waitFor();
    const kept = JSON.parse(readFileSync(join(own.studio.work, "hybrid-copy.flow.json"), "utf8"));
    expect(kept.nodes.sparse.with.top).toBe(1);
    // from the list of runs the same two
    await page.getByRole("link", { name: "Runs", exact: true }).click();
    await page.getByLabel("Search questions").fill("ferry lie");
    const boxes = page.getByRole("checkbox");
    await boxes.nth(0).check();
    await boxes.nth(1).check();
    await page.getByRole("button", { name: "Compare two" }).click();
    await page.getByRole("heading", { name: "Two runs" }).waitFor();
    expect(faults.filter((fault) => !fault.includes("404"))).toEqual([]);
    await context.close();
  });

  test("goes through a run event by event", async () => {
    const { page, context } = await own.studio.open();
    await page.getByLabel("Question").fill("When does the ferry leave?");
    await page.keyboard.press("Enter");
    await page.getByRole("tab", { name: "Every step" }).click();
    const steps = page.getByRole("listbox", { name: "Steps" });
    await steps.getByRole("option", { name: /^answer/ }).waitFor();
    await page.getByRole("slider", { name: "Replay" }).fill("2");
    await steps.getByRole("option", { name: /^answer/ }).waitFor({ state: "detached" });
    expect(await steps.getByRole("option").count()).toBe(2);
    await page.getByRole("button", { name: "One event on" }).click();
    await page.getByText(/^event 3 of/).waitFor();
    await context.close();
  });

  test("edits a flow by drawing, form and text, tells findings, undoes, saves, and goes back to a version", async () => {
    const { page, faults, context } = await own.studio.open();
    await page.getByRole("link", { name: "Flows", exact: true }).first().click();
    await page.getByRole("link", { name: /^linear/ }).click();
    await page.getByRole("link", { name: "Edit a copy" }).click();
    await page.getByRole("heading", { name: "linear-copy" }).waitFor();
    await page.getByText("no findings").waitFor();
    // a node from the palette: nothing reads it yet, and the compiler says so
    await page.getByLabel("Search operators").fill("fuser.rrf");
    await page.getByRole("button", { name: "fuser.rrf" }).click();
    await page.getByText(/^\d findings?$/).waitFor();
    await page.getByLabel(/^lists/).selectOption("retrieve.hits");
    await page.getByRole("tab", { name: "JSON" }).click();
    await page.locator(".cm-content", { hasText: '"lists": [' }).waitFor();
    // undone, by the drawing too
    for (let steps = 0; steps < 2; steps++) await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("no findings").waitFor();
    expect(await page.locator(".react-flow__node", { hasText: "fuser.rrf" }).count()).toBe(0);
    // a setting by its form
    await page.locator(".react-flow__node", { hasText: "retriever.sparse" }).click();
    await page.getByLabel("top").fill("3");
    await page.getByRole("tab", { name: "JSON" }).click();
    await page.locator(".cm-line", { hasText: '"top": 3' }).waitFor();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as linear-copy.flow.json, linear-copy.flow.ts in town.").waitFor();
    const saved = readFileSync(join(own.studio.work, "linear-copy.flow.json"), "utf8");
    expect(JSON.parse(saved).nodes.retrieve.with).toMatchObject({ top: 3 });
    expect(readFileSync(join(own.studio.work, "linear-copy.flow.ts"), "utf8")).toMatch(/"?top"?: ?3/);
    // the text is in step with the drawing
    await page.locator(".cm-line", { hasText: '"top": 3' }).click();
    await page.keyboard.press("End");
    await page.keyboard.press("Backspace");
    await page.keyboard.type("7");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("tab", { name: "Versions" }).click();
    expect(
      JSON.parse(readFileSync(join(own.studio.work, "linear-copy.flow.json"), "utf8")).nodes.retrieve.with.top,
    ).toBe(7);
    await page
      .getByRole("button", { name: /^[0-9a-f]{12}$/ })
      .nth(1)
      .click();
    await page.locator(".difference ins", { hasText: '"top": 7' }).waitFor();
    await page.getByRole("button", { name: "Go back to this version" }).click();
    await page.getByRole("tab", { name: "JSON" }).click();
    await page.locator(".cm-line", { hasText: '"top": 3' }).waitFor();
    // and it runs
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByLabel("query").fill("When does the ferry leave?");
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByRole("heading", { name: "Sources" }).waitFor();
    expect(faults.filter((fault) => !fault.includes("404"))).toEqual([]);
    await context.close();
  });

  test("shows what is in the index, how a query finds, and why a passage is not there", async () => {
    const { page, faults, context } = await own.studio.open();
    await page.getByRole("link", { name: "Index", exact: true }).first().click();
    await page.getByText("4 files, 4 passages; 1 file gave no text, or not all of it.").waitFor();
    await page.getByRole("textbox", { name: "Query" }).fill("ferry island");
    await page.getByLabel(/^A passage that you miss/).fill("fees.ts");
    await page.getByRole("button", { name: "Search" }).click();
    const words = page.getByRole("region", { name: "By words" });
    await words.getByRole("button", { name: /^ferry\.md/ }).waitFor();
    await words.getByText("Why this score").first().click();
    await words
      .getByRole("row", { name: /^island 1 1/ })
      .first()
      .waitFor();
    await page.getByRole("region", { name: "By both" }).getByText("Why this score").first().click();
    await page
      .getByText(/by words \+ .* by meaning/)
      .first()
      .waitFor();
    await page.getByText(/By words: not among the \d+ that are found/).waitFor();
    await page.getByRole("tab", { name: "Files" }).click();
    await page.getByRole("button", { name: "md 3" }).click();
    expect(await page.locator(".filerow").count()).toBe(3);
    await page.getByRole("tab", { name: "Left out" }).click();
    await page.getByRole("row", { name: "photo.raw it holds no text" }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });

  test("marks answers, and measures flows on them question by question", async () => {
    const { page, faults, context } = await own.studio.open();
    for (const question of ["When does the ferry leave?", "How many piers has the harbour?"]) {
      await page.getByRole("link", { name: "Ask", exact: true }).click();
      await page.getByRole("textbox", { name: "Question" }).fill(question);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Right" }).click();
      await page.getByText("Noted as right in “marked”.").waitFor();
    }
    const lines = readFileSync(join(own.studio.work, ".tessera/data/marked/questions.jsonl"), "utf8")
      .trim()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line).question)).toEqual([
      "When does the ferry leave?",
      "How many piers has the harbour?",
    ]);
    await page.getByRole("link", { name: "Evaluate", exact: true }).first().click();
    await page.getByText("marked (2 questions)").waitFor({ state: "attached" });
    for (const name of ["hybrid", "linear"]) await page.getByRole("checkbox", { name, exact: true }).check();
    await page.getByRole("button", { name: "Run and measure" }).click();
    await page.getByRole("heading", { name: "Question by question" }).waitFor();
    await page.getByRole("img", { name: /^Means and intervals of/ }).waitFor();
    const figures = page.getByRole("table", { name: "Means with their intervals" });
    expect(await figures.getByRole("row", { name: /^(hybrid|linear)/ }).count()).toBe(2);
    // from a figure to its run
    const row = page.getByRole("row", { name: /^When does the ferry leave\?/ });
    await row.getByRole("link").first().click();
    await page.getByRole("heading", { name: "Sources" }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });

  test("gives a step another output, and runs only what follows from it", async () => {
    const { page, faults, context } = await own.studio.open();
    await page.getByLabel("by the flow").selectOption("rag");
    await page.getByLabel("Question").fill("When does the ferry leave?");
    await page.keyboard.press("Enter");
    await page.getByRole("tab", { name: "Every step" }).click();
    await page.getByRole("option", { name: /^answer/ }).click();
    await page.getByRole("tab", { name: "Change and run" }).click();
    await page.getByText("Give it another output").click();
    const typed = page.getByLabel("Output", { exact: true });
    const before = JSON.parse(await typed.inputValue());
    await typed.fill(JSON.stringify({ ...before, answer: { ...before.answer, text: "It leaves at noon [1]." } }));
    await page.getByRole("button", { name: "Run on this output" }).click();
    await page.getByRole("heading", { name: "Two runs" }).waitFor();
    await page.locator(".difference ins", { hasText: "noon" }).first().waitFor();
    await page.getByRole("row", { name: /^\/fuse same .* from the record$/ }).waitFor();
    await page.getByRole("link", { name: "rag" }).last().click();
    await page.getByRole("link", { name: "another run, changed at rag/answer" }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });

  test("has no finding of axe in any view, light and dark, from 320 to 2560 pixels, and nothing moves where it should not", async () => {
    const found: Record<string, string[]> = {};
    const folder = join(own.studio.work, ".tessera/data/asked");
    mkdirSync(folder, { recursive: true });
    const lines = Array.from({ length: 8 }, (_, id) => ({ id: `q${id}`, question: `ferry ${id}`, gold: ["ferry.md"] }));
    writeFileSync(join(folder, "questions.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const opened = await own.studio.open();
    const call = await callOf(own.studio, opened);
    const run = await call("POST", "/flows/rag/runs", { input: { query: "When does the ferry leave?" } });
    const waiting = await call("POST", "/flows/approval/runs", { input: { topic: "tea" } });
    const settings = [{ at: "retrieve.top", values: [1, 2] }];
    const tuning = await call("POST", "/studio/tunings", { flow: "linear", set: "asked", metric: "MRR", settings });
    await opened.context.close();
    for (const [colorScheme, width, reducedMotion] of [
      ["light", 1280, "no-preference"],
      ["dark", 320, "reduce"],
      ["light", 2560, "reduce"],
    ] as const) {
      const { page, context } = await own.studio.open({ colorScheme, reducedMotion, viewport: { width, height: 800 } });
      for (const view of [
        "#/",
        "#/flows",
        "#/flows/iterative",
        `#/runs/${run.id}`,
        `#/runs/${run.id}?view=steps`,
        `#/runs/${waiting.id}`,
        "#/runs",
        `#/compare/${run.id}/${run.id}`,
        "#/edit",
        "#/edit/rag",
        "#/index",
        "#/evaluate",
        "#/tune",
        `#/tune/${tuning.id}`,
      ]) {
        await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
        await page.getByRole("heading", { level: 1 }).waitFor();
        if (/flows\/|steps|edit\//.test(view)) await page.locator(".react-flow__node").first().waitFor();
        const faults = await findings(page);
        const wide = Number(await page.evaluate("document.documentElement.scrollWidth"));
        if (wide > width) faults.push(`it is ${wide} pixels wide`);
        const moving = await page.evaluate(
          'document.getAnimations().filter(({ playState }) => playState === "running").length',
        );
        if (reducedMotion === "reduce" && moving !== 0) faults.push(`${moving} things move`);
        if (faults.length > 0) found[`${view} ${colorScheme} ${width}`] = faults;
      }
      await context.close();
    }
    expect(found).toEqual({});
  });
});
