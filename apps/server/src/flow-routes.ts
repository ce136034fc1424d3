import type { FlowDocument } from "@tessera/core";
import type { CompiledFlow } from "@tessera/graph";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { inputSchema } from "./library.js";
import { named, type Service } from "./server.js";

const described = (flow: CompiledFlow, uploaded: boolean) => ({
  name: flow.document.name,
  hash: flow.hash,
  uploaded,
  input: inputSchema(flow.document),
  output: Object.keys(flow.document.output),
  bound: flow.bound,
});

/** What flows there are, and the upload of others. A document can name registered operators, and nothing else. */
export function flowRoutes(server: FastifyInstance, { library }: Service): void {
  const describe = async (name: string) => described(await library.flow(name), library.isUploaded(name));
  server.get("/flows", { config: { scope: "none", summary: "the flows" } }, async ({ key }) => ({
    flows: await Promise.all(library.names.filter((name) => key.flows?.includes(name) ?? true).map(describe)),
  }));
  server.get<{ Params: z.infer<typeof named> }>(
    "/flows/:name",
    { schema: { params: named }, config: { scope: "none", summary: "a flow: document, schema, bounds" } },
    async ({ params: { name } }) => ({ ...(await describe(name)), document: (await library.flow(name)).document }),
  );
  server.put<{ Params: z.infer<typeof named>; Body: FlowDocument }>(
    "/flows/:name",
    {
      schema: { params: named, body: z.looseObject({ version: z.literal(1), name: z.string() }) },
      config: { scope: "flows", summary: "upload a flow; its findings come all at once" },
    },
    async ({ params: { name }, body }, reply) => {
      const isNew = !library.names.includes(name);
      await library.put({ ...body, name });
      return reply.code(isNew ? 201 : 200).send(await describe(name));
    },
  );
  server.delete<{ Params: z.infer<typeof named> }>(
    "/flows/:name",
    { schema: { params: named }, config: { scope: "flows", summary: "remove an uploaded flow" } },
    async ({ params: { name } }, reply) => {
      await library.remove(name);
      return reply.code(204).send();
    },
  );
}
