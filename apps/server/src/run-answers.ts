import type { RunState } from "@tessera/graph/internal";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { statuses } from "./errors.js";

// what the routes of runs have in common

export const runId = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/) });

/** States of older versions have a hash of the input besides. */
export const bodyOfRun = (state: RunState) => ({ ...state, asked: undefined, key: undefined, inputHash: undefined });

/** Answers with a run as it stands. */
export function answerOfRun(reply: FastifyReply, state: RunState, code = 200): FastifyReply {
  const { error, status, id } = state;
  const failed = error ? statuses[error.code] : status === "interrupted" ? 503 : code;
  return reply.code(failed).send(error ? { ...error, run: id } : bodyOfRun(state));
}
