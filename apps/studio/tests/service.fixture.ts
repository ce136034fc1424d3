import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "@jest/globals";
import type { FlowDocument, Passage } from "@tessera/core";
import { measureRecorded, tuneServed } from "@tessera/eval/internal";
import { flows as catalogue } from "@tessera/flows";
import { type Served, serve } from "@tessera/server";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { needsForAll, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

/** Texts that do harm where they are taken for HTML, for a path or for a style. */
export const hostile = `<img src=x onerror="globalThis.harmed=1"><script>globalThis.harmed=1</script>{{7*7}}`;

const files: Readonly<Record<string, string>> = {
  "ferry.md": "# The ferry\n\nThe ferry to the island leaves at nine.\n\nIn winter it leaves at ten.\n",
  "harbour.md": "# The harbour\n\nThe harbour has two piers. The ferry lies at the northern pier.\n",
  "fees.ts": "/** What a boat pays for a night. */\nexport const nightFee = (metres: number) => 4 * metres;\n",
  "hostile.md": `# Hostile\n\nThe lighthouse keeper wrote: ${hostile}\n`,
};

const passages: Passage[] = Object.entries(files).map(([path, text]) => ({
  id: path,
  text,
  title: path,
  source: { path, lines: [1, text.split("\n").length] },
  metadata: {},
}));

/** An answer that the scripted model gives: it names itself, so that nobody takes it for a model's. */
export const scripted = (prompt: string): string =>
  prompt.includes("keeper write?")
    ? `Scripted answer: ${hostile} [1]`
    : "Scripted answer: the ferry leaves at nine [1].";

export interface Opened {
  readonly page: Page;
  /** What the page logged as errors. */
  readonly faults: string[];
  readonly context: BrowserContext;
  /** The key that the page works with. */
  key(): Promise<string>;
}

export interface Studio {
  readonly served: Served;
  readonly browser: Browser;
  readonly work: string;
  /** A page in which the studio is open, as after its link; what it logs as an error is in `faults`. */
  open(how?: Parameters<Browser["newContext"]>[0], before?: (page: Page) => Promise<void>): Promise<Opened>;
  close(): Promise<void>;
}

/** A service with a studio over a small folder, a scripted model, and a browser. */
export async function startStudio(
  more: Readonly<Record<string, FlowDocument>> = {},
  others: Pick<Parameters<typeof serve>[0], "operators"> = {},
): Promise<Studio> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-studio-"));
  const work = join(folder, "town");
  mkdirSync(work);
  for (const [path, text] of Object.entries(files)) writeFileSync(join(work, path), text);
  const sparse = new Bm25Store();
  const encoder = scriptedEncoder();
  const dense = new ExactStore({ space: encoder.space({}), width: 64 });
  await sparse.upsert(passages);
  await dense.upsert(
    passages,
    await encoder.encode(
      passages.map(({ text }) => text),
      { kind: "text" },
    ),
  );
  const model = scriptedModel(({ messages }) => scripted(messages.map(({ content }) => content).join("\n")));
  const names = ["hybrid", "linear", "rag", "iterative", "conditional"];
  const links: string[] = [];
  const served = await serve({
    ...others,
    folder: join(folder, "service"),
    port: 0,
    flows: { ...Object.fromEntries(names.map((name) => [name, catalogue.get(name)!.flow.document])), ...more },
    resources: { store: { sparse, dense }, encoder: { encoder }, model: { model } },
    studio: {
      page: fileURLToPath(new URL("../dist", import.meta.url)),
      folder: work,
      source: {
        root: work,
        files: Object.keys(files),
        skipped: [{ path: "photo.raw", reason: "binary" }],
        passages: async () => passages,
        sparse,
        dense,
        encoder,
      },
      measure: measureRecorded,
      tune: tuneServed,
      used: (link) => links.push(link),
    },
  });
  links.push(served.studio!);
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
  return {
    served,
    browser,
    work,
    async open(how, before) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...how });
      const page = await context.newPage();
      const faults: string[] = [];
      await before?.(page);
      page.on("console", (message) => {
        if (message.type() === "error") faults.push(message.text());
      });
      page.on("pageerror", ({ message }) => void faults.push(message));
      await page.goto(links.at(-1)!);
      await page.getByRole("heading", { level: 1 }).waitFor();
      return {
        page,
        faults,
        context,
        key: async () => String(await page.evaluate('localStorage.getItem("tessera.studio.key")')),
      };
    },
    async close() {
      await browser.close();
      await served.server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Two questions to people at once, of which one is a form, and a signal behind them. */
export const approval: FlowDocument = {
  version: 1,
  name: "approval",
  input: { topic: "text" },
  nodes: {
    draft: { run: "text.template", with: { template: "About {topic}." }, in: { topic: "input.topic" } },
    approve: {
      run: "flow.wait",
      with: { answer: { choice: ["yes", "no"] } },
      in: { payload: "draft.text" },
    },
    details: {
      run: "flow.wait",
      with: { form: { copies: "number", urgent: "flag", note: "text" } },
      in: { payload: "draft.text" },
    },
    go: { run: "flow.receive", with: { signal: "go", value: "text" }, in: {} },
    sent: {
      run: "text.template",
      with: { template: "Sent: {text} ({note}; {go})" },
      in: { text: "draft.text", note: "details.note", go: "go.value" },
      when: { "approve.answer": "yes" },
    },
  },
  output: { text: { first: ["sent.text", { value: "nothing was sent" }] }, copies: "details.copies" },
};

export const chromiumPath = "/usr/bin/chromium";

/** What the service is asked beside the page, with the key of the page. */
export async function callOf({ served }: Studio, { key }: Opened) {
  const headers = { authorization: `Bearer ${await key()}`, "content-type": "application/json" };
  return async (method: string, path: string, body?: object) => {
    const answer = await fetch(served.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    return { ...((await answer.json()) as Record<string, unknown>), http: answer.status } as Record<string, unknown>;
  };
}

/** Tests of a studio with some flows, which starts before them and ends after them; they are left out where there is no browser. */
export function describeStudio(
  title: string,
  flows: Parameters<typeof startStudio>[0],
  suite: (own: { readonly studio: Studio }) => void,
): void {
  needsForAll(existsSync(chromiumPath), "chromium is not installed")(title, () => {
    const own = {} as { studio: Studio };
    beforeAll(async () => {
      own.studio = await startStudio(flows);
    });
    afterAll(() => own.studio.close());
    suite(own);
  });
}
