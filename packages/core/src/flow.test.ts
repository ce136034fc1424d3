import { describe, expect, it } from "@jest/globals";
import { z } from "zod";
import { parseDocument } from "./document.js";
import { first, flow, is, named, value } from "./flow.js";
import { operator } from "./operator.js";
import { hits } from "./passage.js";
import { flag, text } from "./ports.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const search = operator({
  name: "test.search",
  version: 1,
  about,
  config: z.strictObject({ top: z.int().default(5) }),
  ports: { input: { query: text }, output: { hits } },
  setup: () => () => ({ hits: [] }),
});
const fuse = operator({
  name: "test.fuse",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { lists: z.array(hits) }, output: { hits } },
  setup: () => () => ({ hits: [] }),
});
const weigh = operator({
  name: "test.weigh",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { lists: z.record(z.string(), hits) }, output: { hits } },
  setup: () => () => ({ hits: [] }),
});
const route = operator({
  name: "test.route",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { query: text, note: text.optional() }, output: { choice: z.enum(["deep", "shallow"]), sure: flag } },
  setup: () => () => ({ choice: "deep" as const, sure: true }),
});
const improve = operator({
  name: "test.improve",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: {
    input: { query: text, turn: z.number().optional() },
    output: { query: text, good: flag, rest: z.array(text) },
  },
  setup: () => () => ({ query: "", good: true, rest: [] }),
});

describe("the builder", () => {
  it("writes the document that JSON would hold", () => {
    const built = flow("ask", { query: "text" }, (f, { query }) => {
      const { choice } = f.node("route", route(), { query });
      const near = f.node("near", search({ top: 3 }), { query }, { when: is(choice, "shallow") });
      const far = f.node("far", search(), { query }, { when: is(choice, "deep"), policy: { timeoutMs: 10 } });
      const both = f.node("fuse", fuse(), { lists: [near.hits, far.hits] });
      return { hits: both.hits, any: first(near.hits, far.hits, value([])) };
    });
    expect(built.document).toEqual({
      version: 1,
      name: "ask",
      input: { query: "text" },
      nodes: {
        route: { run: "test.route", in: { query: "input.query" } },
        near: {
          run: "test.search",
          with: { top: 3 },
          in: { query: "input.query" },
          when: { "route.choice": "shallow" },
        },
        far: {
          run: "test.search",
          in: { query: "input.query" },
          when: { "route.choice": "deep" },
          policy: { timeoutMs: 10 },
        },
        fuse: { run: "test.fuse", in: { lists: ["near.hits", "far.hits"] } },
      },
      output: { hits: "fuse.hits", any: { first: ["near.hits", "far.hits", { value: [] }] } },
    });
    expect(parseDocument(JSON.parse(JSON.stringify(built.document)))).toEqual(built.document);
  });

  it("has types that refuse what the compiler would refuse", () => {
    flow("types", { query: "text", queries: { list: "text" } }, (f, { query, queries }) => {
      const { choice, sure } = f.node("route", route(), { query });
      const found = f.node("search", search(), { query });
      f.node("weigh", weigh(), { lists: named({ a: found.hits, b: found.hits }) });
      f.node("constant", search(), { query: value("hello") });
      const many = f.each("many", search(), { over: "query", max: 5 }, { query: queries });
      f.node("all", fuse(), { lists: many.hits });
      f.repeat("loop", improve(), { until: "good", while: "rest", carry: { query: "query" }, max: 3 }, { query });
      f.node("flagged", search(), { query }, { when: [is(sure, true), is(choice, "deep", "shallow")] });

      // @ts-expect-error a list of texts is no list of hits
      f.node("a", fuse(), { lists: [query] });
      // @ts-expect-error the port "query" is not fed
      f.node("b", search(), {});
      // @ts-expect-error there is no port "question"
      f.node("c", search(), { query, question: query });
      // @ts-expect-error hits are not text
      f.node("d", search(), { query: found.hits });
      // @ts-expect-error "query" is no flag
      f.repeat("e", improve(), { until: "query", carry: { query: "query" }, max: 3 }, { query });
      // @ts-expect-error "rest" cannot be carried into a text
      f.repeat("g", improve(), { until: "good", carry: { query: "rest" }, max: 3 }, { query });
      // @ts-expect-error the router has no such choice
      f.node("h", search(), { query }, { when: is(choice, "middle") });
      // @ts-expect-error a text is no decision that can be false
      f.node("i", search(), { query }, { when: is(query, false) });
      // @ts-expect-error the config has no such setting
      search({ topp: 3 });
      // @ts-expect-error one text is no list of texts
      f.each("j", search(), { over: "query", max: 5 }, { query });
      return { query };
    });
  });

  it("infers what a flow takes and gives, so that a flow is an operator", () => {
    const inner = flow("inner", { query: "text", note: { optional: "text" } }, (f, { query }) => ({
      hits: f.node("search", search(), { query }).hits,
    }));
    const outer = flow("outer", { query: "text" }, (f, { query }) => {
      const { hits } = f.node("inner", inner, { query });
      // @ts-expect-error the inner flow gives hits, not an answer
      const wrong = f.node("again", inner, { query }).answer;
      return { hits, wrong };
    });
    expect((outer.document.nodes.inner!.run as { name: string }).name).toBe("inner");
  });

  it("refuses two nodes of one name, and inputs that the flow does not have", () => {
    expect(() =>
      flow("twice", { query: "text" }, (f, { query }) => {
        f.node("search", search(), { query });
        return f.node("search", search(), { query });
      }),
    ).toThrow(expect.objectContaining({ code: "BAD_DOCUMENT", path: "search" }));
    expect(() =>
      flow("none", { query: "text" }, (_, input) => ({ it: (input as unknown as Record<string, never>).qery! })),
    ).toThrow(expect.objectContaining({ code: "UNKNOWN_PORT", hint: 'did you mean "query"?' }));
  });
});
