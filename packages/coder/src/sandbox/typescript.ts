// internal
import { transform } from "sucrase";

const moduleSyntax = /^\s*(import|export)\b/m;

/**
 * JavaScript that a script can hold: types are dropped, and `import` and `export` become `require` and `exports`.
 * @throws Error where the text cannot be parsed.
 */
export function toJavaScript(text: string, language: "javascript" | "typescript"): string {
  const modules = moduleSyntax.test(text);
  if (language === "javascript" && !modules) return text;
  return transform(text, {
    transforms: [
      ...(language === "typescript" ? (["typescript"] as const) : []),
      ...(modules ? (["imports"] as const) : []),
    ],
    disableESTransforms: true,
    // a program may declare what only its tests use
    keepUnusedImports: false,
  }).code;
}
