/** How a command gets a resource of a kind that its flow names and that there is none of. */
export const resourceHints: Readonly<Record<string, string>> = {
  model: "--model code-language-model gives ours, --endpoint and --model a service's, --cassette recorded answers",
  store: "--data gives a data set's, --source those of a folder",
  encoder: "--encoder gives one of ours",
  graph: "--data gives that of a data set whose passages have metadata.triples",
  mcp: "the config names MCP servers: `mcp` (docs/mcp.md)",
  folder: "--folder <name>=<path> hands one over",
  "graph-database": '--admit <function> gives "database", which admits that function',
  database: "--database gives a file of SQLite",
};
