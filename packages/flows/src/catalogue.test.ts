import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import {
  type Flow,
  type FlowDocument,
  first,
  flow,
  is,
  named,
  parseDocument,
  printFlow,
  use,
  value,
} from "@tessera/core";
import { canonical, hashDocument } from "@tessera/core/internal";
import { checkFlow, mermaid } from "@tessera/graph";
import { flows } from "./catalogue.js";
import { importOf, modules, operators } from "./operators.fixture.js";

const builder = { flow, first, is, named, use, value };

/** Runs printed code for real: its imports become the parameters of a function. */
function evaluate(code: string): FlowDocument {
  const parameters = new Map<string, unknown>();
  const body = code
    .replace(/^import \{ (.*) \} from "(.*)";$/gm, (_, names: string, from: string) => {
      for (const name of names.split(", ")) {
        const [exported, local = exported] = name.split(" as ");
        const members: Readonly<Record<string, unknown>> = from === "@tessera/core" ? builder : modules[from]!;
        expect(Object.hasOwn(members, exported!)).toBe(true);
        parameters.set(local!, members[exported!]);
      }
      return "";
    })
    .replace(/^export const (\S+) = /m, "return ");
  const made = new Function(...parameters.keys(), `"use strict";${body}`)(...parameters.values()) as Flow<
    unknown,
    unknown
  >;
  return made.document;
}

const read = (name: string): FlowDocument =>
  parseDocument(JSON.parse(readFileSync(new URL(`./${name}/flow.json`, import.meta.url), "utf8")));

describe.each([...flows])("the flow %s", (name, { flow: { document }, summary }) => {
  it("bears the name of its folder and says in one sentence what it is", () => {
    expect(document.name).toBe(name);
    expect(summary).toMatch(/^[A-Z].*\.$/);
  });

  it("stands in flow.json as the code composes it", () => {
    expect(hashDocument(read(name))).toBe(hashDocument(document));
  });

  it("has a page with its drawing and its paper, and a line in the list", () => {
    const page = (file: string) => readFileSync(new URL(`../../../docs/flows/${file}`, import.meta.url), "utf8");
    expect(page(`${name}.md`)).toContain(mermaid(document));
    // two flows that are only compared with have none
    if (!["best-of-n", "consensus"].includes(name))
      expect(page(`${name}.md`)).toMatch(
        /^Paper: \[.+ \d{4}, arXiv (\d{4}\.\d{5})\]\(https:\/\/arxiv\.org\/abs\/\1\)\.$/m,
      );
    expect(page("README.md")).toContain(`[${name}](${name}.md)`);
  });

  it.each([
    ["names of operators", {}],
    ["imported operators", { importOf }],
  ])("is the same after code, JSON, code, JSON, printed with %s", (_, options) => {
    const printed = printFlow(read(name), options);
    const again = evaluate(printed);
    expect(canonical(again)).toEqual(canonical(document));
    expect(hashDocument(parseDocument(JSON.parse(JSON.stringify(again))))).toBe(hashDocument(document));
    expect(printFlow(again, options)).toBe(printed);
  });

  it("is checked without a finding, and has a bound", () => {
    const { findings, bound } = checkFlow(read(name), operators);
    expect(findings).toEqual([]);
    expect(Number.isFinite(bound.calls) && Number.isFinite(bound.tokens)).toBe(true);
  });
});
