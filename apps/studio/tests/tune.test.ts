import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "@jest/globals";
import type { FlowDocument } from "@tessera/core";
import { needs, needsForAll } from "@tessera/testkit";
import { chromiumPath, type Studio, startStudio } from "./service.fixture.js";

/** A flow that finds one passage although each question asks for two. */
const narrow: FlowDocument = {
  version: 1,
  name: "narrow",
  input: { query: "text" },
  nodes: { search: { run: "retriever.sparse", with: { store: "sparse", top: 1 }, in: { query: "input.query" } } },
  output: { hits: "search.hits" },
};

const questions = Array.from({ length: 12 }, (_, index) => ({
  id: `q${index}`,
  question: `ferry island ${index + 100}`,
  gold: ["ferry.md", "harbour.md"],
}));

needsForAll(existsSync(chromiumPath), "chromium is not installed")("the view of a search for better settings", () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await startStudio({ narrow });
    const folder = join(studio.work, ".tessera/data/planted");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "questions.jsonl"), questions.map((one) => `${JSON.stringify(one)}\n`).join(""));
  });
  afterAll(() => studio.close());
  const test = needs(true, "");

  test("finds a planted winner, shows it as a difference with its interval, and saves it as a version", async () => {
    const { page, faults, context } = await studio.open();
    await page.getByRole("link", { name: "Tune", exact: true }).first().click();
    await page.getByLabel(/^Flow/).selectOption("narrow");
    await page.getByLabel("Measure to improve").selectOption("recall@5");
    await page.getByRole("checkbox", { name: "search.top" }).check();
    await page.getByLabel("Values of search.top").fill("1..3:3");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("There is a winner.").waitFor();
    await page.getByRole("row", { name: "search.top 1 2" }).waitFor();
    await page.getByRole("img", { name: /^Differences with their 95 % intervals/ }).waitFor();
    // each half has six questions: the flow as it was on both, and two other values on the half that chooses
    await page.getByText(/^\d+ runs, those that judge among them/).waitFor();
    const tried = page.getByRole("table", { name: "What was tried" });
    await tried.getByRole("row", { name: /^2 6 1\.000/ }).waitFor();
    await tried.getByRole("row", { name: /^as it was 0\.500/ }).waitFor();
    await page.getByText("The document with its differences").click();
    await page.locator(".difference del", { hasText: '"top": 1' }).waitFor();
    await page.locator(".difference ins", { hasText: '"top": 2' }).waitFor();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as a version of narrow-tuned.").waitFor();
    const saved = JSON.parse(readFileSync(join(studio.work, "narrow-tuned.flow.json"), "utf8"));
    expect(saved.nodes.search.with).toEqual({ store: "sparse", top: 2 });
    await page.getByRole("link", { name: "Edit", exact: true }).last().click();
    await page.getByRole("heading", { name: "narrow-tuned" }).waitFor();
    // the list knows the search
    await page.getByRole("link", { name: "Tune", exact: true }).first().click();
    await page.getByRole("link", { name: /^recall@5 of narrow on planted/ }).waitFor();
    expect(faults.filter((fault) => !fault.includes("404"))).toEqual([]);
    await context.close();
  });

  test("says plainly that there is no winner, that a value does not fit, and stops when it is told to", async () => {
    const { page, context } = await studio.open();
    await page.getByRole("link", { name: "Tune", exact: true }).first().click();
    await page.getByLabel(/^Flow/).selectOption("narrow");
    await page.getByLabel("Measure to improve").selectOption("precision@5");
    await page.getByRole("checkbox", { name: "search.top" }).check();
    const values = page.getByLabel("Values of search.top");
    await values.fill("-4");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("alert").filter({ hasText: "with search.top = -4" }).waitFor();
    await values.fill("2");
    // a budget that is too small is refused with what it takes
    await page.getByLabel("Runs of the flow at most").fill("3");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("alert").filter({ hasText: "3 runs are too few" }).waitFor();
    await page.getByLabel("Runs of the flow at most").fill("");
    await page.getByLabel("Measure to improve").selectOption("recall@1");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("No winner.").waitFor();
    await page.getByText("Nothing that was tried is better than the flow as it was.").waitFor();
    await context.close();
  });
});
