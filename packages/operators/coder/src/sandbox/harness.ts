import { readFileSync } from "node:fs";

// the folder stands beside src and dist, and is shipped with the package
const read = (file: string): string => readFileSync(new URL(`../../harness/${file}`, import.meta.url), "utf8");

/**
 * The program that runs a candidate inside a driver; javascript.cjs says what it reads and writes. It is read when it is
 * wanted, since an application that is bundled into one file has no such folder.
 */
export function harnessOf(language: "javascript" | "python"): string {
  const file = language === "python" ? "python.py" : "javascript.cjs";
  const text = texts.get(file) ?? read(file);
  texts.set(file, text);
  return text;
}
const texts = new Map<string, string>();
