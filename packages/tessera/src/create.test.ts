import { describe, expect, it } from "@jest/globals";
import { flow, operator, type Resource, text } from "@tessera/core";
import { z } from "zod";
import { createTessera } from "./create.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const greet = operator({
  name: "test.greet",
  version: 1,
  about,
  config: z.strictObject({ resource: z.string().default("words") }),
  ports: { input: { name: text }, output: { greeting: text } },
  async setup({ resource }, host) {
    const words = await host.resource<Resource & { word: string }>("words", resource);
    return async ({ name }, { emit }) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      emit("greeting", words.word);
      return { greeting: `${words.word} ${name}` };
    };
  },
});
const hello = flow("hello", { name: "text" }, (f, input) => ({ greeting: f.node("greet", greet(), input).greeting }));

function words(order: string[], name: string) {
  return () => ({
    revision: "1",
    word: name,
    close: async () => {
      order.push(name);
    },
  });
}

const shout = (mark: string, version = 1) =>
  operator({
    name: "test.shout",
    version,
    about: { ...about, summary: `Adds ${mark}.` },
    config: z.strictObject({}),
    ports: { input: { name: text }, output: { said: text } },
    setup:
      () =>
      ({ name }) => ({ said: name + mark }),
  });

describe("operators of flows composed in code", () => {
  const loud = shout("!");
  const inner = flow("inner", { name: "text" }, (f, input) => ({ said: f.node("shout", loud(), input).said }));
  const outer = flow("outer", { name: "text" }, (f, input) => ({ said: f.node("inner", inner, input).said }));

  it("need not be given besides, also those of a flow in a flow, and after a reload", async () => {
    const tessera = createTessera({ flows: { outer } as Record<string, typeof outer> });
    expect((await tessera.run("outer", { name: "ferry" })).output).toEqual({ said: "ferry!" });
    expect(tessera.operators.map(({ name }) => name)).toContain("test.shout");
    await tessera.reload({ flows: { inner } });
    expect((await tessera.run("inner", { name: "tug" })).output).toEqual({ said: "tug!" });
    await tessera.close();
  });

  it("are refused where two of them have one name and are not the same", async () => {
    const quiet = shout("?");
    const other = flow("other", { name: "text" }, (f, input) => ({ said: f.node("shout", quiet(), input).said }));
    await expect(createTessera({ flows: { inner, other } }).start()).rejects.toMatchObject({
      code: "BAD_OPERATOR",
      path: "other",
    });
    // a package that is installed twice
    const twin = shout("!");
    const same = flow("same", { name: "text" }, (f, input) => ({ said: f.node("shout", twin(), input).said }));
    const tessera = createTessera({ flows: { inner, same } });
    expect((await tessera.run("same", { name: "a" })).output).toEqual({ said: "a!" });
    await tessera.close();
  });
});

describe("createTessera", () => {
  it("runs flows with the types of the flow, and closes what it opened", async () => {
    const order: string[] = [];
    const tessera = createTessera({
      flows: { hello },
      operators: [greet],
      resources: { words: { words: words(order, "hello"), unused: words(order, "unused") } },
    });
    const { output } = await tessera.run("hello", { name: "you" });
    const greeting: string = output.greeting;
    expect(greeting).toBe("hello you");
    // @ts-expect-error there is no such flow
    await expect(tessera.run("helo", { name: "you" })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      hint: 'did you mean "hello"?',
    });
    // @ts-expect-error the flow takes a name
    await expect(tessera.run("hello", { nam: "you" })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await tessera.close();
    await tessera.close();
    expect(order).toEqual(["hello"]);
    await expect(tessera.run("hello", { name: "you" })).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("takes the same flow as JSON", async () => {
    const tessera = createTessera({
      flows: { hello: JSON.parse(JSON.stringify(hello.document)) as typeof hello.document },
      operators: [greet],
      resources: { words: { words: words([], "hi") } },
    });
    expect((await tessera.run("hello", { name: "you" })).output).toEqual({ greeting: "hi you" });
  });

  it("drains: what runs ends, what is new is refused, and only then resources close", async () => {
    const order: string[] = [];
    const tessera = createTessera({
      flows: { hello },
      operators: [greet],
      resources: { words: { words: words(order, "hello") } },
    });
    await tessera.start();
    const run = tessera.run("hello", { name: "you" }).then(({ output }) => order.push(output.greeting));
    await null;
    const stream = await tessera.stream("hello", { name: "us" });
    const closing = tessera.close();
    await expect(tessera.run("hello", { name: "late" })).rejects.toMatchObject({ code: "CLOSED" });
    await Promise.all([closing, run]);
    expect((await stream.result).output).toEqual({ greeting: "hello us" });
    expect(order).toEqual(["hello you", "hello"]);
  });

  it("reports the findings of all flows, opens a resource once, and can be started again after a failure", async () => {
    let opened = 0;
    let broken = true;
    const bad = flow("bad", { name: "text" }, (f, input) => ({
      greeting: f.node("greet", greet({ resource: "word" }), input).greeting,
    }));
    const again = flow("again", { name: "text" }, (f, input) => ({
      greeting: f.node("greet", greet(), input).greeting,
    }));
    const tessera = createTessera({
      flows: { hello, again, bad },
      operators: [greet],
      resources: {
        words: {
          words: async () => {
            opened++;
            if (broken) throw new Error("no network");
            return { revision: "1", word: "hello" } as Resource;
          },
        },
      },
    });
    await expect(tessera.start()).rejects.toMatchObject({
      code: "INVALID_FLOW",
      findings: [
        { code: "SETUP_FAILED" },
        { code: "SETUP_FAILED" },
        { code: "UNKNOWN_RESOURCE", hint: 'did you mean "words"?' },
      ],
    });
    broken = false;
    const before = opened;
    await expect(tessera.start()).rejects.toMatchObject({ findings: [{ code: "UNKNOWN_RESOURCE" }] });
    expect(opened).toBe(before + 1);
  });

  it("refuses flows whose key is not the name of their document, all at once, and a reload with one", async () => {
    const { document } = hello;
    const mismatch = (key: string) => ({
      code: "BAD_ARGUMENT",
      path: key,
      message: expect.stringContaining('"hello"'),
    });
    const flows = { hello, again: hello, other: document };
    expect(() => createTessera({ flows, operators: [greet] })).toThrow(
      expect.objectContaining({
        code: "INVALID_FLOW",
        findings: [mismatch("again"), mismatch("other")].map((one) => expect.objectContaining(one)),
      }),
    );
    const resources = { words: { words: words([], "hello") } };
    const tessera = createTessera({ flows: { hello } as Record<string, typeof hello>, operators: [greet], resources });
    await expect(tessera.reload({ flows: { hi: hello } })).rejects.toMatchObject({ findings: [mismatch("hi")] });
    expect((await tessera.run("hello", { name: "you" })).output).toEqual({ greeting: "hello you" });
    await tessera.close();
  });

  it("leaves what is no document at all to the check of documents", async () => {
    const tessera = createTessera({ flows: { broken: { nodes: 3 } as never, nothing: null as never } });
    await expect(tessera.start()).rejects.toMatchObject({ code: "INVALID_FLOW" });
  });
});
