// npm run release -- matrix [--json]: one application on every Node that is alive, by every package manager, and with the
// oldest and the newest zod; and what is said on Nodes that are too old
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { application, Consumer, nodeOf, versions } from "./consumer.mjs";
import { root } from "./workspace.mjs";

const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const [oldest, newest] = versions.zod;

/** What the service and the program in CommonJS of the application print. */
export const right = {
  service:
    '{"memory":"The ferry leaves at noon from the southern pier. [1] b","http":"The ferry leaves at noon. [1] (notes.md:1-3)\\n\\nhigh 12:00 the ferry leaves at noon [2] (log.tide:1-1)"}\n',
  common: "The ferry leaves at noon. [1]\n",
};

/** What an import on a Node that is too old says, and nothing else. */
const tooOld = (version) => `Tessera needs Node 22.12 or later; this is v${version}.`;

/** The answers of the application, run by a Node with neither a network nor a compiler. */
function answers(one, node, options = []) {
  const bare = { PATH: "/nonexistent", CC: "false", CXX: "false" };
  const run = (file) => one.run([node, ...options, "--import=./no-network.mjs", file], bare);
  const [service, common] = [run("out/service.js"), run("out/common.cjs")];
  return { service: service.stdout || service.stderr, common: common.stdout || common.stderr };
}

/** What is said where the application is imported by an old Node: the line of the floor, or everything where more is said. */
function refusal(one, node) {
  one.write({ "old.mjs": 'import "@tessera/tessera";\n' });
  const { stdout, stderr } = one.run([node, "old.mjs"]);
  const [, line] = /^\[?(?:Error: )?(Tessera needs .*?)\]?$/m.exec(stderr ?? "") ?? [];
  // Node adds where in itself the error arrived; a line that begins with "at" would be a stack
  return line && !stdout && !/^ {4}at /m.test(stderr) ? line : `${stdout}${stderr}`;
}

function row(node, manager, zod, got, wanted) {
  const wrong = Object.keys(wanted).filter((key) => got[key] !== wanted[key]);
  return { node, manager, zod, result: wrong.length === 0 ? "answers" : `${wrong[0]}: ${got[wrong[0]]}` };
}

/**
 * Installs, compiles (strict, `skipLibCheck: false`) and runs the application.
 * @returns a row for each Node, package manager and zod; `result` is "answers", "refuses", or what went wrong
 */
export function matrix(tarballs) {
  const rows = [];
  const made = [];
  const installed = (manager, zod) => {
    const one = new Consumer(tarballs);
    made.push(one);
    one.copy(application);
    one.install(manager, { "@tessera/tessera": "", "@types/node": "22.20.7", zod });
    return one;
  };
  const compiled = (manager, zod) => {
    const one = installed(manager, zod);
    const { status, output } = one.run([process.execPath, tsc, "-p", "."]);
    return { one, fault: status === 0 ? undefined : `does not compile: ${output}` };
  };
  const tried = (nodes, manager, zod) => {
    const { one, fault } = compiled(manager, zod);
    for (const version of nodes)
      rows.push(
        fault
          ? { node: version, manager, zod, result: fault }
          : row(version, manager, zod, answers(one, nodeOf(version)), right),
      );
    return one;
  };
  try {
    const own = process.versions.node;
    const first = tried(versions.node, "npm", newest);
    for (const version of versions.tooOld) {
      const said = refusal(first, nodeOf(version));
      rows.push({ node: version, manager: "npm", zod: newest, result: said === tooOld(version) ? "refuses" : said });
    }
    tried([own], "pnpm, strict", oldest);
    tried([own], "yarn", newest);
    // the compiler does not read yarn's archives; what another install compiled runs from them, as far as it writes no index:
    // what yarn puts in the place of node:fs has no FileHandle.sync (findings/yarn-pnp-sync.sh)
    const archived = installed("yarn, PnP", newest);
    archived.copy(first.path("out"), "out");
    if (existsSync(archived.path("node_modules"))) rmSync(archived.path("node_modules"), { recursive: true });
    const loader = ["--require=./.pnp.cjs", "--experimental-loader=./.pnp.loader.mjs"];
    const { common } = answers(archived, process.execPath, loader);
    rows.push(row(own, "yarn, PnP", newest, { common }, { common: right.common }));
    return rows;
  } finally {
    for (const one of made) one.remove();
  }
}
