import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { read, shown } from "./reading.fixture.js";

const conf = `{
  // limits
  "server": { "port": 8080, "limits": { "uploadMegabytes": 20, "types": ["pdf", "docx"] } },
  "stations": [
    { "name": "Alder", "fee": 12 },
    { "name": "Birch", "fee": 7, "far": { "km": 3 } }
  ],
  "long.key": null,
}`;

describe("the JSON readers", () => {
  it("reads each value with its path and lines, and each element of a list of maps by itself", async () => {
    expect(await shown("conf.json", conf)).toEqual([
      ["conf.json:3-3", "server.port: 8080\nserver.limits.uploadMegabytes: 20\nserver.limits.types: pdf, docx"],
      ["conf.json:5-5", "stations[0]; name: Alder; fee: 12"],
      ["conf.json:6-6", "stations[1].name: Birch\nstations[1].fee: 7\nstations[1].far.km: 3"],
      ["conf.json:8-8", '["long.key"]: null'],
    ]);
  });

  it("cuts data in letters, reads what is no JSON as text, and stops at what is nested too deep", async () => {
    const data = await shown("a.json", JSON.stringify({ image: "A".repeat(48_000), name: "plan" }));
    expect(data[0]![1]).toMatch(/^image: A{40} … \(48000 characters\)\nname: plan$/);
    expect(await read("a.json", "not json")).toMatchObject({ reader: "json", text: "not json" });
    expect(await read("a.json", "[".repeat(100_000))).toMatchObject({ reason: "limit" });
  });

  it("reads a record a line, and names the lines that are none", async () => {
    const text = '{"id":1,"place":{"name":"Alder"}}\n\n{broken\n{"id":2,"tags":["a","b"]}\n';
    expect(await shown("a.jsonl", text)).toEqual([
      ["a.jsonl:1-1", "id: 1; place.name: Alder"],
      ["a.jsonl:4-4", "id: 2; tags: a, b"],
    ]);
    expect(await read("a.jsonl", text)).toMatchObject({ unread: [{ reason: "partial", detail: "lines 3: no JSON" }] });
  });

  it("loses no value of any JSON, in JSON and in lines", async () => {
    const word = fc.stringMatching(/^[a-z]{3,8}$/);
    const value = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        word,
        fc.integer(),
        fc.array(tie("tree"), { minLength: 1, maxLength: 4 }),
        fc.dictionary(word, tie("tree"), { minKeys: 1, maxKeys: 4 }),
      ),
    })).tree;
    const leaves = (one: unknown): string[] =>
      one !== null && typeof one === "object" ? Object.values(one).flatMap(leaves) : [String(one)];
    await fc.assert(
      fc.asyncProperty(fc.dictionary(word, value, { minKeys: 1 }), fc.constantFrom(0, 2), async (tree, indent) => {
        for (const [path, text] of [
          ["a.json", JSON.stringify(tree, undefined, indent)],
          ["a.jsonl", JSON.stringify(tree)],
          ["a.yaml", JSON.stringify(tree, undefined, indent)],
        ]) {
          const all = (await shown(path!, text!)).map(([, body]) => body).join("\n");
          for (const leaf of leaves(tree)) expect(all).toContain(leaf);
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe("the YAML reader", () => {
  it("reads each value as it is written, with its path and its comment, document by document", async () => {
    const text = `# how much may come in
server:
  limits:
    uploadMegabytes: 20  # by the proxy too
    version: 0.10
stations:
  - name: Alder
    fee: 12
  - name: Birch
    fee: 7
---
second: yes
`;
    expect(await shown("a.yaml", text)).toEqual([
      [
        "a.yaml:2-5",
        "server: # how much may come in\nserver.limits.uploadMegabytes: 20 # by the proxy too\nserver.limits.version: 0.10",
      ],
      ["a.yaml:7-8", "stations[0]; name: Alder; fee: 12"],
      ["a.yaml:9-10", "stations[1]; name: Birch; fee: 7"],
      ["a.yaml:12-12", "second: yes"],
    ]);
  });

  it("reads a template of YAML as text", async () => {
    expect(await read("a.yaml", "{{- if .x }}\na: [\n{{ end }}")).toMatchObject({ reader: "yaml", language: "yaml" });
  });
});
