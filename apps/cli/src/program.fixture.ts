import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
const main = fileURLToPath(new URL("main.ts", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts a program on the sources, without a terminal. */
export const start = (program: string, given: readonly string[], settings: { cwd: string; env?: object }) =>
  spawn(
    process.execPath,
    ["--conditions=@tessera/source", `--import=${root}apps/setup/sources.mjs`, program, ...given],
    {
      cwd: settings.cwd,
      env: { ...process.env, NODE_OPTIONS: "", FORCE_COLOR: undefined, DATABASE_URL: undefined, ...settings.env },
    },
  );

/** Waits until a program ends, and gives what it wrote. */
export function ended(child: ChildProcess): Promise<Ended> {
  let out = "";
  let err = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

/** Runs the command line as a user does. */
export const tessera = (given: readonly string[], cwd: string, env?: object): Promise<Ended> =>
  ended(start(main, given, { cwd, env }));
