import type { DefaultTreeAdapterTypes, parse as parseHtml } from "parse5";
import type { Block, ListItem } from "./reader.js";

type Node = DefaultTreeAdapterTypes.ChildNode;
type Element = DefaultTreeAdapterTypes.Element;

const words = (names: string): ReadonlySet<string> => new Set(names.split(" "));
const silent = words(
  "script style template noscript head svg math iframe object canvas select button textarea nav dialog",
);
const blocks = words(
  "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html li main ol p pre section summary table tbody td tfoot th thead tr ul",
);

const isElement = (node: Node): node is Element => "tagName" in node;
const attribute = (node: Element, name: string): string | undefined =>
  node.attrs.find((one) => one.name === name)?.value;
const childrenOf = (node: Node): Node[] => ("childNodes" in node ? node.childNodes : []);
const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

/** All text of a node and of what is below it, as it stands. */
const rawText = (node: Node): string => {
  if (node.nodeName === "#text" && "value" in node) return node.value;
  if (isElement(node) && node.tagName === "br") return "\n";
  return childrenOf(node).map(rawText).join("");
};

const isHidden = (node: Element): boolean =>
  silent.has(node.tagName) ||
  attribute(node, "hidden") !== undefined ||
  attribute(node, "aria-hidden") === "true" ||
  /(?:^|[;\s])display\s*:\s*none/i.test(attribute(node, "style") ?? "");

/** The anchor sign beside a heading that documentation tools write. */
const isSign = (node: Element): boolean =>
  node.tagName === "a" &&
  /^(?:[¶#§🔗↩\s]|\ufe0e|\ufe0f)*$/u.test(rawText(node)) &&
  attribute(node, "href") !== undefined;

/** The number of a footnote, which leads to it. */
const isNoteMark = (node: Element): boolean =>
  node.tagName === "a" &&
  /#/.test(attribute(node, "href") ?? "") &&
  /^\s*\[?\d{1,3}\]?\s*$/.test(rawText(node)) &&
  (/noteref/.test(`${attribute(node, "role") ?? ""} ${attribute(node, "epub:type") ?? ""}`) ||
    node.parentNode?.nodeName === "sup" ||
    node.childNodes.some((child) => child.nodeName === "sup"));

/** The text of inline nodes on one line, with code marked as code. */
function inlineText(nodes: readonly Node[]): string {
  const text = (node: Node): string => {
    if (node.nodeName === "#text" && "value" in node) return node.value.replace(/\s+/g, " ");
    if (!isElement(node) || isHidden(node) || isSign(node)) return "";
    if (node.tagName === "br") return "\n";
    if (node.tagName === "img") return attribute(node, "alt") ?? "";
    const inner = node.childNodes.map(text).join("");
    if (isNoteMark(node)) return `[^${inner.trim().replace(/[[\]]/g, "")}]`;
    if (/^(?:code|kbd|samp|tt)$/.test(node.tagName) && inner.trim() !== "" && !inner.includes("`"))
      return `\`${inner.trim()}\``;
    return blocks.has(node.tagName) ? ` ${inner} ` : inner;
  };
  return nodes
    .map(text)
    .join("")
    .split("\n")
    .map(oneLine)
    .filter((line) => line !== "")
    .join("\n");
}

/** The language that highlighters write into classes: "language-ts", "highlight-python", "sourceCode bash". */
function languageIn(node: Element): string | undefined {
  const around = [
    node,
    ...node.childNodes.filter(isElement),
    node.parentNode,
    (node.parentNode as Element)?.parentNode,
  ];
  for (const one of around) {
    const classes = one && "attrs" in one ? (attribute(one, "class") ?? "") : "";
    const found = /(?:^|\s)(?:language-|lang-|highlight-(?:source-)?|brush:\s*|sourceCode\s+)([\w+#.-]+)/.exec(
      classes,
    )?.[1];
    if (found && !/^(?:default|none|text|notranslate)$/.test(found)) return found;
  }
  return undefined;
}

const isBlock = (node: Node): boolean =>
  isElement(node) && !isHidden(node) && (blocks.has(node.tagName) || childrenOf(node).some(isBlock));

class HtmlBlocks {
  readonly blocks: Block[] = [];
  private inline: Node[] = [];

  constructor(private readonly leaveOut: ReadonlySet<Node>) {}

  visit(nodes: readonly Node[]): void {
    for (const node of nodes) {
      if (this.leaveOut.has(node) || (isElement(node) && isHidden(node))) continue;
      if (!isBlock(node)) this.inline.push(node);
      else if (isElement(node)) {
        this.flush();
        this.block(node);
        this.flush();
      }
    }
  }

  /** Ends the paragraph of inline nodes that stand between blocks. */
  flush(): void {
    const nodes = this.inline;
    this.inline = [];
    const text = inlineText(nodes);
    if (text !== "") this.add({ kind: "paragraph", text }, nodes);
  }

  private add(block: Block, nodes: readonly Node[]): void {
    const places = nodes.flatMap(({ sourceCodeLocation }) => sourceCodeLocation ?? []);
    const [first, last] = [places[0], places.at(-1)];
    this.blocks.push(first && last ? { ...block, lines: [first.startLine, last.endLine] } : block);
  }

  private block(node: Element): void {
    const { tagName } = node;
    const level = /^h([1-6])$/.exec(tagName)?.[1];
    if (level) {
      const text = inlineText(node.childNodes).replaceAll("\n", " ");
      if (text !== "") this.add({ kind: "heading", level: Number(level), text }, [node]);
    } else if (tagName === "pre") {
      const text = rawText(node).replace(/^\n/, "").trimEnd();
      if (text.trim() !== "") this.add({ kind: "code", text, language: languageIn(node) }, [node]);
    } else if (tagName === "ul" || tagName === "ol") this.list(node);
    else if (tagName === "dl") this.definitions(node);
    else if (tagName === "table") this.table(node);
    else this.visit(node.childNodes);
    this.flush();
  }

  private list(node: Element): void {
    const items: ListItem[] = [];
    const rest: Node[] = [];
    const collect = (list: Element, depth: number) => {
      let number = Number(attribute(list, "start") ?? 1);
      for (const item of list.childNodes.filter(isElement)) {
        if (item.tagName === "ul" || item.tagName === "ol") {
          collect(item, depth + 1);
          continue;
        }
        if (this.leaveOut.has(item) || isHidden(item)) continue;
        const inner = item.childNodes.filter(
          (child) => isElement(child) && /^(?:ul|ol)$/.test(child.tagName),
        ) as Element[];
        const code = item.childNodes.filter((child) => isElement(child) && /^(?:pre|table)$/.test(child.tagName));
        const text = inlineText(
          item.childNodes.filter((child) => !inner.includes(child as Element) && !code.includes(child)),
        );
        const marker = list.tagName === "ol" ? `${number++}.` : "-";
        if (text !== "") items.push({ text, depth, marker });
        for (const one of inner) collect(one, depth + 1);
        rest.push(...code);
      }
    };
    collect(node, 0);
    if (items.length > 0) this.add({ kind: "list", items }, [node]);
    this.visit(rest);
  }

  /** Terms with what they mean; a meaning of several blocks keeps them. */
  private definitions(node: Element): void {
    const parts = node.childNodes
      .filter(isElement)
      .flatMap((child) => (child.tagName === "div" ? child.childNodes.filter(isElement) : [child]));
    for (const part of parts) {
      if (this.leaveOut.has(part) || isHidden(part)) continue;
      const text = part.tagName === "dt" ? inlineText(part.childNodes) : "";
      if (text !== "") this.add({ kind: "paragraph", text: text.replaceAll("\n", " ") }, [part]);
      else this.visit(part.childNodes);
      this.flush();
    }
  }

  private table(node: Element): void {
    const rows: string[][] = [];
    const found: Element[] = [];
    const collect = (one: Element) => {
      for (const child of one.childNodes.filter(isElement)) {
        if (child.tagName === "caption") {
          const text = inlineText(child.childNodes);
          if (text !== "") this.add({ kind: "paragraph", text }, [child]);
        } else if (child.tagName === "tr") found.push(child);
        else if (/^(?:thead|tbody|tfoot)$/.test(child.tagName)) collect(child);
      }
    };
    collect(node);
    const cells = found.map((row) => row.childNodes.filter(isElement).filter(({ tagName }) => /^t[dh]$/.test(tagName)));
    // a table that lays a page out is no table
    if (cells.every((row) => row.length < 2) || cells.flat().some((one) => childrenOf(one).some(isLayout)))
      return this.visit(cells.flat().flatMap(({ childNodes }) => childNodes));
    for (const row of cells) rows.push(row.flatMap(cellText));
    const head = cells[0]?.every(({ tagName }) => tagName === "th") || found[0]?.parentNode?.nodeName === "thead";
    if (rows.length > 0) this.add({ kind: "table", rows, head: Boolean(head) }, [node]);
  }
}

const cellText = (one: Element): string[] => {
  const span = Math.min(20, Math.max(1, Number(attribute(one, "colspan") ?? 1) || 1));
  return [oneLine(inlineText(one.childNodes)), ...new Array<string>(span - 1).fill("")];
};

/** Whether a cell holds what only a page's layout puts there. */
const isLayout = (node: Node): boolean =>
  isElement(node) && /^(?:table|h[1-6]|form|section|article)$/.test(node.tagName);

function* elementsIn(node: Node): Generator<Element> {
  if (isElement(node)) yield node;
  for (const child of childrenOf(node)) yield* elementsIn(child);
}

/** What surrounds the text on every page of a site. */
function surroundings(root: Element): ReadonlySet<Node> {
  const found = new Set<Node>();
  for (const node of elementsIn(root)) {
    const role = attribute(node, "role") ?? "";
    const named = `${attribute(node, "id") ?? ""} ${attribute(node, "class") ?? ""}`;
    if (/^(?:navigation|search|banner|contentinfo|menu|menubar)$/.test(role)) found.add(node);
    else if (/^(?:header|footer|aside)$/.test(node.tagName) && !isInside(node, "article")) found.add(node);
    else if (
      /(?:^|[\s_-])(?:navbar|sidebar|sphinxsidebar|breadcrumbs?|cookie|skip-link|headerlink|toc-?tree)(?:$|[\s_-])/i.test(
        named,
      ) &&
      node !== root
    )
      found.add(node);
  }
  return found;
}

function isInside(node: Element, name: string): boolean {
  for (let above = node.parentNode; above; above = "parentNode" in above ? above.parentNode : null)
    if (above.nodeName === name) return true;
  return false;
}

const lengthOf = (node: Node): number => oneLine(rawText(node)).length;

/** The element of the main text: what the page says it is, where that holds a good part of its words. */
function mainOf(body: Element): Element {
  const all = [...elementsIn(body)];
  const main = all.filter((node) => node.tagName === "main" || attribute(node, "role") === "main");
  const articles = all.filter((node) => node.tagName === "article");
  for (const candidates of [main, articles])
    if (candidates.length === 1 && lengthOf(candidates[0]!) * 4 > lengthOf(body)) return candidates[0]!;
  return body;
}

/** The title and the main text of a page, however broken; lines are those of the source. */
export function htmlBlocks(html: string, parse: typeof parseHtml): { title: string | undefined; blocks: Block[] } {
  const document = parse(html, { sourceCodeLocationInfo: true });
  const all = document.childNodes.flatMap((node) => [...elementsIn(node)]);
  const titled = all.find(({ tagName }) => tagName === "title");
  const body = all.find(({ tagName }) => tagName === "body");
  const title = (titled && oneLine(rawText(titled))) || undefined;
  if (!body) return { title, blocks: [] };
  const main = mainOf(body);
  const read = (leaveOut: ReadonlySet<Node>): Block[] => {
    const reading = new HtmlBlocks(leaveOut);
    reading.visit(main.childNodes);
    reading.flush();
    return reading.blocks;
  };
  const own = read(surroundings(main));
  return { title, blocks: own.length > 0 ? own : read(new Set()) };
}
