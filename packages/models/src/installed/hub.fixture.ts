import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A repository of the stub: files by path; a large one has a SHA-256 of its own, as Git LFS gives it. */
export interface StubRepository {
  readonly files: Readonly<Record<string, { readonly bytes: Buffer; readonly large?: boolean }>>;
  readonly licence?: string | undefined;
  readonly gated?: boolean | undefined;
}

const commit = "0123456789abcdef0123456789abcdef01234567";

/** A server that speaks the routes of the hub which the client uses: model info, tree (in pages of two), resolve with ranges. */
export function stubHub(repositories: Readonly<Record<string, StubRepository>>) {
  /** "path from": every range that was asked for of a file, but the probes for its size. */
  const asked: string[] = [];
  /** Ends a file's transfer after so many bytes, once. */
  const cuts = new Map<string, number>();
  const gitHash = (bytes: Buffer): string =>
    createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  const json = (response: ServerResponse, status: number, body: unknown, headers = {}): void => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };

  function serveFile(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    file: StubRepository["files"][string],
  ) {
    const { bytes } = file;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(bytes.length - 1, range?.[2] ? Number(range[2]) : bytes.length - 1);
    const isProbe = request.headers.range === "bytes=0-0" && bytes.length > 1;
    if (!isProbe) asked.push(`${path} ${from}`);
    const headers = { etag: `"${gitHash(bytes)}"`, "content-type": "application/octet-stream" };
    response.writeHead(range ? 206 : 200, {
      ...headers,
      "content-length": to - from + 1,
      ...(range && { "content-range": `bytes ${from}-${to}/${bytes.length}` }),
    });
    const cut = isProbe ? undefined : cuts.get(path);
    if (cut === undefined) return void response.end(bytes.subarray(from, to + 1));
    cuts.delete(path);
    response.write(bytes.subarray(from, cut), () => response.destroy());
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://stub");
    const [, api, tree, resolve] = [
      "",
      /^\/api\/models\/([^/]+\/[^/]+)\/revision\/[^/]+$/.exec(url.pathname),
      /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/.exec(url.pathname),
      /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname),
    ] as const;
    const repository = repositories[(api ?? tree ?? resolve)?.[1] ?? ""];
    if (!repository) return json(response, 404, { error: "Repository not found" });
    if (repository.gated && request.headers.authorization !== "Bearer hf_secret")
      return json(response, 401, { error: "Access to the model is restricted" });
    if (api)
      return json(response, 200, {
        _id: "1",
        id: api[1],
        sha: commit,
        private: false,
        gated: false,
        downloads: 1,
        likes: 1,
        lastModified: "2026-01-01T00:00:00.000Z",
        ...(repository.licence !== undefined && { cardData: { license: repository.licence } }),
      });
    if (tree) {
      const all = Object.entries(repository.files).map(([path, { bytes, large }]) => ({
        type: "file",
        path,
        size: bytes.length,
        oid: gitHash(bytes),
        ...(large && {
          lfs: { oid: createHash("sha256").update(bytes).digest("hex"), size: bytes.length, pointerSize: 130 },
        }),
      }));
      const from = Number(url.searchParams.get("cursor") ?? 0);
      const next = `<http://${request.headers.host}${url.pathname}?recursive=true&cursor=${from + 2}>; rel="next"`;
      return json(response, 200, all.slice(from, from + 2), from + 2 < all.length ? { link: next } : {});
    }
    const file = repository.files[decodeURIComponent(resolve![3]!)];
    if (!file) return json(response, 404, { error: "Entry not found" }, { "x-error-code": "EntryNotFound" });
    return serveFile(request, response, resolve![3]!, file);
  });
  return {
    asked,
    cuts,
    commit,
    start: () =>
      new Promise<string>((done) =>
        server.listen(0, "127.0.0.1", () => done(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
      ),
    stop: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}
