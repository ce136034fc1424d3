// what pnpm does to every package.json on its way into a tarball: the file in the repository serves the workspace, the one
// in the tarball serves applications. It is named only where we pack (`--pnpmfile`), so an install never reads it.
import { relative } from "node:path";
import { published } from "./published.mjs";
import { readJson, root } from "./workspace.mjs";

const { repository, homepage, bugs, author, keywords } = readJson("package.json");

/** `exports` without the condition that leads to the sources, which are not packed. */
const withoutSources = (exports) =>
  typeof exports !== "object" || exports === null
    ? exports
    : Object.fromEntries(
        Object.entries(exports)
          .filter(([condition]) => condition !== "@tessera/source")
          .map(([key, value]) => [key, withoutSources(value)]),
      );

/**
 * The optional peers that the packages below it may load: a strict package manager gives a package only what the packages
 * above it pass on.
 */
function passedOn(manifest, seen = new Set()) {
  const peers = {};
  for (const name of Object.keys(manifest.dependencies ?? {})) {
    const below = published().get(name)?.manifest;
    if (!below || seen.has(name)) continue;
    seen.add(name);
    Object.assign(peers, passedOn(below, seen));
    for (const peer of Object.keys(below.peerDependenciesMeta ?? {})) peers[peer] = below.peerDependencies[peer];
  }
  return peers;
}

/** The version in place of pnpm's "workspace:*". */
const resolved = (range, name) => (range === "workspace:*" ? published().get(name).manifest.version : range);

/** The package.json of the tarball. */
export function manifestToPublish(manifest, folder) {
  // for the tests of this repository: native packages, which pnpm must be allowed to fail on
  const { devDependencies: _, optionalDependencies: __, scripts: ___, ...kept } = manifest;
  const optional = Object.fromEntries(
    Object.entries(passedOn(manifest)).filter(([name]) => !Object.hasOwn(manifest.dependencies ?? {}, name)),
  );
  const peers = { ...optional, ...manifest.peerDependencies };
  const names = Object.keys(peers).sort();
  return {
    ...kept,
    keywords: [...new Set([...(manifest.keywords ?? []), ...keywords])],
    homepage,
    bugs,
    author,
    repository: { ...repository, directory: relative(root, folder).replaceAll("\\", "/") },
    ...(manifest.exports && { exports: withoutSources(manifest.exports) }),
    ...(names.length > 0 && {
      peerDependencies: Object.fromEntries(names.map((name) => [name, resolved(peers[name], name)])),
      peerDependenciesMeta: Object.fromEntries(
        names
          .filter((name) => Object.hasOwn(optional, name) || manifest.peerDependenciesMeta?.[name])
          .map((name) => [name, { optional: true }]),
      ),
    }),
    publishConfig: { access: "public", provenance: true },
  };
}

export const hooks = { beforePacking: manifestToPublish };
