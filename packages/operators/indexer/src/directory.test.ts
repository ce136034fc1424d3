import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { contextOf, hostOf, needs, runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { directory } from "./directory.js";
import { LocalFolder } from "./folder.js";

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

function folderOf(files: Record<string, string | Uint8Array>): string {
  const root = mkdtempSync(join(tmpdir(), "tessera-directory-"));
  made.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

async function read(root: string, config: object = {}) {
  const host = hostOf({ "folder/docs": await LocalFolder.open(root) });
  const { documents, skipped } = await runOperator(directory, { folder: "docs", ...config }, {}, { host });
  return {
    documents: documents as Passage[],
    paths: (documents as Passage[]).map(({ id }) => id),
    skipped: skipped as { path: string; reason: string }[],
  };
}

const first = await LocalFolder.open(folderOf({ "b.ts": "b", "a/c.md": "# c\n", "a.txt": "" }));
testOperator(directory, {
  host: () => hostOf({ "folder/docs": first }),
  cases: [
    {
      name: "reads files in the order of their paths",
      config: { folder: "docs" },
      input: {},
      output: {
        documents: [
          { id: "a/c.md", text: "# c\n", source: { path: "a/c.md" }, metadata: { language: "markdown" } },
          { id: "a.txt", text: "", source: { path: "a.txt" }, metadata: { language: "text" } },
          { id: "b.ts", text: "b", source: { path: "b.ts" }, metadata: { language: "typescript" } },
        ],
        skipped: [],
      },
    },
  ],
});

/** Runs work while no program can be found. */
async function withoutGit<T>(work: () => Promise<T>): Promise<T> {
  const { PATH } = process.env;
  process.env.PATH = "";
  try {
    return await work();
  } finally {
    process.env.PATH = PATH;
  }
}

describe("indexer.directory", () => {
  it("leaves out .git and node_modules, but not a root inside node_modules", async () => {
    const root = folderOf({
      ".git/config": "x",
      ".gitignore": "node_modules\n",
      "node_modules/zod/src/a.ts": "a",
      "node_modules/zod/src/node_modules/b.ts": "b",
      "src/c.ts": "c",
    });
    expect((await read(root)).paths).toEqual([".gitignore", "src/c.ts"]);
    expect((await read(join(root, "node_modules/zod/src"))).paths).toEqual(["a.ts"]);
  });

  it("obeys the .gitignore of the repository around the root", async () => {
    const root = folderOf({
      ".git/info/exclude": "local\n",
      ".gitignore": "dist\n",
      "a/dist/x": "",
      "a/b.ts": "",
      "a/local": "",
    });
    expect((await read(join(root, "a"))).paths).toEqual(["b.ts"]);
    expect((await read(join(root, "a/dist"))).paths).toEqual(["x"]);
  });

  it("ignores by case and never what is tracked, as git does; in a nested repository by its own rules", async () => {
    const root = folderOf({
      ".gitignore": "[Rr]elease/\nDebug?.ts\n*.log\n",
      "RELEASE/a.ts": "a",
      "release/b.ts": "b",
      "debug1.ts": "c",
      "Debug1.ts": "d",
      "kept.log": "e",
      "other.log": "f",
      "nested/.gitignore": "*.tmp\n",
      "nested/g.log": "g",
      "nested/h.tmp": "h",
    });
    for (const cwd of [root, join(root, "nested")]) execFileSync("git", ["init", "-q"], { cwd });
    execFileSync("git", ["add", "-f", "kept.log"], { cwd: root });
    const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(listed.split("\0").filter(Boolean)).toEqual(
      expect.arrayContaining(["RELEASE/a.ts", "debug1.ts", "kept.log"]),
    );
    const outer = (await read(root)).paths.filter((path) => !path.startsWith("nested/"));
    expect(outer.sort()).toEqual(
      listed
        .split("\0")
        .filter((path) => path !== "" && path !== "nested/")
        .sort(),
    );
    expect((await read(root)).paths.filter((path) => path.startsWith("nested/"))).toEqual([
      "nested/.gitignore",
      "nested/g.log",
    ]);
    const guessed = await withoutGit(async () => (await read(root)).paths);
    expect(guessed).toEqual(expect.arrayContaining(["RELEASE/a.ts", "debug1.ts"]));
    expect(guessed).not.toContain("release/b.ts");
  });

  it("marks what others or programs wrote, so that it can be held back", async () => {
    const root = folderOf({
      "src/a.ts": "export const a = 1;",
      "src/sqlite3.h": "int a;",
      "vendor/b.go": "package b",
      "go.sum": "x v1 h1:a",
      "api.pb.go": "package api",
      "c.go": "// Code generated by protoc. DO NOT EDIT.\npackage c",
      "docs/generated.md": "Write that a file was generated by hand.",
    });
    const { documents } = await read(root);
    const marked = (name: string) => documents.filter(({ metadata }) => metadata[name]).map(({ id }) => id);
    expect(marked("vendored")).toEqual(["src/sqlite3.h", "vendor/b.go"]);
    expect(marked("generated")).toEqual(["api.pb.go", "c.go", "go.sum"]);
  });

  it("leaves out what builds and tools write where there is no repository, and keeps folders of that name elsewhere", async () => {
    const root = folderOf({
      "package.json": '{"name":"x"}',
      "dist/a.js": "a",
      "src/b.js": "b",
      "docs/build/c.md": "c",
      "x/__pycache__/d.py": "d",
    });
    expect((await read(root)).paths).toEqual(["docs/build/c.md", "package.json", "src/b.js"]);
  });

  it("decides as git does for any nested .gitignore files", async () => {
    const name = fc.constantFrom("a", "b", "c", "d.ts");
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
    const pattern = fc.constantFrom(
      "a",
      "!a",
      "b/",
      "!b/",
      "/c",
      "*.ts",
      "!d.ts",
      "a/b",
      "**/c",
      "!*",
      "a/**",
      "# c",
      "",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(path, { minLength: 1, maxLength: 8 }),
        fc.dictionary(fc.constantFrom("", "a/", "b/", "a/b/"), fc.array(pattern, { maxLength: 4 }), { maxKeys: 3 }),
        async (paths, rules) => {
          const files = new Map(paths.map((file) => [`${file}/file.txt`, ""]));
          for (const [folder, lines] of Object.entries(rules)) files.set(`${folder}.gitignore`, lines.join("\n"));
          const root = folderOf(Object.fromEntries(files));
          execFileSync("git", ["init", "-q"], { cwd: root });
          const listed = execFileSync("git", ["ls-files", "--others", "--exclude-standard", "-z"], {
            cwd: root,
            encoding: "utf8",
          });
          const expected = listed.split("\0").filter(Boolean).sort();
          expect((await read(root)).paths.sort()).toEqual(expected);
          expect(await withoutGit(async () => (await read(root)).paths.sort())).toEqual(expected);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("skips what is binary, too large or minified, and says so", async () => {
    const root = folderOf({
      "image.png": new Uint8Array([137, 80, 78, 71, 0, 1]),
      "control.bin": new Uint8Array([0xff, 0x01, 0x41]),
      "large.txt": "x".repeat(2000),
      "bundle.js": "x;".repeat(6000),
      "long.md": `${"word ".repeat(3000)}`,
      "a.min.js": "a",
      ".env": "SECRET=1",
    });
    const { paths, skipped } = await read(root, { maximumBytes: 20_000 });
    expect(paths).toEqual(["large.txt", "long.md"]);
    expect(skipped).toEqual([
      { path: "bundle.js", reason: "minified" },
      { path: "control.bin", reason: "binary" },
      { path: "image.png", reason: "binary" },
    ]);
    expect((await read(root, { maximumBytes: 1000 })).skipped).toContainEqual({
      path: "large.txt",
      reason: "too-large",
    });
  });

  it("reads UTF-8 with a mark, UTF-16 and Windows-1252", async () => {
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("né", "utf16le")]);
    const root = folderOf({ "a.txt": "\ufeffné", "b.txt": utf16, "c.txt": Buffer.from("né\n", "latin1") });
    expect((await read(root)).documents.map(({ text }) => text)).toEqual(["né", "né", "né\n"]);
  });

  it("marks tests", async () => {
    const tests = ["a.test.ts", "b_test.go", "src/tests/c.ts", "test/d.js", "test_e.py", "f.spec.tsx"];
    const others = ["contest/a.ts", "latest.ts", "testing.ts", "test_e.ts", "test.ts"];
    const { documents } = await read(folderOf(Object.fromEntries([...tests, ...others].map((path) => [path, ""]))));
    expect(documents.filter(({ metadata }) => metadata.test).map(({ id }) => id)).toEqual(tests.sort());
  });

  it("does not follow links, so that a loop or a link to the outside leads nowhere", async () => {
    const outside = folderOf({ secret: "s" });
    const root = folderOf({ "a/b.txt": "b" });
    symlinkSync("..", join(root, "a/loop"));
    symlinkSync("self", join(root, "self"));
    symlinkSync(join(outside, "secret"), join(root, "secret"));
    const { paths, skipped } = await read(root);
    expect(paths).toEqual(["a/b.txt"]);
    expect(skipped.map(({ path, reason }) => `${path} ${reason}`)).toEqual(["a/loop link", "secret link", "self link"]);
    symlinkSync(root, join(outside, "root"));
    expect((await read(join(outside, "root"))).paths).toEqual(["a/b.txt"]);
  });

  it("reads nothing outside the folder: by paths that lead out, links as files or folders, and a folder changed since", async () => {
    const outside = folderOf({ "secret.txt": "s", "a/secret.txt": "s" });
    const root = folderOf({ "a/b.txt": "b", "c.txt": "c" });
    const folder = await LocalFolder.open(root);
    for (const path of ["../x", "/etc/passwd", "a/../../x", "..", "", "a//b.txt", "a\\..\\..\\x", "a\0"])
      await expect(folder.read(path, 100)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect((await folder.list({ maximumBytes: 100, exclude: [] })).files).toEqual(["a/b.txt", "c.txt"]);
    // what was listed gives place to links
    rmSync(join(root, "c.txt"));
    symlinkSync(join(outside, "secret.txt"), join(root, "c.txt"));
    rmSync(join(root, "a"), { recursive: true });
    symlinkSync(join(outside, "a"), join(root, "a"));
    expect(await folder.read("c.txt", 100)).toBe("link");
    expect(await folder.read("a/secret.txt", 100)).toBe("link");
    expect((await folder.list({ maximumBytes: 100, exclude: [] })).files).toEqual([]);
    rmSync(root, { recursive: true });
    symlinkSync(outside, root);
    await expect(folder.list({ maximumBytes: 100, exclude: [] })).rejects.toMatchObject({ code: "BAD_SOURCE" });
    expect(await folder.read("secret.txt", 100)).toBe("link");
  });

  it("waits for no pipe and no socket, neither as a file nor as a .gitignore, and follows no link to rules", async () => {
    const root = folderOf({ "a.txt": "", "sub/b.txt": "" });
    execFileSync("mkfifo", [join(root, ".gitignore")]);
    execFileSync("mkfifo", [join(root, "pipe")]);
    const rules = folderOf({ rules: "*" });
    symlinkSync(join(rules, "rules"), join(root, "sub/.gitignore"));
    const server = createServer().listen(join(root, "socket"));
    await once(server, "listening");
    try {
      expect((await read(root)).paths).toEqual(["a.txt", "sub/b.txt"]);
      const folder = await LocalFolder.open(root);
      for (const path of ["pipe", "socket"]) expect(await folder.read(path, 100)).toBe("special");
    } finally {
      server.close();
    }
  });

  const onLinux = needs(process.platform === "linux", "files that say that they are empty are those of Linux's /proc");
  onLinux("counts the bytes that come, whatever a file says of its size", async () => {
    const folder = await LocalFolder.open("/proc/self");
    expect(statSync("/proc/self/status").size).toBe(0);
    expect(await folder.read("status", 10)).toBe("too-large");
    expect(await folder.read("status", 1_000_000)).toBeInstanceOf(Uint8Array);
  });

  it("ends with its signal, before and in the middle of a file", async () => {
    const root = folderOf({ "a.txt": "x".repeat(10_000_000) });
    const folder = await LocalFolder.open(root);
    await expect(folder.read("a.txt", 1e9, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
    const controller = new AbortController();
    const reading = folder.read("a.txt", 1e9, controller.signal);
    controller.abort(new Error("stop"));
    await expect(reading).rejects.toThrow("stop");
    const host = hostOf({ "folder/docs": folder });
    const context = contextOf({ signal: AbortSignal.abort(new Error("stop")) });
    await expect(runOperator(directory, { folder: "docs" }, {}, { host, context })).rejects.toThrow("stop");
  });

  it("refuses a path in a document by a message that says what to write now", () => {
    const { error } = directory.config.safeParse({ root: "/etc", exclude: [] });
    expect(error?.message).toContain("--folder <name>=<path>");
    expect(directory.config.safeParse({ folder: "docs", other: 1 }).error?.message).not.toContain("--folder");
  });

  it("is never the same revision twice, so that no cache keeps what it read", async () => {
    const folder = await LocalFolder.open(folderOf({ a: "" }));
    expect(folder.revision).not.toBe(folder.revision);
  });

  it("never opens what is no file", async () => {
    const root = folderOf({ "a.txt": "" });
    execFileSync("mkfifo", [join(root, "pipe")]);
    expect(await read(root)).toMatchObject({ paths: ["a.txt"], skipped: [{ path: "pipe", reason: "special" }] });
  });

  it("reports what it may not read, and goes on", async () => {
    const root = folderOf({ "a.txt": "a", "b.txt": "b", "c/d.txt": "d" });
    chmodSync(root, 0o755);
    chmodSync(join(root, "b.txt"), 0);
    chmodSync(join(root, "c"), 0);
    const superuser = process.geteuid?.() === 0;
    if (superuser) process.seteuid?.(65534); // whom permissions do not stop reads as nobody
    try {
      const { paths, skipped } = await read(root);
      expect(paths).toEqual(["a.txt"]);
      expect(skipped).toEqual([
        { path: "b.txt", reason: "unreadable" },
        { path: "c", reason: "unreadable" },
      ]);
    } finally {
      if (superuser) process.seteuid?.(0);
      chmodSync(join(root, "c"), 0o755);
    }
  });

  it("a root that is not there is an error with a place and a hint", async () => {
    await expect(read("/no/such/folder")).rejects.toMatchObject({ code: "BAD_SOURCE", path: "/no/such/folder" });
    await expect(read(join(folderOf({ a: "" }), "a"))).rejects.toMatchObject({ code: "BAD_SOURCE" });
  });
});
