import { getEventListeners } from "node:events";
import { describe, expect, it } from "@jest/globals";
import { abortable, Deferred } from "./deferred.js";
import { TesseraError } from "./errors.js";

describe("a deferred promise", () => {
  it("keeps what settled it first, and tells once that it has ended", async () => {
    let ends = 0;
    const ended = () => {
      ends += 1;
    };
    const value = new Deferred<number>({ ended });
    value.resolve(1);
    value.resolve(2);
    value.reject(new Error("late"));
    expect(await value.promise).toBe(1);
    const error = new Deferred<number>({ ended });
    error.reject("no");
    error.resolve(1);
    await expect(error.promise).rejects.toBe("no");
    expect(ends).toBe(2);
  });

  it("is rejected by its signal, with one listener however many wait, and none when all are settled", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = (cause: unknown) => new TesseraError("ABORTED", "enough", { cause });
    const all = Array.from({ length: 30 }, () => new Deferred<number>({ signal, aborted }));
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    for (const deferred of all.slice(1)) deferred.resolve(1);
    expect(await Promise.all(all.slice(1).map(({ promise }) => promise))).toHaveLength(29);
    controller.abort("why");
    await expect(all[0]!.promise).rejects.toMatchObject({ code: "ABORTED", cause: "why" });
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
    await expect(new Deferred({ signal }).promise).rejects.toBe("why");
  });
});

describe("abortable", () => {
  it("settles as the promise, or with its signal, whichever comes first", async () => {
    const { signal } = new AbortController();
    expect(await abortable(Promise.resolve(1), { signal })).toBe(1);
    await expect(abortable(Promise.reject("no"), {})).rejects.toBe("no");
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
    const never = new Promise<number>(() => {});
    const timeout = AbortSignal.timeout(5);
    await expect(abortable(never, { signal: timeout, aborted: () => "late" })).rejects.toBe("late");
    await expect(abortable(never, { signal: AbortSignal.abort("before") })).rejects.toBe("before");
  });
});
