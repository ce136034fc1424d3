import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { root, tessera } from "./program.fixture.js";
import { readSettings } from "./settings.js";

const require = createRequire(import.meta.url);
const home = realpathSync(mkdtempSync(join(tmpdir(), "tessera-mcp-")));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const env = { TESSERA_HOME: join(home, "state"), NOTES_FILE: join(home, "memory.jsonl") };

/** The blocks of JSON of the page, in order. */
const blocks = [...readFileSync(join(root, "docs/mcp.md"), "utf8").matchAll(/```json\n(.*?)```/gs)].map(
  ([, text]) => text!,
);

/** The program of a reference server, in place of `npx -y`, which would ask a registry. */
const local = (config: string): string =>
  config.replace(/"command": "npx",\s*"args": \["-y", "(.*?)"/g, (_, name: string) => {
    const folders = require.resolve.paths(name)!.map((folder) => join(folder, name, "dist/index.js"));
    const program = folders.find((path) => {
      try {
        return readFileSync(path).length > 0;
      } catch {
        return false;
      }
    });
    return `"command": ${JSON.stringify(process.execPath)}, "args": [${JSON.stringify(program)}`;
  });

const remember = (name: string, text: string): string =>
  `${JSON.stringify({ type: "entity", name, entityType: "note", observations: [text] })}\n`;

describe("docs/mcp.md, in a folder outside of the repository", () => {
  mkdirSync(join(home, "notes"));
  writeFileSync(join(home, "notes/plan.txt"), "Plant the beans.\nWater them.\n");
  writeFileSync(join(home, "memory.jsonl"), remember("rain", "It rains in April.") + remember("sun", "Warm in July."));
  const config = join(home, "tessera.config.json");
  writeFileSync(config, local(blocks[0]!));
  writeFileSync(join(home, "first-line.json"), blocks[1]!);

  it("a config with a command runs only after it was named", async () => {
    expect(await tessera(["mcp"], home, env)).toMatchObject({
      code: 1,
      err: expect.stringContaining("NOT_TRUSTED"),
    });
    const { code, out } = await tessera(["--config", config, "mcp"], home, env);
    expect(code).toBe(0);
    expect(out).toMatch(/^files\n.* {2}read_text_file\(path, tail\?, head\?\) {2}reads/ms);
    expect(out).toMatch(/ {2}write_file\(path, content\) {2}may write/);
  });

  it("runs the flow of the page", async () => {
    const { code, out, err } = await tessera(["run", "first-line.json", "plan.txt", "--json"], home, env);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out).output).toEqual({ text: "Plant the beans." });
  });

  it("finds by the settings of the config", async () => {
    const search = {
      version: 1,
      name: "search",
      input: { query: "text" },
      nodes: { web: { run: "mcp.search", with: { server: "web" }, in: { query: "input.query" } } },
      output: { hits: "web.hits" },
    };
    writeFileSync(join(home, "search.json"), JSON.stringify(search));
    const { out } = await tessera(["run", "search.json", "april", "--json"], home, env);
    expect(JSON.parse(out).output.hits).toMatchObject([{ passage: { title: "rain", text: "It rains in April." } }]);
  });

  it("says what is wrong: a variable that is not set, a server that does not start, one that there is none of", async () => {
    const unset = await tessera(["mcp", "web"], home, { ...env, NOTES_FILE: undefined });
    expect(unset).toMatchObject({ code: 1, out: expect.stringContaining("NOTES_FILE") });
    expect(await tessera(["mcp", "wep"], home, env)).toMatchObject({ code: 1, err: expect.stringContaining('"web"') });
    writeFileSync(config, JSON.stringify({ mcp: { files: { command: "no-such-program-of-the-test" } } }));
    const failed = await tessera(["--config", config, "run", "first-line.json", "a"], home, env);
    expect(failed).toMatchObject({ code: 1, err: expect.stringContaining("TOOL_FAILED") });
  });

  it("the second config of the page is one", async () => {
    writeFileSync(config, blocks[2]!);
    expect(Object.keys((await readSettings(config)).config.mcp!)).toEqual(["web"]);
    writeFileSync(config, JSON.stringify({ mcp: { web: { command: "a", url: "https://b" } } }));
    await expect(readSettings(config)).rejects.toMatchObject({ code: "BAD_SETTINGS", path: "mcp.web" });
  });
});
