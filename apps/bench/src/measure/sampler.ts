import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type LanguageModel, TesseraError } from "@tessera/core";

interface Answer {
  readonly id: string;
  readonly text: string;
  readonly prompt: number;
  readonly completion: number;
  readonly finish: "stop" | "length";
}

const script = fileURLToPath(new URL("../../../train/listsampler.py", import.meta.url));

/**
 * A dense decoder's bundle as a language model that answers thousands of requests in batches: a child process of
 * apps/train/listsampler.py, which needs a Python with torch. It reads the last message of a request and no other.
 * @throws TesseraError MODEL_FAILED, from each request, where the process ends.
 */
export function sampledModel(python: string, bundle: string): LanguageModel & { close(): Promise<void> } {
  const child = spawn(python, [script, bundle], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = new Map<string, { resolve(answer: Answer): void; reject(error: unknown): void }>();
  let ended: TesseraError | undefined;
  const end = (cause: unknown) => {
    ended ??= new TesseraError("MODEL_FAILED", `the sampler ended: ${String(cause)}`, { path: script });
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  child.on("error", end);
  child.on("exit", (code, signal) => end(signal ?? `exit code ${code}`));
  child.stdin.on("error", end);
  createInterface({ input: child.stdout }).on("line", (line) => {
    const answer = JSON.parse(line) as Answer;
    waiting.get(answer.id)?.resolve(answer);
    waiting.delete(answer.id);
  });
  let asked = 0;
  return {
    revision: bundle,
    capabilities: new Set(["seed"]),
    async *generate({ messages, seed = 0, temperature = 0, maxTokens }) {
      if (ended) throw ended;
      const id = String(asked++);
      const answer = await new Promise<Answer>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        child.stdin.write(
          `${JSON.stringify({ id, prompt: messages.at(-1)!.content, seed, temperature, maxTokens })}\n`,
        );
      });
      const { text, prompt, completion, finish } = answer;
      yield { text, finish, usage: { prompt, completion } };
    },
    close: () =>
      new Promise((resolve) => {
        if (ended) return resolve();
        child.once("exit", () => resolve());
        child.stdin.end();
      }),
  };
}
