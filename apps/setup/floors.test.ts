import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { allowed, allowedInTests, bundled, floors, forTests, native } from "./floors.mjs";
import { root, workspaces } from "./setup.mjs";

type Names = Readonly<Record<string, string>>;
interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly dependencies?: Names;
  readonly optionalDependencies?: Names;
  readonly peerDependencies?: Names;
  readonly devDependencies?: Names;
}
interface Package {
  readonly name: string;
  readonly isApp: boolean;
  readonly manifest: Manifest;
}

const packages = workspaces().map((folder): Package => {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
  return { name: manifest.name.replace("@tessera/", ""), isApp: folder.startsWith(join(root, "apps")), manifest };
});

const shipped = ({ dependencies, optionalDependencies, peerDependencies }: Manifest): Names => ({
  ...dependencies,
  ...optionalDependencies,
  ...peerDependencies,
});
const inside = (names: Names = {}) =>
  Object.keys(names)
    .filter((name) => name.startsWith("@tessera/"))
    .map((name) => name.replace("@tessera/", ""));
const outside = (names: Names = {}) => Object.keys(names).filter((name) => !name.startsWith("@tessera/"));
const table = <T>(entries: object, name: string): T | undefined => (entries as Record<string, T>)[name];

/** Arrows that the floors do not have. */
function wrongArrows(all: readonly Package[]): string[] {
  return all
    .filter(({ isApp }) => !isApp)
    .flatMap(({ name, manifest }) => {
      const below = table<string[]>(floors, name) ?? [];
      const wrong = inside(shipped(manifest)).filter((target) => !below.includes(target));
      const wrongInTests = inside(manifest.devDependencies).filter(
        (target) => !below.includes(target) && !forTests.includes(target),
      );
      return [...wrong, ...wrongInTests].map((target) => `${name} → ${target}`);
    });
}

/** A circle of packages, tests included, or undefined. */
function findCycle(all: readonly Package[]): string[] | undefined {
  const arrows = new Map(
    all.map(({ name, manifest }) => [name, inside({ ...shipped(manifest), ...manifest.devDependencies })]),
  );
  const done = new Set<string>();
  const visit = (name: string, path: string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of arrows.get(name) ?? []) {
      const cycle = visit(next, [...path, name]);
      if (cycle) return cycle;
    }
    done.add(name);
    return undefined;
  };
  for (const { name } of all) {
    const cycle = visit(name, []);
    if (cycle) return cycle;
  }
  return undefined;
}

/** What is installed for a package in this repository. */
const installed = ({ dependencies, optionalDependencies, devDependencies }: Manifest): Names => ({
  ...dependencies,
  ...optionalDependencies,
  ...devDependencies,
});

/**
 * Peers whose range is not that of the other packages, or begins at another version than the tested one (that of zod begins
 * at the oldest that works), and packages that a user would get although only our tests want them.
 */
function wrongPeers(all: readonly Package[]): string[] {
  const ranges = new Map<string, string>();
  return all.flatMap(({ name, manifest }) => {
    const peers = manifest.peerDependencies ?? {};
    const wrong = Object.entries(peers).filter(([peer, range]) => {
      const tested = installed(manifest)[peer];
      const first = ranges.get(peer) ?? range;
      ranges.set(peer, first);
      const fits =
        peer === "zod" ? /^\^4\.\d+\.\d+$/.test(range) : range === (tested === "workspace:*" ? tested : `^${tested}`);
      return tested === undefined || range !== first || !fits;
    });
    const withoutPeer = manifest.private
      ? []
      : outside(manifest.optionalDependencies).filter((one) => !Object.hasOwn(peers, one) && !isForTests(name, one));
    return [
      ...wrong.map(([peer, range]) => `${name} ⇢ ${peer} ${range}`),
      ...withoutPeer.map((one) => `${name} → ${one}`),
    ];
  });
}
/** Native packages that only tests load: pnpm may fail to build what is optional, and nothing else. */
const isForTests = (name: string, dependency: string): boolean =>
  (table<Names>(allowed, name)?.[dependency] ?? "").includes("in tests");

/** Third-party packages that no table gives a reason for. */
const strangers = (all: readonly Package[]): string[] =>
  all
    .filter(({ isApp }) => !isApp)
    .flatMap(({ name, manifest }) => {
      const own = { zod: "", ...table<Names>(allowed, name) };
      const inTests = {
        ...{ ...own, "@jest/globals": "", "fast-check": "" },
        ...{ ...table<Names>(allowedInTests, name), ...table<Names>(bundled, name) },
      };
      return [
        ...outside(shipped(manifest)).filter((dependency) => !Object.hasOwn(own, dependency)),
        ...outside(manifest.devDependencies).filter((dependency) => !Object.hasOwn(inTests, dependency)),
      ].map((dependency) => `${name} → ${dependency}`);
    });

describe("the floors", () => {
  it("every arrow goes down", () => {
    expect(wrongArrows(packages)).toEqual([]);
  });

  it("no packages depend on each other in a circle", () => {
    expect(findCycle(packages)).toBeUndefined();
  });

  it("every third-party package has a reason in floors.mjs, and every reason its package", () => {
    expect(strangers(packages)).toEqual([]);
    for (const [name, reasons] of Object.entries(allowed)) {
      const manifest = packages.find((one) => one.name === name)?.manifest;
      expect([
        name,
        Object.keys(reasons).filter((dependency) => !outside(manifest && shipped(manifest)).includes(dependency)),
      ]).toEqual([name, []]);
    }
  });

  it("native packages are optional everywhere", () => {
    for (const { name, manifest } of packages) {
      const required = outside({ ...manifest.dependencies, ...manifest.devDependencies });
      expect([name, required.filter((dependency) => native.includes(dependency))]).toEqual([name, []]);
    }
  });

  it("versions are exact, and one package has one version", () => {
    const versions = new Map<string, string>();
    for (const { name, manifest } of packages)
      for (const [dependency, version] of Object.entries(installed(manifest))) {
        if (dependency.startsWith("@tessera/") || packages.some(({ manifest: { name: own } }) => own === dependency))
          expect([name, dependency, version]).toEqual([name, dependency, "workspace:*"]);
        else {
          expect([name, dependency, version]).toEqual([name, dependency, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
          expect([name, dependency, version]).toEqual([name, dependency, versions.get(dependency) ?? version]);
          versions.set(dependency, version);
        }
      }
  });

  it("a peer has one range, and the version that is tested here is in it", () => {
    expect(wrongPeers(packages)).toEqual([]);
  });

  it("the server takes indexes as they are, and nothing from what makes them", () => {
    const server = packages.find(({ name }) => name === "server")!;
    expect(inside(server.manifest.devDependencies)).toContain("indexer");
    expect(inside(shipped(server.manifest))).not.toContain("indexer");
  });

  it("no package is called by what it is not", () => {
    const names = packages.filter(({ isApp }) => !isApp).map(({ name }) => name);
    expect(names.filter((name) => /^(utils?|common|shared|types|helpers?|managers?|misc|lib)$/.test(name))).toEqual([]);
    expect(names.filter((name) => !Object.hasOwn(floors, name))).toEqual([]);
  });
});

describe("the checks themselves", () => {
  const of = (name: string, manifest: Omit<Manifest, "name">, isApp = false): Package => ({
    name,
    isApp,
    manifest: { name: `@tessera/${name}`, ...manifest },
  });

  it("see a wrong arrow, of every kind of dependency, and let apps do what they like", () => {
    const up = { "@tessera/graph": "workspace:*" };
    expect(wrongArrows([of("core", { dependencies: up })])).toEqual(["core → graph"]);
    expect(wrongArrows([of("core", { peerDependencies: up }), of("fuser", { optionalDependencies: up })])).toEqual([
      "core → graph",
      "fuser → graph",
    ]);
    expect(wrongArrows([of("fuser", { devDependencies: { "@tessera/router": "workspace:*", ...up } })])).toEqual([
      "fuser → router",
    ]);
    expect(wrongArrows([of("stranger", { dependencies: up }), of("cli", { dependencies: up }, true)])).toEqual([
      "stranger → graph",
    ]);
  });

  it("see a circle, also one through tests", () => {
    const on = (name: string) => ({ [`@tessera/${name}`]: "workspace:*" });
    const circle = [
      of("a", { dependencies: on("b") }),
      of("b", { optionalDependencies: on("c") }),
      of("c", { devDependencies: on("a") }),
    ];
    expect(findCycle(circle)).toEqual(["a", "b", "c", "a"]);
    expect(
      findCycle([
        of("a", { dependencies: { ...on("b"), ...on("c") } }),
        of("b", { dependencies: on("c") }),
        of("c", {}),
      ]),
    ).toBeUndefined();
  });

  it("see a peer of another range, one that is not tested, and what installs although it is optional", () => {
    const peer = (range: string, tested?: string): Omit<Manifest, "name"> => ({
      peerDependencies: { pg: range },
      devDependencies: tested === undefined ? {} : { pg: tested },
    });
    expect(wrongPeers([of("core", peer("^1.2.3", "1.2.3")), of("text", peer("^1.2.3", "1.2.3"))])).toEqual([]);
    expect(wrongPeers([of("core", peer("^1.2.0", "1.2.3"))])).toEqual(["core ⇢ pg ^1.2.0"]);
    expect(wrongPeers([of("core", peer("^1.2.3"))])).toEqual(["core ⇢ pg ^1.2.3"]);
    expect(wrongPeers([of("core", { optionalDependencies: { pg: "1.2.3" } })])).toEqual(["core → pg"]);
  });

  it("see a stranger", () => {
    expect(
      strangers([
        of("core", {
          dependencies: { zod: "4.6.7", lodash: "1.0.0" },
          devDependencies: { ajv: "1.0.0", vitest: "1.0.0" },
        }),
      ]),
    ).toEqual(["core → lodash", "core → vitest"]);
  });
});
