import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "@jest/globals";
import { ended, root, start } from "./program.fixture.js";

it("tessera serve offers the models of its process under /v1, to those who have a key", async () => {
  const work = mkdtempSync(join(tmpdir(), "tessera-served-models-"));
  mkdirSync(join(work, "code"));
  writeFileSync(join(work, "code/add.js"), "export const add = (a, b) => a + b;\n");
  const given = ["serve", "--source", "code", "--port", "0", "--model", "code-language-model", "--engine", "cpu"];
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
    const ask = async (path: string, body?: object) => {
      const response = await fetch(`${url}/v1/${path}`, {
        method: body ? "POST" : "GET",
        headers: { authorization, "content-type": "application/json" },
        ...(body && { body: JSON.stringify(body) }),
      });
      return (await response.json()) as Record<string, { id?: string; index?: number; embedding?: number[] }[]>;
    };
    expect((await ask("models")).data!.map(({ id }) => id)).toEqual(
      expect.arrayContaining(["code-encoder-2", "code-language-model"]),
    );
    const messages = [{ role: "user", content: "Hello" }];
    const answer = await ask("chat/completions", { model: "code-language-model", messages, max_tokens: 4 });
    expect(answer).toMatchObject({ model: "code-language-model", usage: { completion_tokens: 4 } });
    const [{ embedding }] = (await ask("embeddings", { model: "code-encoder-2", input: "add" })).data as [
      { embedding: number[] },
    ];
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
    const reranked = await ask("rerank", { model: "code-encoder-2", query: "add", documents: ["close", "add"] });
    expect(reranked.results![0]!.index).toBe(1);
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
  } finally {
    child.kill("SIGTERM");
    rmSync(work, { recursive: true, force: true });
  }
});
