import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";

const folder = import.meta.dirname;
const docs = join(folder, "..", "..", "docs");
const page = (name: string) => readFileSync(join(folder, "dist", name), "utf8");

describe("the site", () => {
  let output = "";

  beforeAll(() => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["build.mjs"], { cwd: folder, encoding: "utf8" });
    output = `${stdout}${stderr}`;
    if (status !== 0) throw new Error(output);
  });

  it("is built of every page of docs, and no link between them is dead", () => {
    expect(output).not.toContain("dead link");
    const sources = globSync("**/*.md", { cwd: docs }).filter((name) => !name.startsWith("examples"));
    const built = sources.map((name) => name.replace(/README\.md$/, "index.md").replace(/\.md$/, ".html"));
    expect(built.filter((name) => !existsSync(join(folder, "dist", name)))).toEqual([]);
  });

  it("begins with a page of its own, and its menu leads to every other", () => {
    expect(page("index.html")).toContain("updateCodebase");
    const menu = page("start.html").slice(page("start.html").indexOf("VPSidebar"));
    const named = globSync("*.md", { cwd: docs }).map((name) => `/${name.replace(/\.md$/, "")}`);
    expect(named.filter((name) => !menu.includes(`href="${name}.html"`) && !menu.includes(`href="${name}"`))).toEqual(
      [],
    );
  });

  it("shows the programs of the recipes, and what pages write between angle brackets", () => {
    expect(page("recipes.html")).toContain("createTessera");
    expect(page("design.html")).toContain("&lt;module&gt;");
    // the theme's own words are filled in
    expect(page("start.html")).not.toContain("{{");
  });

  it("is searched in the page, from an index that it brings", () => {
    expect(globSync("dist/assets/chunks/@localSearchIndex*.js", { cwd: folder })).toHaveLength(1);
  });
});
