import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { openFolder } from "./backend.js";
import { repairFolder } from "./repair.js";
import { flows, freshFolder, operators, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

const principal = { id: "ann" };

async function open() {
  const backend = await openFolder(folder, { flows, operators });
  return {
    ...backend,
    async close() {
      await backend.runs.close(0);
      await backend.close();
    },
  };
}

describe("the folder of a service whose log is damaged", () => {
  it("is repaired on demand: what is whole is there again, and the damaged log lies beside", async () => {
    const service = await open();
    for (const id of ["a", "b", "c"]) {
      await service.runs.start({ id, flow: "echo", input: { query: id }, principal });
      await service.runs.settled(id);
    }
    await expect(repairFolder(folder, { drop: true })).rejects.toMatchObject({ code: "INDEX_LOCKED" });
    await service.close();
    expect(await repairFolder(folder, { drop: true })).toEqual([]);

    const path = join(folder, "log", "00000001.log");
    const bytes = readFileSync(path);
    bytes[bytes.indexOf('"id":"b"')]! ^= 1;
    writeFileSync(path, bytes);
    await expect(open()).rejects.toMatchObject({
      code: "RECORD_CORRUPT",
      hint: expect.stringContaining("serve --repair"),
    });
    const found = await repairFolder(folder, { drop: false });
    expect(found).toMatchObject([{ log: join(folder, "log"), damages: [{ path }] }]);
    await expect(open()).rejects.toMatchObject({ code: "RECORD_CORRUPT" });
    const [{ moved } = { moved: undefined }] = await repairFolder(folder, { drop: true });
    expect(readFileSync(join(moved!, "00000001.log"))).toEqual(bytes);

    const warnings = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const again = await open();
    for (const id of ["a", "c"])
      expect(await again.runs.get(id)).toMatchObject({ status: "done", input: { query: id } });
    await again.close();
    warnings.mockRestore();
  });
});
