import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { openSandbox, quickjs, type Sandbox } from "@tessera/coder";
import { type MbxpProblem, mbxpTasks } from "@tessera/coder/internal";
import { openAiModel, openCassette } from "@tessera/models";
import { measureMbxp } from "./mbxp.js";
import { Report } from "./measure/report.js";

/** Two problems of MBXP's form, written for this test. */
const problems: MbxpProblem[] = ["twice", "next"].map((name, n) => {
  const give = (x: number) => (n === 0 ? 2 * x : x + 1);
  const assertion = (place: number, x: number) =>
    `var arg${place}0 = ${x};\nvar x${place} = ${name}(arg${place}0);\nvar v${place} = ${give(x)};\nif(!compare(x${place}, v${place})){ throw 'wrong' }\n`;
  return {
    ...{ task_id: `MBJSP/${n}`, entry_point: name, language: "javascript" as const },
    prompt: `/**\n * Give ${name}.\n *\n * > ${name}(1)\n * ${give(1)}\n * > ${name}(4)\n * ${give(4)}\n */\nfunction ${name}(x) {\n`,
    test: `const _ = require("lodash")\nfunction compare(a, b){ return _.isEqual(a, b) }\n\n${assertion(0, 1)}\n${assertion(1, 4)}`,
  };
});

describe("MBXP through a service that speaks OpenAI's protocol", () => {
  let folder: string;
  let sandbox: Sandbox;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mbxp-"));
    sandbox = await openSandbox(quickjs({ workers: 1 }));
  });
  afterAll(async () => {
    await sandbox.close?.();
    await rm(folder, { recursive: true });
  });

  it("is recorded, and replayed without the service to the same figures", async () => {
    let asked = 0;
    // it answers half of the questions rightly; 2x is what the public test takes of both
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        asked += 1;
        const { messages, seed } = JSON.parse(body) as { messages: { content: string }[]; seed: number };
        const name = messages.at(-1)!.content.includes("next") ? "next" : "twice";
        const formula = name === "next" && seed % 2 === 0 ? "x + 1" : "2 * x";
        const code = `function change(x) { return ${formula}; }\nfunction ${name}(x) { return change(x); }`;
        const content = `\`\`\`javascript\n${code}\n\`\`\``;
        const usage = { prompt_tokens: 50, completion_tokens: 20, total_tokens: 70 };
        response.setHeader("content-type", "text/event-stream");
        response.end(
          `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: "stop" }], usage })}\n\ndata: [DONE]\n\n`,
        );
      });
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const cassette = join(folder, "cassette.jsonl");
    const measured = async (model: Parameters<typeof measureMbxp>[2]) => {
      const report = new Report("mbxp");
      await measureMbxp(report, mbxpTasks(problems), model, sandbox, { count: 4, clusters: [2, 1] });
      return report.figures;
    };

    const service = openAiModel({ baseUrl, model: "any", capabilities: ["seed"] });
    const recorded = await measured(await openCassette(cassette, { model: service }));
    expect(asked).toBeGreaterThan(2 * 2 * 12);
    await new Promise((done) => server.close(done));
    expect(await measured(await openCassette(cassette))).toEqual(recorded);

    const of = (arm: string, metric: string) =>
      recorded.find((figure) => figure.system === arm && figure.metric === metric)!.value!;
    expect(of("direct", "extractable")).toBe(1);
    // "twice" is always right; of "next" some samples pass the public test and fail a hidden one
    expect(of("direct", "coverage")).toBe(1);
    expect(of("direct", "selectOne")).toBeGreaterThan(0.5);
    expect(of("direct", "selectOne")).toBeLessThan(1);
    expect(of("direct", "hiddenFail")).toBeGreaterThan(0);
    expect(of("codechain", "tokens")).toBe(12 * 70);
  });
});
