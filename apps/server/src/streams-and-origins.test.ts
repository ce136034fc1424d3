import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

let folder: string;
let service: Awaited<ReturnType<typeof startService>>;
beforeEach(async () => {
  folder = freshFolder();
  service = await startService(folder, { origins: ["https://app.example"] });
});
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

const allowed = "access-control-allow-origin";
const preflight = (origin: string) =>
  service.server.inject({
    method: "OPTIONS",
    url: "/flows/echo/runs",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  });

describe("origins", () => {
  it("let the pages of a named origin ask and call, with a key", async () => {
    const asked = await preflight("https://app.example");
    expect([asked.statusCode, asked.headers[allowed]]).toEqual([204, "https://app.example"]);
    expect(asked.headers["access-control-allow-headers"]).toMatch(/authorization/i);
    const { headers } = await service.key();
    const origin = "https://app.example";
    const called = await service.server.inject({ url: "/flows", headers: { ...headers, origin } });
    expect([called.statusCode, called.headers[allowed]]).toEqual([200, origin]);
    expect((await service.server.inject({ url: "/flows", headers: { origin } })).statusCode).toBe(401);
  });

  it("let no other page, and none at all where none is named", async () => {
    expect((await preflight("https://evil.example")).headers[allowed]).toBeUndefined();
    await service.server.close();
    service = await startService(folder);
    expect((await preflight("https://app.example")).headers[allowed]).toBeUndefined();
  });
});

describe("GET /runs/:id/events", () => {
  it("goes on behind Last-Event-ID: a stream that broke anywhere is made whole, each event once", async () => {
    const { headers } = await service.key();
    const begun = await service.server.inject({
      method: "POST",
      url: "/flows/echo/runs",
      payload: { input: { query: "hi" } },
      headers: { ...headers, "idempotency-key": "one", accept: "text/event-stream" },
    });
    const id = begun.headers["x-run-id"];
    const whole = begun.body.split("\n\n");
    expect(whole.length).toBeGreaterThan(5);
    const from = async (last: string, as: object = headers) =>
      service.server.inject({ url: `/runs/${id}/events`, headers: { ...as, "last-event-id": last } });
    for (const [index, event] of whole.entries()) {
      const number = /^id: (\d+)$/m.exec(event)?.[1];
      if (number) expect((await from(number)).body.split("\n\n")).toEqual(whole.slice(index + 1));
    }
    for (const strange of ["0", "-4", "none"]) expect((await from(strange)).body).toBe(begun.body);
    const other = await service.key({ principal: { id: "bob" } });
    expect((await from("0", other.headers)).statusCode).toBe(404);
  });
});
