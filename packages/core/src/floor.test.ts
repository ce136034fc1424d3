import { readFileSync } from "node:fs";
import { expect, it } from "@jest/globals";
import { assertNode } from "./floor.js";

it("an older Node than package.json asks for is refused in one line, and that one is taken", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(manifest.engines.node)!.map(Number) as [number, number, number];
  expect(() => assertNode(`${major}.${minor - 1}.0`)).toThrow(`Node ${major}.${minor} or later`);
  expect(() => assertNode(`${major - 2}.20.2`)).toThrow(`Node ${major}.${minor} or later`);
  expect(() => assertNode(`${major}.${minor}.0`)).not.toThrow();
  expect(() => assertNode(`${major + 2}.0.0`)).not.toThrow();
});
