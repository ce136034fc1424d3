import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { flow, type Passage, parseDocument } from "@tessera/core";
import { hashDocument } from "@tessera/core/internal";
import { answer } from "@tessera/generator";
import { sparse } from "@tessera/retriever";
import { Bm25Store } from "@tessera/stores";
import { scriptedModel } from "@tessera/testkit";
import { openFolder } from "../backend.js";
import { KeyRing } from "../keys.js";
import { createServer } from "../server.js";
import { flows, freshFolder, operators, removeFolder } from "../service.fixture.js";
import { StudioSessions } from "./sessions.js";

const passages: Passage[] = [
  { id: "a", text: "The ferry leaves at nine.", source: { path: "ferry.md", lines: [1, 1] }, metadata: {} },
  { id: "b", text: "The harbour has two piers.", source: { path: "harbour.md", lines: [1, 1] }, metadata: {} },
];
const said = flow("said", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("search", sparse({ store: "sparse" }), { query });
  return { text: f.node("write", answer({ model: "model" }), { query, hits }).text };
}).document;

let folder: string;
let work: string;
let close: () => Promise<unknown>;
let server: ReturnType<typeof createServer>;
let sessions: StudioSessions;
let keys: KeyRing;
let links: string[];
let headers: { authorization: string };

beforeEach(async () => {
  folder = freshFolder();
  work = mkdtempSync(join(tmpdir(), "tessera-work-"));
  const page = join(folder, "page");
  mkdirSync(join(page, "assets"), { recursive: true });
  writeFileSync(
    join(page, "index.html"),
    '<script type="module" nonce="__NONCE__" src="/studio/assets/a-1.js"></script>',
  );
  writeFileSync(join(page, "assets/a-1.js"), "1;");
  writeFileSync(join(page, "secret.js"), "2;");
  writeFileSync(join(work, "ferry.md"), "The ferry leaves at nine.\n");
  writeFileSync(join(work, "unlisted.md"), "not in the index\n");
  const store = new Bm25Store();
  await store.upsert(passages);
  const backend = await openFolder(join(folder, "service"), {
    flows: { ...flows, said },
    operators,
    resources: { model: { model: scriptedModel(() => "It leaves at nine [1].") }, store: { sparse: store } },
    events: { detailed: true },
  });
  keys = await KeyRing.open(join(folder, "keys"));
  links = [];
  sessions = new StudioSessions(keys, (next) => links.push(next));
  const source = {
    root: work,
    files: ["ferry.md", "harbour.md"],
    skipped: [{ path: "map.bin", reason: "binary" as const }],
    passages: async () => passages,
    sparse: store,
  };
  server = createServer({ ...backend, keys, studio: { page, sessions, folder: work, source } });
  close = async () => {
    await server.close();
    await backend.close();
  };
  headers = { authorization: `Bearer ${(await redeem(sessions.issue())).json().key}` };
});
afterEach(async () => {
  await close();
  removeFolder(folder);
  rmSync(work, { recursive: true, force: true });
});

const redeem = (token: string) => server.inject({ method: "POST", url: "/studio/session", payload: { token } });
const get = async (url: string) => (await server.inject({ url, headers })).json();
const put = (name: string, document: unknown) =>
  server.inject({ method: "PUT", url: `/studio/work/${name}`, headers, payload: { document } as object });

describe("the studio's page", () => {
  it("loads nothing from elsewhere, and only its own files", async () => {
    const { headers: got, body } = await server.inject("/studio/");
    const policy = String(got["content-security-policy"]);
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self' 'nonce-(\S+)';/);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    const [, nonce] = /nonce-([^']+)/.exec(policy)!;
    expect(body).toContain(`nonce="${nonce}"`);
    expect((await server.inject("/studio/")).body).not.toBe(body);
    expect((await server.inject("/studio/assets/a-1.js")).headers).toMatchObject({
      "content-type": expect.stringMatching(/^text\/javascript/),
      "cache-control": expect.stringMatching(/immutable/),
    });
    for (const file of ["..%2Fsecret.js", "%2e%2e/secret.js", "..", "a-1.js%00", "b-2.js", ".a.js"])
      expect((await server.inject({ url: `/studio/assets/${file}`, headers })).body).not.toMatch(/^[12];$/);
  });

  it("is where / leads a browser, and what / tells others", async () => {
    const browser = await server.inject({ url: "/", headers: { accept: "text/html,*/*" } });
    expect([browser.statusCode, browser.headers.location]).toEqual([302, "/studio/"]);
    expect((await server.inject("/")).json()).toMatchObject({ name: "Tessera", studio: "/studio/" });
  });

  it("is opened once by a link, by a key that is never written", async () => {
    const token = sessions.issue();
    const [first, second] = await Promise.all([redeem(token), redeem(token)]);
    expect([first.statusCode, second.statusCode].sort()).toEqual([200, 401]);
    expect(links).toHaveLength(2); // the one of `beforeEach`, and this
    expect((await redeem(links[1]!)).statusCode).toBe(200);
    expect((await redeem("x")).json()).toMatchObject({ code: "UNAUTHENTICATED", hint: expect.any(String) });
    expect(await keys.list()).toEqual([]);
    expect(await get("/flows")).toMatchObject({ flows: expect.any(Array) });
    expect(readdirSync(join(folder, "keys"))).toEqual(["pepper"]);
    const other = await KeyRing.open(join(folder, "keys"));
    expect(await other.verify(headers.authorization.slice(7))).toBeUndefined();
  });
});

describe("the events of a service with a studio", () => {
  it("say when they happened, and have the prompt and the answer", async () => {
    const url = "/flows/said/runs";
    const { id } = (
      await server.inject({ method: "POST", url, headers, payload: { input: { query: "When does the ferry leave?" } } })
    ).json();
    const { events } = await get(`/runs/${id}`);
    const times = events.map(({ data }: { data: { at: number } }) => data.at);
    expect(times.every((at: number, index: number) => at >= (times[index - 1] ?? 0))).toBe(true);
    const { data } = events.find(({ type }: { type: string }) => type === "model-end");
    expect(data.output).toEqual({ text: "It leaves at nine [1]." });
    expect(JSON.stringify(data.input.messages)).toContain("When does the ferry leave?");
  });
});

describe("the folder of the studio", () => {
  const document = flows.echo!;

  it("gets a flow as JSON and TypeScript, and every version by its hash", async () => {
    expect((await put("mine", document)).json()).toMatchObject({
      files: ["mine.flow.json", "mine.flow.ts"],
      changed: true,
    });
    expect((await put("mine", document)).json()).toMatchObject({ changed: false });
    const saved = parseDocument(JSON.parse(readFileSync(join(work, "mine.flow.json"), "utf8")));
    expect(saved).toEqual({ ...document, name: "mine" });
    expect(readFileSync(join(work, "mine.flow.ts"), "utf8")).toContain('flow("mine"');
    const other = { ...flows.twice!, name: "mine" };
    await put("mine", other);
    const { versions } = await get("/studio/work/mine/versions");
    expect(versions.map(({ hash }: { hash: string }) => hash).sort()).toEqual(
      [hashDocument(saved), hashDocument(other)].sort(),
    );
    expect(await get(`/studio/work/mine/versions/${hashDocument(saved)}`)).toEqual({ document: saved });
    expect(await get("/studio/work")).toMatchObject({ flows: [{ name: "mine", hash: hashDocument(other) }] });
  });

  it("gives and takes no other path, and follows no link that leads out", async () => {
    const outside = mkdtempSync(join(tmpdir(), "tessera-outside-"));
    writeFileSync(join(outside, "theirs.flow.json"), JSON.stringify(document));
    for (const name of ["..%2Fx", "%2Fetc%2Fx", ".hidden", "a%00", "a b", "a.b", "x".repeat(65)]) {
      expect([400, 404, 414]).toContain((await put(name, document)).statusCode);
      expect([400, 404, 414]).toContain((await server.inject({ url: `/studio/work/${name}`, headers })).statusCode);
    }
    symlinkSync(join(outside, "theirs.flow.json"), join(work, "linked.flow.json"));
    expect(await get("/studio/work/linked")).toMatchObject({ code: "NOT_FOUND" });
    await put("linked", flows.twice!);
    expect(JSON.parse(readFileSync(join(outside, "theirs.flow.json"), "utf8"))).toEqual(document);
    rmSync(join(work, ".tessera"), { recursive: true });
    symlinkSync(outside, join(work, ".tessera"));
    expect((await put("mine", document)).json()).toMatchObject({ code: "FORBIDDEN" });
    expect(readdirSync(outside)).toEqual(["theirs.flow.json"]);
    rmSync(outside, { recursive: true });
  });

  it("refuses what is no flow", async () => {
    expect((await put("mine", { version: 1 })).json()).toMatchObject({ code: "BAD_DOCUMENT" });
    expect(await get("/studio/work/mine")).toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("the source of the studio", () => {
  it("shows the files of the index and no others", async () => {
    expect(await get("/source")).toMatchObject({
      files: [{ path: "ferry.md", kind: "md", passages: 1, characters: 25 }, { path: "harbour.md" }],
      skipped: [{ path: "map.bin", reason: "binary" }],
      ways: ["sparse"],
    });
    expect(await get("/source/file?path=ferry.md")).toMatchObject({ text: "The ferry leaves at nine.\n" });
    // the index has it, the disk has it no more
    expect(await get("/source/file?path=harbour.md")).toEqual({
      path: "harbour.md",
      passages: [expect.objectContaining({ id: "b" })],
    });
    for (const path of ["unlisted.md", "../x", "/etc/passwd", "./ferry.md", "__proto__"])
      expect(await get(`/source/file?path=${encodeURIComponent(path)}`)).toMatchObject({ code: "NOT_FOUND" });
  });

  it("explains a search, and where a passage stands that is looked for", async () => {
    const payload = { query: "when does the ferry leave", passage: "b" };
    const found = (await server.inject({ method: "POST", url: "/source/search", headers, payload })).json();
    const [best] = found.sparse;
    expect(best.passage.id).toBe("a");
    const sum = best.parts.reduce((all: number, { score }: { score: number }) => all + score, 0);
    expect(sum).toBeCloseTo(best.score, 9);
    expect(found.sought).toMatchObject({ passage: "b", places: { sparse: { of: expect.any(Number) } } });
  });
});

describe("the check of a document", () => {
  const check = async (document: unknown) =>
    (await server.inject({ method: "POST", url: "/check", headers, payload: { document } as object })).json();

  it("tells ports and bound of one that can run, and uploads nothing", async () => {
    const found = await check({ ...said, name: "other" });
    expect(found).toMatchObject({
      findings: [],
      hash: hashDocument({ ...said, name: "other" }),
      bound: { calls: 1 },
      resources: ["store/sparse", "model/model"],
      ports: { "other/write": { input: { query: { words: "text" } } } },
      typescript: expect.stringContaining('flow("other"'),
    });
    expect((await get("/flows/other")).code).toBe("NOT_FOUND");
  });

  it("tells every finding with its place, as an upload does", async () => {
    const wrong = structuredClone(said) as unknown as { nodes: { write: { with: object; in: object } } };
    wrong.nodes.write.with = { model: "absent" };
    expect((await check(wrong)).findings).toMatchObject([{ code: "UNKNOWN_RESOURCE" }]);
    wrong.nodes.write.in = { query: "input.nothing" };
    const codes = (await check(wrong)).findings.map(({ code }: { code: string }) => code);
    const uploaded = (await server.inject({ method: "PUT", url: "/flows/wrong", headers, payload: wrong })).json();
    expect(codes).toEqual(uploaded.findings.map(({ code }: { code: string }) => code));
    expect((await check("no flow")).findings).toMatchObject([{ code: "BAD_DOCUMENT" }]);
  });

  it("describes operators and named flows", async () => {
    const { operators: known } = await get("/operators");
    const rrf = known.find(({ name }: { name: string }) => name === "fuser.rrf");
    expect(rrf).toMatchObject({
      about: { module: expect.any(String) },
      ports: { output: { hits: { words: "hits" } } },
    });
    expect(rrf.config.properties).toBeDefined();
    const { flows: named } = await get("/catalogue");
    const linear = named.find(({ name }: { name: string }) => name === "linear");
    expect(linear).toMatchObject({ resources: ["store/sparse"], paper: { id: "2407.21059" } });
    const hyde = named.find(({ name }: { name: string }) => name === "hyde");
    expect(hyde.missing.map(({ code }: { code: string }) => code)).toContain("UNKNOWN_RESOURCE");
  });
});
