import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { CreateError, createProject, type Template, templates } from "./project.js";

const usage = `npm create tessera [folder] [-- --template ${Object.keys(templates).join("|")}]`;
const isTemplate = (name: string): name is Template => Object.hasOwn(templates, name);

async function choose(): Promise<string> {
  for (const [name, about] of Object.entries(templates)) console.log(`  ${name.padEnd(8)} ${about}`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Which one? (service) ");
  terminal.close();
  return answer.trim() || "service";
}

/** The command `create-tessera`. @returns its exit status: 0, or 2 where the command line is wrong */
export async function main(args: string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { template: { type: "string", short: "t" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help) {
      console.log(
        `${usage}\n${Object.entries(templates)
          .map(([name, about]) => `  ${name.padEnd(8)} ${about}`)
          .join("\n")}`,
      );
      return 0;
    }
    const [place = "my-tessera"] = positionals;
    const template = values.template ?? (process.stdin.isTTY ? await choose() : "service");
    if (!isTemplate(template))
      throw new CreateError(`There is no template "${template}": say one of ${Object.keys(templates).join(", ")}.`);
    const files = createProject(place, template);
    console.log(
      `Wrote ${files.length} files into ${place}: ${templates[template]}.\n\n  cd ${place}\n  npm install\n  npm test\n  npm start`,
    );
    return 0;
  } catch (error) {
    const isUsage = error instanceof TypeError && "code" in error;
    if (!(error instanceof CreateError) && !isUsage) throw error;
    console.error(isUsage ? `${error.message}\n${usage}` : (error as Error).message);
    return 2;
  }
}
