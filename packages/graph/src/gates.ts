import { SKIPPED } from "./program.js";

/** Where the streamed parts of a port go. */
export interface Gate {
  /** Whether what is pushed goes to the client at once. */
  readonly live: boolean;
  push(delta: unknown): void;
}

/** The gates of an activation's output ports; a port without one feeds no output of the flow. */
export type Feed = Readonly<Record<string, Gate>>;

/** What a client sees streamed: parts of the flow's own outputs. */
export interface OutputDelta {
  readonly port: string;
  readonly delta: unknown;
}

class OutputGate implements Gate {
  readonly live = true;

  constructor(
    private readonly port: string,
    private readonly send: (part: OutputDelta) => void,
  ) {}

  push(delta: unknown): void {
    const { port, send } = this;
    send({ port, delta });
  }
}

/** The gates of a run's outputs. */
export class OutputGates {
  readonly feed: Feed;

  constructor(ports: readonly string[], send: (part: OutputDelta) => void) {
    const feed: Record<string, Gate> = Object.create(null);
    for (const port of ports) feed[port] = new OutputGate(port, send);
    this.feed = feed;
  }
}

/** Keeps what it is given until it is known whether it counts: a turn that may not be the last. */
class HoldingGate implements Gate {
  private held: unknown[] = [];
  private state: "holding" | "open" | "closed" = "holding";

  constructor(private readonly next: Gate) {}

  get live(): boolean {
    return this.state === "open" && this.next.live;
  }

  push(delta: unknown): void {
    if (this.state === "open") this.next.push(delta);
    else if (this.state === "holding") this.held.push(delta);
  }

  open(): void {
    if (this.state !== "holding") return;
    this.state = "open";
    for (const delta of this.held) this.next.push(delta);
    this.held = [];
  }

  close(): void {
    this.state = "closed";
    this.held = [];
  }
}

/** A feed whose gates hold; opened or closed as one. */
export class HeldFeed {
  readonly feed: Record<string, HoldingGate> = Object.create(null);

  constructor(outer: Feed) {
    for (const [port, gate] of Object.entries(outer)) this.feed[port] = new HoldingGate(gate);
  }

  open(): void {
    for (const gate of Object.values(this.feed)) gate.open();
  }

  close(): void {
    for (const gate of Object.values(this.feed)) gate.close();
  }
}

class AttemptGate implements Gate {
  constructor(
    private readonly attempt: AttemptFeed,
    private readonly next: Gate,
  ) {}

  get live(): boolean {
    return this.next.live;
  }

  push(delta: unknown): void {
    this.attempt.push(this.next, delta);
  }
}

/**
 * The feed of an attempt that may fail. Where its parts reach the client they go on as they come, the first ones at the
 * end of the turn of the event loop, so that an attempt that fails at once leaves none. Where something around it holds
 * them back they are kept until the attempt has ended.
 */
export class AttemptFeed {
  readonly feed: Record<string, Gate> = Object.create(null);
  /** Whether a part has reached the client. */
  sent = false;
  private state: "kept" | "due" | "closed" = "kept";
  private readonly kept: { readonly next: Gate; readonly delta: unknown }[] = [];

  constructor(outer: Feed) {
    for (const [port, next] of Object.entries(outer)) this.feed[port] = new AttemptGate(this, next);
  }

  push(next: Gate, delta: unknown): void {
    if (this.state === "closed") return;
    this.kept.push({ next, delta });
    if (this.sent) this.flush();
    else if (next.live && this.state === "kept") {
      this.state = "due";
      setImmediate(() => {
        if (this.state !== "due") return;
        this.state = "kept";
        this.flush();
      });
    }
  }

  private flush(): void {
    for (const { next, delta } of this.kept.splice(0)) {
      this.sent ||= next.live;
      next.push(delta);
    }
  }

  /** The attempt is over, and its parts count. */
  open(): void {
    this.flush();
    this.state = "closed";
  }

  /** The attempt has failed. */
  close(): void {
    this.state = "closed";
    this.kept.length = 0;
  }
}

/** The members of a `first`: each is held until all before it are known to be skipped. */
export class FirstGates {
  private readonly gates: HoldingGate[];
  /** The first member that is not known to be skipped; beyond the last where it is decided which one counts. */
  private at = 0;

  constructor(
    private readonly slots: readonly number[],
    outer: Gate,
  ) {
    this.gates = slots.map(() => new HoldingGate(outer));
  }

  gate(member: number): Gate {
    return this.gates[member]!;
  }

  /** Looks on at what is known, behind the members that are skipped: `undefined` has not settled. */
  update(values: readonly unknown[]): void {
    while (this.at < this.slots.length) {
      this.gates[this.at]!.open();
      const value = values[this.slots[this.at]!];
      if (value === undefined) return;
      this.at++;
      if (value === SKIPPED) continue;
      for (const later of this.gates.slice(this.at)) later.close();
      this.at = this.slots.length;
    }
  }
}
