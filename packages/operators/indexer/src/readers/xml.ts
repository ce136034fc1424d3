import { missing } from "@tessera/core/internal";
import { type ReaderContext, UnreadFile } from "./reader.js";

/** An element. Names are without their prefix: "p" for `w:p`. */
export class Xml {
  readonly children: (Xml | string)[] = [];
  constructor(
    readonly name: string,
    private readonly attributes: Readonly<Record<string, string>>,
  ) {}

  /** The value of an attribute, by its name without prefix, or with it. */
  attribute(name: string): string | undefined {
    if (Object.hasOwn(this.attributes, name)) return this.attributes[name];
    for (const key in this.attributes) if (key.endsWith(`:${name}`)) return this.attributes[key];
    return undefined;
  }

  get elements(): Xml[] {
    return this.children.filter((child): child is Xml => typeof child !== "string");
  }

  /** The first child of a name. */
  child(name: string): Xml | undefined {
    return this.children.find((child): child is Xml => typeof child !== "string" && child.name === name);
  }

  /** The element at the end of a path of children. */
  at(...path: readonly string[]): Xml | undefined {
    return path.reduce<Xml | undefined>((one, name) => one?.child(name), this);
  }

  /** All elements of a name below this one, in order. */
  all(name: string): Xml[] {
    return [...this.walk()].filter((one) => one.name === name);
  }

  *walk(): Generator<Xml> {
    for (const child of this.children) {
      if (typeof child === "string") continue;
      yield child;
      yield* child.walk();
    }
  }

  /** All text below. */
  get text(): string {
    return this.children.map((child) => (typeof child === "string" ? child : child.text)).join("");
  }
}

/**
 * Reads XML into a tree. Only the five entities that XML itself has, and character references, are replaced; a document
 * type is passed over, and nothing is ever fetched.
 * @throws UnreadFile "limit" where elements are nested deeper than the limit, "damaged" where there is none
 */
export async function parseXml(bytes: Uint8Array, context: ReaderContext): Promise<Xml> {
  const { Parser } = await import("htmlparser2").catch(missing("htmlparser2"));
  const declared = /^[^>]*encoding\s*=\s*["']([\w-]+)/.exec(
    new TextDecoder("latin1").decode(bytes.subarray(0, 200)),
  )?.[1];
  const text = await context.text(bytes, declared);
  const root = new Xml("", {});
  const open: Xml[] = [root];
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        if (open.length > context.limits.depth) throw new UnreadFile("limit", "its elements are nested too deep");
        const element = new Xml(name.slice(name.indexOf(":") + 1), attributes);
        open.at(-1)!.children.push(element);
        open.push(element);
      },
      ontext(data) {
        open.at(-1)!.children.push(data);
      },
      onclosetag() {
        if (open.length > 1) open.pop();
      },
    },
    { xmlMode: true, decodeEntities: true },
  );
  parser.write(text);
  parser.end();
  const [first] = root.elements.filter(({ name }) => name !== "");
  if (!first) throw new UnreadFile("damaged", "it holds no XML");
  return first;
}
