import { spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = "/usr/lib/postgresql"; // where Debian and Ubuntu put the versions
const folders = [
  ...(existsSync(root) ? readdirSync(root).map((version) => join(root, version, "bin")) : []),
  ...(process.env.PATH ?? "").split(":"),
];
const programs = folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));

/** PostgreSQL does not run as root: as root, the user of its package is taken. */
function owner(): { uid: number; gid: number } | undefined {
  const [uid, gid] = ["-u", "-g"].map((flag) =>
    Number(spawnSync("id", [flag, "postgres"]).stdout?.toString() || "NaN"),
  );
  return uid && gid ? { uid, gid } : undefined;
}
const isRoot = process.getuid?.() === 0;

/** Whether a server can be started here. */
export const hasPostgres = programs !== undefined && (!isRoot || owner() !== undefined);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A PostgreSQL server of this machine's own, in a folder that goes with it. */
export class PostgresServer {
  #process: ReturnType<typeof spawn> | undefined;

  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {}

  get url(): string {
    return `postgresql://tessera@127.0.0.1:${this.port}/postgres`;
  }

  static async start(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), "tessera-postgres-"));
    const user = isRoot ? owner() : undefined;
    if (user) chownSync(folder, user.uid, user.gid);
    const { status, stderr } = spawnSync(
      join(programs!, "initdb"),
      ["-D", join(folder, "data"), "-U", "tessera", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
      { ...user, cwd: folder },
    );
    if (status !== 0) throw new Error(`initdb: ${stderr}`);
    const server = new PostgresServer(folder, await freePort());
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    const user = isRoot ? owner() : undefined;
    const places = ["-D", join(this.folder, "data"), "-p", String(this.port), "-k", this.folder];
    this.#process = spawn(join(programs!, "postgres"), [...places, "-h", "127.0.0.1", "-c", "max_connections=100"], {
      ...user,
      cwd: this.folder,
      stdio: "ignore",
    });
    const ready = ["-h", "127.0.0.1", "-p", String(this.port), "-d", "postgres", "-q"];
    for (let tries = 0; spawnSync(join(programs!, "pg_isready"), ready).status !== 0; tries++) {
      if (tries > 200) throw new Error("PostgreSQL does not start");
      await new Promise((resolve) => setTimeout(resolve, 50));
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
