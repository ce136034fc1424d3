import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { formsService, modelService } from "./model-service.fixture.js";
import { ended, root, start, tessera, tesseraProcess } from "./program.fixture.js";
import { findConfig, readSettings } from "./settings.js";

const main = join(root, "apps/cli/src/main.ts");
const home = mkdtempSync(join(tmpdir(), "tessera-settings-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const write = (path: string, text: string | object): string => {
  const file = join(home, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof text === "string" ? text : JSON.stringify(text));
  return file;
};

const service = modelService(() => "It waits twice as long each time [1].");
const { asked } = service;
let endpoint: string;
beforeAll(async () => {
  endpoint = await service.start();
});
afterAll(() => service.stop());
beforeEach(() => {
  asked.length = 0;
});

const retry =
  "/** Retries are backed off: each wait is twice the one before. */\nexport const wait = (n) => 100 * 2 ** n;\n";
const env = () => ({ TESSERA_HOME: join(home, "state"), OPENAI_API_KEY: undefined });

describe("findConfig", () => {
  it("looks upward to the root of the repository or to the home folder, and no further", () => {
    write("tessera.config.json", "{}");
    mkdirSync(join(home, "repository/.git"), { recursive: true });
    mkdirSync(join(home, "repository/packages/a"), { recursive: true });
    mkdirSync(join(home, "loose/inner"), { recursive: true });
    const own = write("repository/tessera.config.json", "{}");
    expect(findConfig(join(home, "repository/packages/a"))).toBe(own);
    rmSync(own);
    expect(findConfig(join(home, "repository/packages/a"))).toBeUndefined();
    // outside of a repository and of the home folder only the folder itself counts
    expect(findConfig(join(home, "loose/inner"))).toBeUndefined();
    expect(findConfig(join(home, "loose/inner"), home)).toBe(join(home, "tessera.config.json"));
    rmSync(join(home, "tessera.config.json"));
  });
});

describe("a config of two lines", () => {
  it("makes `ask` answer in prose with sources, by a model whose key stands in .env", async () => {
    write("two/src/retry.js", retry);
    write("two/tessera.config.json", { model: { endpoint, model: "tiny" }, source: "src", encoder: "hash" });
    write("two/.env", "OPENAI_API_KEY=of-the-file\n");
    const { code, out } = await tessera(["ask", "how are retries backed off?"], join(home, "two"), env());
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/It waits twice as long each time \[1\]\.\n\n\[1\] retry\.js:1-2/),
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ key: "Bearer of-the-file", body: { model: "tiny" } });

    const short = await tessera(["ask", "how are retries backed off?", "--json"], join(home, "two"), env());
    expect(JSON.parse(short.out)).toMatchObject({ answer: "It waits twice as long each time [1].", flow: "rag" });
    expect(JSON.parse(short.out)).not.toHaveProperty("events");
    const whole = await tessera(["ask", "how are retries backed off?", "--json", "--events"], join(home, "two"), env());
    expect(JSON.parse(whole.out).events.length).toBeGreaterThan(5);
  });

  it("is left out by --no-config, and overridden by --model; a key alone sends nothing", async () => {
    const folder = join(home, "two");
    const key = { ...env(), OPENAI_API_KEY: "of-the-process" };
    const question = ["ask", "how are retries backed off?", "--source", "src", "--encoder", "hash"];
    const { code, out } = await tessera([...question, "--no-config"], folder, key);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("retry.js") });
    expect(asked).toHaveLength(0);
    await tessera([...question, "--model", "other"], folder, key);
    expect(asked).toEqual([expect.objectContaining({ key: "Bearer of-the-process" })]);
    expect(asked[0]!.body.model).toBe("other");
  });
});

describe("a config in code", () => {
  const operator = `import { flow, operator, text } from "@tessera/tessera";
import { z } from "zod";
export const shout = operator({
  name: "own.shout", version: 1,
  about: { module: "data", submodule: "own", summary: "Speaks loudly." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup: () => ({ query }) => ({ text: query.toUpperCase() }),
});
export const loud = flow("loud", { query: "text" }, (f, { query }) => ({ text: f.node("shout", shout(), { query }).text }));
`;
  const config = `import { defineConfig } from "@tessera/tessera";
import { loud } from "./own.mjs";
export default defineConfig({ flows: { loud, quiet: "quiet.json" }, operators: ["./own.mjs"] });
`;
  const quiet = {
    version: 1,
    name: "quiet",
    input: { query: "text" },
    nodes: { shout: { run: "own.shout", in: { query: "input.query" } } },
    output: { text: "shout.text" },
  };

  it("runs once it was named, and again as long as it stays as it was: own operators and flows load from it", async () => {
    const folder = join(home, "code");
    const file = write("code/tessera.config.mjs", config);
    write("code/own.mjs", operator);
    write("code/quiet.json", quiet);
    const refused = await tesseraProcess(["run", "loud", "ahoy"], folder, env());
    expect(refused).toMatchObject({ code: 1, out: "", err: expect.stringContaining(`--config ${file}`) });

    const named = await tesseraProcess(["--config", "tessera.config.mjs", "run", "loud", "ahoy"], folder, env());
    expect(named).toMatchObject({ code: 0, err: "", out: expect.stringContaining('"AHOY"') });
    const again = await tesseraProcess(["run", "quiet", "land in sight", "--json"], folder, env());
    expect(JSON.parse(again.out).output).toEqual({ text: "LAND IN SIGHT" });
    const checked = await tesseraProcess(["check", "quiet"], folder, env());
    expect(checked).toMatchObject({ code: 0, out: expect.stringContaining("ok quiet") });

    write("code/src/a.md", "# Rain\n");
    const words = ["serve", "--source", "src", "--encoder", "hash", "--port", "0"];
    const child = start(main, words, { cwd: folder, env: env() });
    const ending = ended(child);
    let out = "";
    await new Promise<void>((resolve, reject) => {
      child.stdout!.on("data", (part: string) => {
        out += part;
        if (/tsr_\S+\n/.test(out)) resolve();
      });
      void ending.then(({ err }) => reject(new Error(err)));
    });
    const headers = { authorization: `Bearer ${/tsr_\S+/.exec(out)![0]}`, "content-type": "application/json" };
    const body = JSON.stringify({ input: { query: "ahoy" } });
    const served = await fetch(`${/http:\S+/.exec(out)![0]}/flows/loud/runs`, { method: "POST", headers, body });
    expect(((await served.json()) as { output: unknown }).output).toEqual({ text: "AHOY" });
    child.kill("SIGKILL");
    await ending;

    writeFileSync(file, `${config}\n`);
    expect((await tesseraProcess(["check", "quiet"], folder, env())).err).toContain("NOT_TRUSTED");
  });
});

describe("operators, readers and flows of one's own", () => {
  const reader = `export const notes = {
  name: "notes", version: 1, extensions: ["notes"],
  async read({ bytes }, context) {
    const text = (await context.text(bytes)).replaceAll("|", " ");
    return { kind: "blocks", blocks: [{ kind: "paragraph", text, lines: [1, 1] }] };
  },
};
`;
  const own = `import { flow, operator, sparse, text, use } from "@tessera/tessera";
import { z } from "zod";
export const plain = operator({
  name: "own.plain", version: 1,
  about: { module: "data", submodule: "own", summary: "Asks without courtesies." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { query: text } },
  setup: () => ({ query }) => ({ query: query.replace(/please,? /i, "") }),
});
export const polite = flow("polite", { query: "text" }, (f, { query }) => {
  const asked = f.node("plain", plain(), { query });
  const { hits } = f.node("search", sparse({ store: "sparse", top: 5 }), { query: asked.query });
  const written = f.node("answer", use("generator.answer", { model: "model" }), { query: asked.query, hits });
  return { query: asked.query, answer: written.answer, text: written.text };
});
`;
  const config = `import { defineConfig, type TesseraConfig } from "@tessera/tessera";
import { polite } from "./own.mjs";
const config: TesseraConfig = {
  model: { endpoint: process.env.MODEL_URL!, model: "tiny" },
  source: "notes", encoder: "hash", flow: "polite",
  flows: { polite }, operators: ["./own.mjs"], readers: ["./notes-reader.mjs"],
};
export default defineConfig(config);
`;
  const names = ["--config", "tessera.config.ts"];

  it("load from a TypeScript config outside of the repository in `ask`, `run`, `check`, `chat` and `eval`", async () => {
    const folder = join(home, "own");
    write("own/tessera.config.ts", config);
    write("own/own.mjs", own);
    write("own/notes-reader.mjs", reader);
    write("own/notes/shed.notes", "The key|of the shed|hangs in the kitchen.");
    const variables = { ...env(), TESSERA_HOME: join(home, "own-state"), MODEL_URL: endpoint };
    const ask = await tesseraProcess(
      [...names, "ask", "please, where is the key of the shed?", "--json"],
      folder,
      variables,
    );
    expect(JSON.parse(ask.out)).toMatchObject({
      flow: "polite",
      answer: "It waits twice as long each time [1].",
      citations: [{ path: "shed.notes" }],
    });
    const sent = asked.at(-1)!.body.messages.at(-1)!.content;
    expect(sent).toContain("hangs in the kitchen");
    expect(sent).not.toContain("please");
    // from now on the config is known
    const run = await tesseraProcess(
      ["run", "polite", "please where is it?", "--source", "notes", "--json"],
      folder,
      variables,
    );
    expect(JSON.parse(run.out).output).toMatchObject({ query: "where is it?" });
    expect(await tesseraProcess(["check", "polite"], folder, variables)).toMatchObject({ code: 0 });
    const chat = start(main, ["chat", "--flow", "polite"], { cwd: folder, env: variables });
    chat.stdin.end("please where is the key?\n/quit\n");
    expect(await ended(chat)).toMatchObject({ code: 0, out: expect.stringContaining("shed.notes:1") });
    write("own/data/corpus.jsonl", '{"id": "a", "text": "The key hangs in the kitchen."}\n');
    write("own/data/questions.jsonl", '{"id": "1", "question": "please where is the key?", "gold": ["a"]}\n');
    const measured = await tesseraProcess(
      ["eval", "run", "--flow", "polite", "--data", "data", "--json"],
      folder,
      variables,
    );
    expect(measured).toMatchObject({ code: 0, out: expect.stringMatching(/"metric":"cites gold","mean":1/) });
  });
});

describe("an answer by a JSON Schema", () => {
  const said: string[] = [];
  const filler = modelService(() => said.shift() ?? "nothing more");
  const schema = { type: "object", properties: { factor: { type: "number" } }, required: ["factor"] };
  let words: string[];
  beforeAll(async () => {
    const url = await filler.start();
    write("filled/a.js", retry);
    write("schemas/schema.json", schema);
    write("schemas/odd.json", { type: "object", properties: { a: { pattern: "x" } } });
    words = ["--no-config", "ask", "by what is each wait longer?", "--encoder", "hash"];
    words.push("--endpoint", url, "--model", "tiny", "--json");
  });
  afterAll(() => filler.stop());
  const folder = join(home, "filled");

  it("is JSON alone, with sources; a wrong one goes back to the model with its fault", async () => {
    said.splice(0, 2, 'Sure! {"factor": "two"}', '```json\n{"factor": 2}\n```');
    const { out } = await tessera([...words, "--json-schema", "../schemas/schema.json"], folder, env());
    const answered = JSON.parse(out);
    expect(answered).toMatchObject({ answer: '{"factor":2}', value: { factor: 2 }, citations: [{ path: "a.js" }] });
    expect(filler.asked.at(-1)!.body.messages.at(-1)!.content).toContain("/factor is of the type string");
    // what the time until the first word went to adds up
    const { start, open, search, model, firstWord, ours } = answered.times;
    expect(start + open + search + model).toBeCloseTo(firstWord, -1);
    expect(ours + model).toBeCloseTo(firstWord, -1);
  });

  it("comes from `run` too, as the flow's output", async () => {
    said.splice(0, 1, '{"factor": 2}');
    const [first, , question, ...rest] = words as [string, string, string, ...string[]];
    const run = [
      first,
      "run",
      "structured",
      question,
      "--source",
      ".",
      ...rest,
      "--json-schema",
      "../schemas/schema.json",
    ];
    expect(JSON.parse((await tessera(run, folder, env())).out).output).toMatchObject({ value: { factor: 2 } });
  });

  it.each([
    ["the model never meets it", "schema.json", [], "MODEL_FAILED", /\/factor|no JSON/],
    ["it has a keyword that is not read", "odd.json", [], "BAD_ARGUMENT", /pattern.*\/properties\/a\/pattern/],
    ["there is no such file", "none.json", [], "BAD_SOURCE", /none\.json/],
    ["the flow takes none", "schema.json", ["--flow", "rag"], undefined, /no input/],
  ])("is an error with a code and a reason where %s", async (_, file, more, code, reason) => {
    said.splice(0, 2, "I think two.", '{"factor": "two"}');
    const { code: exit, out } = await tessera(
      [...words, "--json-schema", `../schemas/${file}`, ...more],
      folder,
      env(),
    );
    expect([exit === 0, out]).toEqual([false, expect.stringMatching(reason)]);
    if (code !== undefined) expect(JSON.parse(out).error).toMatchObject({ code });
  });
});

describe("models of a config", () => {
  it("are found from its folder where they are paths, and stay names where they are names", async () => {
    write("models/tessera.config.json", {
      model: { file: "small.gguf", engine: "llama.cpp", threads: 2 },
      models: { other: "llama.cpp:sub/other.gguf", own: "generator", recorded: "answers.jsonl" },
      encoder: "hash+transformers.js:./MiniLM",
      rerankers: { cross: "transformers.js:./cross" },
      encoders: { e: "code-encoder-2@2" },
    });
    const folder = join(home, "models");
    const { config } = await readSettings(undefined, folder);
    expect(config).toEqual({
      model: { file: join(folder, "small.gguf"), engine: "llama.cpp", threads: 2 },
      models: {
        other: `llama.cpp:${join(folder, "sub/other.gguf")}`,
        own: "generator",
        recorded: join(folder, "answers.jsonl"),
      },
      encoder: `hash+transformers.js:${join(folder, "MiniLM")}`,
      rerankers: { cross: `transformers.js:${join(folder, "cross")}` },
      encoders: { e: "code-encoder-2@2" },
    });
  });
});

describe("encoders and rerankers of the config at an address", () => {
  it("make the index, and answer in flows, by their names", async () => {
    const forms = await formsService();
    try {
      write("forms/src/retry.js", retry);
      write("forms/src/other.js", "/** Colours of the sky. */\nexport const sky = 'blue';\n");
      const encoder = { endpoint: forms.url, model: "e", shape: "tei" };
      const rerankers = { cross: { endpoint: forms.url, model: "r", shape: "tei" } };
      write("forms/tessera.config.json", { source: "src", encoders: { tei: encoder }, encoder: "tei", rerankers });
      const folder = join(home, "forms");
      const reranking = {
        version: 1,
        name: "reranking",
        input: { query: "text" },
        nodes: {
          dense: { run: "retriever.dense", with: { store: "dense", encoder: "encoder" }, in: { query: "input.query" } },
          cross: {
            run: "reranker.cross-encoder",
            with: { reranker: "cross" },
            in: { query: "input.query", hits: "dense.hits" },
          },
        },
        output: { hits: "cross.hits" },
      };
      write("forms/reranking.json", reranking);
      const { code, out, err } = await tessera(
        ["run", "reranking.json", "sky", "--source", "src", "--json"],
        folder,
        env(),
      );
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(JSON.parse(out).output.hits[0].passage.source.path).toBe("other.js");
      expect(forms.paths).toContain("/embed");
      expect(forms.paths).toContain("/rerank");
      const asked = forms.paths.length;
      await tessera(["index", "src"], folder, env());
      expect(forms.paths.slice(asked)).toEqual([]);
    } finally {
      forms.stop();
    }
  });

  it("are refused with a field that there is not", async () => {
    const wrong = { encoder: { endpoint: "http://127.0.0.1:1", model: "e", shap: "tei" } };
    await expect(readSettings(write("forms/wrong.json", wrong))).rejects.toMatchObject({
      code: "BAD_SETTINGS",
      message: expect.stringContaining("shap"),
    });
  });
});

describe("a prompt of the config", () => {
  it("is what the model is told in place of ours, and is listed and shown", async () => {
    write("prompts/src/retry.js", retry);
    write("prompts/answer.md", "Answer like a pirate. If the passages do not say: {refusal}\n");
    const prompts = { "generator.answer": { file: "answer.md", version: "7" } };
    write("prompts/tessera.config.json", {
      model: { endpoint, model: "tiny" },
      source: "src",
      encoder: "hash",
      prompts,
    });
    const folder = join(home, "prompts");
    const { code } = await tessera(["ask", "how are retries backed off?"], folder, env());
    expect(code).toBe(0);
    expect(asked[0]!.body.messages[0]!.content).toMatch(/^Answer like a pirate\./);
    const { out } = await tessera(["prompts"], folder, env());
    expect(out).toMatch(/generator\.answer\s+7 .*\{refusal\}\*\s+answer\.md/);
    expect(out).toMatch(/query\.standalone\s+1 .*the catalogue/);
    const shown = await tessera(["prompts", "generator.answer", "--show"], folder, env());
    expect(shown.out.trimEnd()).toBe("Answer like a pirate. If the passages do not say: {refusal}");
    const ours = await tessera(["prompts", "generator.answer", "--show", "--no-config"], folder, env());
    expect(ours.out).toContain("You answer questions from numbered passages.");
    expect(await tessera(["prompts", "generator.anser"], folder, env())).toMatchObject({
      code: 1,
      err: expect.stringContaining('"generator.answer"'),
    });
  });

  it.each([
    ["a name that there is not", { "generator.anser": "answer.md" }, "generator.anser"],
    ["a file that is not there", { "generator.answer": "none.md" }, "none.md"],
    ["a place that is missing", { "generator.answer": "bad.md" }, "{refusal}"],
  ])("is refused: %s", async (_, prompts, place) => {
    write("prompts/bad.md", "No place at all.");
    const error = await readSettings(write("prompts/other.json", { prompts })).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "BAD_SETTINGS" });
    expect(`${error.path} ${error.message}`).toContain(place);
  });
});

describe("what is wrong with a config is said", () => {
  it.each([
    ["a field that there is not", { modell: "x" }, "modell"],
    ["a field of another type", { model: { endpoint: "localhost", model: "m" } }, "model.endpoint"],
    [
      "a flow under another name",
      { flows: { a: { version: 1, name: "b", input: {}, nodes: {}, output: {} } } },
      "flows.a",
    ],
    ["a flow that is not there", { flows: { a: "no.json" } }, "flows.a"],
  ])("%s", async (_, value, place) => {
    const file = write("wrong/tessera.config.json", value);
    const error = await readSettings(file).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "BAD_SETTINGS" });
    expect(`${error.path} ${error.message}`).toContain(place);
  });

  it("broken JSON, and a file that is named and not there", async () => {
    await expect(readSettings(write("wrong/tessera.config.json", "{"))).rejects.toMatchObject({ code: "BAD_JSON" });
    await expect(readSettings(join(home, "none.json"))).rejects.toMatchObject({ code: "BAD_SETTINGS" });
  });
});

describe("the input of `run`", () => {
  const flow = (input: object) => ({ version: 1, name: "plain", input, nodes: {}, output: {} });

  it("is the text itself where a flow has one text input", async () => {
    const text = write("run/plain.json", { ...flow({ query: "text" }), output: { query: "input.query" } });
    const folder = join(home, "run");
    writeFileSync(join(folder, "question.txt"), "where is it?\n");
    for (const given of [["where is it?"], ["--input", "where is it?"], ["--input", "question.txt"]]) {
      const { out, err } = await tessera(["run", text, ...given, "--json"], folder, env());
      expect({ err, output: JSON.parse(out).output }).toEqual({ err: "", output: { query: "where is it?" } });
    }
  });

  it("as a bare question is the text even where a file has its name, or where it looks like JSON", async () => {
    const text = write("run/plain.json", { ...flow({ query: "text" }), output: { query: "input.query" } });
    for (const question of ["question.txt", '{"query":"a"}', "[1]"]) {
      const { out } = await tessera(["run", text, question, "--json"], join(home, "run"), env());
      expect(JSON.parse(out).output).toEqual({ query: question });
    }
  });

  it("must be JSON or a file where it has others, and the error names them", async () => {
    const two = write("run/two.json", flow({ query: "text", least: "number" }));
    const { code, err } = await tessera(["run", two, "where is it?"], join(home, "run"), env());
    expect(code).toBe(2);
    expect(err).toContain("query, least");
  });
});

it("the state of trust stands where the state of the command line stands", () => {
  expect(Object.keys(JSON.parse(readFileSync(join(home, "state/trusted-configs.json"), "utf8")))).toEqual([
    join(home, "code/tessera.config.mjs"),
  ]);
});
