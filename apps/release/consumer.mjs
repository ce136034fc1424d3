// an application outside of this repository: a folder, the packed packages in it by one package manager, and programs
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchPackage } from "@tessera/setup/fetch.mjs";
import { nodePackage } from "@tessera/setup/node.mjs";
import { pnpmScript, SetupError } from "@tessera/setup/setup.mjs";
import { root } from "./workspace.mjs";

/** The sources of the application: see the files there. */
export const application = fileURLToPath(new URL("consumer", import.meta.url));
/**
 * What the tests fetch besides: the oldest and the newest zod 4 of the peer range, yarn, the oldest Node of the floor and a
 * Node of each later line alive, and the last ones of lines that are too old.
 */
export const versions = {
  zod: ["4.1.0", "4.6.7"],
  yarn: "4.18.1",
  node: ["22.12.0", "24.21.0", "26.12.1"],
  tooOld: ["18.20.8", "20.19.5"],
};

/** A program of the registry, brought into `.tessera` once. */
function fetched(name, version, file) {
  const folder = join(root, ".tessera", `${name.replace("/", "+")}-${version}`);
  fetchPackage({ name, version, folder, file: join("node_modules", name, file), why: "a test runs it" });
  return join(folder, "node_modules", name, file);
}

/** The path of a Node of this version: the running one, or one that is fetched. */
export const nodeOf = (version) =>
  `v${version}` === process.version
    ? process.execPath
    : fetched(
        nodePackage(process.platform, process.arch),
        version,
        process.platform === "win32" ? "bin/node.exe" : "bin/node",
      );

/** The command of npm. */
export const npmScript = () => {
  const own = join(dirname(process.execPath), "..", "lib", "node_modules", "npm", "bin", "npm-cli.js");
  return existsSync(own) ? [process.execPath, own] : ["npm"];
};

const yarn = (settings) => ({
  command: () => [process.execPath, fetched("@yarnpkg/cli-dist", versions.yarn, "bin/yarn.js"), "install"],
  overrides: (of) => ({ resolutions: of }),
  files: () => ({
    ".yarnrc.yml": `${settings}\nenableTelemetry: false\nenableImmutableInstalls: false\n`,
    "yarn.lock": "",
  }),
});

/** How each package manager installs what package.json names. */
const managers = {
  npm: {
    command: () => [
      ...npmScript(),
      "install",
      "--no-audit",
      "--no-fund",
      "--prefer-offline",
      "--ignore-scripts",
      "--loglevel=error",
    ],
    overrides: (of) => ({ overrides: of }),
  },
  "pnpm, strict": {
    command: () => [process.execPath, pnpmScript, "install", "--no-frozen-lockfile", "--prefer-offline"],
    files: (of) => ({
      "pnpm-workspace.yaml": `autoInstallPeers: true\nstrictPeerDependencies: true\nhoist: false\npmOnFail: ignore\noverrides:\n${Object.entries(
        of,
      )
        .map(([name, place]) => `  "${name}": "${place}"\n`)
        .join("")}`,
    }),
  },
  yarn: yarn("nodeLinker: node-modules"),
  // packages stay in archives, and whatever a package does not name is refused
  "yarn, PnP": yarn("nodeLinker: pnp\npnpMode: strict\nenableGlobalCache: false"),
};

/** An application in a folder of its own under the system's temporary folder. */
export class Consumer {
  constructor(tarballs) {
    this.tarballs = tarballs;
    this.folder = mkdtempSync(join(tmpdir(), "tessera-consumer-"));
  }

  path(...names) {
    return join(this.folder, ...names);
  }

  write(files) {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(this.path(name)), { recursive: true });
      writeFileSync(this.path(name), typeof text === "string" ? text : `${JSON.stringify(text, null, 2)}\n`);
    }
  }

  copy(from, to = ".") {
    cpSync(from, this.path(to), { recursive: true });
  }

  /** Where a package comes from: its tarball, if it is one of ours. */
  place(name, version) {
    return this.tarballs.has(name) ? `file:${this.tarballs.get(name)}` : version;
  }

  /**
   * Installs packages, given by their versions; ours come from their tarballs, also where another package asks for them.
   * @throws SetupError with what the package manager said
   */
  install(manager, dependencies) {
    const { command, overrides = () => ({}), files = () => ({}) } = managers[manager];
    const direct = Object.fromEntries(
      Object.entries(dependencies).map(([name, version]) => [name, this.place(name, version)]),
    );
    // npm refuses an override of what the application names itself
    const others = Object.fromEntries(
      [...this.tarballs.keys()]
        .filter((name) => manager !== "npm" || !direct[name])
        .map((name) => [name, this.place(name)]),
    );
    const manifest = existsSync(this.path("package.json"))
      ? JSON.parse(readFileSync(this.path("package.json"), "utf8"))
      : {};
    this.write({
      "package.json": {
        name: "application",
        private: true,
        type: "module",
        ...manifest,
        dependencies: direct,
        ...overrides(others),
      },
      ...files(others),
    });
    const { status, output } = this.run(command());
    if (status !== 0) throw new SetupError(`${manager} install failed:\n${output}`);
    return output;
  }

  /** Runs a command in the folder, in an environment that names nothing of this repository. */
  run([program, ...args], env = {}) {
    const { PATH, HOME, TMPDIR, XDG_CACHE_HOME, LANG } = process.env;
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      cwd: this.folder,
      encoding: "utf8",
      maxBuffer: 1 << 28,
      // no proxy, registry or key of the caller is taken away from a package manager
      env: { ...registrySettings(), PATH, HOME, TMPDIR, XDG_CACHE_HOME, LANG, ...env },
    });
    return { status, stdout, stderr, output: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}` };
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const registrySettings = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) =>
      /^(?:npm_config_(?!user_agent|nodedir)|yarn_|https?_proxy|no_proxy|node_extra_ca)/i.test(name),
    ),
  );

/** Whether packages can be fetched here. */
export const hasRegistry = () =>
  spawnSync(npmScript()[0], [...npmScript().slice(1), "view", "zod", "version", "--prefer-offline"], {
    encoding: "utf8",
  }).status === 0;
