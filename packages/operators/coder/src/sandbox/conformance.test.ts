import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { bwrap } from "./bwrap.js";
import { docker } from "./docker.js";
import type { Driver, Execution, Limits, Program, Runnable } from "./driver.js";
import { namespaces, seccompFilter } from "./isolation.js";
import { quickjs } from "./quickjs.js";
import { remote } from "./remote.js";
import { openSandbox, type Sandbox } from "./sandbox.js";

const secret = "the-hosts-own-secret";
process.env.TESSERA_TEST_SECRET = secret;
const folder = mkdtempSync(join(tmpdir(), "tessera-sandbox-"));
const secretFile = join(folder, "secret");
writeFileSync(secretFile, secret);

// a `docker` that knows two commands, checks that the container is closed, and runs its command under bubblewrap
const fakeDocker = join(folder, "docker");
const isolation = JSON.stringify({ namespaces, filter: seccompFilter()?.toString("base64") });
writeFileSync(
  fakeDocker,
  `#!${process.execPath}
const { spawn } = require("node:child_process");
const [command, ...rest] = process.argv.slice(2);
if (command !== "run") process.exit(0);
const image = rest.findIndex((word) => /^(node|python):/.test(word));
for (const option of ["--network", "--read-only", "--cap-drop", "--pids-limit", "--security-opt", "--user"])
  if (!rest.slice(0, image).includes(option)) throw new Error("without " + option);
// 512 MiB more: the code range that V8 reserves counts as data from Node 22 on, and holds nothing of a program
const memory = "--data=" + (512 + Math.max(128, parseInt(rest[rest.indexOf("--memory") + 1]))) * 1048576;
const [program, ...args] = rest.slice(image + 1);
const path = program === "node" ? "/run/node" : "/usr/bin/python3";
const { namespaces, filter } = ${isolation};
const child = spawn("prlimit", [memory, "--cpu=5", "bwrap", ...namespaces, "--", path, ...args], { stdio: ["inherit", "inherit", "inherit", "pipe"] });
child.stdio[3].end(Buffer.from(filter, "base64"));
child.on("close", (code, signal) => process.exit(signal ? 137 : code));
`,
);
chmodSync(fakeDocker, 0o755);

/** A server that speaks as much of Piston's API as the bridge uses, over another driver. */
async function serve(inner: Driver): Promise<{ url: string; close: () => void }> {
  const server = createHttpServer(async (request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url?.endsWith("/runtimes")) return void response.end("[]");
    let body = "";
    for await (const chunk of request) body += chunk;
    const { language, files, stdin, run_timeout, run_memory_limit } = JSON.parse(body);
    const program = { language, source: files[0].content, input: stdin };
    const limits = { wallMs: run_timeout, memoryMb: run_memory_limit / 1048576, outputBytes: 100_000 };
    const { status, exitCode, output, errors } = await inner.run(program, limits);
    const codes = { timeout: "TO", output: "OL", memory: null, exited: null };
    const signal = status === "exited" ? null : "SIGKILL";
    response.end(
      JSON.stringify({ run: { stdout: output, stderr: errors, code: exitCode, signal, status: codes[status] } }),
    );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

// what never ends takes the processor for all its time
const limits: Limits = { wallMs: 400, memoryMb: 64, outputBytes: 20_000 };
// what ends by itself, or by another limit, may take its time on a busy machine
const patient: Limits = { ...limits, wallMs: 120_000 };

interface Attack {
  readonly name: string;
  /** The program in each language; `PORT` and `FILE` stand for what the host would lose. */
  readonly javascript: string;
  readonly python: string;
  /** Whether it goes on until its time is up. */
  readonly endless?: boolean;
  readonly within?: Limits;
  readonly holds: (execution: Execution) => void;
}

const ended = ({ status }: Execution): void => expect(status).not.toBe("exited");
const failed = ({ status, exitCode }: Execution): void => {
  expect(status === "exited" ? exitCode : 1).not.toBe(0);
};
const timedOut = ({ status, ms }: Execution): void => {
  expect(status).toBe("timeout");
  expect(ms).toBeLessThan(limits.wallMs + 60_000);
};
const secretKept = ({ output, errors }: Execution): void => {
  expect(output + errors).not.toContain(secret);
  expect(output).toContain("tried");
};

const attacks: Attack[] = [
  { name: "an infinite loop", endless: true, javascript: "for (;;);", python: "while True: pass", holds: timedOut },
  {
    name: "a loop inside a native function",
    endless: true,
    javascript: "const a = []; a.length = 2 ** 32 - 1; a.indexOf(1); Array(2 ** 32 - 1).join(); for (;;);",
    python: "sum(range(10 ** 15))",
    holds: timedOut,
  },
  {
    name: "an endless chain of promises",
    endless: true,
    javascript: "const again = () => void Promise.resolve().then(again); again();",
    python: "import time\nwhile True: time.sleep(0.01)",
    holds: timedOut,
  },
  {
    name: "a memory bomb",
    javascript: "const all = []; for (;;) all.push(new Array(1000).fill(all.length));",
    python: "all = []\nwhile True: all.append([len(all)] * 1000)",
    holds: ({ status }) => expect(status).toBe("memory"),
  },
  {
    name: "a memory bomb of one buffer",
    javascript: "const all = []; for (;;) all.push(new Uint8Array(5e6).fill(1));",
    python: "all = []\nwhile True: all.append(bytearray(10 ** 7))",
    holds: ended,
  },
  {
    name: "a memory bomb that catches its errors",
    endless: true,
    javascript:
      "let all = []; for (;;) { try { all.push('x'.repeat(1e5) + all.length); } catch { all = [all]; } if (all.length > 1e7) break; }",
    python:
      "all = []\nwhile True:\n  try: all.append(bytearray(10 ** 6))\n  except MemoryError: all = [all]\n  if len(all) > 10 ** 6: break",
    holds: ended,
  },
  {
    name: "a fork bomb",
    javascript: `let made = 0;
      for (let n = 0; n < 40; n++) {
        try { const { pid } = require("node:child_process").spawn("/bin/sleep", ["2"]); if (pid) made++; } catch {}
      }
      console.log("tried", made); if (made < 40) process.exit(7);`,
    python: `import os, sys
made = 0
for n in range(40):
  try:
    if os.fork() == 0: os._exit(0)
    made += 1
  except OSError: pass
print("tried", made); sys.exit(7 if made < 40 else 0)`,
    holds: ({ exitCode, output }) => {
      expect(output).toBe("tried 0\n");
      expect(exitCode).toBe(7);
    },
  },
  {
    name: "a stack overflow",
    javascript: "const deep = (n) => deep(n + 1) + 1; deep(0);",
    python: "import sys\nsys.setrecursionlimit(10 ** 8)\ndef deep(n): return deep(n + 1) + 1\ndeep(0)",
    holds: failed,
  },
  {
    name: "a stack overflow in the parser and in JSON",
    javascript:
      "try { eval('['.repeat(200000)); } catch {} try { JSON.parse('['.repeat(1000000)); } catch {} throw new Error('still here');",
    python:
      "import json\ntry: eval('[' * 200000)\nexcept BaseException: pass\ntry: json.loads('[' * 1000000)\nexcept BaseException: pass\nraise ValueError('still here')",
    holds: failed,
  },
  {
    name: "an output flood",
    javascript: "for (;;) console.log('x'.repeat(999));",
    python: "while True: print('x' * 999)",
    holds: ({ status, output }) => {
      expect(status).toBe("output");
      expect(output.length).toBeLessThanOrEqual(limits.outputBytes);
    },
  },
  {
    name: "an output flood in one piece, on standard error",
    javascript: "console.error('x'.repeat(5e6));",
    python: "import sys; sys.stderr.write('x' * 5000000)",
    holds: ({ status }) => expect(status).toBe("output"),
  },
  {
    name: "reading the host's files",
    javascript: `for (const path of [FILE, "/etc/passwd", "/proc/1/environ", "/proc/self/environ", "/root"])
        try { console.log(require("node:fs").readFileSync(path, "utf8")); } catch {}
      import(FILE).catch(() => {}); console.log("tried");`,
    python: `for path in [FILE, "/etc/passwd", "/proc/1/environ", "/proc/self/environ", "/root"]:
  try: print(open(path).read())
  except OSError: pass
print("tried")`,
    holds: (execution) => {
      secretKept(execution);
      expect(execution.output).not.toContain("root:");
    },
  },
  {
    name: "writing to the host's files",
    javascript: `for (const path of [FILE, FILE + ".new", "/usr/tessera-was-here", "/tessera-was-here"])
        try { require("node:fs").writeFileSync(path, "broken"); console.log("wrote", path); } catch {}
      console.log("tried");`,
    python: `for path in [FILE, FILE + ".new", "/usr/tessera-was-here", "/tessera-was-here"]:
  try:
    open(path, "w").write("broken"); print("wrote", path)
  except OSError: pass
print("tried")`,
    holds: ({ output }) => expect(output).toBe("tried\n"),
  },
  {
    name: "the network",
    javascript: `try { const socket = require("node:net").connect(PORT, "127.0.0.1"); socket.on("error", () => {}); } catch {}
      try { fetch("http://127.0.0.1:" + PORT).catch(() => {}); } catch {}
      console.log("tried");`,
    python: `import socket
try: socket.create_connection(("127.0.0.1", PORT), 1).send(b"hello")
except OSError: pass
print("tried")`,
    holds: ({ output }) => expect(output).toBe("tried\n"),
  },
  {
    name: "escape by prototypes and constructors, and the host's environment",
    javascript: `const seen = [];
      const walk = (value) => { try { const g = value.constructor.constructor("return this")(); seen.push(JSON.stringify(g.process.env), g.process.ppid); } catch {} };
      for (const value of [console.log, globalThis, this, (() => {}), async () => {}, console, require, process.exit, Object.getPrototypeOf(console.log)]) walk(value);
      try { Object.prototype.polluted = "yes"; Array.prototype.push = () => { throw new Error("broken"); }; JSON.stringify = () => "broken"; } catch {}
      console.log("tried " + seen.join(" "));`,
    python: `import os
names = [c.__name__ for c in ().__class__.__base__.__subclasses__()]
print("tried", dict(os.environ), os.getppid())
import builtins; builtins.print = None; builtins.len = None`,
    holds: (execution) => {
      secretKept(execution);
      expect(({} as { polluted?: string }).polluted).toBeUndefined();
      expect([1].concat(2)).toHaveLength(2);
    },
  },
  {
    name: "a promise that never settles",
    endless: true,
    // it waits without the processor, and must get as far as its first word
    within: { ...limits, wallMs: 4000 },
    javascript: "(async () => { console.log('before'); await new Promise(() => {}); console.log('after'); })();",
    python: "import asyncio\nprint('before', flush=True)\nasyncio.run(asyncio.Event().wait())\nprint('after')",
    holds: ({ output }) => expect(output).toBe("before\n"),
  },
  {
    name: "waiting for input that does not come",
    javascript: "require('node:fs').readFileSync(0, 'utf8'); console.log('read nothing');",
    python: "import sys; sys.stdin.read(); print('read nothing')",
    holds: ({ status, output }) => {
      expect(status).toBe("exited");
      expect(output).toBe("read nothing\n");
    },
  },
  {
    name: "exit code 0 at its end",
    javascript: "console.log('done')",
    python: "print('done')",
    holds: ({ exitCode, output }) => expect([exitCode, output]).toEqual([0, "done\n"]),
  },
  {
    name: "an exit code of its own, at once",
    javascript: "try { process.exit(3); } catch {} finally { console.log('not reached'); } process.exit(0);",
    python: "import os; os._exit(3)",
    holds: ({ status, exitCode, output }) => expect([status, exitCode, output]).toEqual(["exited", 3, ""]),
  },
  {
    name: "exit code 1 for what it throws",
    javascript: "throw new TypeError('oh')",
    python: "raise TypeError('oh')",
    holds: ({ status, exitCode, errors }) => {
      expect([status, exitCode]).toEqual(["exited", 1]);
      expect(errors).toContain("TypeError: oh");
    },
  },
  {
    name: "exit code 1 for what it cannot parse",
    javascript: "function (",
    python: "def (",
    holds: ({ status, exitCode }) => expect([status, exitCode]).toEqual(["exited", 1]),
  },
];

const listener = createServer((socket) => {
  connections += 1;
  socket.destroy();
});
let connections = 0;
beforeAll(() => new Promise<void>((done) => listener.listen(0, "127.0.0.1", done)));
afterAll(() => {
  listener.close();
  rmSync(folder, { recursive: true });
});

const inner = { bwrap: bwrap(), quickjs: quickjs({ workers: 1 }) };
const innerMissing = await inner.bwrap.missing();
const server = await serve(innerMissing ? inner.quickjs : inner.bwrap);
afterAll(async () => {
  server.close();
  await inner.quickjs.close();
});

const languages: Partial<Record<Runnable, string>> = innerMissing
  ? { javascript: "*" }
  : { javascript: "*", python: "*" };
const piston = process.env.TESSERA_PISTON;
const drivers: (readonly [label: string, driver: Driver])[] = [
  ["quickjs", quickjs({ workers: 2 })],
  ["bwrap", bwrap()],
  ...(innerMissing ? [] : ([["docker, a script over bwrap", docker({ path: fakeDocker, startMs: 0 })]] as const)),
  ["docker", docker()],
  ["remote, a server of this test", remote({ url: server.url, versions: languages, graceMs: 60_000 })],
  ["remote", remote({ url: piston ?? "http://127.0.0.1:1/set-TESSERA_PISTON-to-a-Piston-server" })],
];

for (const [label, driver] of drivers) {
  const missing = await driver.missing();
  if (missing) {
    process.stderr.write(`\nNOT TESTED: the driver ${label}: ${missing}\n`);
    it(`${label} refuses, since it is missing here`, async () => {
      await expect(openSandbox(driver)).rejects.toMatchObject({ code: "SANDBOX_REFUSED" });
      const program: Program = { language: driver.languages[0]!, source: "" };
      await expect(driver.run(program, limits)).rejects.toMatchObject({ code: "SANDBOX_REFUSED" });
    });
    continue;
  }

  describe(`the driver ${label}`, () => {
    const delay = monitorEventLoopDelay({ resolution: 10 });
    let before = 0;
    beforeAll(() => {
      before = process.memoryUsage().rss;
      delay.enable();
    });
    afterAll(() => driver.close());

    for (const language of driver.languages) {
      for (const { name, holds, endless, within = endless ? limits : patient, ...sources } of attacks) {
        it(`holds against ${name} (${language})`, async () => {
          const { port } = listener.address() as AddressInfo;
          const source = sources[language]
            .replaceAll("PORT", String(port))
            .replaceAll("FILE", JSON.stringify(secretFile));
          holds(await driver.run({ language, source }, within));
          // and what comes after it runs as if nothing had happened
          const next = language === "python" ? "print(6 * 7)" : "console.log([6 * 7].map(String).join())";
          expect((await driver.run({ language, source: next }, patient)).output).toBe("42\n");
        });
      }
    }

    it("serves more runs than it has workers, each with its whole time", async () => {
      const language = driver.languages[0]!;
      const source = language === "python" ? "print('done')" : "console.log('done')";
      const all = await Promise.all(Array.from({ length: 24 }, () => driver.run({ language, source }, patient)));
      expect(all.map(({ output }) => output)).toEqual(Array(24).fill("done\n"));
    });

    it("can be aborted while it runs, and before", async () => {
      const language = driver.languages[0]!;
      const program: Program = { language, source: language === "python" ? "while True: pass" : "for (;;);" };
      await expect(driver.run(program, patient, AbortSignal.timeout(100))).rejects.toMatchObject({ code: "ABORTED" });
      await expect(driver.run(program, limits, AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
    });

    it("refuses ten megabytes of program, and a language it does not run", async () => {
      const huge: Program = { language: driver.languages[0]!, source: "1;".repeat(5_000_000) };
      await expect(driver.run(huge, limits)).rejects.toMatchObject({ code: "SANDBOX_REFUSED" });
      const foreign: Program = { language: "cobol" as Runnable, source: "" };
      await expect(driver.run(foreign, limits)).rejects.toMatchObject({ code: "SANDBOX_REFUSED" });
    });

    it("left the host as it was: its files, its network, its memory, its event loop", () => {
      delay.disable();
      expect(connections).toBe(0);
      expect(readdirSync(folder).sort()).toEqual(["docker", "secret"]);
      const grown = (process.memoryUsage().rss - before) / 1048576;
      const longest = delay.max / 1e6;
      process.stderr.write(
        `${driver.name}: host memory +${grown.toFixed(0)} MiB, event loop held up ${longest.toFixed(0)} ms at most\n`,
      );
      expect(grown).toBeLessThan(300);
      expect(longest).toBeLessThan(20_000);
    });
  });

  describe(`tests run by ${label}`, () => {
    let sandbox: Sandbox;
    /** The same, for programs that never end. */
    let hasty: Sandbox;
    beforeAll(async () => {
      // a closed driver stays closed: this is another of its kind
      const own = driver.name === "quickjs" ? quickjs({ workers: 1 }) : driver;
      sandbox = await openSandbox(own, { wallMs: 5000 });
      hasty = await openSandbox(own, { wallMs: 400 });
    });
    afterAll(() => sandbox.close?.());

    for (const language of driver.languages) {
      const python = language === "python";
      const add = python ? "def add(a, b):\n  return a + b" : "function add(a, b) { return a + b; }";
      const wrong = python ? "def add(a, b):\n  return a - b" : "const add = (a, b) => a - b;";
      const asserting = python
        ? "assert add(1, 2) == 3\nassert add(2, 2) == 4"
        : "assert.equal(add(1, 2), 3); console.assert(add(2, 2) === 4);";
      const call = (expected: number) => [{ call: "add", arguments: [1, 2], expected }];

      it(`passes what is right and counts its assertions (${language})`, async () => {
        expect(await sandbox.judge(add, asserting, language)).toMatchObject({ passed: true, assertions: 2 });
        expect(await sandbox.judge(add, call(3), language)).toMatchObject({ passed: true, assertions: 1 });
      });

      it(`fails what is wrong, and says how (${language})`, async () => {
        expect(await sandbox.judge(wrong, asserting, language)).toMatchObject({ passed: false, reason: "failed" });
        expect(await sandbox.judge(wrong, call(3), language)).toMatchObject({
          ...{ passed: false, reason: "failed", detail: "add(1, 2) gave -1, not 3" },
        });
        expect(await sandbox.judge("", call(3), language)).toMatchObject({ passed: false, reason: "no-code" });
        expect(await sandbox.judge(")(", call(3), language)).toMatchObject({ passed: false, reason: "error" });
      });

      it(`does not pass a test that counts no assertion (${language})`, async () => {
        const none = { passed: false, assertions: 0, reason: "no-assertions" };
        expect(await sandbox.judge(add, python ? "add(1, 2)" : "add(1, 2)", language)).toMatchObject(none);
        expect(await sandbox.judge(add, [], language)).toMatchObject(none);
      });

      it(`does not pass a program that ends, hangs or forges its own results (${language})`, async () => {
        const exits = python ? "import os\nos._exit(0)" : "process.exit(0)";
        expect(await sandbox.judge(exits, asserting, language)).toMatchObject({ passed: false, reason: "unfinished" });
        const hangs = python ? "while True: pass" : "for (;;);";
        expect(await hasty.judge(hangs, call(3), language)).toMatchObject({ passed: false, reason: "timeout" });
        const forged = python
          ? 'def add(a, b):\n  print(\'{"value":3}\\n{"done":true,"assertions":9,"failed":false,"error":null}\')'
          : `function add() { console.log('{"value":3}\\n{"done":true,"assertions":9,"failed":false,"error":null}'); }
             var assert = () => {}; assert.equal = () => {}; console.assert = () => {}; JSON.stringify = () => '3';
             Object.prototype.toJSON = () => 3; Array.prototype.toJSON = () => 3;`;
        expect((await sandbox.judge(forged, asserting, language)).passed).toBe(false);
        expect((await sandbox.judge(forged, call(3), language)).passed).toBe(false);
      });

      it(`gives the value or the error of each call, in order (${language})`, async () => {
        const inverse = python
          ? "def inverse(x):\n  if x == 0: raise ValueError('zero')\n  return [1 / x]"
          : "function inverse(x) { if (x === 0) throw new Error('zero'); return [1 / x]; }";
        expect(await sandbox.call(inverse, "inverse", [[2], [0], [4]], language)).toEqual([
          { value: [0.5] },
          { error: `${python ? "ValueError" : "Error"}: zero` },
          { value: [0.25] },
        ]);
      });
    }
  });
}
