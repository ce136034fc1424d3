import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter } from "node:events";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";

/** A process with the face of a worker thread, for `Thread`. Its end, by whatever signal, ends no other. */
export class ChildWorker extends EventEmitter {
  private readonly child: ChildProcess;

  private constructor(script: URL, argument: unknown, memory: number) {
    super();
    const flags = process.execArgv.filter(
      (flag) => !/^--(?:input-type|eval|print|max-old-space-size|inspect|test)/.test(flag),
    );
    this.child = fork(fileURLToPath(script), [JSON.stringify(argument)], {
      serialization: "advanced",
      env: process.env.SystemRoot === undefined ? {} : { SystemRoot: process.env.SystemRoot },
      execArgv: [...flags, `--max-old-space-size=${Math.ceil(memory / 2 ** 20)}`],
      // a heap that is full, and libraries, write there
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    this.child.on("message", (message) => this.emit("message", message));
    this.child.on("error", (error) => this.emit("error", error));
    this.child.on("exit", (code, signal) => this.emit("exit", code ?? signal));
  }

  /** @param memory Bytes of its heap. */
  static start(script: URL, argument: unknown, memory: number): Worker {
    return new ChildWorker(script, argument, memory) as unknown as Worker;
  }

  postMessage(message: unknown): void {
    if (this.child.connected) this.child.send(message as object, () => {});
  }

  ref(): void {
    this.child.ref();
    this.child.channel?.ref();
  }

  unref(): void {
    this.child.unref();
    this.child.channel?.unref();
  }

  terminate(): Promise<number> {
    return new Promise((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return resolve(1);
      this.child.once("exit", () => resolve(1));
      this.child.kill("SIGKILL");
    });
  }
}
