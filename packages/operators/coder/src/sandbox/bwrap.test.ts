import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import { needsForAll } from "@tessera/testkit";
import { bwrap } from "./bwrap.js";
import { runProcess } from "./process.js";

/** The processes whose command holds a text, as sandboxes of a program do. */
const running = (text: string): string[] =>
  readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false; // it ended meanwhile
    }
  });

const driver = bwrap({ workers: 4 });
const missing = await driver.missing();
const tests = needsForAll(!missing, missing ?? "");
const run = (source: string) =>
  driver.run({ language: "python", source }, { wallMs: 15_000, memoryMb: 64, outputBytes: 20_000 });

tests("what bubblewrap shows a program", () => {
  it("is nothing that it can write to: no setting of the host, no file that is memory", async () => {
    const { output } = await run(`import os, stat
own = {os.stat(fd).st_ino for fd in (0, 1, 2)}
for top, folders, files in os.walk("/"):
  if top == "/usr": folders.clear()
  if top == "/proc": folders[:] = [name for name in folders if not name.isdigit() and name not in ("self", "thread-self")]
  for name in files:
    path = top + "/" + name
    try: kind = os.stat(path)
    except OSError: continue
    if kind.st_ino in own or stat.S_ISCHR(kind.st_mode): continue
    try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)); print("writable", path)
    except OSError: pass
  try: os.close(os.open(top + "/new", os.O_CREAT | os.O_WRONLY)); print("takes files", top)
  except OSError: pass
print("tried")`);
    expect(output).toBe("tried\n");
  });

  it("has no memory beside its data: mapped together, growing, in files of memory, in queues, in sockets", async () => {
    const { output } = await run(`import ctypes, mmap, os, socket
system = ctypes.CDLL(None, use_errno=True)
def attempt(name, work):
  try:
    if work() != -1: print(name)
  except OSError: pass
attempt("shared mapping", lambda: mmap.mmap(-1, 1 << 20))
attempt("shared mapping of zeros", lambda: mmap.mmap(os.open("/dev/zero", os.O_RDWR), 1 << 20))
attempt("growing mapping", lambda: mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100))
attempt("file in memory", lambda: os.memfd_create("x"))
attempt("shared segment", lambda: system.shmget(0, 1 << 20, 0o1600))
attempt("semaphores", lambda: system.semget(0, 32000, 0o1600))
attempt("queue", lambda: system.msgget(0, 0o1600))
attempt("socket", lambda: socket.socket())
print("tried", len(mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)))`);
    expect(output).toBe("tried 1048576\n");
  });

  it("leaves out descriptors that the host itself inherited", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tessera-descriptors-"));
    writeFileSync(join(folder, "secret"), "the-hosts-own-secret");
    const secret = openSync(join(folder, "secret"), "r");
    try {
      const program = `import { bwrap } from ${JSON.stringify(new URL("bwrap.ts", import.meta.url).href)};
        const source = "import os\\nprint([os.readlink('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd') if fd == '40'], os.read(40, 100))";
        const { output, errors } = await bwrap().run({ language: "python", source }, { wallMs: 15000, memoryMb: 64, outputBytes: 20000 });
        console.log(output + errors);`;
      const sources = new URL("../../../../../apps/setup/sources.mjs", import.meta.url).href;
      const given = ["--conditions=@tessera/source", `--import=${sources}`, "--input-type=module", "-e", program];
      // Node closes the first sixteen by itself
      const passed = [...Array<"ignore">(37).fill("ignore"), secret];
      const host = spawn(process.execPath, given, { stdio: ["ignore", "pipe", "inherit", ...passed] });
      const [said] = await Promise.all([host.stdout!.toArray(), new Promise((ended) => host.on("close", ended))]);
      expect(said.join("")).toBe("['/dev/null'] b''\n\n");
    } finally {
      closeSync(secret);
      rmSync(folder, { recursive: true });
    }
  });
});

tests("bubblewrap that is killed in its first moments", () => {
  it("leaves no program asleep, whenever it is killed", async () => {
    const marker = `marker-${randomUUID()}`;
    // asleep it costs no processor time, so that no limit but the kill ends it
    const source = `/* ${marker} */ setInterval(() => undefined, 1e6);`;
    const limits = { wallMs: 60_000, memoryMb: 128, outputBytes: 1000 };
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const stop = new AbortController();
        const run = driver.run({ language: "javascript", source }, limits, stop.signal);
        const ended = expect(run).rejects.toMatchObject({ code: "ABORTED" });
        // from before it is started to after the program runs
        await sleep(n * 2);
        stop.abort();
        await ended;
      }),
    );
    // a killed process is gone a moment later, on a busy machine once it was started
    for (let wait = 0; wait < 800 && running(marker).length > 0; wait++) await sleep(50);
    expect(running(marker)).toEqual([]);
  });
});

describe("a command that is slow to tell its child", () => {
  it("is killed with it", async () => {
    const length = `31536${Math.floor(Math.random() * 1e6)}`;
    const script = `const { pid } = require("node:child_process").spawn("sleep", ["${length}"], { detached: true });
      setTimeout(() => require("node:fs").writeSync(4, JSON.stringify({ "child-pid": pid }, undefined, 1)), 2500);
      setInterval(() => undefined, 1e6);`;
    const command = { path: process.execPath, args: ["-e", script], input: "", tellsChild: true };
    const limits = { wallMs: 200, memoryMb: 64, outputBytes: 1000 };
    expect(await runProcess(command, limits)).toMatchObject({ status: "timeout" });
    const sleeping = () =>
      running(length).filter((pid) => !readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("-e"));
    for (let wait = 0; wait < 100 && sleeping().length > 0; wait++) await sleep(50);
    expect(sleeping()).toEqual([]);
  });
});
