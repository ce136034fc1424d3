import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ended, root, start, tessera } from "./program.fixture.js";

const main = join(root, "apps/cli/src/main.ts");
const work = mkdtempSync(join(tmpdir(), "tessera-serve-"));
// beside the server, so that its packages are found
const examples = join(root, "apps/server/.test/examples");
let child: ReturnType<typeof start>;
let ending: ReturnType<typeof ended>;
let url: string;
let key: string;

beforeAll(async () => {
  mkdirSync(join(work, "code"));
  writeFileSync(
    join(work, "code/retry.js"),
    "/** Retries are backed off: every wait is twice the one before. */\nexport const delay = (attempt) => 100 * 2 ** attempt;\n",
  );
  child = start(main, ["serve", "--source", "code", "--port", "0"], { cwd: work });
  ending = ended(child);
  let out = "";
  await new Promise<void>((resolve, reject) => {
    child.stdout!.on("data", (text: string) => {
      out += text;
      if (/tsr_\S+\n/.test(out)) resolve();
    });
    void ending.then(({ err }) => reject(new Error(err)));
  });
  url = /http:\S+/.exec(out)![0];
  key = /tsr_\S+/.exec(out)![0];
}, 60_000);
afterAll(() => {
  child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
  rmSync(examples, { recursive: true, force: true });
});

describe("tessera serve", () => {
  it("runs the examples of docs/service.md", async () => {
    const programs = [...readFileSync(join(root, "docs/service.md"), "utf8").matchAll(/^```js\n(.*?)^```$/gms)];
    mkdirSync(examples, { recursive: true });
    const said: string[] = [];
    for (const [index, [, code]] of programs.entries()) {
      const path = join(examples, `${index}.mjs`);
      writeFileSync(path, code!);
      const {
        code: exit,
        out,
        err,
      } = await ended(start(path, [], { cwd: work, env: { TESSERA_URL: url, TESSERA_KEY: key } }));
      expect({ index, exit, err }).toEqual({ index, exit: 0, err: "" });
      said.push(out);
    }
    expect(said).toEqual([
      expect.stringMatching(/^done .*Retries are backed off/),
      expect.stringMatching(/^flow-start node-start .*flow-end.* run\n$/),
      "true done\n",
      expect.stringMatching(/^3 .*Retries are backed off/),
    ]);
  }, 60_000);

  it("makes, lists and revokes keys of the service that runs", async () => {
    const made = JSON.parse((await tessera(["keys", "create", "search", "--principal", "ann", "--json"], work)).out);
    const asked = () => fetch(`${url}/flows`, { headers: { authorization: `Bearer ${made.token}` } });
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect((await asked()).status).toBe(200);
    const listed = (await tessera(["keys", "list", "--json"], work)).out;
    expect(JSON.parse(listed)).toMatchObject([{ name: "first" }, { name: "search", principal: { id: "ann" } }]);
    expect(listed).not.toMatch(/hash|tsr_/);
    await tessera(["keys", "revoke", made.id], work);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect((await asked()).status).toBe(401);
    expect(await tessera(["keys", "create", "x", "--scope", "all"], work)).toMatchObject({ code: 2 });
  }, 60_000);

  it("says what is wrong where it cannot start", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as { port: number };
    const refused = await tessera(["serve", "--source", "code", "--port", String(port)], work, {
      TESSERA_HOME: join(work, "other"),
    });
    taken.close();
    expect(refused.code).toBe(1);
    expect(refused.err).toContain(`port ${port} is in use`);
    expect(await tessera(["serve", "--source", "nowhere"], work)).toMatchObject({ code: 2 });
    expect(await tessera(["serve", "--port", "http"], work)).toMatchObject({ code: 2 });
  }, 60_000);

  it("ends on SIGTERM", async () => {
    child.kill("SIGTERM");
    expect(await ending).toMatchObject({ code: 0, err: "" });
  }, 30_000);
});
