// internal
import multipart from "@fastify/multipart";
import { type Passage, TesseraError } from "@tessera/core";
import {
  type FilePassages,
  isPathBelow,
  passagesOfFile,
  type Readers,
  sharedReaders,
  startOfFile,
} from "@tessera/tessera/internal";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { clientSignal } from "./client.js";
import { finding } from "./finding.js";
import type { Indexes, ServedIndex } from "./indexes.js";
import { named } from "./route.js";
import type { Service } from "./server.js";

/** The most bytes of one request with files. A text may have 1 MiB of them, as in a folder. */
const mostBytes = 64 << 20;
/** The most files of one form. */
const mostFiles = 1000;

const name = named.shape.name;
const below = z.string().refine(isPathBelow, "it names what lies below a folder, with / between the names");
const oneFile = z.object({ name, "*": below });
const asked = z.object({
  /** Who may see the passages: an entry of `access` each. Without it everybody may. */
  access: z.union([z.string(), z.array(z.string())]).optional(),
});
type OneFile = { Params: z.infer<typeof oneFile>; Querystring: z.infer<typeof asked>; Body: Buffer | undefined };
type Files = { Params: { name: string }; Querystring: z.infer<typeof asked> };

const metadataOf = ({ access }: z.infer<typeof asked>): Passage["metadata"] =>
  access === undefined ? {} : { access: [access].flat() };

/** Puts files into an index, all or none, and says what became of each. */
async function put(index: ServedIndex, files: ReadonlyMap<string, FilePassages>) {
  const read = [...files].filter(([, { passages }]) => passages !== undefined);
  const removed =
    read.length === 0 ? 0 : await index.replace(new Map(read.map(([, file]) => [file.start, file.passages!])));
  return {
    ...(await index.statistics()),
    files: read.map(([path, { passages }]) => ({ path, passages: passages!.length })),
    removed,
    skipped: [...files.values()].flatMap(({ skipped }) => skipped),
  };
}

const config = (summary: string) => ({ scope: "indexes" as const, summary });

/**
 * Indexes that clients fill with files. A file is read by the reader of its kind and cut as in a folder, in the place of
 * what was read of the same path before.
 */
export function fileRoutes(server: FastifyInstance, service: Service, indexes: Indexes): void {
  void server.register(async (scope) => oneFileRoutes(scope, service, indexes));
  void server.register(async (scope) => {
    await scope.register(multipart, {
      preservePath: true,
      throwFileSizeLimit: false,
      limits: { fileSize: mostBytes, files: mostFiles, fields: 0 },
    });
    formRoute(scope, service, indexes);
  });
}

const readersOf = async ({ readers }: Service): Promise<Readers> => readers ?? (await sharedReaders());

function oneFileRoutes(server: FastifyInstance, service: Service, indexes: Indexes): void {
  const { changing } = finding(service, indexes);
  // a file is bytes, whatever its type is called
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_, body, done) => done(null, body));
  const putting = config("read a file into the index, in the place of what it had of this path");
  server.put<OneFile>(
    "/indexes/:name/files/*",
    {
      schema: { params: oneFile, querystring: asked },
      bodyLimit: mostBytes,
      config: { ...putting, media: "application/octet-stream" },
    },
    async (request, reply) => {
      const { key, params, body: bytes = Buffer.alloc(0), query } = request;
      const path = params["*"];
      const index = await changing(key, params.name);
      const how = { metadata: metadataOf(query), signal: clientSignal(request, reply) };
      const file = await passagesOfFile({ path, bytes }, await readersOf(service), how);
      if (file.passages === undefined) throw unread(path, file);
      return put(index, new Map([[path, file]]));
    },
  );
  server.delete<OneFile>(
    "/indexes/:name/files/*",
    { schema: { params: oneFile }, config: config("remove the passages of a file") },
    async ({ key, params }) => {
      const index = await changing(key, params.name);
      const removed = await index.replace(new Map([[startOfFile(params["*"]), []]]));
      return { ...(await index.statistics()), removed };
    },
  );
}

function formRoute(server: FastifyInstance, service: Service, indexes: Indexes): void {
  const { changing } = finding(service, indexes);
  const posting = config("read the files of a form into the index, all or none; the name of each is its path");
  server.post<Files>(
    "/indexes/:name/files",
    {
      schema: { params: named, querystring: asked },
      bodyLimit: mostBytes,
      config: { ...posting, media: "multipart/form-data" },
    },
    async (request, reply) => {
      const { key, params, query } = request;
      const index = await changing(key, params.name);
      if (!request.isMultipart())
        throw new TesseraError("UNSUPPORTED_MEDIA", "files come as multipart/form-data", {
          hint: `or one by one: PUT /indexes/${params.name}/files/<path>`,
        });
      const given = await filesOf(request);
      const how = { metadata: metadataOf(query), signal: clientSignal(request, reply) };
      const readers = await readersOf(service);
      const files = await Promise.all(
        [...given].map(async ([path, bytes]) => [path, await passagesOfFile({ path, bytes }, readers, how)] as const),
      );
      return put(index, new Map(files));
    },
  );
}

/** The files of a form by their paths. */
async function filesOf(request: FastifyRequest): Promise<Map<string, Buffer>> {
  const given = new Map<string, Buffer>();
  let total = 0;
  for await (const part of request.files()) {
    const path = part.filename ?? "";
    if (!isPathBelow(path))
      throw new TesseraError("BAD_ARGUMENT", "a file's name is a path below a folder, with / between the names", {
        path: `files[${given.size}]`,
      });
    if (given.has(path)) throw new TesseraError("BAD_ARGUMENT", "two files have one path", { path });
    const bytes = await part.toBuffer();
    total += bytes.length;
    if (part.file.truncated || total > mostBytes)
      throw new TesseraError("REQUEST_TOO_LARGE", `the files of one request may have ${mostBytes} bytes together`, {
        path: "body",
        hint: "send them in several requests",
      });
    given.set(path, bytes);
  }
  if (given.size === 0) throw new TesseraError("BAD_ARGUMENT", "the form has no file", { path: "body" });
  return given;
}

/** Why a file gave nothing. */
function unread(path: string, { skipped }: FilePassages): TesseraError {
  const [{ reason, detail } = { reason: "damaged", detail: undefined }] = skipped;
  return new TesseraError("BAD_ARGUMENT", `the file was not read: ${reason}${detail ? `, ${detail}` : ""}`, {
    path,
    hint: "what was read of this path before is still there",
  });
}
