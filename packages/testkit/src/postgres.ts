// public: hasPostgres, hasPgvector, hasPlainPostgres, PostgresServer
import { spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./stub-service.js";

const root = "/usr/lib/postgresql"; // where Debian and Ubuntu put the versions
const isRoot = process.getuid?.() === 0;
// where apps/setup/pgvector.sh puts one
const unpacked = isRoot ? "/opt/tessera" : join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera");
const folders = [
  ...(existsSync(root) ? readdirSync(root).map((version) => join(root, version, "bin")) : []),
  ...(process.env.PATH ?? "").split(":"),
  process.env.TESSERA_POSTGRES ?? join(unpacked, "pgvector", "pgserver", "pginstall", "bin"),
].filter((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));

function hasExtension(folder: string, name: string): boolean {
  const shared = spawnSync(join(folder, "pg_config"), ["--sharedir"]).stdout?.toString().trim();
  return Boolean(shared) && existsSync(join(shared!, "extension", `${name}.control`));
}
const withVectors = folders.find((folder) => hasExtension(folder, "vector"));
const withoutVectors = folders.find((folder) => !hasExtension(folder, "vector"));

/** PostgreSQL does not run as root: as root, the user of its package is taken. */
function owner(): { uid: number; gid: number } | undefined {
  const [uid, gid] = ["-u", "-g"].map((flag) =>
    Number(spawnSync("id", [flag, "postgres"]).stdout?.toString() || "NaN"),
  );
  return uid && gid ? { uid, gid } : undefined;
}

const mayRun = !isRoot || owner() !== undefined;
/** Whether a server can be started here, and one with pgvector, and one without. */
export const hasPostgres = mayRun && folders.length > 0;
export const hasPgvector = mayRun && withVectors !== undefined;
export const hasPlainPostgres = mayRun && withoutVectors !== undefined;

/** A PostgreSQL server of this machine's own, in a folder that goes with it. */
export class PostgresServer {
  #process: ReturnType<typeof spawn> | undefined;

  private constructor(
    private readonly programs: string,
    private readonly folder: string,
    private readonly port: number,
  ) {}

  get url(): string {
    return `postgresql://tessera@127.0.0.1:${this.port}/postgres`;
  }

  /** @param vectors whether it must have pgvector, or must not */
  static async start(vectors?: boolean): Promise<PostgresServer> {
    const programs = vectors === undefined ? folders[0]! : vectors ? withVectors! : withoutVectors!;
    const folder = mkdtempSync(join(tmpdir(), "tessera-postgres-"));
    const user = isRoot ? owner() : undefined;
    if (user) chownSync(folder, user.uid, user.gid);
    const { status, stderr } = spawnSync(
      join(programs, "initdb"),
      ["-D", join(folder, "data"), "-U", "tessera", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
      { ...user, cwd: folder },
    );
    if (status !== 0) throw new Error(`initdb: ${stderr}`);
    const server = new PostgresServer(programs, folder, await freePort());
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    const user = isRoot ? owner() : undefined;
    const places = ["-D", join(this.folder, "data"), "-p", String(this.port), "-k", this.folder];
    this.#process = spawn(
      join(this.programs, "postgres"),
      [...places, "-h", "127.0.0.1", "-c", "max_connections=100"],
      {
        ...user,
        cwd: this.folder,
        stdio: "ignore",
      },
    );
    const ready = ["-h", "127.0.0.1", "-p", String(this.port), "-d", "postgres", "-q"];
    for (let tries = 0; spawnSync(join(this.programs, "pg_isready"), ready).status !== 0; tries++) {
      if (tries > 1000) throw new Error("PostgreSQL does not start");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Ends it at once; connections break, what was committed stays. */
  async down(): Promise<void> {
    const ended = new Promise((resolve) => this.#process!.on("exit", resolve));
    this.#process!.kill("SIGINT");
    await ended;
  }

  async remove(): Promise<void> {
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
