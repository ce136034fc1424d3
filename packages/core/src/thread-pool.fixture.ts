import { EventEmitter } from "node:events";
import type { Worker } from "node:worker_threads";
import { Thread, type ThreadReply } from "./thread.js";

/** What a pretended worker shall do: its answer is the number. */
export type Job = { readonly number: number; readonly end: "answer" | "fail" | "die" | "stay" };

/** A worker without a thread: it starts and answers in later turns of the event loop. */
export class PretendedWorker extends EventEmitter {
  alive = true;
  constructor(private readonly starts = true) {
    super();
    setImmediate(() => (this.starts ? this.say({ kind: "ready" }) : this.die(1)));
  }
  ref(): void {}
  unref(): void {}
  postMessage({ number, end }: Job): void {
    if (end === "stay") return;
    setImmediate(() => {
      if (end === "die") this.die(3);
      else this.say(end === "fail" ? { kind: "failed", message: `${number}` } : { kind: "answer", answer: number });
    });
  }
  async terminate(): Promise<number> {
    this.die(1);
    return 1;
  }
  /** The owner's side of it. */
  thread(): Thread<Job, number> {
    return new Thread(this as unknown as Worker, { name: "a thread", code: "MODEL_FAILED" });
  }
  private say(reply: ThreadReply<number>): void {
    if (this.alive) this.emit("message", reply);
  }
  private die(code: number): void {
    if (this.alive) this.emit("exit", code);
    this.alive = false;
  }
}
