// internal
import { TesseraError } from "@tessera/core";
import { assertReady, type Checks } from "@tessera/tessera/internal";
import type { FastifyInstance } from "fastify";
import type { AnyTessera } from "./embedded-runs.js";
import { asTesseraError, sendError } from "./errors.js";

const within = 2000; // milliseconds for an answer
const fresh = 1000; // milliseconds in which an answer holds: those who ask without a key ask nobody else by it

/**
 * The routes `/healthz` (whether the process answers) and `/readyz` (whether flows could run: the database, stores and
 * models are asked).
 */
export function healthRoutes(server: FastifyInstance, tessera: AnyTessera, checks: Checks): void {
  server.get("/healthz", { config: { scope: "open", probe: true, summary: "whether the process answers" } }, () => ({
    ok: true,
  }));

  let asked = Number.NEGATIVE_INFINITY;
  let answer: Promise<TesseraError | undefined> | undefined;
  const look = () =>
    Promise.all([tessera.check(within), assertReady(checks, within)]).then(
      () => undefined,
      (thrown) => {
        const error = asTesseraError(thrown);
        if (error.code === "NOT_READY" || error.code === "CLOSED") return error;
        return new TesseraError("NOT_READY", "not ready: the flows cannot be run", {
          findings: [error],
          cause: thrown,
        });
      },
    );
  server.get(
    "/readyz",
    { config: { scope: "open", probe: true, summary: "whether flows can run" } },
    async (request, reply) => {
      if (!answer || performance.now() - asked > fresh) {
        asked = performance.now();
        answer = look();
      }
      const error = await answer;
      return error ? sendError(error, request, reply) : { ok: true };
    },
  );
}
