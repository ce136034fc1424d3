import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ended, start, tessera, tesseraProcess } from "./program.fixture.js";

let work: string;
let env: { TESSERA_HOME: string };
const lines = (text: string) => text.split("\n").filter((line) => line !== "");

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "tessera-home-"));
  env = { TESSERA_HOME: join(work, "home") };
  for (const folder of ["a", "b", "docs"]) mkdirSync(join(work, folder));
  writeFileSync(join(work, "docs/ferry.md"), "# Ferry\n\nThe ferry leaves at seven.\n");
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const index = async (source: string, cwd: string) =>
  JSON.parse((await tessera(["index", source, "--encoder", "hash", "--json"], join(work, cwd), env)).out);

describe("the index of a folder", () => {
  it("is the same from every working directory, and goes with the folder where that is moved", async () => {
    const first = await index("../docs", "a");
    expect(first.files).toMatchObject({ read: 1, changed: 1 });
    const again = await index("../docs", "b");
    expect([again.index, again.files]).toEqual([first.index, { seen: 1, read: 0, changed: 0, removed: 0 }]);
    renameSync(join(work, "docs"), join(work, "papers"));
    const moved = await index("../papers", "a");
    expect(moved.passages).toEqual({ added: 0, changed: 0, moved: 0, removed: 0 });
    expect(readdirSync(join(work, "home/indexes"))).toHaveLength(1);
    mkdirSync(join(work, "docs"));
    writeFileSync(join(work, "docs/other.md"), "Other.\n");
    expect((await index("../docs", "a")).index).not.toBe(moved.index);
  });

  it("is listed, and removed where its folder is no more or it was not used for long", async () => {
    const listed = await tessera(["indexes", "list", "--json"], work, env);
    expect(
      JSON.parse(listed.out)
        .map(({ root }: { root: string }) => root)
        .sort(),
    ).toEqual([join(work, "docs"), join(work, "papers")]);
    expect(lines((await tessera(["indexes", "list"], work, env)).out)).toHaveLength(3);
    rmSync(join(work, "docs"), { recursive: true });
    expect((await tessera(["indexes", "prune"], work, env)).out).toBe(`removed ${join(work, "docs")} (hash)\n`);
    expect((await tessera(["indexes", "prune", "--older-than", "7"], work, env)).out).toBe("nothing to remove\n");
    expect((await tessera(["indexes", "prune", "--older-than", "0"], work, env)).code).toBe(0);
    expect((await tessera(["indexes", "prune", "--older-than", "x"], work, env)).code).toBe(2);
  });

  it("has no vectors for a flow that searches words alone", async () => {
    mkdirSync(join(work, "words"));
    writeFileSync(join(work, "words/ferry.md"), "# Ferry\n\nThe ferry leaves at seven.\n");
    const asked = ["ask", "when does the ferry leave?", "--source", "words", "--flow", "linear", "--json"];
    const { out, code } = await tessera(asked, work, env);
    expect(code).toBe(0);
    expect(JSON.parse(out).answer).toContain("seven");
    const [note] = JSON.parse((await tessera(["indexes", "list", "--json"], work, env)).out).filter(
      ({ root }: { root: string }) => root.endsWith("words"),
    );
    expect(note).toMatchObject({ encoder: "none" });
    const [generation] = readdirSync(note.folder).filter((name) => name.startsWith("generation-"));
    expect(readdirSync(join(note.folder, generation!)).sort()).toEqual(["passages.jsonl.z", "sparse"]);
  });
});

describe("a question", () => {
  const ask = (...words: string[]) => ["ask", ...words, "--source", "papers", "--encoder", "hash", "--json"];

  it("may come from a file or from standard input, and is needed", async () => {
    writeFileSync(join(work, "question.txt"), "when does the ferry leave?\n");
    const { out } = await tessera(ask("--question-file", "question.txt"), work, env);
    expect(JSON.parse(out).answer).toContain("seven");
    const main = new URL("main.ts", import.meta.url).pathname;
    const child = start(main, ask("-"), { cwd: work, env });
    child.stdin.end("when does the ferry leave?");
    expect(JSON.parse((await ended(child)).out).answer).toContain("seven");
    expect((await tessera(ask(), work, env)).code).toBe(2);
    expect((await tessera(ask("a", "--question-file", "question.txt"), work, env)).code).toBe(2);
    expect((await tessera(ask("--question-file", "absent.txt"), work, env)).code).toBe(2);
  });

  it("of many kilobytes is answered with the default encoder: the process that loads it has a short command line", async () => {
    const long = `when does the ferry leave? ${"(word) ".repeat(4000)}`;
    const { code, out, err } = await tesseraProcess(["ask", long, "--source", "papers", "--json"], work, env);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toHaveProperty("answer");
  });
});
