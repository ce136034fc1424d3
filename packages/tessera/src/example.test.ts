import { describe, expect, it } from "@jest/globals";
import type { FlowDocument } from "@tessera/core";
import { flowDocument, isOptional, portTypeOf } from "@tessera/core/internal";
import { compile } from "@tessera/graph";
import { hostOf } from "@tessera/testkit";
import type { z } from "zod";
import { catalogue, operators } from "./catalogue.js";
import { exampleOf } from "./example.js";

describe("the example of an operator", () => {
  it.each([...catalogue.keys()])("row 1: %s could stand so in a flow", async (name) => {
    const example = exampleOf(name);
    const { operator } = catalogue.get(name)!;
    const settings = operator.config.parse(example.with ?? {});
    const { input, output } = typeof operator.ports === "function" ? operator.ports(settings) : operator.ports;
    const typesOf = (ports: Record<string, z.ZodType>) =>
      Object.entries(ports).map(([port, schema]) => [port, portTypeOf(schema)] as const);
    const document: FlowDocument = {
      version: 1,
      name: "example",
      input: Object.fromEntries(typesOf(input).filter(([port]) => port in example.in)),
      nodes: { node: example },
      output: Object.fromEntries(
        typesOf(output)
          .filter(([, type]) => !isOptional(type))
          .map(([port]) => [port, `node.${port}`]),
      ),
    };
    expect(flowDocument.safeParse(document).success).toBe(true);
    // a host without any resource: nothing else may be wrong
    const findings = await compile(document, { operators, host: hostOf() }).then(
      () => [],
      (error) => (error.findings ?? [error]) as { code: string; path: string }[],
    );
    expect(findings.filter(({ code }) => code !== "UNKNOWN_RESOURCE")).toEqual([]);
  });

  it("is none of an operator that is not there", () => {
    expect(() => exampleOf("fuser.none")).toThrow(expect.objectContaining({ code: "UNKNOWN_OPERATOR" }));
  });
});
