import type { Passage, Principal } from "@tessera/core";
import { accessKey, accessNames } from "@tessera/core/internal";

/** Which slots a principal may see. */
interface Permitted {
  /** By slot: 1 where it may be seen. */
  readonly mask: Uint8Array;
  readonly count: number;
  /** Those that may be seen, rising. */
  slots(): Int32Array;
}

const [vacant, open, restricted] = [0, 1, 2];
const remembered = 16; // principals

/**
 * Who may see which slot, so that a search need not look into every passage: says of each what `permits` says. A list
 * that is damaged, or holds no names, is seen by nobody.
 */
export class Access {
  #standing = new Uint8Array(1024); // by slot
  #restricted = 0;
  readonly #slots = new Map<string, Set<number>>(); // by name: the restricted slots that it may see
  readonly #names: (readonly string[] | undefined)[] = []; // by slot; what was put may be changed outside
  readonly #permitted = new Map<string, Permitted>(); // by principal, until the next change

  /** Whether every passage is open to everybody. */
  get isOpen(): boolean {
    return this.#restricted === 0;
  }

  put(slot: number, { metadata }: Passage): void {
    if (slot >= this.#standing.length) {
      const larger = new Uint8Array(2 * Math.max(slot, this.#standing.length));
      larger.set(this.#standing);
      this.#standing = larger;
    }
    this.#permitted.clear();
    if (!Object.hasOwn(metadata, accessKey)) {
      this.#standing[slot] = open;
      return;
    }
    this.#standing[slot] = restricted;
    this.#restricted++;
    const names = namesOf(metadata[accessKey]);
    this.#names[slot] = names;
    for (const name of names) {
      const slots = this.#slots.get(name);
      if (slots) slots.add(slot);
      else this.#slots.set(name, new Set([slot]));
    }
  }

  clear(slot: number): void {
    this.#permitted.clear();
    if (this.#standing[slot] === restricted) this.#restricted--;
    this.#standing[slot] = vacant;
    for (const name of this.#names[slot] ?? []) {
      const slots = this.#slots.get(name)!;
      slots.delete(slot);
      if (slots.size === 0) this.#slots.delete(name);
    }
    this.#names[slot] = undefined;
  }

  /** The slots that a principal may see; of those that were never given, none. */
  of(principal: Principal | undefined): Permitted {
    const key = JSON.stringify(principal && [principal.id, principal.groups]) ?? "";
    let permitted = this.#permitted.get(key);
    if (!permitted) {
      permitted = this.#compute(principal);
      if (this.#permitted.size >= remembered) this.#permitted.delete(this.#permitted.keys().next().value!);
      this.#permitted.set(key, permitted);
    }
    return permitted;
  }

  #compute(principal: Principal | undefined): Permitted {
    const mask = this.#standing.slice();
    for (let slot = 0; slot < mask.length; slot++) if (mask[slot] !== open) mask[slot] = 0;
    for (const name of principal ? accessNames(principal) : [])
      for (const slot of this.#slots.get(name) ?? []) mask[slot] = 1;
    let count = 0;
    for (let slot = 0; slot < mask.length; slot++) count += mask[slot]!;
    let slots: Int32Array | undefined;
    return {
      mask,
      count,
      slots() {
        if (!slots) {
          slots = new Int32Array(count);
          for (let slot = 0, next = 0; next < count; slot++) if (mask[slot] === 1) slots[next++] = slot;
        }
        return slots;
      },
    };
  }
}

const namesOf = (list: unknown): string[] =>
  Array.isArray(list) ? [...new Set(list.filter((name): name is string => typeof name === "string"))] : [];
