// internal: remembering
import { createHash } from "node:crypto";
import type { Sandbox } from "../sandbox/sandbox.js";

/** A sandbox that runs equal work once: samples repeat, and arms look at the same programs. */
export function remembering(sandbox: Sandbox): Sandbox {
  const known = new Map<string, Promise<unknown>>();
  const once = <T>(work: unknown, run: () => Promise<T>): Promise<T> => {
    const key = createHash("sha256").update(JSON.stringify(work)).digest("base64");
    const found = (known.get(key) as Promise<T> | undefined) ?? run();
    known.set(key, found);
    return found;
  };
  return {
    revision: sandbox.revision,
    languages: sandbox.languages,
    close: async () => sandbox.close?.(),
    judge: (code, tests, language, signal) =>
      once(["judge", code, tests, language], () => sandbox.judge(code, tests, language, signal)),
    call: (code, entry, lists, language, signal) =>
      once(["call", code, entry, lists, language], () => sandbox.call(code, entry, lists, language, signal)),
  };
}
