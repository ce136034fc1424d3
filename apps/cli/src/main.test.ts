import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ended, root, start, tessera, tesseraProcess } from "./program.fixture.js";

const work = mkdtempSync(join(tmpdir(), "tessera-cli-"));
const write = (path: string, text: string) => writeFileSync(join(work, path), text);
const cli = (...given: string[]) => tessera(given, work);
/** Under --json there is one JSON value on standard output, and nothing on standard error. */
async function json(...given: string[]) {
  const { code, out, err } = await cli(...given, "--json");
  expect(err).toBe("");
  return { code, value: JSON.parse(out) };
}

const retry = `/** Calls again after a failure; every wait is twice the one before: retries are backed off. */
export async function retryWithBackoff(work, attempts = 5) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt + 1 >= attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt));
    }
  }
}
`;
const linear = {
  version: 1,
  name: "words",
  input: { query: "text" },
  nodes: { retrieve: { run: "retriever.sparse", with: { store: "sparse" }, in: { query: "input.query" } } },
  output: { hits: "retrieve.hits" },
};

beforeAll(() => {
  mkdirSync(join(work, "service/src"), { recursive: true });
  write("service/src/retry.js", retry);
  write("service/src/colour.js", "/** Mixes two colours. */\nexport function mix(a, b) {\n  return (a + b) / 2;\n}\n");
  write("good.json", JSON.stringify(linear));
  const node = { ...linear.nodes.retrieve, run: "retriever.sparce" };
  write("bad.json", JSON.stringify({ ...linear, nodes: { retrieve: node } }));
  write("broken.json", '{ "version": 1,');
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

describe("index and ask", () => {
  it("answer about a folder, citing path, lines and symbol", async () => {
    const asked = ["ask", "where are retries backed off?", "--source", "service"];
    const { code, out, err } = await tesseraProcess(asked, work);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^\[1\] src\/retry\.js:1-11 {2}retryWithBackoff$/m);
    expect(out).not.toContain("\u001b[");
    expect(existsSync(join(work, ".tessera/indexes"))).toBe(true);
  });

  it("give the answer, its citations and the events as JSON", async () => {
    const { code, value } = await json("ask", "where are retries backed off?", "--source", "service", "--events");
    expect(code).toBe(0);
    expect(value.answer).toContain("retryWithBackoff");
    expect(value.citations[0]).toMatchObject({ path: "src/retry.js", lines: [1, 11], symbol: "retryWithBackoff" });
    expect(value.events[0].type).toBe("flow-start");
    expect(value.events.at(-1)).toMatchObject({ type: "flow-end", status: "done" });
  });

  it("show every step with --trace", async () => {
    const { out } = await cli("ask", "retries", "--source", "service", "--flow", "linear", "--trace");
    expect(out).toMatch(/^ +✓ retrieve [\d.]+ ms {2}hits: \d/m);
    expect(out).toMatch(/^ +✓ answer /m);
  });

  it("read only what changed since", async () => {
    await cli("index", "service");
    const files = async () => (await json("index", "service")).value.files;
    expect(await files()).toEqual({ seen: 2, read: 0, changed: 0, removed: 0 });
    write(
      "service/src/circle.js",
      "/** The area of a circle. */\nexport const areaOfCircle = (r) => 3.14159 * r * r;\n",
    );
    rmSync(join(work, "service/src/colour.js"));
    expect(await files()).toEqual({ seen: 2, read: 1, changed: 1, removed: 1 });
    const asked = await json("ask", "area of a circle", "--source", "service");
    expect(asked.value.citations[0].path).toBe("src/circle.js");
  });

  it("refuse an empty question, a missing folder and an unknown flow", async () => {
    const empty = await cli("ask", "  ", "--source", "service");
    expect(empty).toEqual({ code: 2, out: "", err: "error the question is empty\n" });
    const nowhere = await cli("ask", "what?", "--source", "nowhere");
    expect(nowhere).toMatchObject({ code: 2, out: "" });
    expect(nowhere.err).toBe(`BAD_SOURCE ${join(work, "nowhere")}: there is no such folder\n`);
    const unknown = await json("ask", "what?", "--source", "service", "--flow", "hibrid");
    expect(unknown).toMatchObject({
      code: 2,
      value: { error: { code: "BAD_ARGUMENT", hint: 'did you mean "hybrid"?' } },
    });
  });
});

describe("check", () => {
  it("prints the most that a flow can spend", async () => {
    expect(await json("check", "good.json")).toMatchObject({
      code: 0,
      value: { name: "words", bound: { steps: 1, calls: 0, tokens: 0 }, findings: [] },
    });
    expect((await cli("check", "good.json")).out).toMatch(/^ok words/);
  });

  it("prints findings with code, place and hint", async () => {
    const { code, out, err } = await cli("check", "bad.json");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^UNKNOWN_OPERATOR \S*retrieve\S*: .*\n {2}hint: did you mean "retriever\.sparse"\?\n/);
    const { value } = await json("check", "bad.json");
    expect(value.findings).toMatchObject([{ code: "UNKNOWN_OPERATOR", hint: 'did you mean "retriever.sparse"?' }]);
  });

  it("draws the flow and prints it as code", async () => {
    const drawing = await cli("check", "good.json", "--mermaid");
    expect(drawing).toMatchObject({ code: 0, err: "" });
    expect(drawing.out).toContain('  retrieve["retrieve<br>retriever.sparse"]\n');
    expect((await cli("check", "good.json", "--code")).out).toContain('import { sparse } from "@tessera/retriever";\n');
  });

  it("refuses files that are none, or no JSON", async () => {
    expect((await cli("check", "missing.json")).err).toBe(
      'BAD_ARGUMENT missing.json: there is no flow "missing.json", and no such file\n',
    );
    const broken = await cli("check", "broken.json");
    expect(broken).toMatchObject({ code: 2, out: "" });
    expect(broken.err).toMatch(/^BAD_JSON broken\.json: /);
    expect(broken.err).not.toContain("    at ");
    expect((await cli("check", "broken.json", "--stack")).err).toContain("    at ");
  });
});

describe("run", () => {
  it("runs a file on an input", async () => {
    const { code, value } = await json("run", "good.json", "--source", "service", "--input", '{"query":"retries"}');
    expect(code).toBe(0);
    expect(value.status).toBe("done");
    expect(value.output.hits[0].passage.source.path).toBe("src/retry.js");
  });

  it("replays a flow's model offline from the committed cassette, whose answers are marked as scripted", async () => {
    const example = join(root, "docs/examples/recorded");
    const cassette = join(example, "hyde.cassette.jsonl");
    expect(JSON.parse(readFileSync(cassette, "utf8").split("\n")[0]!)).toMatchObject({ scripted: true });
    const asking = (query: string) =>
      json(
        ...["run", "hyde", "--source", join(example, "source"), "--cassette", cassette],
        ...["--input", JSON.stringify({ query })],
      );
    const { code, value } = await asking("where are retries backed off?");
    expect(code).toBe(0);
    expect(value.output.answer).toMatchObject({
      text: "`retryWithBackoff` doubles the wait before each attempt [1].",
      citations: [{ path: "retry.js", lines: [1, 11], symbol: "retryWithBackoff" }],
      refused: false,
    });
    expect(value.output.documents).toHaveLength(8);
    expect(await asking("how are colours mixed?")).toMatchObject({
      code: 1,
      value: { error: { code: "RECORD_MISSING" } },
    });
  });

  it("refuses half a service, and a cassette that is not there", async () => {
    expect(await json("run", "hyde", "--endpoint", "http://127.0.0.1:9/v1")).toMatchObject({
      code: 2,
      value: { error: { code: "USAGE" } },
    });
    expect(await json("run", "hyde", "--cassette", "none.jsonl")).toMatchObject({
      value: { error: { code: "RECORD_MISSING" } },
    });
    expect(existsSync(join(work, "none.jsonl"))).toBe(false);
  });

  it("refuses inputs that do not fit, and resources that are not there", async () => {
    for (const [input, error] of [
      ["{", { code: "BAD_JSON", path: "--input" }],
      ["[]", { code: "USAGE" }],
      ["{}", { code: "BAD_INPUT" }],
    ] as const)
      expect(await json("run", "good.json", "--source", "service", "--input", input)).toMatchObject({
        code: 2,
        value: { error },
      });
    expect(await json("run", "good.json", "--input", '{"query":"retries"}')).toMatchObject({
      code: 2,
      value: { error: { findings: [{ code: "UNKNOWN_RESOURCE" }] } },
    });
  });
});

describe("the program", () => {
  it("tells wrong calls as JSON under --json, and to people otherwise", async () => {
    expect(await json("asc")).toMatchObject({ code: 2, value: { error: { code: "USAGE" } } });
    expect(await json("ask")).toMatchObject({ code: 2, value: { error: { code: "USAGE" } } });
    expect(await json()).toEqual({ code: 2, value: { error: { code: "USAGE", message: "there is no command" } } });
    const { code, out, err } = await tesseraProcess(["asc"], work);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^error: unknown command 'asc'/);
  });

  it("lists flows and operators within 100 columns, and whole as JSON", async () => {
    for (const command of ["flows", "operators"]) {
      const { out } = await cli(command);
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
      const { value } = await json(command);
      for (const { summary } of value) expect(summary).toMatch(/[^…]$/);
    }
  });

  it("colours only where colour is wanted", async () => {
    expect((await tesseraProcess(["flows"], work, { FORCE_COLOR: "1" })).out).toContain("\u001b[1m");
    expect((await tesseraProcess(["flows"], work, { FORCE_COLOR: undefined, NO_COLOR: "1" })).out).not.toContain(
      "\u001b[",
    );
  });

  it("ends quietly when its reader leaves", async () => {
    const child = start(join(root, "apps/cli/src/main.ts"), ["schema"], { cwd: work });
    child.stdout.once("readable", () => child.stdout.destroy());
    const { code, err } = await ended(child);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });
});
