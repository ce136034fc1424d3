import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { Writable } from "node:stream";
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
      env: {
        ...process.env,
        NODE_OPTIONS: "",
        FORCE_COLOR: undefined,
        DATABASE_URL: undefined,
        TESSERA_HOME: join(settings.cwd, ".tessera"),
        ...settings.env,
      },
    },
  );

/** Standard error without the lines of progress, which a busy machine writes and an idle one does not. */
const withoutProgress = (err: string): string =>
  err.replace(/^(?:list|read|chunk|sparse|dense) \d+(?: of \d+)?\n/gm, "");

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
    child.on("close", (code) => resolve({ code, out, err: withoutProgress(err) }));
  });
}

/** Starts a service, asks what it serves at the address that it prints, and stops it; gives how it ended. */
export async function serving(
  program: string,
  settings: { readonly cwd: string },
  ask: (get: typeof fetch) => Promise<void>,
): Promise<Ended & { readonly signal: NodeJS.Signals | null }> {
  const child = start(program, ["service", "0"], settings);
  const ending = ended(child);
  try {
    const address = await new Promise<string>((resolve, reject) => {
      child.stdout.once("data", (text: string) => resolve(/http:\/\/127\.0\.0\.1:\d+/.exec(text)![0]));
      void ending.then(({ err }) => reject(new Error(err)));
    });
    await ask((path, init) => fetch(`${address}${path}`, { ...init, headers: { connection: "close" } }));
  } finally {
    child.kill("SIGTERM");
  }
  return { ...(await ending), signal: child.signalCode };
}

/** Runs the command line as a user does, in a process of its own: that takes a second of processor time. */
export const tesseraProcess = (given: readonly string[], cwd: string, env?: object): Promise<Ended> =>
  ended(start(main, given, { cwd, env }));

let last: Promise<unknown> = Promise.resolve();

/** Runs the command line in this process, in this folder and environment, without a terminal; one at a time. */
export function tessera(given: readonly string[], cwd: string, env: object = {}): Promise<Ended> {
  const next = last.then(() => runHere(given, cwd, env));
  last = next.catch(() => undefined);
  return next;
}

async function runHere(given: readonly string[], cwd: string, env: object): Promise<Ended> {
  const [folder, variables] = [process.cwd(), { ...process.env }];
  // colours are chosen when the module is read: `tesseraProcess` is for tests of them
  const home = { TESSERA_HOME: join(cwd, ".tessera") };
  setVariables({ ...variables, NO_COLOR: "1", FORCE_COLOR: undefined, DATABASE_URL: undefined, ...home, ...env });
  process.chdir(cwd);
  try {
    const { commandLine } = await import("./command-line.js");
    const [out, err] = [new Collected(), new Collected()];
    const code = await commandLine({ words: given, out, err, signal: new AbortController().signal });
    return { code, out: out.text, err: withoutProgress(err.text) };
  } finally {
    process.chdir(folder);
    setVariables(variables);
  }
}

function setVariables(variables: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) if (variables[name] === undefined) delete process.env[name];
  for (const [name, value] of Object.entries(variables)) if (value !== undefined) process.env[name] = value;
}

/** What is written to it. */
class Collected extends Writable {
  text = "";

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
