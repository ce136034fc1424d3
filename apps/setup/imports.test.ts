import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { parseSync } from "@swc/core";
import { circlesIn, unexplainedCircles } from "./circles.mjs";
import {
  entryOf,
  exportsOf,
  faceFaults,
  importFaults,
  marksOf,
  staleApi,
  undocumented,
  unusedExports,
} from "./face.mjs";
import { bundled } from "./floors.mjs";
import { generated, misplaced } from "./generate.mjs";
import { root, workspaces } from "./setup.mjs";

const aside = new Set([
  "node_modules",
  "dist",
  ".test",
  ".turbo",
  "fixtures",
  "samples",
  "templates",
  "pages",
  "__pycache__",
  ".venv",
]);

function* typescriptIn(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!aside.has(entry.name)) yield* typescriptIn(path);
    } else if (/\.(ts|tsx|mts|mjs)$/.test(entry.name)) yield path;
  }
}

interface Literal {
  readonly type: string;
  readonly value: string;
}
/** What is read of swc's syntax tree. */
interface SyntaxNode {
  readonly type: string;
  readonly source?: Literal | null;
  readonly callee?: { readonly type: string };
  readonly arguments?: readonly { readonly expression: Literal }[];
  readonly argument?: Literal;
}

/** The specifiers of everything that a source imports, types and dynamic imports included. */
function importsOf(text: string, { tsx = false } = {}): string[] {
  const found: string[] = [];
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(walk);
    if (typeof node !== "object" || node === null) return;
    const { type, source, callee, argument, arguments: args } = node as SyntaxNode;
    if (/^(Import|Export)/.test(type) && source) found.push(source.value);
    if (callee?.type === "Import" && args?.[0]?.expression.type === "StringLiteral")
      found.push(args[0].expression.value);
    if (type === "TsImportType" && argument) found.push(argument.value);
    Object.values(node).forEach(walk);
  };
  walk(parseSync(text, { syntax: "typescript", tsx, target: "es2023" }).body);
  return found;
}

const files = workspaces().flatMap((folder) => {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<
    string,
    Record<string, string>
  >;
  return [...typescriptIn(folder)].map((path) => ({
    path,
    place: relative(root, path),
    folder,
    manifest,
    text: readFileSync(path, "utf8"),
  }));
});

describe("imports", () => {
  it("are all found by the reader", () => {
    const text = `import a from "a"; import type { B } from "b"; import "c"; export * from "d"; export { e } from "e";
      const f = await import("f"); await import(variable); type G = import("g").G; const no = 'import x from "none"'; // import "none"`;
    expect(importsOf(text).sort()).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
  });

  it("never leave the package by a path, and name only what its package.json has", () => {
    const wrong = files.flatMap(({ path, place, folder, manifest, text }) => {
      // tests, and programs beside the sources, which are not part of what is installed
      const isTest = /\.(test|fixture)\.ts$/.test(path) || !place.split(sep).includes("src");
      // what the studio's page imports is bundled into it, and not installed
      const isBundled = place.startsWith(join("apps", "studio", "src"));
      const development = isTest || isBundled ? ["devDependencies"] : [];
      const intoBuild = (bundled as Record<string, object>)[basename(folder)] ?? {};
      const declared = new Set([
        ...Object.keys(intoBuild),
        ...["dependencies", "optionalDependencies", "peerDependencies", ...development].flatMap((kind) =>
          Object.keys(manifest[kind] ?? {}),
        ),
      ]);
      return importsOf(text, { tsx: path.endsWith(".tsx") })
        .filter((name) => {
          if (name.startsWith("node:")) return false;
          if (name.startsWith(".")) return !resolve(dirname(path), name).startsWith(folder + sep);
          const own = name
            .split("/")
            .slice(0, name.startsWith("@") ? 2 : 1)
            .join("/");
          return builtinModules.includes(own) || !declared.has(own);
        })
        .map((name) => `${place}: ${name}`);
    });
    expect(wrong).toEqual([]);
  });
});

describe("circles of imports", () => {
  const sources = new Map(
    files.filter(({ place }) => /(?<!\.test|\.fixture)\.tsx?$/.test(place)).map(({ place, text }) => [place, text]),
  );

  it("are found, also through an import for its effects, and not where only types are imported", () => {
    const circle = new Map([
      ["p/a.ts", 'import { b } from "./b.js";\nimport type { C } from "./c.js";\n'],
      ["p/b.ts", 'import "./in/c.js";\n'],
      ["p/in/c.ts", 'export {\n  a,\n} from "../a.js";\n'],
      ["p/c.ts", 'import type { a } from "./a.js";\n'],
    ]);
    expect(circlesIn(circle)).toEqual([["p/a.ts", "p/b.ts", "p/in/c.ts", "p/a.ts"]]);
    const group = ["p/a.ts", "p/b.ts", "p/c.ts", "p/in/c.ts"];
    expect(unexplainedCircles(circle)).toEqual([group]);
    expect(unexplainedCircles(new Map([...circle, ["p/d.ts", 'import "./a.js";\n']]))).toEqual([group]);
    const why = `// A circle of types: each names the other.\n${circle.get("p/c.ts")}`;
    expect(unexplainedCircles(new Map([...circle, ["p/c.ts", why]]))).toEqual([]);
    expect(
      unexplainedCircles(
        new Map([
          ["p/a.ts", 'import type { B } from "./b.js";\n'],
          ["p/b.ts", ""],
        ]),
      ),
    ).toEqual([]);
  });

  it("are none at run time", () => {
    expect(sources.size).toBeGreaterThan(500);
    expect(circlesIn(sources)).toEqual([]);
  });

  it("are of types only where a comment says why", () => {
    expect(unexplainedCircles(sources)).toEqual([]);
  });
});

describe("sources", () => {
  it("have at most 600 lines", () => {
    expect(files.filter(({ text }) => text.split("\n").length > 601).map(({ place }) => place)).toEqual([]);
  });

  it("an operator's file has at most 120 lines", () => {
    const operators = files.filter(
      ({ place, text }) => /^packages.*(?<!\.test|\.fixture)\.ts$/.test(place) && /\boperator\(\{/.test(text),
    );
    expect(operators.length).toBeGreaterThan(50);
    expect(operators.filter(({ text }) => text.split("\n").length > 121).map(({ place }) => place)).toEqual([]);
  });

  it("are called by what they do", () => {
    const vague = /^(utils?|helpers?|managers?|misc|common)\b|[-.](utils?|helpers?|managers?)\.[a-z]+$/i;
    expect(
      files.filter(({ place }) => place.split(sep).some((part) => vague.test(part))).map(({ place }) => place),
    ).toEqual([]);
  });

  it("hide no type error and skip no test in silence", () => {
    const silenced = files
      .filter(({ path }) => !path.endsWith("imports.test.ts"))
      .filter(({ text }) => /@ts-(ignore|nocheck)|\b(it|test|describe)\.(only|todo)\b/.test(text));
    expect(silenced.map(({ place }) => place)).toEqual([]);
  });
});

describe("the public face", () => {
  const source = (place: string, text: string) => ({
    place,
    from: `./${place.replace(/\.ts$/, ".js")}`,
    text,
    marks: marksOf(text),
    exports: exportsOf(text),
  });
  const a = source(
    "a.ts",
    "// public: One, two\n// internal: three\nexport interface One {}\nexport const two = 2;\nexport function three() {}\nexport class Four {}\n",
  );
  const all = [{ name: "@tessera/a", place: "packages/a", sources: [a] }];

  it("is what sources mark, and nothing else", () => {
    expect(entryOf([a], "public")).toBe('// generated by npm run generate\nexport { type One, two } from "./a.js";\n');
    expect(entryOf([a], "internal")).toContain('\nexport { three } from "./a.js";\n');
    expect(entryOf([source("b.ts", "export const b = 1;\n")], "public")).toBe("export {};\n");
    expect(entryOf([source("b.ts", "export const b = 1;\n")], "internal")).toBeUndefined();
  });

  it("has a sentence for each mark that is wrong", () => {
    const faultsOf = (text: string, place = "a.ts") =>
      faceFaults([{ name: "@tessera/a", place: "packages/a", sources: [source(place, text)] }], []);
    expect(faultsOf("// public: two\nexport const two = 2;\n")).toEqual([]);
    expect(faultsOf("// public: none\nexport const two = 2;\n")).toEqual([
      "a.ts marks none, which it does not export.",
    ]);
    expect(faultsOf("// internal\nexport const two = 2;\n")).toHaveLength(1);
    expect(faultsOf("export const two = operator({});\n", join("packages", "operators", "a.ts"))).toHaveLength(1);
    expect(faceFaults([{ ...all[0]!, sources: [a, { ...a, place: "b.ts" }] }], [])).toHaveLength(3);
  });

  it("has a sentence for each import of a name that is not there", () => {
    const faultsOf = (text: string) => importFaults("x.ts", text, all).map((line) => line.replace(/^[^:]*: /, ""));
    expect(faultsOf('import { type One, two as second } from "@tessera/a";')).toEqual([]);
    expect(faultsOf('import { three } from "@tessera/a/internal";')).toEqual([]);
    expect(faultsOf('import {\n  three,\n} from "@tessera/a";')).toEqual([
      'it is not public; import it from "@tessera/a/internal".',
    ]);
    expect(faultsOf('import { two } from "@tessera/a/internal";')).toEqual([
      'it is public; import it from "@tessera/a".',
    ]);
    expect(faultsOf('const { Four: four } = await import("@tessera/a");')[0]).toContain("a.ts does not mark it.");
    expect(faultsOf('import { none } from "@tessera/a";')).toEqual(["@tessera/a has no such name."]);
  });

  it("a name that no other file names stays inside its file", () => {
    const two = new Map([
      [
        "packages/a/src/a.ts",
        "// public: face\nexport const face = 1;\nexport const used = 2;\nexport const alone = 3;\n",
      ],
      ["packages/a/src/b.ts", 'import { used } from "./a.js";\nexport const alone2 = used;\n'],
    ]);
    expect(unusedExports(two)).toEqual(["packages/a/src/a.ts: alone", "packages/a/src/b.ts: alone2"]);
    const unused = unusedExports(new Map(files.map(({ place, text }) => [place, text]))) as string[];
    expect(unused.filter((one) => one.startsWith("packages"))).toEqual([]);
  });

  it("holds in this repository", () => {
    expect(faceFaults()).toEqual([]);
  });

  it("has a page for each package, with each name and its comment", () => {
    expect(staleApi(all)).toEqual(["docs/api/a.md lacks One, two: run `npm run api`."]);
    expect(staleApi()).toEqual([]);
    expect(undocumented(all)).toEqual(["a.ts: One", "a.ts: two"]);
    expect(undocumented()).toEqual([]);
  });
});

describe("npm run generate", () => {
  const flowFile = '/** Says hello. */\nexport const hello = flow("hello", {}, () => ({}));\n';
  const operatorFile = 'export const less = operator({ name: "router.less" });\n';

  /** What is wrong in a repository that holds these files. */
  function faultsOf(files: Readonly<Record<string, string>>): string[] {
    const at = mkdtempSync(join(tmpdir(), "tessera-generate-"));
    try {
      for (const [path, text] of Object.entries({ "packages/flows/src/index.ts": "", ...files })) {
        mkdirSync(dirname(join(at, path)), { recursive: true });
        writeFileSync(join(at, path), text);
      }
      mkdirSync(join(at, "packages/operators"), { recursive: true });
      return misplaced(at);
    } finally {
      rmSync(at, { recursive: true });
    }
  }

  it("takes a flow and an operator where they belong, with samples or without", () => {
    expect(
      faultsOf({
        "packages/flows/src/hello/flow.ts": flowFile,
        "packages/flows/src/hello/samples/one/input.json": "{}",
        "packages/operators/router/src/less.ts": operatorFile,
        "packages/operators/router/dist/less.ts": operatorFile,
      }),
    ).toEqual([]);
  });

  it.each([
    ["a flow beside src", { "packages/flows/hello/flow.ts": flowFile }, "packages/flows/hello/flow.ts"],
    [
      "a flow that is a file",
      { "packages/flows/src/hello.ts": flowFile.replace(/^.*\n/, "") },
      "packages/flows/src/hello.ts",
    ],
    ["a folder without a flow", { "packages/flows/src/hello/samples/a.json": "{}" }, "packages/flows/src/hello has no"],
    [
      "a flow of another name",
      { "packages/flows/src/hi/flow.ts": flowFile },
      "packages/flows/src/hi/flow.ts must export",
    ],
    [
      "a flow without a comment",
      { "packages/flows/src/hello/flow.ts": flowFile.replace(/^.*\n/, "") },
      "under a comment",
    ],
    [
      "an operator beside src",
      { "packages/operators/router/less.ts": operatorFile },
      "packages/operators/router/less.ts",
    ],
  ])("refuses %s, with a sentence that says where it belongs", (_, files, told) => {
    expect(faultsOf(files as Record<string, string>)).toEqual([expect.stringContaining(told)]);
  });

  it("finds nothing misplaced in this repository", () => {
    expect(misplaced()).toEqual([]);
  });
});

describe("what is generated", () => {
  it("is what npm run generate would write now", () => {
    const stale = [...(generated() as Map<string, string>)]
      .filter(([path, text]) => !existsSync(path) || readFileSync(path, "utf8") !== text)
      .map(([path]) => relative(root, path));
    expect(stale).toEqual([]);
  });
});
