import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { modelService } from "./model-service.fixture.js";
import { ended, root, start } from "./program.fixture.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-waiting-"));
const file = (name: string, sentence: string) =>
  writeFileSync(join(folder, "src", `${name}.js`), `/** ${sentence} */\nexport const ${name} = 1;\n`);
beforeAll(() => {
  mkdirSync(join(folder, "src"));
  file("retry", "Retries are backed off: every wait is twice the one before.");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const example = (name: string) => join(root, "docs/examples", name);
/** What a program of docs/examples wrote; each call is a process of its own. */
async function said(name: string, ...words: string[]): Promise<string> {
  const { code, out, err } = await ended(start(example(name), words, { cwd: folder }));
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out;
}

it("waiting-approval.mjs drafts an answer, and a person sends it in other words, or drops it", async () => {
  const draft = "Retries are backed off: every wait is twice the one before.";
  for (const id of ["first", "second"])
    expect(await said("waiting-approval.mjs", "ask", "where are retries backed off?", id)).toContain(`${id} waits: `);
  expect(await said("waiting-approval.mjs", "list")).toMatch(/^first: [\s\S]*\nsecond: /);
  expect(await said("waiting-approval.mjs", "list")).toContain(draft.slice(0, 20));
  expect(await said("waiting-approval.mjs", "answer", "first", "send", "Twice as long each time.")).toBe(
    "Twice as long each time.\n",
  );
  expect(await said("waiting-approval.mjs", "answer", "second", "drop")).toBe("Nothing was sent.\n");
  expect(await said("waiting-approval.mjs", "list")).toBe("");
});

it("waiting-conversation.mjs goes on with a conversation in another process", async () => {
  const service = modelService(({ body }) => {
    const [{ content: system }] = body.messages as [{ content: string }];
    return system.includes("last question of a conversation")
      ? "How long is a retry's first wait?"
      : "Twice as long [1].";
  });
  const given = ["src", await service.start(), "tiny"];
  const one = await said("waiting-conversation.mjs", "t1", "how are retries backed off?", ...given);
  expect(one).toBe("Twice as long [1].\n1 turns; the first was: how are retries backed off?\n");
  const two = await said("waiting-conversation.mjs", "t1", "and the first one?", ...given);
  expect(two).toContain("2 turns; the first was: how are retries backed off?");
  service.stop();
  // the second question was made whole by what was said in the first process
  expect(JSON.stringify(service.asked[1])).toContain("how are retries backed off?");
});
