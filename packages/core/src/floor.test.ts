import { describe, expect, it } from "@jest/globals";
import { assertNode } from "./floor.js";

describe("assertNode", () => {
  it.each(["22.12.0", "22.20.1", "24.0.0", "100.0.0"])("lets %s pass", (version) => {
    expect(() => assertNode(version)).not.toThrow();
  });

  it.each(["18.20.8", "20.19.5", "22.11.9", "9.0.0"])("says on %s in one line what is needed", (version) => {
    expect(() => assertNode(version)).toThrow(`Tessera needs Node 22.12 or later; this is v${version}.`);
  });
});
