// npm run release -- docker: lints the Dockerfile of the docs, and runs its steps without docker, each stage in a folder of
// its own. The steps are read from the file itself; one that is not known here is an error, so that nothing is left out.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError } from "@tessera/setup/setup.mjs";
import { DockerfileParser } from "dockerfile-ast";
import { nodeOf, versions } from "./consumer.mjs";
import { root } from "./workspace.mjs";

export const dockerfile = join(root, "docs/examples/deploy/Dockerfile");
const minutes = 60_000;

/** What dockerlinter finds in a Dockerfile, as it prints it; ShellCheck, which it would fetch, is left out. */
export function lint(path) {
  const manifest = createRequire(import.meta.url).resolve("dockerlinter/package.json");
  const { bin } = JSON.parse(readFileSync(manifest, "utf8"));
  const [program] = typeof bin === "string" ? [bin] : Object.values(bin);
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(dirname(manifest), program), "-s", "none", "-e", "-f", path],
    { encoding: "utf8" },
  );
  return `${stdout}${stderr}`.trim();
}

const words = (instruction) => instruction.getArguments().map((one) => one.getValue());
const nodeFor = (image) => {
  const [, major] = /^node:(\d+)[.-]/.exec(image) ?? [];
  const version = versions.node.find((one) => one.startsWith(`${major}.`));
  if (!version)
    throw new SetupError(`${image}: these tests have no such Node; it is one of ${versions.node.join(", ")}`);
  return nodeOf(version);
};

/** Where the machine has its programs, npm among them; nothing that this repository fetched. */
const system = (process.env.PATH ?? "").split(delimiter).filter((one) => !one.startsWith(root));

/** One stage: a folder that stands for the root of its file system, and what its instructions have set. */
class Stage {
  env = {};
  work = "/";

  constructor(folder, image) {
    this.folder = folder;
    this.node = nodeFor(image);
    mkdirSync(folder, { recursive: true });
  }

  place(path) {
    return path.startsWith("/") ? join(this.folder, path) : join(this.folder, this.work, path);
  }

  get environment() {
    const { HOME, TMPDIR, ...given } = process.env;
    const settings = Object.entries(given).filter(([name]) =>
      /^(?:npm_config_|https?_proxy|no_proxy|node_extra)/i.test(name),
    );
    const global = join(this.folder, "usr");
    return {
      ...Object.fromEntries(settings),
      ...{ HOME, TMPDIR, npm_config_prefix: global, CI: "true", DO_NOT_TRACK: "1", TURBO_TELEMETRY_DISABLED: "1" },
      ...this.env,
      PATH: [dirname(this.node), join(global, "bin"), ...system].join(delimiter),
    };
  }

  run(command) {
    if (/(?:^|\s)\//.test(command)) throw new SetupError(`RUN ${command}: a path of the image cannot be run here`);
    const { status, stdout, stderr } = spawnSync("sh", ["-c", command], {
      cwd: this.place("."),
      env: this.environment,
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw new SetupError(`RUN ${command} failed:\n${`${stdout}${stderr}`.slice(-4000)}`);
  }
}

/** Copies what git knows, or would add: what a clean checkout has. */
function fromCheckout(stage, sources, target) {
  const { stdout } = spawnSync("git", ["ls-files", "-z", "-co", "--exclude-standard", "--", ...sources], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const files = stdout.split("\0").filter(Boolean);
  for (const source of sources)
    if (!files.some((file) => file === source || file.startsWith(`${source}/`)))
      throw new SetupError(`COPY ${source}: the checkout has no such file`);
  for (const file of files) {
    const [source] = sources.filter((one) => file === one || file.startsWith(`${one}/`));
    // a folder gives its content; a file goes into a folder, or becomes the target
    const isInto =
      target.endsWith("/") || (existsSync(stage.place(target)) && statSync(stage.place(target)).isDirectory());
    const rest = file === source ? (isInto ? basename(file) : "") : file.slice(source.length + 1);
    cpSync(join(root, file), join(stage.place(target), rest), { recursive: true });
  }
}

const steps = {
  WORKDIR(stage, [path]) {
    stage.work = path;
    mkdirSync(stage.place("."), { recursive: true });
  },
  RUN: (stage, all) => stage.run(all.join(" ")),
  COPY(stage, all, { flags, stages }) {
    const from = flags.find((one) => one.getName() === "from")?.getValue();
    const target = all.at(-1);
    if (from === undefined) return fromCheckout(stage, all.slice(0, -1), target);
    for (const source of all.slice(0, -1))
      cpSync(stages.get(from).place(source), stage.place(target), { recursive: true, verbatimSymlinks: true });
  },
  ENV(stage, all) {
    for (const one of all) stage.env[one.slice(0, one.indexOf("="))] = one.slice(one.indexOf("=") + 1);
  },
  // said of the container, and nothing is run
  USER: () => {},
  EXPOSE: () => {},
  CMD(stage, _, { instruction }) {
    stage.command = JSON.parse(instruction.getArgumentsContent());
  },
};

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** Starts the command of the last stage, waits until its port answers, and ends it as an orchestrator does. */
async function serve(stage, path) {
  const [program, ...args] = stage.command;
  const port = await freePort();
  const child = spawn(program === "node" ? stage.node : program, args, {
    cwd: stage.place("."),
    env: { ...stage.environment, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const exited = once(child, "exit");
  try {
    const until = Date.now() + 5 * minutes;
    for (;;) {
      if (child.exitCode !== null || Date.now() > until) throw new SetupError(`the program does not answer:\n${said}`);
      const reply = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
      if (reply?.ok) break;
      await sleep(200);
    }
    child.kill("SIGTERM");
    const [code, signal] = await exited;
    if (code !== 0) throw new SetupError(`after SIGTERM the program ended with ${code ?? signal}:\n${said}`);
  } finally {
    child.kill("SIGKILL");
  }
}

/**
 * Runs the steps of a Dockerfile in a temporary folder, and its program until `path` answers.
 * @throws SetupError with the step that failed
 */
export async function runSteps({ file = dockerfile, path = "/healthz", say = () => {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "tessera-image-"));
  const stages = new Map();
  let stage;
  try {
    for (const instruction of DockerfileParser.parse(readFileSync(file, "utf8")).getInstructions()) {
      const keyword = instruction.getKeyword();
      say(`${keyword} ${instruction.getArgumentsContent() ?? ""}`);
      const all = words(instruction);
      if (keyword === "FROM") {
        stage = new Stage(join(folder, String(stages.size)), all[0]);
        stages.set(all[2] ?? String(stages.size), stage);
        continue;
      }
      const step = steps[keyword];
      if (!step || !stage) throw new SetupError(`${keyword}: this script does not know how to run it`);
      const flags = instruction.getFlags?.() ?? [];
      step(stage, all, { flags, stages, instruction });
    }
    await serve(stage, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
