import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";
import { UnauthenticatedLimits } from "./unauthenticated.js";

describe("requests without a valid key", () => {
  it("are limited by address, with the time to ask again, and the clock gone back refuses nobody", () => {
    let now = 1_000_000;
    const unauthenticated = new UnauthenticatedLimits({ requestsPerMinute: 2, now: () => now });
    const ask = (address: string) => {
      try {
        unauthenticated.request(address);
        return "passed";
      } catch (error) {
        return (error as { retryAfterMs: number }).retryAfterMs;
      }
    };
    expect([ask("10.0.0.1"), ask("10.0.0.1"), ask("10.0.0.1"), ask("10.0.0.2")]).toEqual([
      "passed",
      "passed",
      30_000,
      "passed",
    ]);
    now += 30_000;
    expect([ask("10.0.0.1"), ask("10.0.0.1")]).toEqual(["passed", 30_000]);
    now -= 3_600_000;
    expect([ask("10.0.0.3"), ask("10.0.0.1")]).toEqual(["passed", 30_000]);
    now += 30_000;
    expect(ask("10.0.0.1")).toBe("passed");
  });

  it("one network of IPv6 is one, an IPv4 address in IPv6 is itself, and what is no address is one stranger", () => {
    const unauthenticated = new UnauthenticatedLimits();
    for (const one of ["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:0DB8:0:0:1:2:3:4"]) unauthenticated.request(one);
    expect(unauthenticated.size).toBe(1);
    for (const one of ["10.0.0.1", "::ffff:10.0.0.1"]) unauthenticated.request(one);
    expect(unauthenticated.size).toBe(2);
    for (let one = 0; one < 9; one++) unauthenticated.request("x".repeat(100_000) + one);
    expect(unauthenticated.size).toBe(3);
  });

  it("take bounded memory, and those who were seen last are remembered", () => {
    const unauthenticated = new UnauthenticatedLimits({ requestsPerMinute: 1, addresses: 100, now: () => 0 });
    for (let one = 0; one < 100_000; one++) unauthenticated.request(`10.${one >> 16}.${(one >> 8) & 255}.${one & 255}`);
    expect(unauthenticated.size).toBe(100);
    const last = 99_999;
    expect(() => unauthenticated.request(`10.${last >> 16}.${(last >> 8) & 255}.${last & 255}`)).toThrow(
      expect.objectContaining({ code: "OVERLOADED" }),
    );
  });
});

// E-43 of the fault book
describe.each([
  ["of a client", undefined, 429],
  ["of a proxy that is trusted", ["127.0.0.1"], 401],
])("an address %s", (_, trustProxy, others) => {
  const folder = freshFolder();
  let service: Awaited<ReturnType<typeof startService>>;
  beforeAll(async () => {
    service = await startService(folder, {
      unauthenticated: { requestsPerMinute: 3 },
      ...(trustProxy && { trustProxy }),
    });
  });
  afterAll(async () => {
    await service.server.close();
    removeFolder(folder);
  });

  it("gets 429 with Retry-After on every route, /v1 and no address too; keys and probes are not held up", async () => {
    const ask = (url: string, headers: object = {}) =>
      service.server.inject({ method: "GET", url, headers: { "x-forwarded-for": "10.1.1.1", ...headers } });
    const first = [await ask("/flows"), await ask("/v1/models"), await ask("/none")];
    expect(first.map(({ statusCode }) => statusCode)).toEqual([401, 401, 401]);
    for (const url of ["/flows", "/v1/models", "/none", "/openapi.json"]) {
      const refused = await ask(url, { authorization: "Bearer tsr_wrong" });
      expect([refused.statusCode, Number(refused.headers["retry-after"]) > 0]).toEqual([429, true]);
    }
    const { headers } = await service.key();
    expect((await ask("/flows", headers)).statusCode).toBe(200);
    expect((await ask("/healthz")).statusCode).toBe(200);
    // only a proxy that is trusted says whose request it is
    expect((await ask("/flows", { "x-forwarded-for": "10.9.9.9" })).statusCode).toBe(others);
  });
});
