// public: Victim, killed, linesOf, kills, fourAtOnce
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { countOf } from "./long.js";

export interface Victim {
  /** The program, as a TypeScript file, and what it is given. */
  readonly program: string;
  readonly words: readonly string[];
  /** The file to which it appends a line for each step. */
  readonly ran: string;
  /** After how many lines it is killed, and how many milliseconds later. */
  readonly after: number;
  readonly later: number;
}

const root = new URL("../../../apps/setup/sources.mjs", import.meta.url);

/** Starts a program in a process of its own, and kills it with SIGKILL, or sees it end before. */
export async function killed({ program, words, ran, after, later }: Victim): Promise<void> {
  const warnings = ["--disable-warning=ExperimentalWarning", "--disable-warning=DeprecationWarning"];
  const flags = ["--conditions=@tessera/source", `--import=${root}`, ...warnings];
  const child = spawn(process.execPath, [...flags, program, ...words], { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (part) => {
    complaint += part;
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  while (linesOf(ran).length < after && child.exitCode === null) await sleep(2);
  await sleep(later);
  child.kill("SIGKILL");
  await ended;
  if (complaint !== "") throw new Error(complaint);
}

/** The lines of a file that may not be there. */
export const linesOf = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];

/** How often a test kills. */
export const kills = countOf({ usual: 6, long: 200 });

/** Does a work for 0, 1, …, `count` − 1, four at a time. */
export async function fourAtOnce(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}
