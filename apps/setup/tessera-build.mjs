#!/usr/bin/env node
// builds the package it is called in: few files of JavaScript by rolldown, the types of each source by tsc. What package.json
// names only under devDependencies becomes a part of the build, and its licence stands in dist/third-party.txt.
import { spawn } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join, posix } from "node:path";
import { readJson, root } from "./fetch.mjs";
import { Bundled } from "./notices.mjs";
import { sweep } from "./sweep.mjs";

const folder = process.cwd();
const manifest = readJson(join(folder, "package.json"));
const tests = /\.(?:test|fixture)\.ts$|\.d\.ts$/;
const sources = globSync("**/*.{ts,js}", { cwd: join(folder, "src") })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => !tests.test(path));

/** A file beside a source, named as `new URL("./worker.js", import.meta.url)`. */
const besides = /new URL\((["'`])(\.\.?\/[^"'`]*)\1, import\.meta\.url\)/g;
/** All built files lie in dist itself, whatever folder their source is in: the first of a name keeps it. */
const flat = (path) => path.replace(/\.[jt]s$/, "").replaceAll("/", "-");

/** The sources that something outside of their package, a thread or a process begins with, by the names of their files. */
function entries() {
  const named = Object.values(manifest.exports ?? {}).flatMap((one) => one["@tessera/source"] ?? []);
  const programs = existsSync(join(folder, "bin")) || manifest.bin ? ["./src/main.ts"] : [];
  const begun = sources.flatMap((path) =>
    [...readFileSync(join(folder, "src", path), "utf8").matchAll(besides)]
      .map(([, , place]) => posix.join("src", posix.dirname(path), place))
      .filter((place) => place.endsWith(".js"))
      .map((place) => (existsSync(place) ? place : place.replace(/\.js$/, ".ts"))),
  );
  return Object.fromEntries(
    [...named, ...programs, ...begun].map((place) => {
      const path = posix.relative("src", posix.normalize(place));
      return [flat(path), join("src", path)];
    }),
  );
}

/** What lies beside a source is named from dist, where all built files lie. */
const fromDist = {
  name: "tessera:from-dist",
  transform: {
    filter: { id: /\/src\/.*\.[jt]s$/, code: /import\.meta\.url/ },
    handler: (code, id) => {
      const own = posix.relative(
        posix.join(folder.replaceAll("\\", "/"), "src"),
        posix.dirname(id.replaceAll("\\", "/")),
      );
      return code.replaceAll(besides, (_, quote, place) => {
        const path = posix.join(own, place);
        const file = path.endsWith(".js") ? `./${flat(path)}.js` : path;
        return `new URL(${quote}${file}${quote}, import.meta.url)`;
      });
    },
  },
};

const packages = Object.keys({
  ...manifest.dependencies,
  ...manifest.peerDependencies,
  ...manifest.optionalDependencies,
});
const isOutside = (id) => id.startsWith("node:") || packages.some((name) => id === name || id.startsWith(`${name}/`));

async function javascript() {
  const bundled = new Bundled();
  // only here: a set-up runs this file's neighbours before anything is installed
  const { rolldown } = await import("rolldown");
  const warn = (level, { message }) => {
    throw new Error(`${level}: ${message}`);
  };
  const common = { cwd: folder, platform: "node", external: isOutside, onLog: warn };
  const output = { dir: "dist", entryFileNames: "[name].js", chunkFileNames: "part-[name].js", keepNames: true };
  const bundle = await rolldown({ ...common, input: entries(), plugins: [fromDist, bundled.plugin] });
  await bundle.write({ ...output, format: "esm" });
  for (const path of globSync("src/*.cjs", { cwd: folder })) {
    const one = await rolldown({ ...common, input: path, plugins: [bundled.plugin] });
    await one.write({ file: join(folder, "dist", basename(path)), format: "cjs", minify: true });
  }
  bundled.write(join(folder, "dist"));
}

const types = () =>
  new Promise((resolve, reject) => {
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const child = spawn(process.execPath, [tsc, "-p", "tsconfig.build.json", "--emitDeclarationOnly"], {
      stdio: "inherit",
    });
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error("the types were not made"))));
  });

try {
  await Promise.all([javascript(), types()]);
  sweep(folder);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
