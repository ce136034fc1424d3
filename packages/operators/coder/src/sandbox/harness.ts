import { readFileSync } from "node:fs";

// the folder stands beside src and dist, and is shipped with the package
const read = (file: string): string => readFileSync(new URL(`../../harness/${file}`, import.meta.url), "utf8");

/** The programs that run a candidate inside a driver; javascript.cjs says what they read and write. */
export const javascriptHarness = read("javascript.cjs");
export const pythonHarness = read("python.py");
