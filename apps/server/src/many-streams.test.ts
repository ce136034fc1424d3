import { afterAll, expect, it } from "@jest/globals";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
afterAll(() => removeFolder(folder));

it("more streams at once than ended runs are kept: every one gets its end", async () => {
  const { server, key } = await startService(folder, { durable: false });
  const { headers } = await key({ limits: { requestsPerMinute: 10_000, concurrency: 1000 } });
  const replies = await Promise.all(
    Array.from({ length: 250 }, (_, number) =>
      server.inject({
        method: "POST",
        url: "/flows/echo/runs",
        headers: { ...headers, accept: "text/event-stream" },
        payload: { input: { query: `q${number}` } },
      }),
    ),
  );
  for (const [number, { body }] of replies.entries())
    expect(body).toMatch(new RegExp(`event: run\n.*said q${number} to`));
  await server.close();
});
