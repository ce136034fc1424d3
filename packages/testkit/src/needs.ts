// public: needs, needsForAll
import { describe, it } from "@jest/globals";

/**
 * `it` for a test that needs something which not every machine has. Where it is absent the test is skipped, and its
 * name ends with the reason: `needs(existsSync(path), "no data set")("reads every row", () => …)`.
 */
export const needs =
  (present: boolean, reason: string) =>
  (name: string, work: () => void | Promise<void>): void =>
    present ? it(name, work) : it.skip(`${name} (${reason})`, work);

/** `describe` on the same terms. */
export const needsForAll =
  (present: boolean, reason: string) =>
  (name: string, suite: () => void): void =>
    present ? describe(name, suite) : describe.skip(`${name} (${reason})`, suite);
