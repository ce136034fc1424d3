import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { KeyRing } from "./keys.js";
import { freshFolder, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

const fileOf = () =>
  (JSON.parse(readFileSync(join(folder, "keys.json"), "utf8")) as { keys: { id: string; hash: string }[] }).keys;

/** A process of its own with a ring on the folder. */
function elsewhere(program: string) {
  const text = `
    const { KeyRing } = await import(${JSON.stringify(new URL("./keys.ts", import.meta.url).href)});
    const ring = await KeyRing.open(${JSON.stringify(folder)});
    ${program}`;
  const sources = fileURLToPath(new URL("../../setup/sources.mjs", import.meta.url));
  const flags = ["--conditions=@tessera/source", `--import=${sources}`, "--input-type=module"];
  return spawn(process.execPath, [...flags, "--eval", text], { stdio: ["ignore", "pipe", "inherit"] });
}

describe("KeyRing", () => {
  it("loses nothing where processes make and revoke keys at the same time, and all share one pepper", async () => {
    const writers = ["a", "b", "c"].map((name) =>
      elsewhere(`
        const made = [];
        for (let i = 0; i < 12; i++) made.push((await ring.create({ name: "${name}" + i })).token);
        await ring.revoke(made[0].split("_")[1]);
        console.log(JSON.stringify(made));`),
    );
    const tokens = await Promise.all(
      writers.map(async (writer) => {
        let said = "";
        writer.stdout.on("data", (part) => {
          said += part;
        });
        expect((await once(writer, "close"))[0]).toBe(0);
        return JSON.parse(said) as string[];
      }),
    );
    const ring = await KeyRing.open(folder);
    expect((await ring.list()).map(({ name }) => name).sort()).toEqual(
      ["a", "b", "c"].flatMap((name) => Array.from({ length: 12 }, (_, i) => `${name}${i}`)).sort(),
    );
    for (const [revoked, ...valid] of tokens) {
      expect(await ring.verify(revoked!)).toBeUndefined();
      for (const token of valid) expect(await ring.verify(token)).toBeDefined();
    }
    expect(readdirSync(folder).sort()).toEqual(["keys.json", "pepper"]);
  });

  it("takes over the lock of a process that was killed while it held it", async () => {
    const ring = await KeyRing.open(folder);
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    writeFileSync(join(folder, "lock"), JSON.stringify({ token: "t", pid, host: hostname(), started: "1" }));
    expect((await ring.create({ name: "after" })).key.name).toBe("after");
  });

  it("refuses a revoked key at once, whichever process revoked it", async () => {
    const ring = await KeyRing.open(folder);
    const other = await KeyRing.open(folder); // as another process has it
    const { token, key } = await ring.create({ name: "gone" });
    expect(await other.verify(token)).toMatchObject({ id: key.id });
    await ring.revoke(key.id);
    expect([await ring.verify(token), await other.verify(token)]).toEqual([undefined, undefined]);
  });

  it("keeps a hash and no secret, readable by its owner alone; another pepper opens nothing", async () => {
    const ring = await KeyRing.open(folder);
    const { token, key } = await ring.create({ name: "one" });
    const secret = token.slice(`tsr_${key.id}_`.length);
    expect(Buffer.from(secret, "base64url")).toHaveLength(32);
    for (const name of readdirSync(folder)) {
      expect(readFileSync(join(folder, name), "utf8")).not.toContain(secret);
      expect(statSync(join(folder, name)).mode & 0o077).toBe(0);
    }
    expect(fileOf()[0]!.hash).toMatch(/^[0-9a-f]{64}$/);
    for (const wrong of [
      `${token.slice(0, -1)}${token.endsWith("A") ? "E" : "A"}`,
      secret,
      `tsr_${key.id}_`,
      "",
      "tsr_",
    ])
      expect(await ring.verify(wrong)).toBeUndefined();
    writeFileSync(join(folder, "pepper"), "00".repeat(32)); // of the first layout, without a checksum
    expect(await (await KeyRing.open(folder)).verify(token)).toBeUndefined();
  });

  it("lets nobody in where the keys cannot be read, and changes nothing there", async () => {
    const ring = await KeyRing.open(folder);
    const { token } = await ring.create({ name: "one" });
    writeFileSync(join(folder, "keys.json"), '[{"id": "half');
    await expect(ring.verify(token)).rejects.toMatchObject({ code: "STORE_FAILED" });
    await expect(ring.create({ name: "two" })).rejects.toMatchObject({ code: "STORE_FAILED" });
    expect(readFileSync(join(folder, "keys.json"), "utf8")).toBe('[{"id": "half');
  });

  // E-18 of the fault book: a service with a damaged pepper started, and refused every key
  it.each([
    ["empty", ""],
    ["cut", "0123"],
    ["of other letters", "z".repeat(64)],
    ["gone", undefined],
  ])("does not open with a pepper that is %s, and says which file that is", async (_, text) => {
    await (await KeyRing.open(folder)).create({ name: "a" });
    const path = join(folder, "pepper");
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text);
    const refused = await KeyRing.open(folder).catch((error) => error);
    expect(refused).toMatchObject({ code: "STORE_FAILED", path });
    expect(refused.hint).toContain("keys.json");
  });

  // E-16 and E-18 of the fault book: a digit that was changed refused every key, or changed one
  it.each(["pepper", "keys.json"])("finds every flipped bit of %s, and names the file", async (name) => {
    await (await KeyRing.open(folder)).create({ name: "a", principal: { id: "ann" } });
    const path = join(folder, name);
    const whole = readFileSync(path);
    const passed: number[] = [];
    for (let byte = 0; byte < whole.length; byte++) {
      const damaged = Buffer.from(whole);
      damaged[byte]! ^= 1 << (byte % 7);
      writeFileSync(path, damaged);
      const ring = await KeyRing.open(folder).catch((error) => error);
      if (ring.code !== "STORE_FAILED" || ring.path !== path) passed.push(byte);
    }
    // between the values of JSON, and at the end, a blank may be another one
    const changed = passed.filter((byte) => /\S/.test(String.fromCharCode(whole[byte]!)));
    expect(changed).toEqual([]);
  });

  it("reads files of the first layout, and seals them", async () => {
    const { token } = await (await KeyRing.open(folder)).create({ name: "a" });
    const [pepper] = readFileSync(join(folder, "pepper"), "utf8").split("\n");
    writeFileSync(join(folder, "pepper"), pepper!);
    writeFileSync(join(folder, "keys.json"), JSON.stringify(fileOf()));
    const ring = await KeyRing.open(folder);
    expect(await ring.verify(token)).toBeDefined();
    expect(readFileSync(join(folder, "pepper"), "utf8").trim().split("\n")).toHaveLength(2);
    await ring.create({ name: "b" });
    expect(fileOf()).toHaveLength(2);
    expect(await (await KeyRing.open(folder)).verify(token)).toBeDefined();
  });

  it("has no principal that is called as a group is, nor a group as a principal", async () => {
    const ring = await KeyRing.open(folder);
    await ring.create({ name: "a", principal: { id: "ann", groups: ["staff"] } });
    for (const principal of [{ id: "staff" }, { id: "bob", groups: ["ann"] }, { id: "x", groups: ["x"] }])
      await expect(ring.create({ name: "b", principal })).rejects.toMatchObject({ code: "CONFLICT" });
    await ring.create({ name: "c", principal: { id: "ann", groups: ["staff", "other"] } });
  });
});
