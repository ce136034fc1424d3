import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { addressOf } from "./database/address.js";
import { openedFlow, sealedFlow } from "./library.js";
import { flows, freshFolder, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

describe("an uploaded flow that is kept", () => {
  // E-16 of the fault book
  it("is the same document, or the error that names the place, at every flipped bit and every cut", () => {
    const text = sealedFlow(flows.echo!);
    const whole = Buffer.from(text);
    const same = JSON.stringify(flows.echo);
    const outcome = (kept: string) => {
      const opened = openedFlow(kept, "the place");
      if (JSON.stringify(opened) === same) return "same";
      return opened instanceof Error ? `${opened.name} ${(opened as { path?: string }).path}` : "other";
    };
    expect(outcome(text)).toBe("same");
    const damaged = new Set<string>();
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << (at % 7);
      damaged.add(outcome(flipped.toString()));
      if (at < whole.length - 1) damaged.add(outcome(whole.subarray(0, at).toString()));
    }
    expect([...damaged].filter((one) => one !== "same")).toEqual(["TesseraError the place"]);
  });

  it("is read where it has no checksum yet", () => {
    expect(openedFlow(JSON.stringify(flows.echo), "the place")).toEqual(flows.echo);
  });
});

// E-18 of the fault book
describe("the address of a database", () => {
  it.each(["", "localhost", "mysql://host/name", "postgres//host"])("is refused where it is none: %j", async (url) => {
    await expect(addressOf(url)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it.each(["sslrootcert", "sslcert", "sslkey"])(
    "names no file of TLS that is missing, empty or damaged: %s",
    async (name) => {
      const path = join(folder, "file.pem");
      const refused = () => addressOf(`postgres://host/name?${name}=${encodeURIComponent(path)}`);
      await expect(refused()).rejects.toMatchObject({ code: "STORE_FAILED", path });
      for (const text of ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
        writeFileSync(path, text);
        await expect(refused()).rejects.toMatchObject({ code: "STORE_FAILED", path });
      }
      expect(readFileSync(path, "utf8")).toContain("AAAA");
    },
  );

  it("passes where it names none", async () => {
    expect((await addressOf("postgres://user@host:5432/name")).host).toBe("host:5432");
  });
});
