// what an application gets: every published package is packed, and installed outside of this repository
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix, relative } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { bundled } from "@tessera/setup/floors.mjs";
import { needs } from "@tessera/testkit";
import { build } from "esbuild";
import { publint } from "publint";
import { application, Consumer, hasRegistry, npmScript, versions } from "./consumer.mjs";
import { matrix, right } from "./matrix.mjs";
import { packAll } from "./pack.mjs";
import { optionalParts } from "./parts.mjs";
import { published } from "./published.mjs";
import { sizeOf } from "./sizes.mjs";
import { readJson, root } from "./workspace.mjs";

const tarballs = new Map<string, string>();
const folder = mkdtempSync(join(tmpdir(), "tessera-packed-"));
const made: Consumer[] = [];
const registry = hasRegistry();

const consumer = (): Consumer => {
  const one = new Consumer(tarballs);
  made.push(one);
  return one;
};

beforeAll(() => {
  for (const [name, path] of packAll(folder)) tarballs.set(name, path);
});
afterAll(() => {
  for (const one of made) one.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe("an application outside of this repository", () => {
  needs(registry, "no package registry is reached")(
    "compiles and answers on every Node, by every package manager and with every zod, and is refused in a line on older Nodes",
    () => {
      const rows = matrix(tarballs);
      expect(rows.map(({ result }) => result).filter((one) => one !== "answers" && one !== "refuses")).toEqual([]);
      const of = (wanted: string, key: "node" | "manager" | "zod") => [
        ...new Set(rows.filter(({ result }) => result === wanted).map((one) => one[key])),
      ];
      expect(of("answers", "node")).toEqual(expect.arrayContaining(versions.node));
      expect(of("refuses", "node")).toEqual(versions.tooOld);
      expect(of("answers", "manager")).toEqual(["npm", "pnpm, strict", "yarn", "yarn, PnP"]);
      expect(of("answers", "zod").sort()).toEqual(versions.zod);
    },
  );

  needs(registry, "no package registry is reached")(
    "is small with @tessera/tessera alone, compiles nothing, and runs bundled",
    async () => {
      const one = consumer();
      one.install("npm", { "@tessera/tessera": "" });
      const { packages, bytes, disk } = sizeOf(one.folder);
      expect(packages).toBeLessThanOrEqual(25);
      expect(bytes).toBeLessThanOrEqual(12e6);
      expect(disk).toBeLessThanOrEqual(15e6);
      const lock = JSON.parse(readFileSync(one.path("package-lock.json"), "utf8")) as { packages: object };
      expect(JSON.stringify(lock)).not.toContain("hasInstallScript");
      one.copy(application);
      // 14 and 74 when this was written: each module costs about half a millisecond of every start
      for (const [name, most] of Object.entries({ "@tessera/graph": 18, "@tessera/tessera": 80 })) {
        const count = JSON.parse(one.run([process.execPath, "modules.mjs", name]).stdout);
        expect([name, count, count <= most]).toEqual([name, count, true]);
      }
      const told = JSON.parse(one.run([process.execPath, "missing.mjs"]).stdout) as Record<string, string>;
      for (const [name, text] of Object.entries(told))
        expect([name, text]).toEqual([
          name,
          expect.stringMatching(/^(?:DEPENDENCY_MISSING: npm install|.*: npm install) \S/),
        ]);
      expect(Object.keys(told)).toContain("paper.pdf");
      await build({
        entryPoints: [one.path("common.cts")],
        outfile: one.path("bundle.mjs"),
        absWorkingDir: one.folder,
        bundle: true,
        platform: "node",
        format: "esm",
        logLevel: "error",
      });
      rmSync(one.path("node_modules"), { recursive: true });
      expect(one.run([process.execPath, "bundle.mjs"])).toMatchObject({ status: 0, output: right.common });
    },
  );
});

describe("npm create tessera", () => {
  needs(registry, "no package registry is reached")(
    "makes projects that install, compile and pass their tests, and says what is wrong with a command line",
    () => {
      const maker = consumer();
      maker.install("npm", { "create-tessera": "" });
      const create = (...args: string[]) =>
        maker.run([process.execPath, "node_modules/create-tessera/bin/create-tessera.mjs", ...args]);
      expect(create("app", "--template", "blog")).toMatchObject({ status: 2, stdout: "" });
      expect(create("node_modules")).toMatchObject({ status: 2, stderr: expect.stringContaining("is not empty") });
      for (const template of ["service", "chat", "flow"]) {
        expect(create(template, "--template", template)).toMatchObject({ status: 0, stderr: "" });
        const project = consumer();
        project.copy(maker.path(template));
        const { dependencies, devDependencies } = JSON.parse(readFileSync(project.path("package.json"), "utf8"));
        project.install("npm", { ...dependencies, ...devDependencies });
        const tested = project.run([...(npmScript() as [string, ...string[]]), "test", "--silent"]);
        expect([template, tested.status, tested.output]).toEqual([template, 0, expect.stringMatching(/pass 1\n/)]);
      }
    },
  );
});

describe("a packed package", () => {
  it("has no finding of attw: an importer gets types that fit what runs", async () => {
    const problems: string[] = [];
    for (const [name, path] of tarballs) {
      if (!published().get(name)?.manifest.exports || name === "@tessera/weights") continue;
      const result = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(path))));
      // the profile "esm-only": require() of ES modules is Node's own since 22, and older resolutions know no `exports`
      const ours = (result.types === false ? [] : result.problems).filter(
        (problem) => !("resolutionKind" in problem && ["node10", "node16-cjs"].includes(problem.resolutionKind)),
      );
      problems.push(
        ...(result.types === false ? [`${name}: no types`] : []),
        ...ours.map(({ kind }) => `${name}: ${kind}`),
      );
    }
    expect(problems).toEqual([]);
  });

  it("has no finding of publint", async () => {
    const findings: string[] = [];
    for (const [name, path] of tarballs) {
      const tarball = new Uint8Array(readFileSync(path)).buffer;
      const { messages } = await publint({ pack: { tarball }, strict: true });
      findings.push(...messages.map((message) => `${name}: ${JSON.stringify(message)}`));
    }
    expect(findings).toEqual([]);
  });

  it("holds what it names and nothing of this repository: README, licence, no source, no map without its source", () => {
    for (const [name, path] of tarballs) {
      const packed = createPackageFromTarballData(new Uint8Array(readFileSync(path)));
      const inside = `/node_modules/${name}/`;
      const texts = new Set(packed.listFiles().map((file) => file.replace(inside, "")));
      const text = (file: string) => packed.readFile(inside + file);
      const manifest = JSON.parse(text("package.json")) as Record<string, unknown>;
      expect([name, texts.has("README.md"), texts.has("LICENSE")]).toEqual([name, true, true]);
      for (const field of ["description", "repository", "homepage", "keywords", "license", "engines"])
        expect([name, field, manifest[field]]).toEqual([name, field, expect.anything()]);
      for (const field of ["optionalDependencies", "devDependencies", "scripts"])
        expect([name, field, manifest[field]]).toEqual([name, field, undefined]);
      expect(text("package.json")).not.toMatch(/workspace:|@tessera\/source/);
      const wrong = [...texts].filter(
        (file) => !file.startsWith("templates/") && /\.(test|fixture)\.|(?<!\.d)\.[cm]?tsx?$/.test(file),
      );
      expect([name, wrong]).toEqual([name, []]);
      // threads and processes begin with files of their own, and data lies beside the build
      const beside = [...texts]
        .filter((file) => /^dist\/[^/]+\.c?js$/.test(file))
        .flatMap((file) => [...text(file).matchAll(/new URL\(["'`](\.\.?\/[^"'`$]+)[^)]*import\.meta\.url/g)])
        .map(([, place = ""]) => posix.join("dist", place));
      const gone = beside.filter((place) => ![...texts].some((file) => file === place || file.startsWith(`${place}`)));
      expect([name, gone]).toEqual([name, []]);
      const maps = [...texts].filter(
        (file) => /\.[cm]?js$/.test(file) && /\/\/# sourceMappingURL=(?!data:)/.test(text(file)),
      );
      expect([name, maps.filter((file) => !texts.has(`${file}.map`))]).toEqual([name, []]);
    }
  });
});

describe("the notices of what becomes a part of a build", () => {
  /** The packages that sources import to run, without those that an application installs. */
  const imported = (place: string, pattern: string) => {
    const { dependencies = {}, peerDependencies = {} } = readJson(join(relative(root, place), "package.json"));
    const outside = { ...dependencies, ...peerDependencies };
    const names = globSync(pattern, { cwd: join(place, "src") })
      .filter((path) => !/\.(test|fixture)\./.test(path))
      .map((path) => readFileSync(join(place, "src", path), "utf8").replaceAll(/import type [^;]+;/g, ""))
      .flatMap((text) => [
        ...text.matchAll(/(?:from |import |import\(|require\()"(?!node:|\.|@tessera\/)((?:@[^/"]+\/)?[^/"]+)/g),
      ])
      .map(([, one = ""]) => one);
    return [...new Set(names)].filter((one) => !Object.hasOwn(outside, one)).sort();
  };

  it.each(["@tessera/studio", "@tessera/text"])("of %s stand in its packed files", (name) => {
    const { folder: place } = published().get(name)!;
    const packed = createPackageFromTarballData(new Uint8Array(readFileSync(tarballs.get(name)!)));
    const notices = packed.readFile(`/node_modules/${name}/dist/third-party.txt`);
    const names = imported(place, "**/*.{ts,tsx,cjs}");
    expect(names).not.toEqual([]);
    expect(names.filter((one) => !notices.includes(`\n${one} `))).toEqual([]);
    expect(notices).toMatch(name === "@tessera/text" ? /TERMS AND CONDITIONS/ : /\nelkjs \S+, licence: EPL-2\.0/);
  });

  it("are in no other package", () => {
    const noticed = [...tarballs].filter(([name, path]) =>
      createPackageFromTarballData(new Uint8Array(readFileSync(path)))
        .listFiles()
        .includes(`/node_modules/${name}/dist/third-party.txt`),
    );
    const wanted = [...Object.keys(bundled), "studio"].map((name) => `@tessera/${name}`);
    expect(noticed.map(([name]) => name).sort()).toEqual(wanted.sort());
  });
});

describe("the table of optional parts", () => {
  const named = new Map(
    (optionalParts as readonly { packages: Record<string, string> }[]).flatMap(({ packages }) =>
      Object.entries(packages),
    ),
  );
  const sourcesOf = (place: string) =>
    globSync("src/**/*.ts", { cwd: place })
      .filter((path) => !/\.(test|fixture)\.ts$/.test(path))
      .map((path) => readFileSync(join(place, path), "utf8"));

  it("has the version that is tested of every optional peer, and nothing that is none", () => {
    const peers = new Map<string, string>();
    for (const { manifest } of published().values())
      for (const name of Object.keys(manifest.peerDependenciesMeta ?? {})) {
        const version = manifest.devDependencies?.[name] ?? manifest.optionalDependencies?.[name] ?? "";
        peers.set(name, version === "workspace:*" ? "" : version);
      }
    expect(Object.fromEntries(named)).toEqual(Object.fromEntries(peers));
  });

  it("is what every package says that loads an optional one", () => {
    const silent: string[] = [];
    for (const [name, { folder: place, manifest }] of published()) {
      const sources = sourcesOf(place).filter((text) => /\bmissing\(/.test(text));
      for (const peer of Object.keys(manifest.peerDependenciesMeta ?? {}))
        if (!sources.some((text) => text.includes(`"${peer}"`)))
          silent.push(`${name} loads ${peer} without missing("${peer}")`);
    }
    expect(silent).toEqual([]);
  });
});

describe("the workspace", () => {
  it("builds every published package before these tests pack them", () => {
    const listed = Object.keys(readJson("apps/release/package.json").devDependencies);
    // where this fails, add the package to the devDependencies of apps/release/package.json with "workspace:*"
    expect([...published().keys()].filter((name) => !listed.includes(name))).toEqual([]);
  });

  it("keeps the versions of its packages in step", () => {
    expect(new Set([...published().values()].map(({ manifest }) => manifest.version)).size).toBe(1);
  });
});
