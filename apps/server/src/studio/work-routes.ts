import { TesseraError } from "@tessera/core";
import { inSlices, parsingJson } from "@tessera/core/internal";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { named } from "../route.js";
import { WorkFolder } from "./work-folder.js";

type Named = { Params: z.infer<typeof named> };
const version = named.extend({ hash: z.string().regex(/^[0-9a-f]{64}$/) });
const body = z.strictObject({ document: z.any() });

const config = (summary: string) => ({ scope: "flows" as const, summary });

/** The folder that was handed over at the start: the flows in it, saving, and versions. */
export function workRoutes(server: FastifyInstance, folder: string | undefined): void {
  const work = folder === undefined ? undefined : new WorkFolder(folder);
  const given = (): WorkFolder => {
    if (!work)
      throw new TesseraError("NOT_FOUND", "no folder was handed over", {
        hint: "tessera studio <folder>, or download",
      });
    return work;
  };
  server.get("/studio/work", { config: config("the folder that was handed over, and its flows") }, async () =>
    work ? { folder: work.name, flows: await work.list() } : { flows: [] },
  );
  server.get<Named>(
    "/studio/work/:name",
    { schema: { params: named }, config: config("a flow of that folder") },
    ({ params: { name } }) => given().read(name),
  );
  server.get<Named>(
    "/studio/work/:name/versions",
    { schema: { params: named }, config: config("the saved versions of a flow, by content hash") },
    async ({ params: { name } }) => ({ versions: await given().versions(name) }),
  );
  server.get<{ Params: z.infer<typeof version> }>(
    "/studio/work/:name/versions/:hash",
    { schema: { params: version }, config: config("a saved version of a flow") },
    async ({ params: { name, hash } }) => ({ document: await given().version(name, hash) }),
  );
  void server.register(async (saving) => {
    saving.addContentTypeParser("application/json", { parseAs: "string" }, (_: FastifyRequest, text: string) =>
      inSlices(parsingJson(text)),
    );
    saving.put<Named & { Body: z.infer<typeof body> }>(
      "/studio/work/:name",
      { schema: { params: named, body }, config: config("save a flow as JSON and TypeScript, and as a version") },
      ({ params: { name }, body: { document } }) => given().save(name, document),
    );
  });
}
