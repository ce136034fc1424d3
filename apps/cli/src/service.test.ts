import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { hasPostgres, needs, PostgresServer } from "@tessera/testkit";
import { ended, root, start, tessera } from "./program.fixture.js";

const main = join(root, "apps/cli/src/main.ts");
const work = mkdtempSync(join(tmpdir(), "tessera-serve-"));
// beside the server, so that its packages are found
const examples = join(root, "apps/server/.test/examples");
const isDurable = (code: string) => code.includes("TESSERA_URLS");
let child: ReturnType<typeof start>;
let ending: ReturnType<typeof ended>;
let url: string;
let key: string;

/** Starts the service, and gives what it printed once that holds something. */
async function serve(given: string[], said: RegExp, env: object = {}) {
  const child = start(main, ["serve", "--source", "code", "--port", "0", ...given], { cwd: work, env });
  const ending = ended(child);
  let out = "";
  await new Promise<void>((resolve, reject) => {
    child.stdout!.on("data", (text: string) => {
      out += text;
      if (said.test(out)) resolve();
    });
    void ending.then(({ err }) => reject(new Error(err)));
  });
  return { child, ending, out, url: /http:\S+/.exec(out)![0] };
}

/** The programs of docs/service.md. */
const programs = [...readFileSync(join(root, "docs/service.md"), "utf8").matchAll(/^```js\n(.*?)^```$/gms)].map(
  ([, code]) => code!,
);

async function runProgram(code: string, env: object): Promise<string> {
  mkdirSync(examples, { recursive: true });
  const path = join(examples, `${programs.indexOf(code)}.mjs`);
  writeFileSync(path, code);
  const { code: exit, out, err } = await ended(start(path, [], { cwd: work, env }));
  expect({ path, exit, err }).toEqual({ path, exit: 0, err: "" });
  return out;
}

beforeAll(async () => {
  mkdirSync(join(work, "code"));
  writeFileSync(
    join(work, "code/retry.js"),
    "/** Retries are backed off: every wait is twice the one before. */\nexport const delay = (attempt) => 100 * 2 ** attempt;\n",
  );
  let out: string;
  ({ child, ending, out, url } = await serve([], /tsr_\S+\n/));
  key = /tsr_\S+/.exec(out)![0];
});
afterAll(() => {
  child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
  rmSync(examples, { recursive: true, force: true });
});

describe("tessera serve", () => {
  it("runs the examples of docs/service.md", async () => {
    const said: string[] = [];
    for (const code of programs.filter((code) => !isDurable(code)))
      said.push(await runProgram(code, { TESSERA_URL: url, TESSERA_KEY: key }));
    expect(said).toEqual([
      expect.stringMatching(/^done .*Retries are backed off/),
      expect.stringMatching(/^flow-start node-start .*flow-end.* run\n$/),
      "true done\n",
      expect.stringMatching(/^4 .*Retries are backed off/),
    ]);
  });

  needs(hasPostgres, "PostgreSQL is not installed")(
    "runs the example of docs/service.md on a database that two services share",
    async () => {
      const server = await PostgresServer.start();
      const home = { TESSERA_HOME: join(work, "shared") };
      try {
        const first = await serve(["--database", server.url], /tsr_\S+\n/, home);
        const second = await serve([], / flows: .*\n/, { ...home, DATABASE_URL: server.url });
        expect(second.out).not.toContain("tsr_");
        const env = { TESSERA_URLS: `${first.url} ${second.url}`, TESSERA_KEY: /tsr_\S+/.exec(first.out)![0] };
        expect(programs.filter(isDurable)).toHaveLength(1);
        for (const code of programs.filter(isDurable)) expect(await runProgram(code, env)).toBe("done true true\n");
        for (const { child } of [first, second]) child.kill("SIGTERM");
        for (const { ending } of [first, second]) expect(await ending).toMatchObject({ code: 0 });
      } finally {
        await server.remove();
      }
    },
  );

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
  });

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
    expect(await tessera(["serve", "--keep-days", "ever"], work)).toMatchObject({ code: 2 });
    expect(
      await tessera(["serve", "--database", "mysql://h/d"], work, { TESSERA_HOME: join(work, "other") }),
    ).toMatchObject({
      code: 2,
      err: expect.stringContaining("postgres://user:password@host:port/name"),
    });
    const absent = ["serve", "--source", "code", "--database", `postgres://ann:secret@127.0.0.1:${port}/none`];
    const unreached = await tessera(absent, work, { TESSERA_HOME: join(work, "other") });
    expect(unreached).toMatchObject({ code: 1, err: expect.stringContaining(`STORE_FAILED 127.0.0.1:${port}/none`) });
    expect(unreached.err).not.toContain("secret");
  });

  it("ends on SIGTERM", async () => {
    child.kill("SIGTERM");
    const { code, err } = await ending;
    // what computes models is said; nothing else is
    expect([code, err.replace(/^engine .*\n/, "")]).toEqual([0, ""]);
  });
});
