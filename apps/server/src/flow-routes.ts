import type { FlowDocument } from "@tessera/core";
import { inSlices, parsingJson } from "@tessera/core/internal";
import type { FlowHandle } from "@tessera/tessera";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { inputSchema } from "./library.js";
import { ownerOf } from "./owners.js";
import { assertMay, assertMayUse, assertMayWrite, may } from "./rights.js";
import { named, writing } from "./route.js";
import type { Service } from "./server.js";

const described = (flow: FlowHandle, uploaded: boolean) => ({
  name: flow.document.name,
  hash: flow.hash,
  uploaded,
  input: inputSchema(flow.document),
  output: Object.keys(flow.document.output),
  bound: flow.bound,
});

/** What flows there are, and the upload of others. A document can name registered operators, and nothing else. */
export function flowRoutes(server: FastifyInstance, service: Service): void {
  const { library } = service;
  const describe = async (name: string) => described(await library.flow(name), library.isUploaded(name));
  server.get("/flows", { config: { scope: "none", summary: "the flows" } }, async ({ key }) => ({
    flows: await Promise.all(library.names.filter((flow) => may(key, { to: "see", flow })).map(describe)),
  }));
  server.get<{ Params: z.infer<typeof named> }>(
    "/flows/:name",
    { schema: { params: named }, config: { scope: "none", summary: "a flow: document, schema, bounds" } },
    async ({ key, params: { name } }) => {
      assertMay(key, { to: "see", flow: name });
      return { ...(await describe(name)), document: (await library.flow(name)).document };
    },
  );
  void server.register(async (uploads) => changingRoutes(uploads, service));
}

/** The upload and the removal. A body may hold a flow of thousands of nodes, so that it is read in slices. */
function changingRoutes(server: FastifyInstance, service: Service): void {
  const { library, owners } = service;
  server.addContentTypeParser("application/json", { parseAs: "string" }, (_: FastifyRequest, text: string) =>
    inSlices(parsingJson(text)),
  );
  server.put<{ Params: z.infer<typeof named>; Body: FlowDocument }>(
    "/flows/:name",
    {
      schema: { params: named, body: z.looseObject({ version: z.literal(1), name: z.string() }) },
      config: { scope: "flows", summary: "upload a flow; its findings come all at once" },
    },
    async ({ key, params: { name }, body }, reply) => {
      // asked before anything is read of it: of others' flows nothing is said
      assertMay(key, { to: "change", flow: name, owner: "new" });
      const isNew = !library.names.includes(name);
      await library.put(
        { ...body, name },
        {
          async before(isThere) {
            assertMay(key, { to: "change", flow: name, owner: await ownerOf(owners, "flow", name, isThere) });
            if (!isThere) await owners.note("flow", name, key.principal.id);
          },
          async compiled(flow) {
            assertMayUse(key, flow, writing(service).indexOf);
            await assertMayWrite(key, { ...writing(service), flow, isUploaded: true });
          },
        },
      );
      return reply.code(isNew ? 201 : 200).send(described(await library.flow(name), library.isUploaded(name)));
    },
  );
  server.delete<{ Params: z.infer<typeof named> }>(
    "/flows/:name",
    { schema: { params: named }, config: { scope: "flows", summary: "remove an uploaded flow" } },
    async ({ key, params: { name } }, reply) => {
      assertMay(key, { to: "change", flow: name, owner: "new" });
      await library.remove(name, async () => {
        const isThere = library.isUploaded(name);
        assertMay(key, { to: "change", flow: name, owner: await ownerOf(owners, "flow", name, isThere) });
      });
      await owners.forget("flow", name);
      return reply.code(204).send();
    },
  );
}
