import type { FlowEvent } from "@tessera/core";
import { tell, warn } from "./foreign.js";
import type { FlowEvents } from "./run.js";

/** A listener as the emitter keeps it (eventemitter3, and Node's own, which keeps bare functions). */
interface Listener {
  readonly fn: (event: FlowEvent) => unknown;
  readonly context?: unknown;
  readonly once?: boolean;
}
type Kept = Listener | Listener["fn"];
interface Emitter extends FlowEvents {
  readonly _events?: Readonly<Record<string, Kept | readonly Kept[]>>;
  readonly _eventsCount?: number;
}

/**
 * Who hears a run: the engine's own consumers, and emitters of others. An emitter ends its round at the first listener that
 * throws, and does not see what an asynchronous one rejects with; so each listener is called by itself.
 */
export class Audience {
  private constructor(
    private readonly own: readonly ((event: FlowEvent) => void)[],
    private readonly others: readonly Emitter[],
  ) {}

  static of(hear: ((event: FlowEvent) => void) | undefined, others: readonly (FlowEvents | undefined)[]): Audience {
    return new Audience(
      hear ? [hear] : [],
      others.filter((one) => one !== undefined),
    );
  }

  /** Whether anybody listens now; events are made only then. */
  get listens(): boolean {
    if (this.own.length > 0) return true;
    for (const emitter of this.others) if (hasListeners(emitter)) return true;
    return false;
  }

  tell(event: FlowEvent): void {
    for (const hear of this.own) hear(event);
    for (const emitter of this.others) {
      emit(emitter, event.type, event);
      emit(emitter, "event", event);
    }
  }
}

const hasListeners = (emitter: Emitter): boolean =>
  emitter._eventsCount === undefined ? emitter.eventNames().length > 0 : emitter._eventsCount > 0;

function emit(emitter: Emitter, type: FlowEvent["type"] | "event", event: FlowEvent): void {
  const kept = emitter._events ? emitter._events[type] : (emitter.listeners(type) as readonly Kept[]);
  if (kept === undefined) return;
  if (!Array.isArray(kept)) return call(emitter, type, kept as Kept, event);
  const { length } = kept; // who comes while it is told hears the next
  for (let index = 0; index < length && index < kept.length; index++)
    call(emitter, type, (kept as readonly Kept[])[index]!, event);
}

function call(emitter: Emitter, type: FlowEvent["type"] | "event", kept: Kept, event: FlowEvent): void {
  let result: unknown;
  try {
    if (typeof kept === "function") result = kept.call(emitter, event);
    else {
      if (kept.once) emitter.off(type, kept.fn as never, undefined, true);
      result = kept.fn.call(kept.context ?? emitter, event);
    }
  } catch (thrown) {
    warn(`a listener of ${type} threw`, thrown);
    return;
  }
  if (typeof result === "object" && result !== null) tell(`a listener of ${type}`, () => result);
}
