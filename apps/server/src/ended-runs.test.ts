import { expect, it } from "@jest/globals";
import { EndedRuns } from "./ended-runs.js";

it("gives out runs in the order in which they ended, with the bytes that they hold, as a list does", () => {
  const ended = new EndedRuns();
  const list: [id: string, bytes: number][] = [];
  let random = 7;
  for (let turn = 0; turn < 5000; turn++) {
    random = (random * 48271) % 2147483647;
    if (random % 5 < 3) {
      ended.add(`r${turn}`, random % 100);
      list.push([`r${turn}`, random % 100]);
    } else if (random % 5 === 3) expect(ended.takeFirst()).toBe(list.shift()?.[0]);
    else {
      const [id] = list[random % (list.length + 1)] ?? ["unknown"];
      ended.remove(id);
      list.splice(0, list.length, ...list.filter(([other]) => other !== id));
    }
    if (turn % 100 > 0) continue;
    expect(ended.ids).toEqual(list.map(([id]) => id));
    expect(ended.bytes).toBe(list.reduce((sum, [, bytes]) => sum + bytes, 0));
  }
  expect(list.length).toBeGreaterThan(256);
});
