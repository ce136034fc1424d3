// internal
import { TesseraError } from "@tessera/core";
import { Slots, warn } from "@tessera/core/internal";
import type { KeyRing } from "./keys.js";

const revoked = () => new TesseraError("UNAUTHENTICATED", "the key was revoked");
const lookEvery = 500; // milliseconds

/** Ends everything under way for a key when the key is revoked: answers, streams and runs. */
export class Revocations {
  readonly #open = new Map<string, Slots<(reason: TesseraError) => void>>();
  readonly #stop: () => void;

  /**
   * Checks the keys twice a second until `close`, because other processes revoke keys too.
   * @param ended is called once for each revoked key, to end its answers
   */
  constructor(
    private readonly keys: Pick<KeyRing, "find" | "onRevoked" | "look">,
    private readonly ended: (key: string, reason: TesseraError) => void = () => {},
  ) {
    const forget = keys.onRevoked((id) => {
      this.#end(id);
      this.ended(id, revoked());
    });
    let failing = false;
    const timer = setInterval(() => {
      keys.look().then(
        () => {
          failing = false;
        },
        (thrown) => {
          if (!failing) warn("the keys could not be looked at", thrown);
          failing = true;
        },
      );
    }, lookEvery);
    timer.unref();
    this.#stop = () => {
      clearInterval(timer);
      forget();
    };
  }

  /** Calls `end` once when the key is revoked, at once if it already is. The returned function removes the entry. */
  add(key: string, end: (reason: TesseraError) => void): () => void {
    let found = this.#open.get(key);
    if (!found) {
      found = new Slots();
      this.#open.set(key, found);
    }
    const own = found;
    let slot: number | undefined = own.add(end);
    if (this.keys.find(key)?.revoked) this.#end(key);
    return () => {
      if (slot !== undefined) own.remove(slot);
      slot = undefined;
    };
  }

  /** The number of entries. */
  get size(): number {
    let size = 0;
    for (const found of this.#open.values()) size += found.size;
    return size;
  }

  #end(key: string): void {
    const found = this.#open.get(key) ?? [];
    this.#open.delete(key);
    for (const end of found) end(revoked());
  }

  close(): void {
    this.#stop();
  }
}
