/** Values pushed by one side and read by the other, once; what is not read yet waits. */
export class Channel<T> implements AsyncIterable<T> {
  private readonly waiting: T[] = [];
  private head = 0;
  private wake: (() => void) | undefined;
  private state: "open" | "ended" | "left" = "open";
  private error: { reason: unknown } | undefined;

  /** `leave` is called when the reader goes before the end. */
  constructor(private readonly leave: () => void) {}

  push(value: T): void {
    if (this.state !== "open") return;
    this.waiting.push(value);
    this.signal();
  }

  end(reason?: unknown): void {
    if (this.state !== "open") return;
    this.state = "ended";
    if (reason !== undefined) this.error = { reason };
    this.signal();
  }

  private signal(): void {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    let whole = false;
    try {
      while (true) {
        while (this.head < this.waiting.length) {
          const value = this.waiting[this.head++]!;
          if (this.head === this.waiting.length) {
            this.waiting.length = 0;
            this.head = 0;
          }
          yield value;
        }
        if (this.state !== "open") break;
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
      whole = true;
      if (this.error) throw this.error.reason;
    } finally {
      if (!whole) {
        this.state = "left";
        this.leave();
      }
    }
  }
}
