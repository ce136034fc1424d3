import { hit, passage, TesseraError } from "@tessera/core";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { fileRoutes } from "./file-routes.js";
import { finding } from "./finding.js";
import type { Indexes } from "./indexes.js";
import { assertMay, may } from "./rights.js";
import { named } from "./route.js";
import type { Service } from "./server.js";

type Named = { Params: z.infer<typeof named> };
// what came as JSON is JSON
const sent = passage.extend({ metadata: z.record(z.string(), z.any()).default({}) });
const upsert = z.strictObject({ passages: z.array(sent).min(1).max(10_000) });
const remove = z.strictObject({ ids: z.array(z.string()).min(1).max(10_000) });
const search = z.strictObject({ query: z.string().max(10_000), top: z.int().min(1).max(1000).default(10) });

const config = (summary: string) => ({ scope: "indexes" as const, summary });

/** Indexes that clients fill. A change is wholly there or not at all, also after a kill. */
export function indexRoutes(server: FastifyInstance, service: Service, indexes: Indexes): void {
  const { library, owners } = service;
  const { changing, seeing } = finding(service, indexes);
  server.get("/indexes", { config: config("the indexes that the key is for") }, async ({ key }) => ({
    indexes: await Promise.all(
      indexes.all.filter(({ name }) => may(key, { to: "see", index: name })).map((index) => index.statistics()),
    ),
  }));
  server.get<Named>(
    "/indexes/:name",
    { schema: { params: named }, config: config("the statistics of an index") },
    async ({ key, params: { name } }) => seeing(key, name).statistics(),
  );
  server.put<Named>(
    "/indexes/:name",
    { schema: { params: named }, config: config('make an index; flows name it "<name>.sparse" and "<name>.dense"') },
    async ({ key, params: { name } }, reply) => {
      assertMay(key, { to: "change", index: name, owner: "new" });
      if (indexes.all.some((index) => index.name === name))
        throw new TesseraError("CONFLICT", `there is an index "${name}"`, { path: name });
      await owners.note("index", name, key.principal.id);
      const index = await indexes.create(name);
      await library.provide(index.resources);
      return reply.code(201).send(await index.statistics());
    },
  );
  server.delete<Named>(
    "/indexes/:name",
    { schema: { params: named }, config: config("remove an index that no flow names") },
    async ({ key, params: { name } }, reply) => {
      const { resources } = await changing(key, name);
      await library
        .withdraw(resources, () => indexes.remove(name))
        .catch((thrown) => {
          if (!TesseraError.is(thrown) || thrown.code !== "INVALID_FLOW") throw thrown;
          const [flow = ""] = (thrown.findings[0]?.path ?? "").split("/");
          const which = may(key, { to: "see", flow }) ? `the flow "${flow}"` : "a flow";
          throw new TesseraError("CONFLICT", `${which} uses the index`, { path: name });
        });
      await owners.forget("index", name);
      return reply.code(204).send();
    },
  );
  passageRoutes(server, service, indexes);
  fileRoutes(server, service, indexes);
}

/** What is in an index: passages, and the search of them. */
function passageRoutes(server: FastifyInstance, service: Service, indexes: Indexes): void {
  const { changing, seeing } = finding(service, indexes);
  server.post<Named & { Body: z.infer<typeof upsert> }>(
    "/indexes/:name/passages",
    { schema: { params: named, body: upsert }, config: config("add passages, or replace those of the same id") },
    async ({ key, params: { name }, body }) => {
      const index = await changing(key, name);
      await index.upsert(body.passages);
      return index.statistics();
    },
  );
  server.post<Named & { Body: z.infer<typeof remove> }>(
    "/indexes/:name/passages/delete",
    { schema: { params: named, body: remove }, config: config("remove passages by id") },
    async ({ key, params: { name }, body }) => {
      const index = await changing(key, name);
      await index.delete(body.ids);
      return index.statistics();
    },
  );
  server.post<Named & { Body: z.infer<typeof search> }>(
    "/indexes/:name/search",
    { schema: { params: named, body: search }, config: config("search by words, as the key's principal") },
    async ({ key, params: { name }, body: { query: text, top } }) => ({
      hits: z.array(hit).parse(await seeing(key, name).search({ text, top, principal: key.principal })),
    }),
  );
}
