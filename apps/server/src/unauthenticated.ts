// internal
import { isIP } from "node:net";
import { TesseraError } from "@tessera/core";

export interface UnauthenticatedSettings {
  /** How many requests without a valid key an address may make in a minute; 300 by default. */
  readonly requestsPerMinute?: number | undefined;
  /** How many addresses are remembered; 10,000 by default. The oldest are removed first. */
  readonly addresses?: number | undefined;
  /** A clock for intervals, in milliseconds; by default the monotonic clock. */
  readonly now?: (() => number) | undefined;
}

/**
 * The network that an address counts for. An IPv6 address counts as its network of 64 bits, because its owner has all
 * of it. All texts that are no address count as one.
 */
function networkOf(address: string): string {
  if (isIP(address) === 4) return address;
  if (isIP(address) !== 6) return "unknown";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1]!;
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill("0"), ...after].slice(0, 4);
  return groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":");
}

/** Limits requests without a valid key by their address. Requests with a valid key are limited only by the key. */
export class UnauthenticatedLimits {
  readonly #seen = new Map<string, { tokens: number; filled: number }>(); // the latest last
  readonly #most: number;
  readonly #addresses: number;
  readonly #now: () => number;

  constructor({ requestsPerMinute = 300, addresses = 10_000, now }: UnauthenticatedSettings = {}) {
    this.#most = requestsPerMinute;
    this.#addresses = addresses;
    this.#now = now ?? (() => performance.now());
  }

  get size(): number {
    return this.#seen.size;
  }

  /** Counts a request. @throws TesseraError OVERLOADED with the time to ask again. */
  request(address: string): void {
    const network = networkOf(address);
    const now = this.#now();
    const rate = this.#most / 60_000;
    const account = this.#seen.get(network) ?? { tokens: this.#most, filled: now };
    account.tokens = Math.min(this.#most, account.tokens + Math.max(0, now - account.filled) * rate);
    account.filled = now;
    this.#seen.delete(network);
    this.#seen.set(network, account);
    if (this.#seen.size > this.#addresses) this.#seen.delete(this.#seen.keys().next().value!);
    if (account.tokens < 1)
      throw new TesseraError("OVERLOADED", `an address may make ${this.#most} requests without a valid key a minute`, {
        retryAfterMs: Math.ceil((1 - account.tokens) / rate),
      });
    account.tokens--;
  }
}
