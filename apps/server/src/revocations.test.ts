import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import type { Key } from "./keys.js";
import { KeyRing } from "./keys.js";
import { Revocations } from "./revocations.js";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

describe("what is under way for a key", () => {
  it("ends once with the key, at once where it is revoked already, and looks at the keys within a second", () => {
    jest.useFakeTimers();
    try {
      let told = (_: string) => {};
      let looks = 0;
      const gone = new Set<string>();
      const keys = {
        find: (id: string) => (gone.has(id) ? ({ revoked: "yes" } as Key) : undefined),
        onRevoked: (listener: (id: string) => void) => {
          told = listener;
          return () => {};
        },
        look: async () => void looks++,
      };
      const revocations = new Revocations(keys);
      const ended: string[] = [];
      revocations.add("a", ({ code }) => void ended.push(`a ${code}`));
      const forget = revocations.add("a", () => void ended.push("forgotten"));
      revocations.add("b", () => void ended.push("b"));
      forget();
      told("a");
      told("a");
      expect(ended).toEqual(["a UNAUTHENTICATED"]);
      gone.add("c");
      revocations.add("c", () => void ended.push("c"));
      expect(ended).toEqual(["a UNAUTHENTICATED", "c"]);
      expect(revocations.size).toBe(1);
      jest.advanceTimersByTime(1000);
      expect(looks).toBeGreaterThan(0);
      revocations.close();
      const before = looks;
      jest.advanceTimersByTime(10_000);
      expect(looks).toBe(before);
    } finally {
      jest.useRealTimers();
    }
  });

  // E-27 of the fault book: 56 more parts in 3.2 seconds
  it.each(["this process", "another process"])(
    "a stream, a waiting answer and a run in the background end: revoked by %s",
    async (who) => {
      const service = await startService(folder);
      const url = await service.server.listen({ port: 0, host: "127.0.0.1" });
      const { token, headers } = await service.key({ principal: { id: "ann" } });
      const other = await service.key({ principal: { id: "ann" } });
      const id = token.split("_")[1]!;
      const post = (more: object, flow = "hold") =>
        fetch(`${url}/flows/${flow}/runs`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/json", ...more },
          body: JSON.stringify({ input: { query: "q" } }),
        });
      const stream = await post({ accept: "text/event-stream" }, "flood");
      const reader = stream.body!.getReader();
      await reader.read();
      const waiting = post({});
      const background = (await (await post({ prefer: "respond-async" })).json()) as { id: string };
      const kept = (await (
        await fetch(`${url}/flows/hold/runs`, {
          method: "POST",
          headers: { ...other.headers, "content-type": "application/json", prefer: "respond-async" },
          body: JSON.stringify({ input: { query: "kept" } }),
        })
      ).json()) as { id: string };
      while ((await service.runs.list({ limit: 9 })).length < 4) await sleep(5);
      const ring = who === "this process" ? service.keys : await KeyRing.open(join(folder, "keys"));
      await ring.revoke(id);
      const drained = (async () => {
        for (;;) if ((await reader.read()).done) return "ended";
      })().catch(() => "cut");
      expect(await drained).toBe("cut");
      expect((await waiting).status).toBe(401);
      expect(await service.runs.settled(background.id)).toMatchObject({ status: "cancelled" });
      const states = await service.runs.list({ limit: 9 });
      await Promise.all(states.filter((state) => state.id !== kept.id).map((state) => service.runs.settled(state.id)));
      const left = (await service.runs.list({ limit: 9 })).map(({ id, status }) => [id === kept.id, status]);
      expect(left.sort()).toEqual([
        [false, "cancelled"],
        [false, "cancelled"],
        [false, "cancelled"],
        [true, "running"],
      ]);
      await service.runs.cancel(kept.id);
      await service.server.close();
    },
  );
});
