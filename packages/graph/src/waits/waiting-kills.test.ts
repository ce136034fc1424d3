import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { fourAtOnce, killed, kills, linesOf } from "@tessera/testkit";
import { diskRecords } from "../records/disk.js";
import { liveIn } from "./waiting-kills.fixture.js";

const folders: string[] = [];
const fresh = () => {
  folders.push(mkdtempSync(join(tmpdir(), "tessera-waits-")));
  return folders.at(-1)!;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
const program = fileURLToPath(new URL("waiting-kills.fixture.ts", import.meta.url));

describe("a run that waits, on a thread", () => {
  it(`its process is killed ${kills} times: no finished step runs again, nothing is asked twice, one turn is taken`, async () => {
    const calm = await liveIn(fresh(), 0);
    const expected = calm.result.output;
    const steps = linesOf(join(folders[0]!, "ran")).length;
    await calm.records.close?.();
    await fourAtOnce(kills, async (index) => {
      const folder = fresh();
      const ran = join(folder, "ran");
      // the last ones are killed about when the run ends, and its turn is taken
      const after = 1 + (index % steps);
      await killed({ program, words: ["live", folder], ran, after, later: (index * 7) % 25 });
      const left = diskRecords(`${folder}/records`);
      const finished = new Set((await left.journal("run")).entries.keys());
      await left.close?.();
      const before = linesOf(ran);
      const { result, records } = await liveIn(folder, 0);
      expect(result.output).toEqual(expected);
      const again = linesOf(ran).slice(before.length);
      expect(again.filter((path) => finished.has(path))).toEqual([]);
      expect(new Set(again).size).toBe(again.length);
      const name = { owner: "", id: "t-run" };
      const turns = await records.threads!.turns(name, { limit: 9 });
      expect(turns.map(({ user, assistant }) => [user, assistant])).toEqual([["q", expected.text]]);
      expect((await records.threads!.get(name))?.open).toBeUndefined();
      // taken up once more, it leaves no second one
      await (await liveIn(folder, 0)).records.close?.();
      expect((await records.threads!.get(name))?.turns).toBe(1);
      await records.close?.();
    });
  });
});
