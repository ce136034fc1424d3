// @ts-check
// A thread of the quickjs driver: one WebAssembly instance with a hard memory limit, a fresh runtime for each run.
import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import variant from "@jitl/quickjs-wasmfile-release-sync";
import { newQuickJSWASMModuleFromVariant, newVariant } from "quickjs-emscripten-core";

const page = 65_536;
// beyond 256 kB the guest's recursion overflows the host's own stack and corrupts the instance
const stackBytes = 256 * 1024;
const jobsBetweenChecks = 1000;

// what a program finds around itself; the file says what it takes from `host`
const prelude = readFileSync(new URL("../../harness/quickjs-prelude.cjs", import.meta.url), "utf8");

const { memoryMb } = workerData;
const memory = new /** @type {any} */ (globalThis).WebAssembly.Memory({
  initial: 256,
  maximum: Math.max(256, (memoryMb * 1024 * 1024) / page),
});
const quickjs = await newQuickJSWASMModuleFromVariant(newVariant(/** @type {any} */ (variant), { wasmMemory: memory }));
const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);

/** What was thrown, in a line; an error's name and message are whatever the program made of them. */
function textOf(/** @type {any} */ thrown) {
  try {
    return typeof thrown === "object" && thrown ? `${thrown.name}: ${thrown.message}` : String(thrown);
  } catch {
    return "an error that cannot be printed";
  }
}

/**
 * @param {import("./driver.js").Program} program
 * @param {import("./driver.js").Limits} limits
 * @returns {import("./driver.js").Execution}
 */
function run(program, limits) {
  const start = performance.now();
  const written = ["", "", ""];
  let room = limits.outputBytes;
  let input = program.input ?? "";
  // "running", "flooded", "late" or "left"
  let state = /** @type {string} */ ("running");
  let exitCode = 0;

  const runtime = quickjs.newRuntime();
  runtime.setMemoryLimit(limits.memoryMb * 1024 * 1024);
  runtime.setMaxStackSize(stackBytes);
  runtime.setInterruptHandler(() => {
    if (state === "running" && performance.now() - start > limits.wallMs) state = "late";
    return state !== "running";
  });
  const context = runtime.newContext();
  const define = (/** @type {string} */ name, /** @type {any} */ work, /** @type {any} */ target) =>
    context.newFunction(name, work).consume((handle) => context.setProp(target, name, handle));
  const stopped = () => ({ error: context.newError("the program has ended") });

  context.newObject().consume((host) => {
    define(
      "print",
      (/** @type {any} */ stream, /** @type {any} */ text) => {
        if (state !== "running") return stopped();
        // one that is too long is not copied out: where the guest's memory does not hold the copy, it would read as ""
        const size = context.getProp(text, "length").consume(context.getNumber);
        const chunk = size > room ? "" : context.getString(text);
        const bytes = Math.max(size, Buffer.byteLength(chunk));
        if (bytes <= room) written[context.getNumber(stream)] += chunk;
        room -= bytes;
        if (room >= 0) return context.undefined;
        state = "flooded";
        return stopped();
      },
      host,
    );
    define(
      "exit",
      (/** @type {any} */ code) => {
        if (state === "running") {
          exitCode = code === undefined ? 0 : context.getNumber(code) & 255;
          state = "left";
        }
        return stopped();
      },
      host,
    );
    define(
      "readInput",
      () => {
        const text = input;
        input = "";
        return context.newString(text);
      },
      host,
    );
    context.setProp(context.global, "host", host);
  });
  context.unwrapResult(context.evalCode(prelude, "prelude.js")).dispose();

  let outOfMemory = false;
  const fail = (/** @type {any} */ error) => {
    const thrown = context.dump(error);
    error.dispose();
    if (state !== "running") return;
    const text = textOf(thrown);
    outOfMemory ||= /^InternalError: out of memory/.test(text) || thrown === null;
    written[2] += `${text.slice(0, limits.outputBytes)}\n`;
    exitCode = 1;
  };

  const result = context.evalCode(program.source, "program.js");
  if (result.error) fail(result.error);
  while (state === "running" && runtime.hasPendingJob()) {
    const jobs = runtime.executePendingJobs(jobsBetweenChecks);
    if (jobs.error) fail(jobs.error);
    if (performance.now() - start > limits.wallMs) state = "late";
  }
  if (!result.error) {
    if (state === "running") {
      const promise = context.getPromiseState(result.value);
      if (promise.type === "rejected") fail(promise.error);
      else if (promise.type === "fulfilled" && !promise.notAPromise) promise.value.dispose();
    }
    result.value.dispose();
  }
  context.dispose();
  runtime.dispose();

  const status = state === "late" ? "timeout" : state === "flooded" ? "output" : outOfMemory ? "memory" : "exited";
  return {
    status,
    exitCode: status === "exited" ? exitCode : null,
    output: written[1] ?? "",
    errors: written[2] ?? "",
    ms: performance.now() - start,
  };
}

// an error here may mean a damaged instance: it ends the thread, which the pool replaces
port.on("message", ({ program, limits }) => port.postMessage({ kind: "answer", answer: run(program, limits) }));
port.postMessage({ kind: "ready" });
