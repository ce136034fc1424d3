import crypto, { randomBytes } from "node:crypto";
import { TesseraError } from "@tessera/core";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { KeyRing } from "../keys.js";

const longest = 12; // links that are open at the same time

/**
 * One-time tokens, each of which opens the studio in one browser. A token is exchanged for a key that lives as long as
 * this process, and is never written to disk.
 */
export class StudioSessions {
  /** The hashes of tokens that nobody has used. */
  readonly #open = new Set<string>();

  constructor(
    private readonly keys: KeyRing,
    private readonly used: (next: string) => void = () => {},
  ) {}

  /** A new token. Of many that nobody used, the oldest no longer opens anything. */
  issue(): string {
    const token = randomBytes(32).toString("base64url");
    this.#open.add(crypto.hash("sha256", token));
    if (this.#open.size > longest) this.#open.delete(this.#open.values().next().value!);
    return token;
  }

  /** @throws TesseraError UNAUTHENTICATED if it is none, or was used. */
  redeem(token: string): string {
    if (!this.#open.delete(crypto.hash("sha256", token)))
      throw new TesseraError("UNAUTHENTICATED", "this link was used before, or is of a service that has ended", {
        hint: "open the newest link that the terminal shows, or enter a key",
      });
    const lent = this.keys.lend({ name: "studio", principal: { id: "studio" } });
    this.used(this.issue());
    return lent.token;
  }
}

const body = z.strictObject({ token: z.string().min(1).max(200) });

/** The exchange of a one-time token for a key. */
export function sessionRoute(server: FastifyInstance, sessions: StudioSessions): void {
  server.post<{ Body: z.infer<typeof body> }>(
    "/studio/session",
    { schema: { body }, config: { scope: "open", summary: "exchange the token of a link for a key" } },
    async ({ body: { token } }, reply) => {
      reply.header("cache-control", "no-store");
      return { key: sessions.redeem(token) };
    },
  );
}
