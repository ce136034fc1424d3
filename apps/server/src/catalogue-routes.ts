import { type FlowDocument, printFlow, TesseraError } from "@tessera/core";
import {
  elementOf,
  errorBody,
  fit,
  inSlices,
  listOf,
  parsingJson,
  portTypeOf,
  required,
  show,
} from "@tessera/core/internal";
import { flows as catalogueOfFlows } from "@tessera/flows";
import { paperOf } from "@tessera/flows/internal";
import { type CheckedFlow, checkFlow } from "@tessera/graph";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { assertNotAmbient } from "./ambient.js";
import type { AnyTessera } from "./embedded-runs.js";
import { assertMayUse, may } from "./rights.js";
import { writing } from "./route.js";
import type { Service } from "./server.js";
import { importOf } from "./studio/work-folder.js";

type Operator = AnyTessera["operators"][number];
type Plan = CheckedFlow["plan"];
type PlannedPorts = Plan["input"];

/** A port as clients see it: its type as documents write it, and in words. */
interface PortView {
  readonly type: unknown;
  readonly words: string;
  readonly optional?: true;
}

const portView = (type: Parameters<typeof show>[0], optional: boolean): PortView => ({
  type,
  words: show(type),
  ...(optional && { optional }),
});

function declaredPorts({ ports }: Operator): { input: object; output: object } | undefined {
  if (typeof ports === "function") return undefined;
  const views = (schemas: Record<string, z.ZodType>) =>
    Object.fromEntries(
      Object.entries(schemas).map(([port, schema]) => {
        const type = portTypeOf(schema);
        return [port, portView(required(type), type !== required(type))];
      }),
    );
  return { input: views(ports.input), output: views(ports.output) };
}

const operatorView = (operator: Operator) => ({
  name: operator.name,
  version: operator.version,
  about: operator.about,
  effects: operator.effects ?? "read",
  asksModel: operator.bound !== undefined,
  needs: operator.needs ?? {},
  config: z.toJSONSchema(operator.config, { io: "input", unrepresentable: "any" }),
  /** Absent where the settings decide them. */
  ports: declaredPorts(operator),
});

const mostTypes = 200;

/** Which types of a flow's ports fit which: as a "whole", or as a "member" of the list that the other takes. By words. */
function fitsOf(plan: Plan): Record<string, Record<string, "whole" | "member">> {
  const types = new Map<string, Parameters<typeof show>[0]>();
  const collect = ({ input, output, nodes }: Plan): void => {
    for (const { type } of [...input.values(), ...output.values()]) types.set(show(type), type);
    for (const node of nodes) {
      for (const { type } of [...node.input.values(), ...node.gives.values()]) types.set(show(type), type);
      const { each } = node.document;
      const one = each && node.input.get(each.over);
      if (one) types.set(show(listOf(one.type)), listOf(one.type));
      if (node.body.kind === "flow") collect(node.body);
    }
  };
  collect(plan);
  const known = [...types].slice(0, mostTypes);
  const how = (source: Parameters<typeof show>[0], target: Parameters<typeof show>[0]) => {
    if (fit(source, target) !== "mismatch") return "whole";
    const element = elementOf(target);
    return element !== undefined && fit(source, element) !== "mismatch" ? "member" : undefined;
  };
  const row = (source: Parameters<typeof show>[0]) =>
    Object.fromEntries(
      known.flatMap(([words, target]) => {
        const found = how(source, target);
        return found ? [[words, found] as const] : [];
      }),
    );
  return Object.fromEntries(known.map(([words, source]) => [words, row(source)]));
}

const views = (ports: PlannedPorts) =>
  Object.fromEntries([...ports].map(([name, { type, optional }]) => [name, portView(type, optional)]));

/** The ports of every node of a checked flow, by the node's path. */
function portsOf(plan: Plan, found: Record<string, object> = {}): Record<string, object> {
  found[plan.path] = {
    input: views(plan.input),
    output: Object.fromEntries([...plan.output].map(([name, { type }]) => [name, portView(type, false)])),
  };
  for (const { path, input, gives, body, writes } of plan.nodes) {
    if (body.kind === "flow") portsOf(body, found);
    found[path] = { input: views(input), output: views(gives), ...(writes && { writes }) };
  }
  return found;
}

type Examined = Awaited<ReturnType<AnyTessera["examine"]>>;

/** What a check of a document tells: its findings, bound, and ports, and where it has no findings its code. */
async function checkedView(
  tessera: AnyTessera,
  document: unknown,
  permitted: (examined: Examined) => Examined,
): Promise<object> {
  try {
    const checked = checkFlow(document, tessera.operators);
    assertNotAmbient(checked.document, tessera.operators);
    const { hash, bound, notices } = checked;
    // compiled even where it has findings: what its operators lack is told at once with them
    const examined = await tessera.examine(checked.document).then(permitted, (error) => error);
    const findings = examined instanceof Error ? findingsOf(examined) : [];
    return {
      hash,
      bound,
      notices,
      findings: findings.slice(0, 1000).map((finding) => errorBody(finding)),
      ports: portsOf(checked.plan),
      fits: fitsOf(checked.plan),
      ...(!(examined instanceof Error) && { resources: examined.resources, writes: examined.writes }),
      ...(checked.findings.length === 0 && { typescript: printFlow(checked.document, { importOf }) }),
    };
  } catch (error) {
    if (!TesseraError.is(error)) throw error;
    return { findings: findingsOf(error).map((finding) => errorBody(finding)) };
  }
}

function findingsOf(error: Error): readonly TesseraError[] {
  if (!TesseraError.is(error)) throw error;
  return error.findings.length > 0 ? error.findings : [error];
}

/** The catalogue's flows with what they are, whose method, and whether they can run here. */
async function catalogueView(tessera: AnyTessera) {
  return Promise.all(
    [...catalogueOfFlows].map(async ([name, { flow, summary, about }]) => {
      const { bound } = checkFlow(flow.document, tessera.operators);
      const examined = await tessera.examine(flow.document).catch((error) => error);
      return {
        name,
        summary,
        about,
        paper: paperOf(name),
        bound,
        nodes: Object.keys(flow.document.nodes).length,
        document: flow.document,
        ...(examined instanceof Error
          ? { missing: findingsOf(examined).map((finding) => errorBody(finding)) }
          : { resources: examined.resources }),
      };
    }),
  );
}

const checkBody = z.strictObject({ document: z.any() });

/** Which operators and named flows there are, and the check of a document that is not uploaded. */
export function catalogueRoutes(server: FastifyInstance, service: Service, tessera: AnyTessera): void {
  server.get("/operators", { config: { scope: "none", summary: "the operators: ports, settings, effects" } }, () => ({
    operators: tessera.operators.map(operatorView),
  }));
  let known: { readonly flows: string; readonly view: ReturnType<typeof catalogueView> } | undefined;
  server.get(
    "/catalogue",
    { config: { scope: "none", summary: "the named flows, also those that lack a resource here" } },
    async ({ key }) => {
      const flows = tessera.flows.join();
      if (known?.flows !== flows) known = { flows, view: catalogueView(tessera) };
      return { flows: (await known.view).filter(({ name }) => may(key, { to: "see", flow: name })) };
    },
  );
  void server.register(async (checks) => {
    // a document may hold thousands of nodes, so that it is read in slices
    checks.addContentTypeParser("application/json", { parseAs: "string" }, (_: FastifyRequest, text: string) =>
      inSlices(parsingJson(text)),
    );
    checks.post<{ Body: { document: FlowDocument } }>(
      "/check",
      { schema: { body: checkBody }, config: { scope: "flows", summary: "check a document, and upload nothing" } },
      ({ key, body }) =>
        checkedView(tessera, body.document, (examined) => {
          assertMayUse(key, examined, writing(service).indexOf);
          return examined;
        }),
    );
  });
}
