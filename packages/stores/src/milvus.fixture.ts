import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@tessera/testkit";
import { MilvusClient } from "@zilliz/milvus2-sdk-node";

const folder =
  process.getuid?.() === 0 ? "/opt/tessera" : join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera");
// where apps/setup/milvus.sh puts it
const program = join(folder, "milvus", "bin", "milvus-lite");

/** Whether Milvus Lite can be started here. */
export const hasMilvus = existsSync(program);

/** Whether the server answers a call: it takes connections somewhat earlier than it serves them. */
async function answers(address: string): Promise<boolean> {
  const client = new MilvusClient({ address, ssl: false, logLevel: "error" });
  try {
    await client.connectPromise;
    await client.getVersion();
    return true;
  } catch {
    return false;
  } finally {
    await client.closeConnection().catch(() => {});
  }
}

/** A Milvus Lite of this machine's own, in a folder that goes with it. */
export class MilvusServer {
  #process: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {}

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  static async start(): Promise<MilvusServer> {
    const server = new MilvusServer(mkdtempSync(join(tmpdir(), "tessera-milvus-")), await freePort());
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    const words = ["server", "--data-dir", join(this.folder, "data"), "--host", "127.0.0.1", "--port", `${this.port}`];
    this.#process = spawn(program, words, { stdio: "ignore" });
    for (let tries = 0; !(await answers(this.address)); tries++) {
      if (tries > 1000 || this.#process.exitCode !== null) throw new Error("Milvus Lite does not start");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Ends it at once. */
  async down(): Promise<void> {
    const ended = new Promise((resolve) => this.#process!.on("exit", resolve));
    this.#process!.kill("SIGKILL");
    await ended;
  }

  async remove(): Promise<void> {
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
