import { TesseraError } from "@tessera/core";
import { messageOf, type ReadingThreads, readingThreads } from "@tessera/core/internal";
import { transform } from "sucrase";
import { limitMs } from "../syntax.js";

export type Script = "javascript" | "typescript";
/** JavaScript that a script can hold, or why there is none. */
export type Translation = { readonly code: string } | { readonly error: string };

// no white space over lines: from each of a million empty ones the rest would be searched
const moduleSyntax = /^[ \t]*(import|export)\b/m;

/** Drops types; `import` and `export` become `require` and `exports`. */
export function translated(text: string, language: Script): Translation {
  try {
    const { code } = transform(text, {
      transforms: [
        ...(language === "typescript" ? (["typescript"] as const) : []),
        ...(moduleSyntax.test(text) ? (["imports"] as const) : []),
      ],
      disableESTransforms: true,
      // a program may declare what only its tests use
      keepUnusedImports: false,
    });
    return { code };
  } catch (error) {
    return { error: `SyntaxError: ${messageOf(error)}` };
  }
}

const threads = new Map<Script, ReadingThreads<Translation>>();

/** Translates in a thread what is no plain script. @throws TesseraError ABORTED, DEPENDENCY_MISSING. */
export async function toJavaScript(text: string, language: Script, signal?: AbortSignal): Promise<Translation> {
  if (language === "javascript" && !moduleSyntax.test(text)) return { code: text };
  let own = threads.get(language);
  if (!own) {
    own = readingThreads(new URL("./typescript-worker.js", import.meta.url), language, limitMs);
    threads.set(language, own);
  }
  const aborted = () => new TesseraError("ABORTED", "the run was aborted", { path: language });
  const reading = await own.run(text, { signal, aborted });
  if ("value" in reading) return reading.value;
  return { error: `${reading.unread === "late" ? "timeout" : "memory"}: ${reading.detail}` };
}
