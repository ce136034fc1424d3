import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";

const rounds = Number(process.env.BENCH_ROUNDS ?? 9);
const questions = ["where is a string checked for its length?", "how are errors flattened?", "what does a pipe do?"];
const program = fileURLToPath(new URL("../../cli/dist/main.js", import.meta.url));

/** The wait before the stub's first word: what a fast service takes, so that the model's time is not none. */
const thinks = 100;

/** A service that speaks OpenAI's chat completions and always says the same: a stub, no model. */
async function stubService() {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      const event = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      setTimeout(() => {
        for (const content of ["It ", "stands ", "there ", "[1]."]) event({ choices: [{ delta: { content } }] });
        event({ choices: [{ delta: {}, finish_reason: "stop" }] });
        response.end("data: [DONE]\n\n");
      }, thinks);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, close: () => server.close() };
}

interface Asked {
  /** From the start of the process, as seen from outside, until a part of the answer came. */
  readonly outside: number;
  /** As the command tells them under --json. */
  readonly times: Readonly<Record<string, number>>;
}

async function ask(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<Asked> {
  const from = performance.now();
  const child = spawn(process.execPath, [program, ...words], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let [out, problem] = ["", ""];
  let outside = 0;
  child.stdout.on("data", (part: Buffer) => {
    out += part.toString();
    if (outside === 0 && out.includes("It ")) outside = performance.now() - from;
  });
  child.stderr.on("data", (part: Buffer) => {
    problem += part.toString();
  });
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Error(`tessera ask ended with ${code}: ${problem}`);
  return { outside, times: words.includes("--json") ? (JSON.parse(out) as Asked).times : {} };
}

/**
 * The first streamed word of `tessera ask` by a model, on an index that is there: our share, apart from the model's own time. The
 * model is a stub, and each question has a process of its own; medians.
 */
export default async function firstWord(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-first-word-"));
  const stub = await stubService();
  try {
    const source = join(folder, "source");
    cpSync(join(dirname(createRequire(import.meta.url).resolve("zod/package.json")), "src"), source, {
      recursive: true,
    });
    const environment = { ...process.env, TESSERA_HOME: join(folder, "home"), NODE_OPTIONS: "" };
    const words = ["--no-config", "ask", "--source", source, "--endpoint", stub.url, "--model", "stub"];
    for (const encoder of [undefined, "hash"]) {
      const system = `${encoder ?? "default"} encoder, scripted stub for a model`;
      const chosen = [...words, ...(encoder ? ["--encoder", encoder] : [])];
      report.say(`${system}: the index is made, then ${rounds} rounds`);
      await ask([...chosen, questions[0]!, "--json"], environment);
      const taken: Record<string, number[]> = {};
      const note = (name: string, value: number): void => {
        taken[name] ??= [];
        taken[name].push(value);
      };
      for (let round = 0; round < rounds; round++) {
        const question = questions[round % questions.length]!;
        const { times } = await ask([...chosen, question, "--json"], environment);
        for (const [name, value] of Object.entries(times)) note(name, value);
        note("outside", (await ask([...chosen, question], environment)).outside - thinks);
      }
      const median = (name: string) => percentile(taken[name] ?? [], 0.5);
      report.add(system, "first word, ours (must be at most 650 ms on a quiet machine)", median("ours"), "ms");
      report.add(system, "of it, start: until the command begins", median("start"), "ms");
      report.add(system, "of it, open: config, index, model, flow", median("open"), "ms");
      report.add(system, "of it, search, prompt and reading", median("search"), "ms");
      report.add(system, "ours, of processor time", median("processor"), "ms");
      report.add(system, "the model's own time, apart", median("model"), "ms");
      report.add(
        system,
        `ours as seen from outside, streamed (${thinks} ms of the stub taken off)`,
        median("outside"),
        "ms",
      );
    }
  } finally {
    stub.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
