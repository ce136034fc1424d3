import { afterEach, expect, it } from "@jest/globals";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

it("bodies of requests under way have a limit in bytes together, which is free again once they are answered", async () => {
  service = await startService(folder, { durable: false, bodiesLimit: 1000 });
  const { headers } = await service.key();
  const post = (flow: string, length: number, more: Record<string, string> = {}) =>
    service.server.inject({
      method: "POST",
      url: `/flows/${flow}/runs`,
      headers: { ...headers, ...more },
      payload: { input: { query: "q".repeat(length) } },
    });
  // one alone is not refused, whatever it holds
  expect((await post("echo", 2000)).statusCode).toBe(200);
  const first = post("hold", 600);
  const running = async () => (await service.runs.list({ limit: 10 })).find(({ status }) => status === "running");
  while (!(await running())) await new Promise((resolve) => setImmediate(resolve));
  const refused = await post("echo", 600);
  expect([refused.statusCode, refused.json().code]).toEqual([429, "OVERLOADED"]);
  expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
  expect((await post("echo", 100)).statusCode).toBe(200);
  await service.runs.cancel((await running())!.id);
  await first;
  expect((await post("echo", 600)).statusCode).toBe(200);
});
