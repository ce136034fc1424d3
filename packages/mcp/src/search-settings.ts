// public: SearchSettings
// internal: searchSettings
import { z } from "zod";

const path = z.string().min(1);

/** The settings of a search by a tool, in a flow and in a config. */
export const searchSettings = {
  /** The tool that searches; by default the only one with one required text, called by "search" in its name. */
  tool: z.string().min(1).optional(),
  /** The argument that takes the query; by default the only required one. */
  argument: z.string().min(1).optional(),
  /** Further arguments, always the same. */
  arguments: z.record(z.string(), z.json()).optional(),
  /** Where the list of hits stands in the result: names with dots between them, as in "web.results". */
  hits: path.optional(),
  /** The fields of a hit that make its text, joined by line ends. */
  text: z.array(path).min(1).optional(),
  /** The field with its title. */
  title: path.optional(),
  /** The field with its address. */
  address: path.optional(),
};

const schema = z.strictObject(searchSettings);

/** How an MCP server is searched: which tool, which argument, and where the hits stand in the result. */
export type SearchSettings = z.output<typeof schema>;
