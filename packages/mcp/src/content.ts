import type { McpContent } from "./server.js";

const record = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
const asText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const isText = (mimeType: string | undefined): boolean =>
  mimeType !== undefined && /^text\/|[/+](?:json|xml|yaml|javascript|typescript)\b/.test(mimeType);

/** The bytes of a text that was sent as base64, or undefined where they are no UTF-8. */
function decoded(blob: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(blob, "base64"));
  } catch {
    return undefined;
  }
}

/** A content block of the protocol as a piece; none for a block of an unknown kind. */
export function contentOf(given: unknown): McpContent[] {
  const block = record(given);
  const mimeType = asText(block?.mimeType);
  switch (block?.type) {
    case "text":
      return [{ kind: "text", text: asText(block.text) ?? "" }];
    case "image":
    case "audio":
      return [{ kind: block.type, mimeType }];
    case "resource_link":
      return [
        {
          kind: "link",
          address: asText(block.uri),
          title: asText(block.title) ?? asText(block.name),
          text: asText(block.description),
          mimeType,
        },
      ];
    case "resource": {
      const resource = record(block.resource);
      const about = { address: asText(resource?.uri), mimeType: asText(resource?.mimeType) };
      const blob = asText(resource?.blob);
      const text = asText(resource?.text) ?? (blob !== undefined && isText(about.mimeType) ? decoded(blob) : undefined);
      return [{ kind: text === undefined ? "binary" : "text", text, ...about }];
    }
    default:
      return [];
  }
}

/** The text of pieces, a line between them. */
export const textOf = (content: readonly McpContent[]): string =>
  content.flatMap(({ kind, text }) => (kind === "text" && text !== undefined ? [text] : [])).join("\n");
