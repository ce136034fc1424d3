import type { FastifyInstance } from "fastify";
import type { AnyTessera } from "../embedded-runs.js";
import type { Service } from "../server.js";
import { DataFolder } from "./data-folder.js";
import { dataRoutes, type Measure } from "./data-routes.js";
import { pageRoutes, welcomeRoute } from "./page.js";
import { type StudioSessions, sessionRoute } from "./sessions.js";
import { type SourceFolder, sourceRoutes } from "./source-routes.js";
import { tuneRoutes } from "./tune-routes.js";
import type { Tune } from "./tunings.js";
import { workRoutes } from "./work-routes.js";

/** What the studio is made of. */
export interface StudioOptions {
  /** The folder of the built page: `page` of @tessera/studio. */
  readonly page: string;
  /** The one-time tokens of its links; without them the page asks for a key. */
  readonly sessions?: StudioSessions | undefined;
  /** The folder in which flows are saved; without it they are downloads. */
  readonly folder?: string | undefined;
  /** The folder that the flows search, and its index. */
  readonly source?: SourceFolder | undefined;
  /** Measures runs on data sets; without it nothing is evaluated. */
  readonly measure?: Measure | undefined;
  /** Searches better settings of flows on data sets; without it nothing is tuned. */
  readonly tune?: Tune | undefined;
}

/** The page, and the routes that only the studio has. Without a studio `GET /` says what this service is. */
export function studioRoutes(
  server: FastifyInstance,
  studio: StudioOptions | undefined,
  service: Service,
  tessera: AnyTessera,
): void {
  welcomeRoute(server, studio !== undefined);
  if (!studio) return;
  pageRoutes(server, studio.page);
  if (studio.sessions) sessionRoute(server, studio.sessions);
  workRoutes(server, studio.folder);
  if (studio.source) sourceRoutes(server, studio.source);
  const { folder, source, measure, tune } = studio;
  if (!source || folder === undefined) return;
  const data = new DataFolder(folder, () => source.passages());
  dataRoutes(server, data, { measure, tunes: tune !== undefined });
  if (tune) tuneRoutes(server, { service, tessera, data, tune });
}
