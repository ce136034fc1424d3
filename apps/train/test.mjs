// runs pytest where Python has what requirements.txt names, and leaves the counts in .test/report.json
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const report = ".test/report.json";
const modules = "torch, numpy, safetensors, tokenizers, tree_sitter, tree_sitter_typescript, pytest";
const candidates = [process.env.TESSERA_PYTHON, ".venv/bin/python", "python3"].filter(Boolean);

process.chdir(folder);
rmSync(report, { force: true });
mkdirSync(".test", { recursive: true });

const python = candidates.find((program) => spawnSync(program, ["-c", `import ${modules}`]).status === 0);
const status = python ? run(python) : skip();
process.exit(status);

/** Runs pytest and turns its JUnit file into the shape that `jest --json` has. */
function run(program) {
  const junit = ".test/junit.xml";
  rmSync(junit, { force: true });
  const { status } = spawnSync(
    program,
    ["-m", "pytest", "-q", "-p", "no:cacheprovider", `--junitxml=${junit}`, "tests"],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const xml = existsSync(junit) ? readFileSync(junit, "utf8") : "";
  write(
    [...xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(([, attributes, body = ""]) =>
      result(attributes, body),
    ),
  );
  return status ?? 1;
}

function result(attributes, body) {
  const read = (name, text) => plainText(new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1] ?? "");
  const ending = /<(failure|error|skipped)\b([^>]*)>?([\s\S]*?)(?:<\/\1>|$)/.exec(body);
  return {
    fullName: `${read("classname", attributes)} ${read("name", attributes)}`,
    status: ending ? (ending[1] === "skipped" ? "pending" : "failed") : "passed",
    failureMessages: ending ? [read("message", ending[2]) || plainText(ending[3])] : [],
  };
}

function plainText(text) {
  const named = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
  return text.replace(/&(?:#(\d+)|(\w+));/g, (_, code, name) =>
    code ? String.fromCodePoint(Number(code)) : named[name],
  );
}

function skip() {
  const reason = `no Python with ${modules}: pip install -r apps/train/requirements.txt, or name one in TESSERA_PYTHON`;
  console.error(`\n  THE TESTS OF apps/train ARE SKIPPED: ${reason}\n`);
  write([{ fullName: "apps/train", status: "pending", failureMessages: [reason] }]);
  return 0;
}

function write(assertionResults) {
  const count = (status) => assertionResults.filter((test) => test.status === status).length;
  const failed = count("failed");
  writeFileSync(
    report,
    JSON.stringify({
      numPassedTests: count("passed"),
      numFailedTests: failed,
      numPendingTests: count("pending"),
      numTotalTests: assertionResults.length,
      success: failed === 0,
      testResults: [{ name: "tests", status: failed === 0 ? "passed" : "failed", message: "", assertionResults }],
    }),
  );
}
