import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { createProject, type Template, templates } from "./project.js";

const folder = mkdtempSync(join(tmpdir(), "create-tessera-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("a new project", () => {
  it.each(Object.keys(templates) as Template[])(
    "of the template %s has a program, a test and its own name",
    (template) => {
      const files = createProject(join(folder, template), template);
      expect(files).toEqual(expect.arrayContaining([".gitignore", "README.md", "package.json", "tsconfig.json"]));
      expect(files.filter((file) => file.endsWith(".test.ts"))).toHaveLength(1);
      const text = readFileSync(join(folder, template, "package.json"), "utf8");
      expect(text).not.toContain("{{");
      expect(JSON.parse(text).name).toBe(template);
    },
  );

  it("is written over nothing, and takes no name that npm refuses", () => {
    writeFileSync(join(folder, "file.txt"), "");
    expect(() => createProject(folder, "flow")).toThrow("is not empty");
    expect(() => createProject(join(folder, "a b"), "flow")).toThrow("cannot name a package");
  });
});
