import type { FastifyInstance } from "fastify";
import { dataRoutes, type Measure } from "./data-routes.js";
import { pageRoutes, welcomeRoute } from "./page.js";
import { type StudioSessions, sessionRoute } from "./sessions.js";
import { type SourceFolder, sourceRoutes } from "./source-routes.js";
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
}

/** The page, and the routes that only the studio has. Without a studio `GET /` says what this service is. */
export function studioRoutes(server: FastifyInstance, studio: StudioOptions | undefined): void {
  welcomeRoute(server, studio !== undefined);
  if (!studio) return;
  pageRoutes(server, studio.page);
  if (studio.sessions) sessionRoute(server, studio.sessions);
  workRoutes(server, studio.folder);
  if (studio.source) sourceRoutes(server, studio.source);
  if (studio.source && studio.folder !== undefined) dataRoutes(server, studio.folder, studio.source, studio.measure);
}
