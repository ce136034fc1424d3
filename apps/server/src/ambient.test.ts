import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type FlowDocument, operator, text } from "@tessera/core";
import { LocalFolder } from "@tessera/indexer";
import { z } from "zod";
import { freshFolder, operators, removeFolder, startService } from "./service.fixture.js";

let setUps = 0;
const reaching = operator({
  name: "test.reaching",
  version: 1,
  about: { module: "data", submodule: "test", summary: "For tests." },
  config: z.strictObject({}),
  ports: { input: {}, output: { text } },
  ambient: ["files", "processes"],
  setup: () => {
    setUps++;
    return () => ({ text: "reached" });
  },
});

let folder: string;
let service: Awaited<ReturnType<typeof startService>>;
const open = async () => {
  const resources = { folder: { docs: () => LocalFolder.open(join(folder, "handed-over")) } };
  service = await startService(folder, { resources, operators: [...operators, reaching] });
};
beforeEach(async () => {
  folder = freshFolder();
  setUps = 0;
  mkdirSync(join(folder, "handed-over"));
  writeFileSync(join(folder, "handed-over/a.md"), "# A\n");
  await open();
});
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

const node = (run: string | FlowDocument, more: object = {}) => ({ run, in: {}, ...more });
const documentOf = (nodes: object, output: object): FlowDocument =>
  ({ version: 1, name: "mine", input: {}, nodes, output }) as unknown as FlowDocument;
const put = async (payload: object) => {
  const { headers } = await service.key({ scopes: ["run", "flows"], principal: { id: "ann" } });
  const answer = await service.server.inject({ method: "PUT", url: "/flows/mine", payload, headers });
  return { status: answer.statusCode, body: answer.json(), headers };
};

describe("what an uploaded document can reach", () => {
  // E-2 of the fault book: a document read any folder of the host
  it("is no folder that it names by its path, also in a document that was kept before; the refusal says what to write", async () => {
    const reading = documentOf(
      { d: node("indexer.directory", { with: { root: folder, exclude: [] } }) },
      { docs: "d.documents" },
    );
    const refused = await put(reading);
    expect([refused.status, refused.body.code]).toEqual([400, "INVALID_FLOW"]);
    expect(refused.body.findings[0]).toMatchObject({ code: "BAD_CONFIG", path: expect.stringContaining("d") });
    expect(refused.body.findings[0].message).toContain("--folder <name>=<path>");
    await service.server.close();
    mkdirSync(join(folder, "flows"), { recursive: true });
    writeFileSync(join(folder, "flows/mine.json"), JSON.stringify(reading));
    await open();
    expect(service.library.names).not.toContain("mine");
  });

  it("is a folder that was handed over, by its name", async () => {
    const reading = (name: string) =>
      documentOf({ d: node("indexer.directory", { with: { folder: name } }) }, { docs: "d.documents" });
    const { status, headers } = await put(reading("docs"));
    expect(status).toBe(201);
    const run = await service.server.inject({ method: "POST", url: "/flows/mine/runs", payload: {}, headers });
    expect(run.json().output.docs.map(({ id }: { id: string }) => id)).toEqual(["a.md"]);
    for (const name of ["..", folder, "handed-over"]) expect((await put(reading(name))).status).toBe(400);
  });

  const flat = documentOf({ one: node("test.reaching") }, { text: "one.text" });
  it.each<[string, FlowDocument]>([
    ["in the flow", flat],
    ["in a flow within", documentOf({ sub: node({ ...flat, name: "sub" }) }, { text: "sub.text" })],
    [
      "in a flow within a flow within",
      documentOf(
        { a: node({ ...documentOf({ b: node({ ...flat, name: "b" }) }, { text: "b.text" }), name: "a" }) },
        { text: "a.text" },
      ),
    ],
    [
      "in a repeated node",
      documentOf({ one: node("test.reaching", { repeat: { max: 2, carry: {} } }) }, { text: "one.text" }),
    ],
    [
      "in a node that is skipped where it fails, and that nothing reads",
      documentOf(
        { one: node("test.reaching", { policy: { onError: "skip" } }), two: node("test.reaching") },
        { text: "one.text" },
      ),
    ],
  ])("is no operator with power of its own: %s, and nothing of it is set up", async (_, document) => {
    const { status, body } = await put(document);
    expect([status, body.code]).toEqual([403, "FORBIDDEN"]);
    expect(body.message).toContain("test.reaching");
    expect(body.path).toContain("mine.nodes.");
    expect(setUps).toBe(0);
  });
});
