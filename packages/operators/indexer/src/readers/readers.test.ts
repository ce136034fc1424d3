import { afterAll, describe, expect, it } from "@jest/globals";
import { Readers } from "./readers.js";

const text = (words: string) => new TextEncoder().encode(words);
const standIns = new URL("./stand-ins.fixture.ts", import.meta.url).href;

describe("readers", () => {
  const opened = Readers.open({
    modules: [standIns],
    limits: { time: 1_500, memory: 400e6, blocks: 1000, depth: 4 },
  });
  afterAll(async () => (await opened).close());
  const read = async (path: string) => (await opened).read({ path, bytes: text("Twelve days.") });

  it("leaves out a file that takes too much or breaks its reader, says so, and reads the next one", async () => {
    const files = ["loops", "throws", "rejects", "exits", "heap", "buffers", "network", "nested", "many"];
    const results: [string, unknown][] = [];
    for (const name of files) {
      const result = await read(`a.${name}`);
      results.push([name, "reason" in result ? result.reason : result]);
      expect(await read("b.good")).toMatchObject({ reader: "good", text: "Twelve days.", title: "Good" });
    }
    expect(results).toEqual([
      ["loops", "limit"],
      ["throws", "damaged"],
      ["rejects", "damaged"],
      ["exits", "damaged"],
      ["heap", "limit"],
      ["buffers", "limit"],
      ["network", "damaged"],
      ["nested", "limit"],
      ["many", "limit"],
    ]);
    expect(await read("a.network")).toMatchObject({ detail: expect.stringContaining("reaches no network") });
    expect(await read("a.loops")).toMatchObject({ detail: expect.stringContaining("1.5 s") });
  });

  it("reads many at once, each with its own end", async () => {
    const names = Array.from({ length: 40 }, (_, index) => (index % 7 === 3 ? "throws" : "good"));
    const results = await Promise.all(names.map((name, index) => read(`${index}.${name}`)));
    expect(results.map((result) => "text" in result)).toEqual(names.map((name) => name === "good"));
  });

  it("ends what is read where the signal aborts", async () => {
    const stop = new AbortController();
    const reading = (await opened).read({ path: "a.loops", bytes: text("x") }, stop.signal);
    setTimeout(() => stop.abort(new Error("enough")), 50);
    await expect(reading).rejects.toThrow("enough");
  });

  it("names the module that is no reader", async () => {
    const absent = new URL("./absent.js", import.meta.url).href;
    await expect(Readers.open({ modules: [absent] })).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: absent });
    const none = new URL("./layout.ts", import.meta.url).href;
    await expect(Readers.open({ modules: [none] })).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: none });
  });

  it("has another revision with other readers or limits", async () => {
    const all = [
      await Readers.open(),
      await Readers.open({ limits: { pages: 3 } }),
      await opened,
      await Readers.open(),
    ];
    const [usual, limited, added, again] = all.map(({ revision }) => revision);
    expect(again).toBe(usual);
    expect(new Set([usual, limited, added]).size).toBe(3);
  });
});
