import { describe, expect, it } from "@jest/globals";
import { z } from "zod";
import { isOperator, operator, use } from "./operator.js";
import { text } from "./ports.js";

const declare = (name: string) =>
  operator({
    name,
    version: 3,
    about: { module: "data", submodule: "test", summary: "For tests." },
    config: z.strictObject({ size: z.int().optional() }),
    ports: { input: { text }, output: { text } },
    effects: "none",
    setup: () => (input) => input,
  });

describe("operator", () => {
  it("is its own specification, and makes a piece when it is called", () => {
    const echo = declare("test.echo");
    expect(isOperator(echo)).toBe(true);
    expect({ name: echo.name, version: echo.version, effects: echo.effects }).toEqual({
      name: "test.echo",
      version: 3,
      effects: "none",
    });
    expect(echo()).toEqual({ run: "test.echo", operators: [echo] });
    expect(echo({ size: 2 })).toEqual({ run: "test.echo", with: { size: 2 }, operators: [echo] });
    expect(echo({ size: 2 })).toMatchObject(use("test.echo", { size: 2 }));
  });

  it.each(["echo", "Test.echo", "test.", ".echo", "test.echo.more", "test.ec ho", "__proto__", "", "test.echo\n"])(
    "refuses the name %j",
    (name) => {
      expect(() => declare(name)).toThrow(expect.objectContaining({ code: "BAD_OPERATOR", hint: expect.any(String) }));
    },
  );

  it("nothing else is taken for an operator", () => {
    for (const other of [null, undefined, {}, () => 0, "test.echo", { name: "test.echo" }])
      expect(isOperator(other)).toBe(false);
  });
});
