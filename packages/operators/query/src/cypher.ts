/** What of a reading Cypher query can be checked against a schema. */
interface CypherUse {
  readonly labels: Set<string>;
  readonly types: Set<string>;
  /** Properties by the labels and types, together, of the variable they are read from. */
  readonly properties: { readonly owner: string; readonly property: string }[];
  /** The labels and types that each variable is bound to. */
  readonly variables: Map<string, Set<string>>;
}

class CypherError extends Error {}

interface Token {
  readonly kind: "name" | "quoted" | "text" | "number" | "sign" | "end";
  readonly text: string;
}

const lexeme =
  /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|(?<quoted>`(?:[^`]|``)+`)|(?<text>'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*")|(?<number>0[xX][\da-fA-F_]+|0o[0-7_]+|\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?<name>[\p{L}_][\p{L}\p{N}\p{M}_]*)|(?<sign><=|>=|<>|=~|\.\.|[-+*/%^=<>()[\]{},.:;|$&!])/uy;

function tokensOf(query: string): Token[] {
  const tokens: Token[] = [];
  lexeme.lastIndex = 0;
  for (let at = 0; at < query.length; at = lexeme.lastIndex) {
    lexeme.lastIndex = at;
    const found = lexeme.exec(query);
    if (!found) throw new CypherError(`cannot read ${JSON.stringify(query.slice(at, at + 20))}`);
    const [kind, text] = Object.entries(found.groups!).find(([, part]) => part !== undefined) ?? [];
    if (kind) tokens.push({ kind: kind as Token["kind"], text: kind === "quoted" ? text!.slice(1, -1) : text! });
  }
  return tokens;
}

const comparisons = new Set(["=", "<>", "<", ">", "<=", ">=", "=~", "+", "-", "*", "/", "%", "^"]);
const reserved = new Set(
  "match optional where with return unwind union call order skip limit and or xor not in as case when then else end create merge delete detach set remove using".split(
    " ",
  ),
);
const predicates = new Set(["all", "any", "none", "single", "reduce"]);
/** The functions of the language, which only read. Any other may be a plug-in that runs queries or asks a service. */
const functions = new Set(
  `abs acos all allshortestpaths any asin atan atan2 avg btrim ceil char_length character_length coalesce collect cos cot
  count date datetime degrees duration e elementid endnode exists exp floor haversin head id isempty isnan keys labels
  last left length localdatetime localtime log log10 lower ltrim max min nodes none normalize nullif percentilecont
  percentiledisc pi point properties radians rand randomuuid range reduce relationships replace reverse right round rtrim
  shortestpath sign sin single size split sqrt startnode stdev stdevp substring sum tail tan time timestamp toboolean
  tobooleanlist tobooleanornull tofloat tofloatlist tofloatornull tointeger tointegerlist tointegerornull tolower tostring
  tostringlist tostringornull toupper trim type upper valuetype`.split(/\s+/),
);
/** What stands before the dot of functions of the language, as in "duration.between". */
const namespaces = new Set(["date", "datetime", "duration", "localdatetime", "localtime", "point", "time", "vector"]);
const deepest = 60;

/** A recursive-descent reader of the reading part of openCypher 9 (and of subqueries in braces). Writing clauses, procedures and what it does not know are errors. */
class Reader {
  readonly use: CypherUse = { labels: new Set(), types: new Set(), properties: [], variables: new Map() };
  private readonly tokens: Token[];
  private readonly closing: Int32Array;
  private at = 0;
  private depth = 0;
  private readonly declared = new Set<string>();
  private readonly read = new Set<string>();

  constructor(
    query: string,
    private readonly admitted: ReadonlySet<string>,
  ) {
    this.tokens = tokensOf(query);
    this.closing = new Int32Array(this.tokens.length).fill(-1);
    const open: number[] = [];
    for (const [index, { kind, text }] of this.tokens.entries()) {
      if (kind !== "sign") continue;
      if ("([{".includes(text)) open.push(index);
      if (!")]}".includes(text)) continue;
      const from = open.pop();
      if (from === undefined || "([{".indexOf(this.tokens[from]!.text) !== ")]}".indexOf(text))
        throw new CypherError(`"${text}" closes nothing`);
      this.closing[from] = index;
    }
    if (open.length > 0) throw new CypherError(`"${this.tokens[open.pop()!]!.text}" is not closed`);
  }

  statement(): CypherUse {
    this.query();
    this.accept(";");
    if (this.at < this.tokens.length) throw this.unexpected("the end");
    for (const name of this.read) if (!this.declared.has(name)) throw new CypherError(`"${name}" is nowhere bound`);
    return this.use;
  }

  private peek(ahead = 0): Token {
    return this.tokens[this.at + ahead] ?? { kind: "end", text: "the end" };
  }

  private is(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return (
      (token.kind === "sign" && token.text === text) || (token.kind === "name" && token.text.toLowerCase() === text)
    );
  }

  private accept(...texts: string[]): boolean {
    if (!texts.every((text, index) => this.is(text, index))) return false;
    this.at += texts.length;
    return true;
  }

  private expect(...texts: string[]): void {
    if (!this.accept(...texts)) throw this.unexpected(`"${texts.join(" ")}"`);
  }

  private unexpected(wanted: string): CypherError {
    return new CypherError(`"${this.peek().text}" stands where ${wanted} is expected`);
  }

  private name(wanted = "a name"): string {
    const { kind, text } = this.peek();
    if (kind !== "name" && kind !== "quoted") throw this.unexpected(wanted);
    this.at += 1;
    return text;
  }

  private declare(): void {
    this.declared.add(this.name("a variable"));
  }

  private nested<T>(read: () => T): T {
    if (++this.depth > deepest) throw new CypherError(`it is nested more than ${deepest} deep`);
    const result = read();
    this.depth -= 1;
    return result;
  }

  private list(read: () => void): void {
    do read();
    while (this.accept(","));
  }

  private query(): void {
    this.single();
    while (this.accept("union")) {
      this.accept("all");
      this.single();
    }
  }

  private single(): void {
    for (;;) {
      if (this.is("match") || this.accept("optional")) {
        this.expect("match");
        this.list(() => this.pattern());
        while (this.accept("using")) this.hint();
        this.where();
      } else if (this.accept("unwind")) {
        this.expression();
        this.expect("as");
        this.declare();
      } else if (this.accept("with")) {
        this.projection();
        this.where();
      } else if (this.is("call") && (this.is("{", 1) || this.is("(", 1))) {
        this.at += 1;
        if (this.is("(")) this.at = this.closing[this.at]! + 1;
        this.subquery();
      } else if (this.is("call") && this.admitted.has(this.nameAt(1))) {
        this.procedure();
      } else if (this.is("}")) {
        return;
      } else {
        if (!this.accept("return"))
          throw new CypherError(`${this.peek().text.toUpperCase()} is no reading clause, and a query ends with RETURN`);
        this.projection();
        return;
      }
    }
  }

  /** The dotted name that begins so many tokens ahead, in lower case. */
  private nameAt(ahead: number): string {
    let name = this.peek(ahead).text;
    for (let at = ahead + 1; this.is(".", at); at += 2) name += `.${this.peek(at + 1).text}`;
    return name.toLowerCase();
  }

  /** A call of a procedure that is admitted: "CALL db.index.vector.queryNodes('i', 5, $v) YIELD node AS n, score". */
  private procedure(): void {
    this.expect("call");
    this.name();
    while (this.accept(".")) this.name();
    if (this.accept("(") && !this.accept(")")) {
      this.list(() => this.expression());
      this.expect(")");
    }
    if (!this.accept("yield")) return;
    this.list(() => {
      if (this.is("as", 1)) {
        this.name();
        this.expect("as");
      }
      this.declare();
    });
    this.where();
  }

  private hint(): void {
    if (!this.accept("index") && !this.accept("scan")) this.expect("join", "on");
    this.list(() => this.name());
    this.labels(this.use.labels);
    if (this.is("(")) this.at = this.closing[this.at]! + 1;
  }

  private where(): void {
    if (this.accept("where")) this.expression();
  }

  private projection(): void {
    this.accept("distinct");
    this.list(() => {
      if (this.accept("*")) return;
      this.expression();
      if (this.accept("as")) this.declare();
    });
    if (this.accept("order", "by"))
      this.list(() => {
        this.expression();
        for (const way of ["asc", "desc", "ascending", "descending"]) if (this.accept(way)) break;
      });
    if (this.accept("skip") || this.accept("offset")) this.expression();
    if (this.accept("limit")) this.expression();
  }

  /** A path: a node, and relations with nodes after it. */
  private pattern(): void {
    if (this.is("=", 1)) {
      this.declare();
      this.expect("=");
    }
    if (this.accept("shortestpath") || this.accept("allshortestpaths")) {
      this.expect("(");
      this.pattern();
      this.expect(")");
      return;
    }
    this.element();
    for (;;) {
      if (this.is("(")) {
        this.element(); // beside a group that is repeated
        continue;
      }
      if (!this.is("-") && !(this.is("<") && this.is("-", 1))) return;
      this.accept("<");
      this.expect("-");
      if (this.is("[")) this.part("[", "]", this.use.types);
      this.expect("-");
      this.accept(">");
      this.quantifier();
      this.element();
    }
  }

  /** A node, or a path in parentheses that may be repeated: "((a)-[:NEXT]->(b) WHERE a.x > 1){1,3}". */
  private element(): void {
    if (!(this.is("(") && this.is("(", 1))) return this.part("(", ")", this.use.labels);
    this.nested(() => {
      this.expect("(");
      this.pattern();
      this.where();
      this.expect(")");
      this.quantifier();
    });
  }

  /** How often what stands before it is repeated: "{1,3}", "{,3}", "{2}", "+" or "*". */
  private quantifier(): void {
    if (this.accept("+") || this.accept("*") || !this.accept("{")) return;
    if (this.peek().kind === "number") this.at += 1;
    if (this.accept(",") && this.peek().kind === "number") this.at += 1;
    this.expect("}");
  }

  /** A node "(n:Label {a: 1} WHERE …)" or a relation "[r:TYPE*1..3 {a: 1}]". */
  private part(open: string, close: string, into: Set<string>): void {
    this.expect(open);
    const variable =
      this.is("where") || (this.peek().kind !== "name" && this.peek().kind !== "quoted") ? undefined : this.name();
    if (variable !== undefined) this.declared.add(variable);
    const own = this.labels(into);
    if (variable !== undefined) for (const label of own) this.bind(variable, label);
    if (open === "[" && this.accept("*")) {
      if (this.peek().kind === "number") this.at += 1;
      if (this.accept("..") && this.peek().kind === "number") this.at += 1;
    }
    if (this.is("{")) {
      const owner = `${open}${this.at}`;
      for (const label of own) this.bind(owner, label);
      this.map((property) => this.use.properties.push({ owner, property }));
    } else if (this.accept("$")) this.name();
    this.where();
    this.expect(close);
  }

  private bind(variable: string, label: string): void {
    const bound = this.use.variables.get(variable) ?? new Set();
    this.use.variables.set(variable, bound.add(label));
  }

  private labels(into: Set<string>): string[] {
    const found: string[] = [];
    let open = 0;
    if (!this.accept(":")) return found;
    for (;;) {
      while (this.is("!") || this.is("(")) {
        if (this.is("(")) open += 1;
        this.at += 1;
      }
      if (!this.accept("%")) found.push(this.name("a label"));
      while (open > 0 && this.accept(")")) open -= 1;
      if (!this.accept(":") && !this.accept("&") && !this.accept("|", ":") && !this.accept("|")) break;
    }
    for (const label of found) into.add(label);
    return found;
  }

  private map(property: (name: string) => void = () => {}): void {
    this.expect("{");
    if (this.accept("}")) return;
    this.list(() => {
      property(this.name("a property"));
      this.expect(":");
      this.expression();
    });
    this.expect("}");
  }

  private expression(): void {
    this.nested(() => {
      this.operand();
      for (;;) {
        const { kind, text } = this.peek();
        const sign = kind === "sign" && comparisons.has(text);
        if (sign || this.is("and") || this.is("or") || this.is("xor") || this.is("in") || this.is("contains"))
          this.at += 1;
        else if (this.accept("starts", "with") || this.accept("ends", "with")) {
          // the right side follows
        } else if (this.accept("is")) {
          this.accept("not");
          this.expect("null");
          continue;
        } else return;
        this.operand();
      }
    });
  }

  private operand(): void {
    while (this.accept("not") || this.accept("-") || this.accept("+")) {}
    this.atom();
    for (;;) {
      if (this.accept(".")) this.name("a property");
      else if (this.is("[")) this.index();
      else if (this.is(":") && this.peek(1).kind !== "sign") this.labels(this.use.labels);
      else return;
    }
  }

  private index(): void {
    this.expect("[");
    if (!this.is("..")) this.expression();
    if (this.accept("..") && !this.is("]")) this.expression();
    this.expect("]");
  }

  private atom(): void {
    const { kind, text } = this.peek();
    if (kind === "text" || kind === "number") this.at += 1;
    else if (this.accept("$")) this.name("a parameter");
    else if (this.accept("case")) this.cases();
    else if (this.is("(")) this.isPath() ? this.pattern() : this.group();
    else if (this.is("[")) this.brackets();
    else if (this.is("{")) this.map();
    else if (["exists", "count", "collect"].some((word) => this.is(word)) && this.is("{", 1)) {
      this.at += 1;
      this.subquery();
    } else if (kind === "quoted" || (kind === "name" && (this.declared.has(text) || !reserved.has(text.toLowerCase()))))
      this.named();
    else throw this.unexpected("an expression");
  }

  /** Whether the parenthesis here begins a path: after it there is "-[", "--" or "<-". */
  private isPath(): boolean {
    const end = this.closing[this.at]! - this.at + 1;
    if (this.is("<", end)) return this.is("-", end + 1) && (this.is("[", end + 2) || this.is("-", end + 2));
    return (
      this.is("-", end) &&
      (this.is("[", end + 1) || (this.is("-", end + 1) && (this.is(">", end + 2) || this.is("(", end + 2))))
    );
  }

  private group(): void {
    this.expect("(");
    this.expression();
    this.expect(")");
  }

  private cases(): void {
    if (!this.is("when")) this.expression();
    do {
      this.expect("when");
      this.expression();
      this.expect("then");
      this.expression();
    } while (this.is("when"));
    if (this.accept("else")) this.expression();
    this.expect("end");
  }

  /** A list, a list comprehension or a pattern comprehension. */
  private brackets(): void {
    this.nested(() => {
      this.expect("[");
      if (this.accept("]")) return;
      if (this.peek().kind === "name" && this.is("in", 1)) {
        this.declare();
        this.expect("in");
      }
      const path = this.is("(") && this.isPath();
      if (path) this.pattern();
      else this.list(() => this.expression());
      this.where();
      if (this.accept("|")) this.expression();
      this.expect("]");
    });
  }

  /** A path or a query in braces; the query of EXISTS may end without a RETURN. */
  private subquery(): void {
    this.nested(() => {
      this.expect("{");
      if (["match", "optional", "unwind", "with", "call", "return"].some((word) => this.is(word))) this.query();
      else {
        this.list(() => this.pattern());
        this.where();
      }
      this.expect("}");
    });
  }

  /** A variable, a property of one, a function's call, or a map projection. */
  private named(): void {
    const first = this.name();
    const path = [first];
    while (this.is(".") && (this.peek(1).kind === "name" || this.peek(1).kind === "quoted")) {
      this.at += 1;
      path.push(this.name());
    }
    if (this.is("(")) {
      const name = first.toLowerCase();
      const known = (path.length === 1 ? functions : namespaces).has(name);
      if (!known && !this.admitted.has(path.join(".").toLowerCase()))
        throw new CypherError(`it calls ${path.join(".")}`);
      return this.call(name);
    }
    if (!["true", "false", "null"].includes(first.toLowerCase())) this.read.add(first);
    if (path.length > 1) this.use.properties.push({ owner: first, property: path[1]! });
    if (this.is("{")) this.mapProjection(first);
  }

  private call(name: string): void {
    this.nested(() => {
      if (name === "shortestpath" || name === "allshortestpaths" || name === "exists") {
        this.expect("(");
        if (this.is("(") && this.isPath()) this.pattern();
        else this.expression();
        this.expect(")");
        return;
      }
      this.expect("(");
      if (this.accept(")")) return;
      this.accept("distinct");
      if (this.accept("*")) {
        this.expect(")");
        return;
      }
      this.list(() => {
        if (predicates.has(name) && (this.is("in", 1) || this.is("=", 1))) {
          this.declare();
          this.at += 1;
        } else if (this.is("(") && this.isPath())
          throw new CypherError(`${name} cannot take a path; COUNT { … } counts one`);
        this.expression();
        if (name === "reduce" && this.accept("|")) this.expression();
      });
      if (predicates.has(name)) this.where();
      this.expect(")");
    });
  }

  private mapProjection(owner: string): void {
    this.expect("{");
    if (this.accept("}")) return;
    this.list(() => {
      if (this.accept(".")) {
        if (!this.accept("*")) this.use.properties.push({ owner, property: this.name("a property") });
        return;
      }
      const name = this.name();
      if (this.accept(":")) this.expression();
      else this.read.add(name);
    });
    this.expect("}");
  }
}

/**
 * Reads a Cypher query that only reads; a text says what is wrong with it. `admitted` names functions and procedures that
 * it may call besides those of the language.
 */
export function readCypher(query: string, admitted: readonly string[] = []): CypherUse | string {
  if (query.length > 20_000) return "it is longer than 20,000 characters";
  try {
    return new Reader(query, new Set(admitted.map((name) => name.toLowerCase()))).statement();
  } catch (error) {
    if (error instanceof CypherError) return error.message;
    throw error;
  }
}
