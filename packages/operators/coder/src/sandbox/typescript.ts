import { TesseraError } from "@tessera/core";
import { readingThreads } from "@tessera/core/internal";
import { limitMs } from "../syntax.js";
import { moduleSyntax } from "./module-syntax.js";

export type Script = "javascript" | "typescript";
/** JavaScript that a script can hold, or why there is none. */
export type Translation = { readonly code: string } | { readonly error: string };

const threads = readingThreads<Translation, Script>(new URL("./typescript-worker.js", import.meta.url), limitMs);

/** Translates in a thread what is no plain script. @throws TesseraError ABORTED, DEPENDENCY_MISSING. */
export async function toJavaScript(text: string, language: Script, signal?: AbortSignal): Promise<Translation> {
  if (language === "javascript" && !moduleSyntax.test(text)) return { code: text };
  const aborted = () => new TesseraError("ABORTED", "the run was aborted", { path: language });
  const reading = await threads(language).run(text, { signal, aborted });
  if ("value" in reading) return reading.value;
  return { error: `${reading.unread === "late" ? "timeout" : "memory"}: ${reading.detail}` };
}
