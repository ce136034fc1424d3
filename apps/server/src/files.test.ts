import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { serviceForEachTest } from "./service.fixture.js";

const own = serviceForEachTest();
const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../packages/operators/indexer/fixtures/${name}`, import.meta.url));

interface Part {
  readonly name: string;
  readonly bytes: Buffer | string;
}

/** A form as browsers and `curl -F` send it. */
function form(parts: readonly Part[]) {
  const boundary = "----tessera-test";
  const payload = Buffer.concat([
    ...parts.flatMap(({ name, bytes }) => [
      Buffer.from(
        `--${boundary}\r\ncontent-disposition: form-data; name="files"; filename="${name}"\r\n` +
          "content-type: application/octet-stream\r\n\r\n",
      ),
      Buffer.from(bytes),
      Buffer.from("\r\n"),
    ]),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
  return { payload, type: `multipart/form-data; boundary=${boundary}` };
}

async function client(scopes: ("run" | "indexes")[] = ["indexes"], id = "ann") {
  const { headers } = await own.service.key({ scopes, principal: { id } });
  const call = (method: "GET" | "PUT" | "POST" | "DELETE", url: string, payload?: Buffer | string, type?: string) =>
    own.service.server.inject({
      method,
      url,
      headers: { ...headers, ...(payload !== undefined && { "content-type": type ?? "application/pdf" }) },
      ...(payload !== undefined && { payload }),
    });
  const search = async (query: string, top = 3): Promise<Hit[]> => {
    const answer = await call("POST", "/indexes/docs/search", JSON.stringify({ query, top }), "application/json");
    return answer.json().hits;
  };
  return { call, search };
}

describe("files of an index", () => {
  it("are read by their readers, whatever type they are sent as, and say the page that a passage stands on", async () => {
    const { call, search } = await client();
    await call("PUT", "/indexes/docs");
    const sent = await call("PUT", "/indexes/docs/files/guides/handbook.pdf", fixture("handbook-libreoffice.pdf"));
    expect([sent.statusCode, sent.json().files[0].path, sent.json().skipped]).toEqual([200, "guides/handbook.pdf", []]);
    const typed = await call("PUT", "/indexes/docs/files/a.json", '{"mooring": {"rope": "blue"}}', "application/json");
    expect(typed.json().files).toEqual([{ path: "a.json", passages: 1 }]);
    const form = await call("PUT", "/indexes/docs/files/form.txt", "plain words of a form", "multipart/form-data");
    expect(form.statusCode).toBe(200);
    const [hit] = await search("dog muzzle ferry");
    expect(hit?.passage.source).toMatchObject({ path: "guides/handbook.pdf", place: { unit: "page" } });
    expect((await search("mooring rope"))[0]?.passage.source).toMatchObject({ path: "a.json", lines: [1, 1] });
  });

  it("take the place of what was read of their path before, and go with it, also after a restart", async () => {
    const { call, search } = await client();
    await call("PUT", "/indexes/docs");
    await call("PUT", "/indexes/docs/files/a.md", "# Old\n\nThe lantern is green.\n\n# Both\n\nThe keel is oak.\n");
    await call("PUT", "/indexes/docs/files/a.md.bak", "The anchor is iron.");
    const again = await call("PUT", "/indexes/docs/files/a.md", "# Both\n\nThe keel is elm.\n");
    expect(again.json()).toMatchObject({ passages: 2, removed: 1 });
    expect(await search("lantern")).toEqual([]);
    expect((await search("keel"))[0]?.passage.text).toContain("elm");
    const gone = await call("DELETE", "/indexes/docs/files/a.md");
    expect(gone.json()).toMatchObject({ passages: 1, removed: 1 });
    expect(await search("keel")).toEqual([]);
    expect(await search("anchor")).toHaveLength(1);
  });

  it("come in a form, all or none, and one that cannot be read is named and leaves the others alone", async () => {
    const { call, search } = await client();
    await call("PUT", "/indexes/docs");
    const sent = form([
      { name: "docs/stations.csv", bytes: fixture("stations.csv") },
      { name: "scan.pdf", bytes: fixture("scanned-reportlab.pdf") },
      { name: "note.md", bytes: "# Rope\n\nThe rope is blue.\n" },
    ]);
    const { statusCode, ...answer } = await call("POST", "/indexes/docs/files", sent.payload, sent.type);
    expect(statusCode).toBe(200);
    expect(answer.json().files.map(({ path }: { path: string }) => path)).toEqual(["docs/stations.csv", "note.md"]);
    expect(answer.json().skipped).toEqual([expect.objectContaining({ path: "scan.pdf", reason: "no-text" })]);
    expect((await search("rope"))[0]?.passage.source?.path).toBe("note.md");

    const twice = form([
      { name: "new.md", bytes: "The winch is new." },
      { name: "new.md", bytes: "The winch is old." },
    ]);
    const refused = await call("POST", "/indexes/docs/files", twice.payload, twice.type);
    expect([refused.statusCode, refused.json().code, refused.json().path]).toEqual([400, "BAD_ARGUMENT", "new.md"]);
    expect(await search("winch")).toEqual([]);
  });

  it("that cannot be read are refused by themselves, and what was there before stays", async () => {
    const { call, search } = await client();
    await call("PUT", "/indexes/docs");
    await call("PUT", "/indexes/docs/files/rules.pdf", fixture("rules-reportlab.pdf"));
    const before = (await call("GET", "/indexes/docs")).json().passages;
    for (const bytes of [fixture("locked-reportlab.pdf"), Buffer.from("%PDF-1.7 broken")]) {
      const refused = await call("PUT", "/indexes/docs/files/rules.pdf", bytes);
      expect([refused.statusCode, refused.json().code, refused.json().path]).toEqual([
        400,
        "BAD_ARGUMENT",
        "rules.pdf",
      ]);
    }
    expect((await call("GET", "/indexes/docs")).json().passages).toBe(before);
    const large = await call("PUT", "/indexes/docs/files/large.txt", "word ".repeat(300_000), "text/plain");
    expect([large.statusCode, large.json().message]).toEqual([400, "the file was not read: too-large"]);
    expect(await search("word")).toEqual([]);
  });

  it("have paths that stay below a folder", async () => {
    const { call } = await client();
    await call("PUT", "/indexes/docs");
    for (const path of ["a//b.txt", "a%5cb.txt", "a%00.txt", "x".repeat(1001)]) {
      const refused = await call("PUT", `/indexes/docs/files/${path}`, "words", "text/plain");
      expect([path, refused.statusCode, refused.json().code]).toEqual([path, 400, "BAD_ARGUMENT"]);
    }
    for (const name of ["../secret.txt", "/etc/secret.txt"]) {
      const { payload, type } = form([{ name, bytes: "words" }]);
      const refused = await call("POST", "/indexes/docs/files", payload, type);
      expect([name, refused.statusCode, refused.json().code]).toEqual([name, 400, "BAD_ARGUMENT"]);
    }
    const { payload, type } = form([]);
    expect((await call("POST", "/indexes/docs/files", payload, type)).json().code).toBe("BAD_ARGUMENT");
    expect((await call("POST", "/indexes/docs/files", "{}", "application/json")).statusCode).toBe(415);
    expect((await call("GET", "/indexes/docs")).json().passages).toBe(0);
  });

  it("need the right to change the index, and show their passages to those whom `access` names", async () => {
    const { call } = await client();
    await call("PUT", "/indexes/docs");
    const sent = await call("PUT", "/indexes/docs/files/a.md?access=principal:bob&access=group:staff", "The rope.");
    expect(sent.statusCode).toBe(200);
    const bob = await client(["indexes"], "bob");
    const ann = await client(["indexes"]);
    expect(await ann.search("rope")).toEqual([]);
    expect((await bob.search("rope"))[0]?.passage.metadata.access).toEqual(["principal:bob", "group:staff"]);
    const { payload, type } = form([{ name: "b.md", bytes: "words" }]);
    const reader = await client(["run"], "bob");
    for (const other of [bob, reader])
      for (const answer of [
        await other.call("PUT", "/indexes/docs/files/b.md", "words", "text/plain"),
        await other.call("POST", "/indexes/docs/files", payload, type),
        await other.call("DELETE", "/indexes/docs/files/a.md"),
      ])
        expect([answer.statusCode, answer.json().code]).toEqual([403, "FORBIDDEN"]);
    expect((await call("GET", "/indexes/docs")).json().passages).toBe(1);
    expect((await call("PUT", "/indexes/nothing/files/a.md", "words")).json().code).toBe("NOT_FOUND");
  });

  it("are described: the bytes of one file, and a form of several", async () => {
    const { paths } = (await own.service.server.inject({ url: "/openapi.json" })).json();
    expect(Object.keys(paths["/indexes/{name}/files/{path}"].put.requestBody.content)).toEqual([
      "application/octet-stream",
    ]);
    expect(Object.keys(paths["/indexes/{name}/files"].post.requestBody.content)).toEqual(["multipart/form-data"]);
    const names = paths["/indexes/{name}/files/{path}"].put.parameters.map(({ name }: { name: string }) => name);
    expect(names).toEqual(["name", "path", "access"]);
  });
});
