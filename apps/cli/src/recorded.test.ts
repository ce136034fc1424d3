import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { describe, expect, it } from "@jest/globals";
import { parseDocument } from "@tessera/core";
import { flows } from "@tessera/flows";
import { type RunCommandOptions, run } from "./commands/run.js";
import { root, tessera } from "./program.fixture.js";
import { Terminal } from "./terminal.js";

/** The words of the command that a flow's page shows. */
function commandOf(name: string): string[] {
  const page = readFileSync(join(root, "docs/flows", `${name}.md`), "utf8");
  const [command] = /^ {4}npx tessera run [^\\\n]*(?:\\\n[^\\\n]*)*/m.exec(page) ?? [];
  if (command === undefined) throw new Error(`the page of "${name}" shows no command`);
  return command.replaceAll("\\\n", " ").trim().split(/\s+/).slice(2);
}

/** What `tessera run --json` prints, with paths from the root of the repository. */
async function ran(name: string, given: readonly string[]) {
  let printed = "";
  const out = new Writable({
    write(text, _, done) {
      printed += text;
      done();
    },
  });
  const options = Object.fromEntries(
    Array.from({ length: given.length / 2 }, (_, at) => [given[2 * at]!.slice(2), join(root, given[2 * at + 1]!)]),
  );
  const terminal = new Terminal({ json: true, stack: false }, out, out);
  const code = await run(terminal, name, options as unknown as RunCommandOptions);
  return {
    code,
    ...(JSON.parse(printed) as { status: string; output: object; spent: { calls: number }; scripted?: boolean }),
  };
}

describe("the command on the page of a flow", () => {
  it.each([...flows.keys()])("%s: runs offline, and says where its answers are scripted", async (name) => {
    const [command, flow, ...given] = commandOf(name);
    expect([command, flow]).toEqual(["run", name]);
    const { code, status, output, spent, scripted = false } = await ran(name, given);
    expect({ code, status, ports: Object.keys(output) }).toEqual({
      ...{ code: 0, status: "done", ports: Object.keys(flows.get(name)!.flow.document.output) },
    });
    expect(output).not.toMatchObject({ answer: { refused: true } });
    expect({ scripted, asks: spent.calls > 0 }).toEqual(
      given.includes("--cassette") ? { scripted: true, asks: true } : { scripted: false, asks: false },
    );
  });

  it("runs as it stands there, and tells people that no model gave the answers", async () => {
    const { code, out, err } = await tessera(commandOf("crag"), root);
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining("scripted: no model gave them") });
    expect(JSON.parse(out)).toMatchObject({ status: "done", output: { corrected: true } });
  });

  it.each(["crag", "tree-of-clarifications"])(
    "row 3: %s, read from JSON that was read and written, leaves the same trace under its cassette, byte for byte",
    async (name) => {
      const [, , ...given] = commandOf(name);
      const folder = await mkdtemp(join(tmpdir(), "tessera-recorded-"));
      try {
        const text = readFileSync(join(root, "packages/flows/src", name, "flow.json"), "utf8");
        const again = join(folder, "flow.json");
        await writeFile(again, JSON.stringify(parseDocument(JSON.parse(text))));
        // of all that is printed only times differ
        const [one, other] = (await Promise.all([ran(name, given), ran(again, given)])).map((printed) =>
          JSON.stringify(printed, (key, value) => (key === "ms" ? 0 : value)),
        );
        expect(one).toContain('"type":"node-end"');
        expect(other).toBe(one);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  it("a program that is written from a cassette passes its tests in the sandbox", async () => {
    const { output } = await ran("self-debug", commandOf("self-debug").slice(2));
    expect(output).toMatchObject({ passed: true, code: expect.stringContaining("function solve") });
  });
});
