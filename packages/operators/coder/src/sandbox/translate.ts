import { messageOf, missing } from "@tessera/core/internal";
import { moduleSyntax } from "./module-syntax.js";
import type { Script, Translation } from "./typescript.js";

// Only the thread that translates imports this file: sucrase has 60 files, which would slow down every start.

const { transform } = await import("sucrase").catch(missing("sucrase"));

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
