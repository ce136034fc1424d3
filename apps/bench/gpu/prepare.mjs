#!/usr/bin/env node
// Packs all that the experiments need on a Linux machine (x64) with a GPU and nothing else, no network and no Node:
//   node apps/bench/gpu/prepare.mjs [archive]      .tessera/tessera-gpu.tar.xz where no other place is said
// There: tar xJf tessera-gpu.tar.xz && ./tessera-gpu/run.sh [options of experiments.ts]
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const most = 64 * 2 ** 20;

/** Folders that hold libvulkan.so.1 where the machine itself has none. */
const loaders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/chromium"];

/** What is copied of packages whose other parts are for other systems or for their installation. */
const parts = {
  webgpu: ["package.json", "index.js", "dist/linux-x64"],
  "onnxruntime-node": ["package.json", "dist", "bin/napi-v6/linux/x64"],
  koffi: ["package.json", "index.js", "src"],
  "@koromix/koffi-linux-x64": ["package.json", "index.js", "linux_x64"],
};
const needless = [
  ...["adm-zip", "global-agent", "@webgpu/types", "debug"],
  ...["@huggingface/hub", "@huggingface/transformers", "node-llama-cpp", "@tessera/weights"],
];

const script = `#!/bin/sh
# the experiments of docs/models/gpu.md; a driver's own loader and description go first where they are found
here=$(cd "$(dirname "$0")" && pwd)
export LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib"
if [ -z "\${VK_DRIVER_FILES:-}" ] && [ ! -e /etc/vulkan/icd.d/nvidia_icd.json ] && [ ! -e /usr/share/vulkan/icd.d/nvidia_icd.json ]; then
  for file in /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json /usr/lib/nvidia/vulkan/icd.d/nvidia_icd.json; do
    [ -e "$file" ] && export VK_DRIVER_FILES="$file" && break
  done
fi
exec "$here/bin/node" "$here/program/experiments.js" "$@"
`;

/** @type {typeof import("@swc/core").transformSync} */
const transform = createRequire(join(root, "apps/setup/package.json"))("@swc/core").transformSync;

/** @param {string} from @param {string} to */
function compile(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const path = join(from, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "fixtures" && entry.name !== "node_modules") compile(path, join(to, entry.name));
    } else if (/\.ts$/.test(entry.name) && !/\.(test|fixture)\.ts$/.test(entry.name)) {
      const { code } = transform(readFileSync(path, "utf8"), {
        jsc: { parser: { syntax: "typescript" }, target: "es2023" },
        module: { type: "es6" },
      });
      writeFileSync(join(to, entry.name.replace(/\.ts$/, ".js")), code);
    } else if (/\.(json|py|ptx|wasm|cjs)$/.test(entry.name)) copyFileSync(path, join(to, entry.name));
  }
}

/** The folder of an installed package, as another one sees it. @param {string} name @param {string} by */
function folderOf(name, by) {
  for (let folder = by; ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(found)) return realpathSync(found);
    if (folder === dirname(folder)) throw new Error(`${name} is not installed; run pnpm install`);
  }
}

/** Whether a program in a folder imports a package. @param {string} name @param {string} folder */
const isImported = (name, folder) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).some(
    (path) => /\.c?js$/.test(path) && new RegExp(`["']${name}[/"']`).test(readFileSync(join(folder, path), "utf8")),
  );

/** Copies a package and what it needs. @param {string} name @param {string} by @param {string} to */
function carry(name, by, to) {
  const target = join(to, name);
  if (existsSync(target)) return;
  const from = folderOf(name, by);
  const about = JSON.parse(readFileSync(join(from, "package.json"), "utf8"));
  if (name.startsWith("@tessera/")) {
    compile(join(from, "src"), join(target, "dist"));
    copyFileSync(join(from, "package.json"), join(target, "package.json"));
  } else if (name in parts) {
    for (const part of parts[/** @type {keyof typeof parts} */ (name)])
      if (existsSync(join(from, part)))
        cpSync(join(from, part), join(target, part), { recursive: true, dereference: true });
  } else
    cpSync(from, target, {
      recursive: true,
      dereference: true,
      filter: (path) => !/\.(d\.[cm]?ts|map|md)$/.test(path) && !/\/(node_modules|src)$/.test(path),
    });
  // the parts that a user may add are peers; of an outside package they are its own matter
  const ours = name.startsWith("@tessera/");
  // what a build puts into our own packages is needed where their sources run
  const built = ours ? Object.keys(about.devDependencies ?? {}).filter((other) => isImported(other, target)) : [];
  const wanted = [
    ...built,
    ...Object.keys({ ...about.dependencies, ...about.optionalDependencies, ...(ours && about.peerDependencies) }),
  ];
  for (const other of wanted) {
    if (needless.includes(other) || (name === "koffi" && other !== "@koromix/koffi-linux-x64")) continue;
    carry(other, from, to);
  }
}

/** Everything in one folder. @param {string} folder */
export function assemble(folder) {
  const modules = join(folder, "node_modules");
  compile(here, join(folder, "program"));
  rmSync(join(folder, "program/prepare.js"), { force: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }\n');
  const bench = join(root, "apps/bench");
  for (const name of ["@tessera/core", "@tessera/models", "onnxruntime-node", "koffi"]) carry(name, bench, modules);
  const bundles = join(root, "packages/weights/bundles");
  for (const [name, files] of /** @type {const} */ ([
    ["code-encoder", ["config.json", "tokenizer.json"]],
    ["code-language-model", ["config.json", "tokenizer.json", "model.safetensors"]],
  ])) {
    mkdirSync(join(modules, "@tessera/weights/bundles", name), { recursive: true });
    for (const file of files)
      copyFileSync(join(bundles, name, file), join(modules, "@tessera/weights/bundles", name, file));
  }
  copyFileSync(join(root, "packages/weights/package.json"), join(modules, "@tessera/weights/package.json"));
  mkdirSync(join(folder, "bin"), { recursive: true });
  copyFileSync(process.execPath, join(folder, "bin/node"));
  mkdirSync(join(folder, "lib"), { recursive: true });
  const loader = loaders.map((place) => join(place, "libvulkan.so.1")).find((path) => existsSync(path));
  if (loader) copyFileSync(realpathSync(loader), join(folder, "lib/libvulkan.so.1"));
  else console.error("!!! no libvulkan.so.1 here: the machine with the GPU must have its own");
  writeFileSync(join(folder, "run.sh"), script);
  chmodSync(join(folder, "run.sh"), 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error("it packs this machine's Node: use Linux on x64");
  const archive = resolve(process.argv[2] ?? join(root, ".tessera/tessera-gpu.tar.xz"));
  const work = mkdtempSync(join(tmpdir(), "tessera-gpu-"));
  try {
    assemble(join(work, "tessera-gpu"));
    mkdirSync(dirname(archive), { recursive: true });
    execFileSync("tar", ["-cJf", archive, "-C", work, "tessera-gpu"], {
      env: { ...process.env, XZ_OPT: "-6 -T2" },
      stdio: "inherit",
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const { size } = statSync(archive);
  const mega = (/** @type {number} */ bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  console.log(`${basename(archive)}: ${mega(size)} of ${mega(most)}`);
  if (size > most) process.exitCode = 1;
}
