// how long functions are, in lines that are not blank. The callback of a `describe` is a heading of tests, no function:
// its lines count neither for itself nor for the function around it.
import ts from "typescript";

const isDescribe = (node) => {
  if (!ts.isCallExpression(node)) return false;
  let called = node.expression;
  while (!ts.isIdentifier(called)) {
    if (!called.expression) return false;
    called = called.expression;
  }
  return /^describe/.test(called.text);
};

function nameOf(node) {
  if (node.name) return node.name.getText();
  if (ts.isConstructorDeclaration(node)) return "constructor";
  const { parent } = node;
  if (parent?.name) return parent.name.getText();
  if (parent && ts.isCallExpression(parent)) return `a callback of ${parent.expression.getText().slice(0, 40)}`;
  return "a function";
}

/** The functions of a source: name, first line, and how many lines each has. */
export function functionsOf(text, place = "source.ts") {
  const file = ts.createSourceFile(place, text, ts.ScriptTarget.Latest, true);
  const blank = text.split("\n").map((line) => line.trim() === "");
  const linesOf = (node) => {
    const first = file.getLineAndCharacterOfPosition(node.getStart(file)).line;
    const last = file.getLineAndCharacterOfPosition(node.getEnd()).line;
    const lines = blank.slice(first, last + 1).filter((isBlank) => !isBlank).length;
    return { line: first + 1, lines };
  };
  const found = [];
  /** Adds the functions in a node, and gives how many lines of it stand in `describe` blocks. */
  const visit = (node, heading) => {
    let headings = 0;
    const describes = isDescribe(node);
    ts.forEachChild(node, (child) => {
      headings += visit(child, describes && ts.isFunctionLike(child));
    });
    if (heading) return linesOf(node).lines;
    if (ts.isFunctionLike(node) && node.body) {
      const { line, lines } = linesOf(node);
      found.push({ name: nameOf(node), line, lines: lines - headings });
    }
    return headings;
  };
  visit(file, false);
  return found;
}
