import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "@jest/globals";
import { ended, root, start } from "./program.fixture.js";

interface Served {
  readonly url: string;
  ask(path: string, body?: object): Promise<Record<string, { id?: string; index?: number; embedding?: number[] }[]>>;
}

/** Starts `tessera serve` with these words over a folder of one file, and ends it after `use`. */
async function withService(words: readonly string[], config: object, use: (served: Served) => Promise<void>) {
  const work = mkdtempSync(join(tmpdir(), "tessera-served-models-"));
  mkdirSync(join(work, "code"));
  writeFileSync(join(work, "code/add.js"), "export const add = (a, b) => a + b;\n");
  writeFileSync(join(work, "tessera.config.json"), JSON.stringify(config));
  const given = ["serve", "--source", "code", "--port", "0", "--engine", "cpu", ...words];
  const child = start(join(root, "apps/cli/src/main.ts"), given, {
    cwd: work,
    env: { TESSERA_HOME: join(work, "home") },
  });
  try {
    const ending = ended(child);
    let out = "";
    await new Promise<void>((done, reject) => {
      child.stdout!.on("data", (text: string) => {
        out += text;
        if (/tsr_\S+\n/.test(out)) done();
      });
      void ending.then(({ err }) => reject(new Error(err)));
    });
    const url = /http:\S+/.exec(out)![0];
    const authorization = `Bearer ${/tsr_\S+/.exec(out)![0]}`;
    await use({
      url,
      async ask(path, body) {
        const response = await fetch(`${url}/v1/${path}`, {
          method: body ? "POST" : "GET",
          headers: { authorization, "content-type": "application/json" },
          ...(body && { body: JSON.stringify(body) }),
        });
        return (await response.json()) as Awaited<ReturnType<Served["ask"]>>;
      },
    });
  } finally {
    child.kill("SIGTERM");
    rmSync(work, { recursive: true, force: true });
  }
}

const messages = [{ role: "user", content: "Hello" }];

it("tessera serve offers a GGUF file of the config under /v1, by its name", async () => {
  const config = { model: join(root, "packages/models/src/fixtures/spoken.gguf"), encoder: "hash" };
  await withService([], config, async ({ ask }) => {
    expect((await ask("models")).data!.map(({ id }) => id)).toEqual(expect.arrayContaining(["spoken.gguf", "hash"]));
    const answer = await ask("chat/completions", { model: "spoken.gguf", messages, max_tokens: 4 });
    expect(answer).toMatchObject({ model: "spoken.gguf", usage: { prompt_tokens: 6 } });
  });
});

it("tessera serve offers the models of its process under /v1, to those who have a key", async () => {
  await withService(["--model", "code-language-model"], {}, async ({ url, ask }) => {
    expect((await ask("models")).data!.map(({ id }) => id)).toEqual(
      expect.arrayContaining(["code-encoder-2", "code-language-model"]),
    );
    const answer = await ask("chat/completions", { model: "code-language-model", messages, max_tokens: 4 });
    expect(answer).toMatchObject({ model: "code-language-model", usage: { completion_tokens: 4 } });
    const [{ embedding }] = (await ask("embeddings", { model: "code-encoder-2", input: "add" })).data as [
      { embedding: number[] },
    ];
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
    const reranked = await ask("rerank", { model: "code-encoder-2", query: "add", documents: ["close", "add"] });
    expect(reranked.results![0]!.index).toBe(1);
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
  });
});
