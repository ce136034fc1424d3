import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parseDocument } from "@tessera/core";
import { hashDocument } from "@tessera/core/internal";
import { checkFlow } from "@tessera/graph";
import { operators } from "@tessera/tessera";
import { ended, root, serving, start } from "./program.fixture.js";

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const example = (name: string): string => join(root, "docs/examples", name);

/** The fenced blocks of a page in one language. */
const blocks = (page: string, language: string): string[] =>
  [...read(page).matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code!);

const work = mkdtempSync(join(tmpdir(), "tessera-examples-"));
beforeAll(() => {
  mkdirSync(join(work, "service"));
  writeFileSync(
    join(work, "service/retry.js"),
    "/** Retries are backed off: every wait is twice the one before. */\nexport const delay = (attempt) => 100 * 2 ** attempt;\n",
  );
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

describe("the README", () => {
  it("shows the programs of docs/examples as they are", () => {
    expect(blocks("README.md", "js")).toEqual([read("docs/examples/ask.mjs"), read("docs/examples/service.mjs")]);
    expect(blocks("README.md", "json")).toEqual([read("docs/examples/ask.json")]);
  });

  /** The folders of a tree like README's, by their indentation. */
  const foldersOf = (text: string): string[] => {
    const parents: string[] = [];
    const found: string[] = [];
    for (const [, indent, name, slash] of text.matchAll(/^((?: {2}){2,5})([a-z-]+)(\/|(?= {2}))/gm)) {
      const depth = indent!.length / 2 - 2;
      parents.length = depth;
      if (slash) parents[depth] = name!;
      else found.push([...parents, name].join("/"));
    }
    return found;
  };

  it("names every package and app, and nothing else", () => {
    const there = ["packages", "packages/operators", "apps"].flatMap((parent) =>
      readdirSync(join(root, parent))
        .map((name) => `${parent}/${name}`)
        .filter((folder) => existsSync(join(root, folder, "package.json"))),
    );
    expect(foldersOf(read("README.md")).sort()).toEqual(there.sort());
    const planted = read("README.md").replace(/^ {6}server .*\n/m, "      servers     a folder that is not there\n");
    expect(foldersOf(planted)).toContain("apps/servers");
    expect(foldersOf(planted)).not.toContain("apps/server");
  });

  it("links to pages that are there", () => {
    const pages = [...read("README.md").matchAll(/\]\(([^)#:]+)\)/g)].map(([, path]) => path!);
    expect(pages).toContain("docs/design.md");
    expect(pages.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

describe("the examples", () => {
  it("compose one flow, in code and in JSON, and answer with it", async () => {
    // runs the program, then prints the hash of the flow that it composed
    const probe = join(work, "probe.mjs");
    const core = pathToFileURL(join(root, "packages/core/src/internal.ts"));
    writeFileSync(
      probe,
      `import { hashDocument } from "${core}";
const { ask } = await import("${pathToFileURL(example("ask.mjs"))}");
console.log("hash", hashDocument(ask.document));
`,
    );
    const { code, out, err } = await ended(start(probe, ["where are retries backed off?", "service"], { cwd: work }));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("Retries are backed off: every wait is twice the one before.");
    expect(out).toContain("path: 'retry.js'");
    expect(out).toContain(`hash ${hashDocument(parseDocument(JSON.parse(read("docs/examples/ask.json"))))}\n`);
  });

  it("serve it over HTTP: answers with citations, bad questions get an error, and the service closes", async () => {
    const { code, err } = await serving(example("service.mjs"), { cwd: work }, async (get) => {
      const answered = await get("/?q=where+are+retries+backed+off");
      expect(answered.status).toBe(200);
      expect(await answered.json()).toMatchObject({
        text: expect.stringContaining("Retries are backed off: every wait is twice the one before."),
        citations: [{ path: "retry.js", symbol: "delay" }],
      });
      const refused = await get("/");
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ code: "BAD_INPUT", path: "ask.query" });
    });
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });
});

describe("the pages", () => {
  /** The paths in code spans that a page names from the root, without patterns and placeholders. */
  const pathsOf = (page: string): string[] =>
    [...page.matchAll(/`((?:packages|apps|docs)\/[^`\s]*)`/g)]
      .map(([, path]) => path!)
      .filter((path) => !/[<>{}*…$]/.test(path));

  it.each(["docs/design.md", "CONTRIBUTING.md", "README.md"])(
    "%s names only folders and files that are there",
    (page) => {
      expect(pathsOf(read(page)).filter((path) => !existsSync(join(root, path)))).toEqual([]);
      expect(pathsOf(`${read(page)} \`packages/nowhere/src\` \`packages/<name>/src\``)).toContain(
        "packages/nowhere/src",
      );
    },
  );

  it("hold flows without findings", () => {
    const flows = ["docs/design.md", "README.md"].flatMap((page) => blocks(page, "json"));
    expect(flows.length).toBeGreaterThan(1);
    for (const text of flows) expect(checkFlow(parseDocument(JSON.parse(text)), operators).findings).toEqual([]);
  });
});
