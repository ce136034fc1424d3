import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { serve } from "@tessera/server";
import { approvalOf, hears } from "@tessera/testkit";
import { commandLine } from "../command-line.js";

const approval = approvalOf("topic");
const folder = mkdtempSync(join(tmpdir(), "tessera-runs-"));
let service: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  service = await serve({ folder, port: 0, flows: { approval, hears } });
});
afterAll(async () => {
  await service.server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command in this process. */
async function command(words: string[], key = service.firstKey!, url = service.url) {
  let said = "";
  const stream = () =>
    new Writable({
      write(text, _, done) {
        said += text;
        done();
      },
    });
  const given = ["--no-config", ...words, "--url", url, "--key", key];
  const code = await commandLine({ words: given, out: stream(), err: stream(), signal: new AbortController().signal });
  return { code, said };
}
const start = async (flow: string, input: object): Promise<string> => {
  const headers = { authorization: `Bearer ${service.firstKey}`, "content-type": "application/json" };
  const answer = await fetch(`${service.url}/flows/${flow}/runs`, {
    method: "POST",
    headers,
    body: JSON.stringify({ input }),
  });
  return ((await answer.json()) as { id: string }).id;
};

describe("the commands about runs of a service", () => {
  it("list what waits, answer it, fork the run and show the difference", async () => {
    const id = await start("approval", { topic: "tea" });
    const listed = await command(["runs", "--state", "waiting"]);
    expect(listed).toMatchObject({ code: 0, said: expect.stringMatching(/approval\/approve +About tea\./) });
    expect(listed.said).toContain(id);
    const answered = await command(["answer", id, "approval/approve", "yes"]);
    expect(answered).toMatchObject({ code: 0, said: expect.stringContaining("Sent: About tea.") });
    const forked = await command(["fork", id, "approval/approve", "--answer", "no", "--json"]);
    const fork = JSON.parse(forked.said) as { id: string };
    expect(fork).toMatchObject({ status: "done", output: { text: "nothing was sent" } });
    const changed = await command(["fork", id, "approval/draft", "--settings", '{"template":"On {topic}."}']);
    expect(changed.said).toContain("waits at approval/approve: On tea.");
    const differs = await command(["diff", id, fork.id, "--json"]);
    expect(JSON.parse(differs.said)).toMatchObject({
      same: 1,
      steps: [{ path: "approval/approve" }, { path: "approval/sent", change: "removed" }],
    });
    expect((await command(["diff", id, fork.id])).said).toContain("1 steps are the same");
  });

  it("send a signal", async () => {
    const id = await start("hears", {});
    expect(await command(["signal", id, "go", "7"])).toMatchObject({
      code: 0,
      said: expect.stringContaining('"value": 7'),
    });
  });

  it.each([
    ["an unknown run", ["answer", "no-such-run", "a/b", "yes"], 1, "NOT_FOUND"],
    ["a diff with an unknown run", ["diff", "no-such-run", "other"], 1, "NOT_FOUND"],
    ["an output that is no object", ["fork", "x", "a/b", "--output", "7"], 2, "--output is a JSON object"],
  ])("say what is wrong with %s", async (_, words, code, said) => {
    expect(await command(words)).toMatchObject({ code, said: expect.stringContaining(said) });
  });

  it("say what is wrong with an answer, a key and an address", async () => {
    const id = await start("approval", { topic: "tea" });
    expect(await command(["answer", id, "approval/approve", "perhaps"])).toMatchObject({
      code: 2,
      said: expect.stringContaining("the answer does not fit"),
    });
    expect(await command(["answer", id, "approval/other", "yes"])).toMatchObject({
      code: 1,
      said: expect.stringContaining('hint: known: "approval/approve"'),
    });
    expect(await command(["runs"], "tsr_wrong")).toMatchObject({
      code: 1,
      said: expect.stringContaining("UNAUTHENTICATED"),
    });
    const away = await command(["runs"], "tsr_any", "http://127.0.0.1:1");
    expect(away).toMatchObject({ code: 1, said: expect.stringContaining("no service answers at http://127.0.0.1:1") });
  });
});
