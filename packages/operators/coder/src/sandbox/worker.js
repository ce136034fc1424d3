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

/** One run of a program: what it may do and what it has done. */
class Run {
  #start = performance.now();
  #written = ["", "", ""];
  #input;
  #limits;
  #room;
  // "running", "flooded", "late" or "left"
  #state = /** @type {string} */ ("running");
  #exitCode = 0;
  #outOfMemory = false;
  #runtime;
  #context;

  /**
   * @param {import("./driver.js").Program} program
   * @param {import("./driver.js").Limits} limits
   */
  constructor(program, limits) {
    this.#limits = limits;
    this.#room = limits.outputBytes;
    this.#input = program.input ?? "";
    this.#runtime = quickjs.newRuntime();
    this.#runtime.setMemoryLimit(limits.memoryMb * 1024 * 1024);
    this.#runtime.setMaxStackSize(stackBytes);
    this.#runtime.setInterruptHandler(() => {
      this.#checkTime();
      return this.#state !== "running";
    });
    this.#context = this.#runtime.newContext();
    this.#defineHost();
    this.#evaluate(program.source);
    this.#context.dispose();
    this.#runtime.dispose();
  }

  #checkTime() {
    if (this.#state === "running" && performance.now() - this.#start > this.#limits.wallMs) this.#state = "late";
  }

  /** Gives the program `host`, and what the prelude makes of it. */
  #defineHost() {
    const context = this.#context;
    /** @type {Record<string, any>} */
    const functions = {
      print: (/** @type {any} */ stream, /** @type {any} */ text) => this.#print(stream, text),
      exit: (/** @type {any} */ code) => {
        if (this.#state === "running") {
          this.#exitCode = code === undefined ? 0 : context.getNumber(code) & 255;
          this.#state = "left";
        }
        return this.#stopped();
      },
      readInput: () => {
        const text = this.#input;
        this.#input = "";
        return context.newString(text);
      },
    };
    context.newObject().consume((host) => {
      for (const [name, work] of Object.entries(functions))
        context.newFunction(name, work).consume((handle) => context.setProp(host, name, handle));
      context.setProp(context.global, "host", host);
    });
    context.unwrapResult(context.evalCode(prelude, "prelude.js")).dispose();
  }

  #stopped() {
    return { error: this.#context.newError("the program has ended") };
  }

  /** @param {any} stream @param {any} text */
  #print(stream, text) {
    const context = this.#context;
    if (this.#state !== "running") return this.#stopped();
    // one that is too long is not copied out: where the guest's memory does not hold the copy, it would read as ""
    const size = context.getProp(text, "length").consume(context.getNumber);
    const chunk = size > this.#room ? "" : context.getString(text);
    const bytes = Math.max(size, Buffer.byteLength(chunk));
    if (bytes <= this.#room) this.#written[context.getNumber(stream)] += chunk;
    this.#room -= bytes;
    if (this.#room >= 0) return context.undefined;
    this.#state = "flooded";
    return this.#stopped();
  }

  /** @param {any} error */
  #fail(error) {
    const thrown = this.#context.dump(error);
    error.dispose();
    if (this.#state !== "running") return;
    const text = textOf(thrown);
    this.#outOfMemory ||= /^InternalError: out of memory/.test(text) || thrown === null;
    this.#written[2] += `${text.slice(0, this.#limits.outputBytes)}\n`;
    this.#exitCode = 1;
  }

  /** @param {string} source */
  #evaluate(source) {
    const result = this.#context.evalCode(source, "program.js");
    if (result.error) this.#fail(result.error);
    while (this.#state === "running" && this.#runtime.hasPendingJob()) {
      const jobs = this.#runtime.executePendingJobs(jobsBetweenChecks);
      if (jobs.error) this.#fail(jobs.error);
      this.#checkTime();
    }
    if (result.error) return;
    if (this.#state === "running") {
      const promise = this.#context.getPromiseState(result.value);
      if (promise.type === "rejected") this.#fail(promise.error);
      else if (promise.type === "fulfilled" && !promise.notAPromise) promise.value.dispose();
    }
    result.value.dispose();
  }

  /** @returns {import("./driver.js").Execution} */
  get execution() {
    const ended = /** @type {Record<string, any>} */ ({ late: "timeout", flooded: "output" });
    const status = ended[this.#state] ?? (this.#outOfMemory ? "memory" : "exited");
    return {
      status,
      exitCode: status === "exited" ? this.#exitCode : null,
      output: this.#written[1] ?? "",
      errors: this.#written[2] ?? "",
      ms: performance.now() - this.#start,
    };
  }
}

// an error here may mean a damaged instance: it ends the thread, which the pool replaces
port.on("message", ({ program, limits }) =>
  port.postMessage({ kind: "answer", answer: new Run(program, limits).execution }),
);
port.postMessage({ kind: "ready" });
